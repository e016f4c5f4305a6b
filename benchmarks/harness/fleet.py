"""Fleets of devices, each with a certificate of its own, in the file that the generator reads.

The `openssl` program would take minutes for thousands, so these are made in this process. RSA keys
take long to make: `RSA_KEYS` of them are shared by a fleet, its certificates differ all the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mooring.pki.issuers import Issuer
from mooring.pki.keys import PrivateKey

RSA_KEYS = 8
VALIDITY = timedelta(days=30)
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Fleet:
    """Devices by name, in the order of the generator's numbers.

    `certificates` are the leaves as DER; each device sends its issuer along.
    """

    names: tuple[str, ...]
    certificates: tuple[bytes, ...]
    credentials_file: Path


def make_fleet(
    folder: Path, label: str, names: Sequence[str], *, key: str, issuers: Sequence[Issuer]
) -> Fleet:
    """Issue a certificate for each of `names`, the issuers taking turns.

    `key` is ``ec`` (P-256) or ``rsa`` (2048 bits).
    """
    path = folder / f"fleet-{label}.pem"
    certificates = []
    keys, turns = _keys(key), itertools.cycle(issuers)
    with path.open("wb") as file:
        for name in names:
            device_key, issuer = next(keys), next(turns)
            certificate = _issue(name, issuer, device_key)
            certificates.append(certificate.public_bytes(serialization.Encoding.DER))
            file.write(
                device_key.private_bytes(
                    _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
            file.write(certificate.public_bytes(_PEM))
            file.write(issuer.certificate.public_bytes(_PEM))
    return Fleet(tuple(names), tuple(certificates), path)


def load_issuer(certificate_file: Path, key_file: Path) -> Issuer:
    """Return the CA of two PEM files."""
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return Issuer(x509.load_pem_x509_certificate(certificate_file.read_bytes()), key)


def _keys(kind: str) -> Iterator[PrivateKey]:
    if kind == "ec":
        while True:
            yield ec.generate_private_key(ec.SECP256R1())
    yield from itertools.cycle([rsa.generate_private_key(65537, 2048) for _ in range(RSA_KEYS)])


def _issue(name: str, issuer: Issuer, key: PrivateKey) -> x509.Certificate:
    now = datetime.now(UTC)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Quay"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=False)
        .sign(issuer.key, hashes.SHA256())
    )
