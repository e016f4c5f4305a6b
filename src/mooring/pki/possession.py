"""Proof of possession: showing that whoever uploads a CA certificate holds its key.

The cloud makes a code; the owner signs, with the CA's key, a certificate whose common name is the
code. Azure: DPS, "How to do proof-of-possession for X.509 CA certificates".
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature

from mooring.pki.certificates import (
    PARSE_FAULTS,
    Certificate,
    common_name,
    format_name,
    is_self_issued,
)
from mooring.pki.chainfacts import signature_weakness
from mooring.pki.errors import PkiError

CODE_BYTES = 20
"""160 bits: cannot be guessed; 40 hex digits fit into a common name and are what Azure shows."""

CODE_LIFETIME = timedelta(hours=24)
"""A code that is never used must not stay good for ever."""

CLOCK_SKEW = timedelta(minutes=5)
"""The certificate was just made, maybe on a machine whose clock runs ahead."""

_FIELD = "verification certificate"


class PossessionNotProven(PkiError):
    """Root of the ways in which a verification certificate proves nothing."""

    code = "possession-not-proven"


class CodeMissing(PossessionNotProven):
    """No verification code has been generated for the CA certificate."""

    code = "verification-code-missing"


class CodeExpired(PossessionNotProven):
    """The code was generated longer than `CODE_LIFETIME` ago."""

    code = "verification-code-expired"


class CaUploadedInstead(PossessionNotProven):
    """The CA certificate itself was given in place of a verification certificate."""

    code = "ca-certificate-given-instead"


class CommonNameNotCode(PossessionNotProven):
    """The common name is not the code. Shows both."""

    code = "common-name-not-code"


class CodeOutdated(CommonNameNotCode):
    """The common name is a code that a newer one has replaced."""

    code = "verification-code-outdated"


class NotSignedByCa(PossessionNotProven):
    """The issuer's name is not the CA's subject."""

    code = "not-signed-by-ca"


class SignatureWrong(PossessionNotProven):
    """The issuer's name is right, but another key signed."""

    code = "verification-signature-wrong"


class SignatureWeak(PossessionNotProven):
    """Signed with MD5 or SHA-1, which anybody with enough money can forge."""

    code = "verification-signature-weak"


class VerificationExpired(PossessionNotProven):
    """The verification certificate's validity is over."""

    code = "verification-certificate-expired"


class VerificationNotYetValid(PossessionNotProven):
    """The verification certificate's validity has not begun."""

    code = "verification-certificate-not-yet-valid"


def new_verification_code() -> str:
    """Return a random code of 160 bits: 40 upper-case hex digits."""
    return secrets.token_hex(CODE_BYTES).upper()


def check_possession(
    ca: Certificate,
    verification: Certificate,
    *,
    code: str | None,
    code_made_at: datetime | None,
    now: datetime,
    former_codes: tuple[str, ...] = (),
) -> None:
    """Return if `verification` proves that its maker holds the key of `ca`; raise otherwise.

    X.509 version 1, as OpenSSL's plain `x509 -req` makes, is as good as version 3. The common
    name is compared exactly, upper and lower case included.

    Args:
        ca: The uploaded CA certificate.
        verification: What is given as proof.
        code: The current code; None if none was generated.
        code_made_at: When; aware. None if none was generated.
        now: Aware.
        former_codes: Codes that were replaced, so that using one of them can be named.

    Raises:
        PossessionNotProven: One subclass with its own `code` for each way to be wrong.
        ValueError: A naive time.
    """
    if now.tzinfo is None or (code_made_at is not None and code_made_at.tzinfo is None):
        raise ValueError("times must be aware")
    if not code or code_made_at is None:
        raise CodeMissing(
            "No verification code has been generated for this CA certificate.",
            "Generate a verification code first, then make the verification certificate with it.",
            field=_FIELD,
        )
    if verification == ca:
        raise CaUploadedInstead(
            "This is the CA certificate itself, not a verification certificate.",
            f"Make a certificate with the common name {code}, signed with the CA's key, and give "
            "that: mooring cert verification",
            field=_FIELD,
        )
    _check_code(verification, code, former_codes)
    if now > code_made_at + CODE_LIFETIME:
        hours = CODE_LIFETIME // timedelta(hours=1)
        raise CodeExpired(
            f"The verification code was generated at {code_made_at:%Y-%m-%d %H:%M} UTC, more "
            f"than {hours} hours ago.",
            "Generate a new code and make a new verification certificate with it.",
            field=_FIELD,
        )
    _check_signature(ca, verification)
    _check_validity(verification, now)


def _check_code(verification: Certificate, code: str, former_codes: tuple[str, ...]) -> None:
    name = common_name(verification)
    given = (name or "").encode()
    if hmac.compare_digest(given, code.encode()):
        return
    remedy = f"Make a verification certificate with the common name {code}, exactly so."
    if any(hmac.compare_digest(given, former.encode()) for former in former_codes):
        raise CodeOutdated(
            f"The common name is {name}, a code that has been replaced by {code}.",
            remedy,
            field=_FIELD,
        )
    shown = "none" if name is None else repr(name)
    raise CommonNameNotCode(
        f"The common name is {shown}; the verification code is {code!r}.", remedy, field=_FIELD
    )


def _check_signature(ca: Certificate, verification: Certificate) -> None:
    if verification.issuer != ca.subject:
        self_signed = is_self_issued(verification)
        raise NotSignedByCa(
            f"The verification certificate is issued by {format_name(verification.issuer)!r}"
            f"{' (self-signed)' if self_signed else ''}, not by the CA "
            f"{format_name(ca.subject)!r}.",
            "Sign it with the private key of the CA certificate that is being verified.",
            field=_FIELD,
        )
    weakness = signature_weakness(verification)
    if weakness:
        raise SignatureWeak(
            f"The verification certificate has a {weakness}.",
            "Sign it with SHA-256 (openssl: -sha256).",
            field=_FIELD,
        )
    try:
        verification.verify_directly_issued_by(ca)
    except (InvalidSignature, *PARSE_FAULTS) as error:
        raise SignatureWrong(
            f"The verification certificate names the CA {format_name(ca.subject)!r} as issuer, "
            "but was signed with another key.",
            "Sign it with the private key that belongs to the uploaded CA certificate; another "
            "CA of the same name has another key.",
            field=_FIELD,
        ) from error


def _check_validity(verification: Certificate, now: datetime) -> None:
    start, end = verification.not_valid_before_utc, verification.not_valid_after_utc
    if now - CLOCK_SKEW > end:
        raise VerificationExpired(
            f"The verification certificate expired at {end:%Y-%m-%d %H:%M} UTC.",
            "Make a new one with the same code, or correct the clock of the machine that makes it.",
            field=_FIELD,
        )
    if now + CLOCK_SKEW < start:
        raise VerificationNotYetValid(
            f"The verification certificate is not valid before {start:%Y-%m-%d %H:%M} UTC.",
            "Correct the clock of the machine that makes it.",
            field=_FIELD,
        )
