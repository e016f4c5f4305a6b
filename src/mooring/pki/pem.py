"""Taking in pasted certificates and keys: repair what can be repaired, and say what was.

The guide warns that one blank after the last dash makes the connection fail without a reason.
Here a paste comes out as clean PEM with a list of repairs, or is refused with the line at fault.
Cutting text into blocks is `mooring.pki.pemblocks`; this file knows what blocks belong where.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as dataclass_field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mooring.pki.certificates import (
    Certificate,
    dump_certificate,
    load_der_certificate,
)
from mooring.pki.chainorder import leaf_first
from mooring.pki.errors import (
    CertificateMalformed,
    InputTooLarge,
    KeyEncrypted,
    KeyKindUnsupported,
    KeyMalformed,
    PassphraseWrong,
    PemMalformed,
    PkiError,
    SeveralKeys,
    WrongBox,
)
from mooring.pki.keys import PrivateKey, describe_key, dump_key, public_key_der
from mooring.pki.pemblocks import CERTIFICATE_LABELS, KEY_LABELS, Block, Repair, cut_blocks

__all__ = [
    "CertificateIntake",
    "KeyIntake",
    "Repair",
    "key_matches",
    "take_bundle",
    "take_certificates",
    "take_private_key",
]

MAX_CHAIN_CERTIFICATES = 16
"""Certificates in a pasted chain. Real chains have two to four."""

# Blocks that `openssl ecparam -genkey` and `openssl dhparam` leave beside a key.
_HARMLESS_LABELS = frozenset({"EC PARAMETERS", "DH PARAMETERS"})
# The old encryption (RFC 1421) with what `cryptography` decrypts of it.
_OLD_CIPHERS = frozenset({"AES-128-CBC", "AES-256-CBC", "DES-EDE3-CBC"})
_FOREIGN_LABELS = {
    "CERTIFICATE REQUEST": (
        "a certificate signing request",
        "Have it signed first, and paste the certificate that comes back.",
    ),
    "NEW CERTIFICATE REQUEST": (
        "a certificate signing request",
        "Have it signed first, and paste the certificate that comes back.",
    ),
    "PUBLIC KEY": ("a public key", "Paste the certificate or the private key."),
    "RSA PUBLIC KEY": ("a public key", "Paste the certificate or the private key."),
    "PKCS7": (
        "a PKCS#7 bundle",
        "Convert it: openssl pkcs7 -print_certs -in FILE -out chain.pem",
    ),
    "OPENSSH PRIVATE KEY": (
        "an OpenSSH key",
        "Convert a copy of it: ssh-keygen -p -m PKCS8 -f COPY",
    ),
    "X509 CRL": ("a revocation list", "Paste the certificate or the private key."),
}


@dataclass(frozen=True, slots=True)
class CertificateIntake:
    """Certificates taken from a paste.

    Attributes:
        certificates: Leaf first, then its issuer, and so on; without duplicates.
        pem: The same as clean PEM.
        repairs: What had to be mended or left out, in no particular order.
    """

    certificates: tuple[Certificate, ...]
    pem: str
    repairs: tuple[Repair, ...]

    @property
    def leaf(self) -> Certificate:
        """The first certificate: the one that is presented as the peer's own."""
        return self.certificates[0]


@dataclass(frozen=True, slots=True)
class KeyIntake:
    """A private key taken from a paste. Neither key nor PEM shows in the text form.

    Attributes:
        key: The key, opened.
        pem: Clean PKCS#8 PEM; still encrypted (same passphrase) if the paste was.
        encrypted: Whether `pem` is encrypted.
        repairs: What had to be mended or left out.
    """

    key: PrivateKey = dataclass_field(repr=False)
    pem: bytes = dataclass_field(repr=False)
    encrypted: bool
    repairs: tuple[Repair, ...]


def take_certificates(text: str | bytes, *, field: str = "certificate") -> CertificateIntake:
    """Return the certificate and its chain from a paste or a file's bytes.

    A chain in another order is put leaf first; duplicates, text around the blocks and a private
    key pasted along are left out, each said in a repair. DER is taken too.

    Raises:
        WrongBox: A private key, a request or the like instead of a certificate.
        CertificatesUnrelated: The certificates do not make up one chain.
        PkiError: Further subclasses: empty, too large, broken PEM with the line at fault, a
            block that is not a certificate.
    """
    certificates, repairs = _collect_certificates(text, field)
    if len(certificates) > MAX_CHAIN_CERTIFICATES:
        raise InputTooLarge(
            f"{field}: {len(certificates)} certificates, more than the "
            f"{MAX_CHAIN_CERTIFICATES} of the longest chain.",
            "Paste the certificate and its own chain only.",
            field=field,
        )
    ordered = leaf_first(certificates, field)
    if ordered != certificates:
        repairs.append(Repair("chain-reordered", "The chain was put in order, leaf first."))
    return _certificate_intake(ordered, repairs)


