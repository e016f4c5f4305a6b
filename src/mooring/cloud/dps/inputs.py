"""Checks at the door, shared by the resources: ids, certificates, terms, pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from mooring.cloud.cacertificates import inputs as certificates
from mooring.cloud.cacertificates.model import StoredCertificate
from mooring.cloud.dps.errors import EtagMismatch, InputInvalid, Overloaded
from mooring.cloud.dps.model import (
    AllocationPolicy,
    CertificateSlot,
    EnrollmentTerms,
    InitialTwin,
    Slot,
)
from mooring.cloud.etags import etag_matches
from mooring.cloud.paging import decode_continuation
from mooring.protocol.azure.api_versions import is_api_version
from mooring.protocol.azure.errors import IdentifierMalformed, quoted
from mooring.protocol.azure.identifiers import check_device_id, check_registration_id

MAX_LINKED_HUBS = 50
"""Azure: DPS limits, linked hubs; so no enrollment can name more."""

MAX_TAGS_BYTES = 8 * 1024
"""Azure: IoT Hub twins, size of tags."""

MAX_DESIRED_BYTES = 32 * 1024
"""Azure: IoT Hub twins, size of desired properties."""

MAX_DEVICE_INFORMATION_BYTES = 8 * 1024
"""Ours, as for tags: Azure publishes no size for ``optionalDeviceInformation``."""

MAX_WEBHOOK_URL_CHARS = 2048
"""Ours: what common HTTP servers take of a URL with a key in its query, many times."""

FIRST_WEBHOOK_API_VERSION = "2018-09-01-preview"
"""Azure: the first api-version that knows custom allocation."""

MAX_HOST_NAME_CHARS = 253
"""RFC 1035 §2.3.4, without the final dot."""


def check_certificate_name(name: str, *, field: str = "name") -> str:
    """Return `name`, given as `field`, if it may name a CA certificate. Raises InputInvalid."""
    return certificates.check_certificate_name(name, field=field, invalid=InputInvalid)


def check_id(text: str, *, field: str) -> str:
    """Return `text` if it may be a registration or group id. Raises InputInvalid."""
    try:
        return check_registration_id(text, field=field)
    except IdentifierMalformed as error:
        raise InputInvalid(
            error.message, error.remedy, field=field, code="identifier-malformed"
        ) from error


def check_hub_device_id(text: str) -> str:
    """Return `text` if a hub takes it as device id. Raises InputInvalid."""
    try:
        return check_device_id(text)
    except IdentifierMalformed as error:
        raise InputInvalid(
            error.message, error.remedy, field="deviceId", code="identifier-malformed"
        ) from error


def take_slot(
    slot: CertificateSlot,
    stored: StoredCertificate | None,
    *,
    field: str,
    now: datetime,
    ca: bool,
) -> StoredCertificate | None:
    """Return what goes into a slot that holds `stored`. Raises InputInvalid."""
    if slot is None:
        return None
    if isinstance(slot, Slot):
        if stored is None:
            raise InputInvalid(
                f"{field}: the certificate's text is missing, and none is stored.",
                "Give the certificate itself.",
                field=field,
                code="certificate-missing",
            )
        return stored
    given = StoredCertificate.of(
        certificates.read_certificate(slot, field=field, invalid=InputInvalid)
    )
    if given == stored:
        # A client that changes something else sends back what it read; that the certificate has
        # expired since must not keep anybody from disabling the enrollment.
        return stored
    take = certificates.take_ca_certificate if ca else certificates.take_certificate
    return StoredCertificate.of(take(slot, field=field, now=now, invalid=InputInvalid))


def check_terms(terms: EnrollmentTerms) -> EnrollmentTerms:
    """Return `terms`, hub names in lower case, if they make sense. Raises InputInvalid."""
    if len(terms.hub_host_names) > MAX_LINKED_HUBS:
        raise InputInvalid(
            f"iotHubs: {len(terms.hub_host_names)} hubs, more than {MAX_LINKED_HUBS}.",
            "Name fewer, or none for all linked hubs.",
            field="iotHubs",
            code="too-many-hubs",
        )
    for host_name in terms.hub_host_names:
        if not 0 < len(host_name) <= MAX_HOST_NAME_CHARS:
            raise InputInvalid(
                f"iotHubs: {quoted(host_name)} is no host name.",
                "Give host names of linked hubs.",
                field="iotHubs",
                code="host-name-malformed",
            )
    if terms.allocation_policy is AllocationPolicy.STATIC and len(terms.hub_host_names) != 1:
        raise InputInvalid(
            f"iotHubs: static allocation needs one hub, not {len(terms.hub_host_names)}.",
            "Name the one hub, or choose another allocation policy.",
            field="iotHubs",
            code="static-needs-one-hub",
        )
    _check_custom_allocation(terms)
    if terms.initial_twin is not None:
        check_initial_twin(terms.initial_twin)
    return terms


def check_initial_twin(twin: InitialTwin) -> InitialTwin:
    """Return `twin` if a hub can take it. Raises InputInvalid."""
    _check_size(twin.tags, MAX_TAGS_BYTES, "initialTwin.tags")
    _check_size(twin.desired, MAX_DESIRED_BYTES, "initialTwin.properties.desired")
    return twin


def check_device_information(document: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return `document` if it is small enough to be kept. Raises InputInvalid."""
    if document is not None:
        _check_size(document, MAX_DEVICE_INFORMATION_BYTES, "optionalDeviceInformation")
    return document


