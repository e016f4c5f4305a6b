"""Names and certificates as callers send them."""

from __future__ import annotations

import re
from datetime import datetime

from mooring.cloud.cacertificates.refusals import MakeError
from mooring.pki.certificates import Certificate, format_name, load_certificate
from mooring.pki.errors import PkiError
from mooring.pki.issuers import ca_fault
from mooring.pki.keys import certificate_key_weakness
from mooring.protocol.azure.errors import quoted

_CERTIFICATE_NAME = re.compile(r"[A-Za-z0-9\-._]{1,64}", re.ASCII)


def check_certificate_name(name: str, *, field: str, invalid: MakeError) -> str:
    """Return `name`, given as `field`, if it may name a CA certificate. Raises `invalid`."""
    if _CERTIFICATE_NAME.fullmatch(name) is None:
        raise invalid(
            f"{field}: {quoted(name)} may not name a CA certificate.",
            "Use 1 to 64 letters, digits, '-', '.' and '_'.",
            field=field,
            code="certificate-name-malformed",
        )
    return name


def read_certificate(data: str | bytes, *, field: str, invalid: MakeError) -> Certificate:
    """Return the certificate in `data`. Raises `invalid`."""
    try:
        return load_certificate(data, field=field)
    except PkiError as error:
        raise invalid(error.message, error.remedy, field=field, code=error.code) from error


def take_certificate(
    data: str | bytes, *, field: str, now: datetime, invalid: MakeError
) -> Certificate:
    """Return the certificate in `data`; one that has expired is refused. Raises `invalid`."""
    certificate = read_certificate(data, field=field, invalid=invalid)
    if certificate.not_valid_after_utc < now:
        raise invalid(
            f"{field}: expired at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC.",
            "Issue a new certificate and give that.",
            field=field,
            code="certificate-expired",
        )
    weakness = certificate_key_weakness(certificate)
    if weakness is not None:
        raise invalid(
            f"{field}: the certificate has a {weakness}.",
            "Use RSA with 2048 bits or more, or the curves P-256 and P-384.",
            field=field,
            code="weak-key",
        )
    return certificate


def take_ca_certificate(
    data: str | bytes, *, field: str, now: datetime, invalid: MakeError
) -> Certificate:
    """Return the CA certificate in `data`. Raises `invalid`, also when it cannot sign."""
    certificate = take_certificate(data, field=field, now=now, invalid=invalid)
    fault = ca_fault(certificate)
    if fault is not None:
        raise invalid(
            f"{field}: {format_name(certificate.subject)} cannot issue certificates: {fault}.",
            "Give the root or intermediate CA certificate, not a device's. A CA is X.509 "
            "version 3 with basic constraints CA:TRUE (openssl req -x509 makes it so).",
            field=field,
            code="certificate-not-ca",
        )
    return certificate
