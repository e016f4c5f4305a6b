"""What an enrollment asks its devices to prove: from a draft, and from what is stored already."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Container
from datetime import datetime

from mooring.cloud.dps.errors import InputInvalid
from mooring.cloud.dps.inputs import check_certificate_name, take_slot
from mooring.cloud.dps.model import (
    CaReferences,
    CertificateSlots,
    ClientCertificates,
    GroupAttestation,
    IndividualAttestation,
    SigningCertificates,
    SymmetricKeys,
    SymmetricKeySlots,
)
from mooring.protocol.azure.errors import SasKeyMalformed, quoted
from mooring.protocol.azure.identifiers import fold_registration_id as fold
from mooring.protocol.azure.sas import MAX_KEY_BYTES, decode_key


def take_individual_attestation(
    wanted: CertificateSlots | CaReferences | SymmetricKeySlots,
    stored: IndividualAttestation | None,
    *,
    uploaded: Container[str],
    now: datetime,
) -> IndividualAttestation:
    """Return the attestation of an individual enrollment; `stored` is what it had.

    `uploaded` holds the folded names of the CA certificates. Raises InputInvalid.
    """
    if isinstance(wanted, SymmetricKeySlots):
        return _take_keys(wanted, stored)
    if isinstance(wanted, CaReferences):
        return _take_references(wanted, uploaded)
    had = stored if isinstance(stored, ClientCertificates) else ClientCertificates(None)
    field = "attestation.x509.clientCertificates"
    primary, secondary = (
        take_slot(slot, former, field=f"{field}.{name}", now=now, ca=False)
        for name, slot, former in (
            ("primary", wanted.primary, had.primary),
            ("secondary", wanted.secondary, had.secondary),
        )
    )
    _check_any(primary, secondary, field=field, remedy="Give the device's certificate.")
    return ClientCertificates(primary, secondary)


def take_group_attestation(
    wanted: CertificateSlots | CaReferences | SymmetricKeySlots,
    stored: GroupAttestation | None,
    *,
    uploaded: Container[str],
    now: datetime,
) -> GroupAttestation:
    """Return the attestation of a group; see `take_individual_attestation`."""
    if isinstance(wanted, SymmetricKeySlots):
        return _take_keys(wanted, stored)
    if isinstance(wanted, CaReferences):
        return _take_references(wanted, uploaded)
    had = stored if isinstance(stored, SigningCertificates) else SigningCertificates(None)
    field = "attestation.x509.signingCertificates"
    primary, secondary = (
        take_slot(slot, former, field=f"{field}.{name}", now=now, ca=True)
        for name, slot, former in (
            ("primary", wanted.primary, had.primary),
            ("secondary", wanted.secondary, had.secondary),
        )
    )
    _check_any(
        primary,
        secondary,
        field=field,
        remedy="Name an uploaded CA certificate, or give a signing certificate.",
    )
    return SigningCertificates(primary, secondary)


def reference_missing(name: str) -> InputInvalid:
    """Return the refusal of a reference to no uploaded CA certificate."""
    return InputInvalid(
        f"attestation.x509.caReferences: there is no CA certificate {quoted(name)}.",
        "Upload it first (mooring dps certificate add), or correct the name.",
        field="attestation.x509.caReferences",
        code="ca-reference-unknown",
    )


def _take_references(wanted: CaReferences, uploaded: Container[str]) -> CaReferences:
    for slot, name in (("primary", wanted.primary), ("secondary", wanted.secondary)):
        if name is None:
            continue
        check_certificate_name(name, field=f"attestation.x509.caReferences.{slot}")
        if fold(name) not in uploaded:
            raise reference_missing(name)
    _check_any(
        wanted.primary,
        wanted.secondary,
        field="attestation.x509.caReferences",
        remedy="Name an uploaded CA certificate, or give a signing certificate.",
    )
    return wanted


def _take_keys(
    wanted: SymmetricKeySlots, stored: IndividualAttestation | GroupAttestation | None
) -> SymmetricKeys:
    had = stored if isinstance(stored, SymmetricKeys) else None
    return SymmetricKeys(
        _take_key(wanted.primary, None if had is None else had.primary, "primaryKey"),
        _take_key(wanted.secondary, None if had is None else had.secondary, "secondaryKey"),
    )


def _take_key(text: str | None, stored: str | None, name: str) -> str:
    # Azure: missing keys are made. That those there are kept when none are sent is ours: what
    # was read, without its keys, can be sent back.
    if text is None:
        return stored or base64.b64encode(secrets.token_bytes(MAX_KEY_BYTES)).decode()
    field = f"attestation.symmetricKey.{name}"
    try:
        decode_key(text, field=field)
    except SasKeyMalformed as error:
        raise InputInvalid(error.message, error.remedy, field=field, code="key-malformed") from None
    return text


def _check_any(primary: object, secondary: object, *, field: str, remedy: str) -> None:
    if primary is None and secondary is None:
        raise InputInvalid(
            f"{field}: neither a primary nor a secondary certificate.",
            remedy,
            field=field,
            code="certificate-missing",
        )
