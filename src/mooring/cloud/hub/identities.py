"""A device identity as asked for: checked, completed, made."""

from __future__ import annotations

import base64
import itertools
import re
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mooring.cloud.etags import new_etag
from mooring.cloud.hub.errors import InputInvalid
from mooring.cloud.hub.model import (
    AuthenticationType,
    ConnectionState,
    DeviceAuthentication,
    DeviceDraft,
    DeviceIdentity,
)
from mooring.cloud.hub.twins.errors import twin_invalid
from mooring.protocol.azure.errors import (
    IdentifierMalformed,
    PayloadMalformed,
    SasKeyMalformed,
    quoted,
)
from mooring.protocol.azure.identifiers import check_device_id
from mooring.protocol.azure.sas import MAX_KEY_BYTES, decode_key
from mooring.protocol.azure.twins import TwinSection, check_section

MAX_STATUS_REASON_CHARS = 128
"""Azure: ``statusReason``."""

_last_digit = itertools.cycle(range(10))
_YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
_HEX = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")


def new_generation_id(now: datetime) -> str:
    """Return a generation id: .NET ticks (100 ns since year 1) of `now`, as decimal text."""
    # The last digit tells apart what is made within one microsecond.
    return str((now - _YEAR_ONE) // timedelta(microseconds=1) * 10 + next(_last_digit))


def check_draft(draft: DeviceDraft) -> None:
    """Return if all of `draft` but its authentication can be had. Raises InputInvalid."""
    try:
        check_device_id(draft.device_id)
    except IdentifierMalformed as error:
        raise InputInvalid(error.message, error.remedy, field="deviceId") from error
    if len(draft.status_reason or "") > MAX_STATUS_REASON_CHARS:
        raise InputInvalid(
            f"statusReason: more than {MAX_STATUS_REASON_CHARS} characters.",
            "Say it shorter.",
            field="statusReason",
        )
    try:
        check_section(draft.initial_tags or {}, TwinSection.TAGS)
        check_section(draft.initial_desired or {}, TwinSection.DESIRED)
    except PayloadMalformed as error:
        raise twin_invalid(error) from error


def build_identity(
    draft: DeviceDraft, former: DeviceIdentity | None, now: datetime
) -> DeviceIdentity:
    """Return the identity that `draft` asks for, in the place of `former` if there is one.

    Raises InputInvalid: a thumbprint or a key is bad, or missing.
    """
    authentication = _complete(draft.authentication, former)
    if former is None:
        return DeviceIdentity(
            device_id=draft.device_id,
            generation_id=new_generation_id(now),
            etag=new_etag(),
            status=draft.status,
            status_reason=draft.status_reason,
            status_updated_at=None,
            authentication=authentication,
            iot_edge=draft.iot_edge,
            connection_state=ConnectionState.DISCONNECTED,
            connection_state_updated_at=None,
            last_activity_at=None,
            created_at=now,
            parent_scope=draft.parent_scope,
        )
    return replace(
        former,
        etag=new_etag(),
        status=draft.status,
        status_reason=draft.status_reason,
        status_updated_at=now if draft.status is not former.status else former.status_updated_at,
        authentication=authentication,
        iot_edge=draft.iot_edge,
        parent_scope=draft.parent_scope,
    )


def _complete(wanted: DeviceAuthentication, former: DeviceIdentity | None) -> DeviceAuthentication:
    """Return what `wanted` asks for, checked, and nothing that its type does not ask for."""
    kind = wanted.type
    if kind is AuthenticationType.CERTIFICATE_AUTHORITY:
        return DeviceAuthentication(kind)
    if kind is AuthenticationType.SELF_SIGNED:
        primary = _thumbprint(wanted.primary_thumbprint, "primaryThumbprint")
        secondary = _thumbprint(wanted.secondary_thumbprint, "secondaryThumbprint")
        if primary is None and secondary is None:
            raise InputInvalid(
                "authentication.x509Thumbprint: neither a primary nor a secondary thumbprint.",
                "Give the SHA-256 (or SHA-1) thumbprint of the device's certificate.",
                field="authentication.x509Thumbprint",
            )
        return DeviceAuthentication(kind, primary, secondary)
    # Azure: missing keys are made; keys that are there are kept when none are sent.
    stored = wanted if former is None else former.authentication
    return DeviceAuthentication(
        kind,
        primary_key=_key(wanted.primary_key, stored.primary_key, "primaryKey"),
        secondary_key=_key(wanted.secondary_key, stored.secondary_key, "secondaryKey"),
    )


def _thumbprint(text: str | None, name: str) -> str | None:
    if not text:
        return None
    bare = re.sub(r"[\s:-]", "", text).upper()
    if _HEX.fullmatch(bare) is None:
        raise InputInvalid(
            f"authentication.x509Thumbprint.{name}: {quoted(text)} is no thumbprint.",
            "Give 64 hex digits of SHA-256, or 40 of SHA-1 (mooring cert show).",
            field=f"authentication.x509Thumbprint.{name}",
        )
    return bare


def _key(text: str | None, stored: str | None, name: str) -> str:
    if text is None:
        return stored or base64.b64encode(secrets.token_bytes(MAX_KEY_BYTES)).decode()
    field = f"authentication.symmetricKey.{name}"
    try:
        decode_key(text, field=field)
    except SasKeyMalformed as error:
        raise InputInvalid(error.message, error.remedy, field=field) from error
    return text
