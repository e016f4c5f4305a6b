"""Everything that `mooring.pki` raises, named by the fact.

Each exception holds `code` (kebab-case, stable), `message` (names the field and the value's
fault), `remedy` (what to do) and `field` (which input was at fault, or None).
"""

from __future__ import annotations


class PkiError(Exception):
    """Root of all errors of this package."""

    code: str = "pki-error"

    def __init__(self, message: str, remedy: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.field = field


# -- taking text and bytes in ---------------------------------------------------------------


class InputTooLarge(PkiError):
    """More bytes than any certificate or key needs."""

    code = "input-too-large"


class InputEmpty(PkiError):
    """Nothing but white space."""

    code = "input-empty"


class CertificateMalformed(PkiError):
    """The bytes are not one X.509 certificate."""

    code = "certificate-malformed"


class KeyMalformed(PkiError):
    """The bytes are not one private key."""

    code = "key-malformed"


class KeyKindUnsupported(PkiError):
    """A private key that is neither RSA nor elliptic curve."""

    code = "key-kind-unsupported"


class KeyEncrypted(PkiError):
    """The private key is encrypted and no passphrase was given."""

    code = "key-encrypted"


class PassphraseWrong(PkiError):
    """The passphrase does not open the private key."""

    code = "passphrase-wrong"


class PemMalformed(PkiError):
    """PEM text that cannot be repaired. `line` is the line at fault, counted from 1."""

    code = "pem-malformed"

    def __init__(
        self, message: str, remedy: str, *, field: str | None = None, line: int | None = None
    ) -> None:
        super().__init__(message, remedy, field=field)
        self.line = line


class PemMissing(PemMalformed):
    """There is no BEGIN line, nor anything that could be the body of a PEM block."""

    code = "pem-missing"


class PemBeginMissing(PemMalformed):
    """An END line without its BEGIN line."""

    code = "pem-begin-missing"


class PemEndMissing(PemMalformed):
    """A BEGIN line without its END line."""

    code = "pem-end-missing"


class PemArmourBroken(PemMalformed):
    """A BEGIN or END line that is not whole, or that closes another block than it should."""

    code = "pem-armour-broken"


class PemCharacterBad(PemMalformed):
    """A character that base64 does not know."""

    code = "pem-character-bad"


class PemBodyTruncated(PemMalformed):
    """Base64 characters are missing or too many."""

    code = "pem-body-truncated"


class WrongBox(PkiError):
    """A certificate where a private key belongs, or the reverse, or something else altogether."""

    code = "wrong-box"


class SeveralCertificates(PkiError):
    """More than one certificate where one is asked for."""

    code = "several-certificates"


class SeveralKeys(PkiError):
    """More than one private key."""

    code = "several-keys"


class CertificatesUnrelated(PkiError):
    """Certificates that do not make up one chain."""

    code = "certificates-unrelated"


# -- names ----------------------------------------------------------------------------------


class SubjectFieldInvalid(PkiError):
    """A subject field is too long, empty, or not of its kind."""

    code = "subject-field-invalid"


class CommonNameMissing(PkiError):
    """An identity certificate needs a common name."""

    code = "common-name-missing"


class CommonNameNotLowerAlphanumeric(PkiError):
    """The guide's rule C4. `proposed` is a name that would do, or an empty text."""

    code = "common-name-not-lower-alphanumeric"

    def __init__(
        self, message: str, remedy: str, *, field: str | None = None, proposed: str = ""
    ) -> None:
        super().__init__(message, remedy, field=field)
        self.proposed = proposed


class SubjectOnlyCommonName(PkiError):
    """The guide's rule C3: at least one subject field besides CN."""

    code = "subject-only-common-name"


# -- issuing --------------------------------------------------------------------------------


class ValidityInvalid(PkiError):
    """A validity that is not between one day and the longest allowed."""

    code = "validity-invalid"


class PathLengthInvalid(PkiError):
    """A path length that is negative, or more than the issuer's own allows."""

    code = "path-length-invalid"


class HostNameInvalid(PkiError):
    """A server name that is neither a DNS name nor an IP address, or none at all."""

    code = "host-name-invalid"


class IssuerKeyMismatch(PkiError):
    """The issuer's private key is not the one its certificate was made for."""

    code = "issuer-key-mismatch"


class IssuerNotCa(PkiError):
    """The issuer's certificate may not sign certificates."""

    code = "issuer-not-ca"


class IssuerNotValidNow(PkiError):
    """The issuer's certificate is expired or not yet valid."""

    code = "issuer-not-valid-now"


class IssuerWeak(PkiError):
    """The issuer's key is too weak to be accepted by whoever verifies the chain."""

    code = "issuer-weak"


class PathLengthExceeded(PkiError):
    """A certificate above forbids as many CA certificates as the new one would have below it."""

    code = "path-length-exceeded"


class CodeInvalid(PkiError):
    """A verification code that does not fit into a common name."""

    code = "verification-code-invalid"