def take_bundle(text: str | bytes, *, field: str = "certificates") -> CertificateIntake:
    """Return all certificates of a paste in its order, related or not (e.g. trusted roots).

    Repairs and refuses as `take_certificates`, but asks for no chain.
    """
    certificates, repairs = _collect_certificates(text, field)
    return _certificate_intake(certificates, repairs)


def take_private_key(
    text: str | bytes, *, passphrase: bytes | None = None, field: str = "private key"
) -> KeyIntake:
    """Return the one private key from a paste or a file's bytes.

    Takes PKCS#8, PKCS#1 and SEC1, plain or encrypted (PKCS#8, or the old ``Proc-Type:
    4,ENCRYPTED`` form), as PEM or DER. Certificates pasted along are left out.

    Raises:
        WrongBox: A certificate, a request or the like instead of a key.
        KeyEncrypted: Encrypted, and no passphrase (or an empty one) was given.
        PassphraseWrong: The passphrase does not open it.
        KeyKindUnsupported: Neither RSA nor elliptic curve.
        SeveralKeys: More than one private key.
        PkiError: Further subclasses as in `take_certificates`.
    """
    blocks, repairs = cut_blocks(text, field=field)
    keys: list[Block] = []
    others: list[Block] = []
    for block in blocks:
        kind = _kind_of(block, field)
        if kind == "key":
            keys.append(block)
        elif kind == "certificate":
            others.append(block)
    if not keys:
        raise WrongBox(
            f"{field}: holds {'a certificate' if others else 'no key'} instead of a private key.",
            "Paste the private key here (BEGIN PRIVATE KEY), the certificate into its own box.",
            field=field,
        )
    if len({block.der for block in keys}) > 1:
        raise SeveralKeys(
            f"{field}: holds {len(keys)} private keys, at lines "
            f"{' and '.join(str(block.first_line) for block in keys)}.",
            "Paste the one key that belongs to the certificate.",
            field=field,
        )
    if others:
        repairs.append(
            Repair("certificate-left-out", "A certificate pasted along with the key was left out.")
        )
    if len(keys) > 1:
        repairs.append(Repair("duplicate-left-out", "The same key was pasted more than once."))
    return _open_key(keys[0], passphrase, field, repairs)


def key_matches(certificate: Certificate, key: PrivateKey) -> bool:
    """Return whether `key` is the private half of the key in `certificate`."""
    try:
        return public_key_der(certificate) == public_key_der(key)
    except (UnsupportedAlgorithm, ValueError):
        return False


def _certificate_intake(
    certificates: list[Certificate], repairs: list[Repair]
) -> CertificateIntake:
    pem = "".join(dump_certificate(certificate) for certificate in certificates)
    return CertificateIntake(tuple(certificates), pem, tuple(repairs))


def _collect_certificates(text: str | bytes, field: str) -> tuple[list[Certificate], list[Repair]]:
    blocks, repairs = cut_blocks(text, field=field)
    certificates: list[Certificate] = []
    keys = 0
    duplicates = 0
    for block in blocks:
        kind = _kind_of(block, field)
        if kind == "key":
            keys += 1
        elif kind == "certificate":
            certificate = _load_block(block, field)
            if certificate in certificates:
                duplicates += 1
            else:
                certificates.append(certificate)
    if not certificates:
        raise WrongBox(
            f"{field}: holds {'a private key' if keys else 'no certificate'} "
            "instead of a certificate.",
            "Paste the certificate here (BEGIN CERTIFICATE), the private key into its own box.",
            field=field,
        )
    if keys:
        repairs.append(
            Repair(
                "private-key-left-out",
                "A private key pasted along with the certificate was left out. "
                "Keep it out of files that are handed on.",
            )
        )
    if duplicates:
        repairs.append(
            Repair("duplicate-left-out", f"Certificates pasted twice were left out: {duplicates}.")
        )
    return certificates, repairs


