"""Certificates of any make, good and bad, for tests: what `mooring.pki` would refuse to issue."""

from __future__ import annotations

import base64
import functools
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate (as DER, which may be broken on purpose) and its private key."""

    certificate: x509.Certificate
    key: Any
    der: bytes

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        body = base64.encodebytes(self.der)
        return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"

    def key_pem(self, passphrase: bytes | None = None) -> bytes:
        """The private key as PKCS#8."""
        encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
        return bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))

    def write(self, folder: Path, *above: Credential) -> tuple[Path, Path]:
        """Write the certificate, followed by those `above` it, and the key; return both paths."""
        name = f"{self.certificate.serial_number:x}"
        certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}-key.pem"
        certificate_file.write_bytes(b"".join(each.pem for each in (self, *above)))
        key_file.write_bytes(self.key_pem())
        return certificate_file, key_file

    def broken(self) -> Credential:
        """Return the same with a signature that does not verify."""
        der = bytearray(self.der)
        der[-2] ^= 0x55
        return Credential(x509.load_der_x509_certificate(bytes(der)), self.key, bytes(der))


@functools.cache
def key_of(kind: str) -> Any:
    """Return one key of `kind` (``"rsa"``, ``"ec"``, ``"rsa1024"``; ``"ec#2"`` is another)."""
    match kind.partition("#")[0]:
        case "rsa":
            return rsa.generate_private_key(65537, 2048)
        case "rsa1024":
            return rsa.generate_private_key(65537, 1024)
        case "ec":
            return ec.generate_private_key(ec.SECP256R1())
    raise ValueError(kind)


def certify(
    common_name: str,
    key: Any,
    issuer: Credential | None = None,
    *,
    ca: bool = False,
    path_length: int | None = None,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    usages: Sequence[x509.ObjectIdentifier] = (),
    digital_signature: bool = True,
    names: Sequence[str] = (),
) -> Credential:
    """Return a certificate for `key`, self-signed without an `issuer`. Valid ± 30 days from now."""
    now = datetime.now(UTC).replace(microsecond=0)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before or now - 30 * DAY)
        .not_valid_after(not_after or now + 30 * DAY)
        .add_extension(x509.BasicConstraints(ca, path_length), critical=True)
        .add_extension(_key_usage(ca, digital_signature), critical=True)
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if names:
        alternative = x509.SubjectAlternativeName([_general_name(name) for name in names])
        builder = builder.add_extension(alternative, critical=False)
    certificate = builder.sign(key if issuer is None else issuer.key, hashes.SHA256())
    return Credential(certificate, key, certificate.public_bytes(Encoding.DER))


def certify_server(
    names: Sequence[str],
    issuer: Credential | None,
    *,
    key: Any = None,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> Credential:
    """Return a TLS server's certificate for `names`."""
    return certify(
        names[0] if names else "nameless",
        key or key_of("ec#server"),
        issuer,
        names=names,
        usages=[ExtendedKeyUsageOID.SERVER_AUTH],
        not_before=not_before,
        not_after=not_after,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(ca: bool, digital_signature: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=not digital_signature,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