def check_if_match(if_match: str | None, etag: str, *, what: str) -> None:
    """Compare an If-Match value, if there is one, with a record's etag. Raises EtagMismatch."""
    if if_match is not None and not etag_matches(if_match, etag):
        raise etag_mismatch(what)


def etag_mismatch(what: str) -> EtagMismatch:
    """Return the refusal of a stale etag; `what` names the record."""
    return EtagMismatch(
        f"{what} has changed since it was read (If-Match does not fit).",
        "Read it again, apply your change to what it is now, and send that with its etag.",
        field="If-Match",
    )


def contended(what: str) -> Overloaded:
    """Return the refusal of a change that names no version, of a record that never stands still.

    A change for one version is refused by `etag_mismatch` as soon as another was quicker.
    """
    return Overloaded(
        f"{what} is being changed by others all the time.",
        "Try again in a moment, or send If-Match with the etag of the version that you mean.",
    )


def read_continuation(continuation: str | None) -> str | None:
    """Return the key after which a page begins. Raises InputInvalid."""
    if continuation is None:
        return None
    try:
        return decode_continuation(continuation)
    except ValueError as error:
        raise InputInvalid(
            "continuation: not one that this service gave.",
            "Begin without a continuation, then send back what the answer carries.",
            field="continuation",
            code="continuation-malformed",
        ) from error


def _check_custom_allocation(terms: EnrollmentTerms) -> None:
    custom = terms.custom_allocation
    if terms.allocation_policy is not AllocationPolicy.CUSTOM:
        return
    if custom is None or not custom.webhook_url or not custom.api_version:
        raise InputInvalid(
            "customAllocationDefinition: the allocation policy custom needs webhookUrl and "
            "apiVersion.",
            "Give both, or choose another allocation policy.",
            field="customAllocationDefinition",
            code="custom-needs-webhook",
        )
    field = "customAllocationDefinition.webhookUrl"
    try:
        url = urlsplit(custom.webhook_url)
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
        # urlsplit passes over white space and control characters, which no URL holds (RFC 3986).
        usable = usable and custom.webhook_url.isprintable() and " " not in custom.webhook_url
    except ValueError:
        usable = False
    if not usable or len(custom.webhook_url) > MAX_WEBHOOK_URL_CHARS:
        # Not repeated here: its query holds a secret.
        raise InputInvalid(
            f"{field}: not an http or https URL of at most {MAX_WEBHOOK_URL_CHARS} characters.",
            "Give the whole URL of the webhook, with its key.",
            field=field,
            code="webhook-url-malformed",
        )
    if not is_api_version(custom.api_version) or custom.api_version < FIRST_WEBHOOK_API_VERSION:
        raise InputInvalid(
            f"customAllocationDefinition.apiVersion: {quoted(custom.api_version)} is not an "
            f"api-version from {FIRST_WEBHOOK_API_VERSION} on.",
            "Give the api-version whose shape the webhook expects, e.g. 2021-10-01.",
            field="customAllocationDefinition.apiVersion",
            code="webhook-api-version",
        )


def _check_size(document: Mapping[str, Any], limit: int, field: str) -> None:
    try:
        size = len(json.dumps(document, separators=(",", ":"), allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InputInvalid(
            f"{field}: not a JSON object.", "Give JSON.", field=field, code="json-malformed"
        ) from error
    if size > limit:
        raise InputInvalid(
            f"{field}: {size} bytes, more than {limit}.",
            "Keep it smaller.",
            field=field,
            code="too-large",
        )
