"""Checks of one certificate that OpenSSL does not make, or not as Mooring wants them.

Each returns, or raises `ChainRefused` naming the certificate.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from mooring.pki.certificates import MAX_CERTIFICATE_BYTES, Certificate
from mooring.pki.chainfacts import RefusalCode, refusal, signature_weakness
from mooring.pki.keys import certificate_key_weakness

CLOCK_SKEW = timedelta(minutes=5)
"""Allowance at either end of a validity: a certificate just issued on a machine whose clock runs
ahead must work, and five minutes more after years make no difference."""


def check_key(certificate: Certificate) -> None:
    """Refuse a certificate whose key is weak or of a kind that Azure does not take."""
    weakness = certificate_key_weakness(certificate)
    if weakness:
        raise refusal(RefusalCode.WEAK_KEY, certificate, f"has a {weakness}")


def check_signature_hash(certificate: Certificate) -> None:
    """Refuse a certificate that was signed with MD5, SHA-1 or the like."""
    weakness = signature_weakness(certificate)
    if weakness:
        raise refusal(RefusalCode.WEAK_SIGNATURE, certificate, f"has a {weakness}")


def check_dates(certificate: Certificate, at: datetime) -> None:
    """Refuse a certificate that is over, or not begun, beyond `CLOCK_SKEW`."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    check_validity_span(certificate, start, end, at)


def check_validity_span(
    certificate: Certificate, start: datetime, end: datetime, at: datetime
) -> None:
    """Refuse `certificate`, valid from `start` to `end`, as `check_dates` does."""
    if at - CLOCK_SKEW > end:
        raise refusal(RefusalCode.EXPIRED, certificate, f"expired at {end:%Y-%m-%d %H:%M:%S} UTC")
    if at + CLOCK_SKEW < start:
        raise refusal(
            RefusalCode.NOT_YET_VALID,
            certificate,
            f"is not valid before {start:%Y-%m-%d %H:%M:%S} UTC",
        )


def check_size(certificate: Certificate, der: bytes) -> None:
    """Refuse a presented certificate of more than `MAX_CERTIFICATE_BYTES`."""
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise refusal(
            RefusalCode.CERTIFICATE_TOO_LARGE,
            certificate,
            f"has {len(der)} bytes, more than {MAX_CERTIFICATE_BYTES}",
        )