def _kind_of(block: Block, field: str) -> str:
    """Return "certificate", "key" or "harmless"; raise WrongBox for what belongs nowhere here."""
    if block.label in CERTIFICATE_LABELS:
        return "certificate"
    if block.label in KEY_LABELS:
        return "key"
    if block.label in _HARMLESS_LABELS:
        return "harmless"
    if not block.label:
        return _kind_of_bare(block, field)
    what, remedy = _FOREIGN_LABELS.get(
        block.label, (f"a block named {block.label}", "Paste PEM certificates and keys only.")
    )
    raise WrongBox(f"{field}: line {block.first_line} begins {what}.", remedy, field=field)


def _kind_of_bare(block: Block, field: str) -> str:
    """Tell what unlabelled DER is by trying: a certificate, else a key."""
    try:
        load_der_certificate(block.der, field=field)
    except CertificateMalformed:
        pass
    else:
        return "certificate"
    try:
        serialization.load_der_private_key(block.der, password=None)
    except TypeError:
        return "key"  # cryptography's answer for "encrypted, and no password given"
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PemMalformed(
            f"{field}: neither PEM, nor a certificate or private key in DER.",
            "Paste PEM. A PKCS#12 file (.pfx, .p12) is unpacked by: "
            "openssl pkcs12 -in FILE -nodes -out FILE.pem",
            field=field,
        ) from error
    return "key"


def _load_block(block: Block, field: str) -> Certificate:
    der = block.der
    if block.label == "TRUSTED CERTIFICATE":
        der = der[: block.der_length]  # OpenSSL's own trust settings follow the certificate
    try:
        return load_der_certificate(der, field=field)
    except CertificateMalformed as error:
        raise CertificateMalformed(
            f"{field}: the block at lines {block.first_line} to {block.last_line} is not a "
            f"readable certificate ({error.__cause__}).",
            "Copy the certificate again, from its BEGIN line to its END line.",
            field=field,
        ) from error


def _open_key(
    block: Block, passphrase: bytes | None, field: str, repairs: list[Repair]
) -> KeyIntake:
    encrypted = _is_encrypted(block)
    if encrypted and not passphrase:
        raise KeyEncrypted(
            f"{field}: the key is encrypted and no passphrase was given.",
            "Give its passphrase, or remove the encryption: openssl pkey -in FILE -out PLAIN",
            field=field,
        )
    password = passphrase if encrypted else None
    try:
        key = _load_key(block, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _key_fault(block, error, field, encrypted=encrypted) from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise KeyKindUnsupported(
            f"{field}: a key of kind {describe_key(key)}.",
            "Use an RSA key of 2048 bits or more, or an EC key on P-256 or P-384.",
            field=field,
        )
    if block.label == "ENCRYPTED PRIVATE KEY":
        pem = block.to_pem()
    else:
        pem = dump_key(key, passphrase=password)
        if block.label not in {"PRIVATE KEY", ""}:
            repairs.append(
                Repair("key-converted", f"The key was converted from {block.label} to PKCS#8.")
            )
    return KeyIntake(key, pem, encrypted, tuple(repairs))


def _is_encrypted(block: Block) -> bool:
    if block.label:
        return bool(block.headers) or block.label == "ENCRYPTED PRIVATE KEY"
    try:
        serialization.load_der_private_key(block.der, password=None)
    except TypeError:
        return True  # cryptography's answer for "encrypted, and no password given"
    return False


def _load_key(block: Block, password: bytes | None) -> object:
    if block.headers:
        cipher = block.headers[1].removeprefix("DEK-Info: ").partition(",")[0]
        if cipher not in _OLD_CIPHERS:
            raise UnsupportedAlgorithm(cipher)
        return serialization.load_pem_private_key(block.to_pem(), password)
    return serialization.load_der_private_key(block.der, password)


def _key_fault(block: Block, error: Exception, field: str, *, encrypted: bool) -> PkiError:
    if isinstance(error, UnsupportedAlgorithm):
        return KeyKindUnsupported(
            f"{field}: a key or an encryption of a kind that cannot be read.",
            "Use an RSA or EC key, plain or encrypted with: openssl pkcs8 -topk8 -v2 aes256",
            field=field,
        )
    if encrypted:
        # A wrong passphrase and a damaged body look alike: both end in padding that is wrong.
        return PassphraseWrong(
            f"{field}: the passphrase does not open the key.",
            "Type the passphrase again; if it is right, copy the key again.",
            field=field,
        )
    return KeyMalformed(
        f"{field}: the block at lines {block.first_line} to {block.last_line} is not a readable "
        "private key.",
        "Copy the key again, from its BEGIN line to its END line.",
        field=field,
    )
