"""Devices' certificates and keys for tests: made in a moment, written where SDKs read them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mooring.pki.certificates import dump_certificate, load_certificate, sha256_thumbprint
from mooring.pki.issuing import Issued, Issuer, issue_device, issue_root
from mooring.pki.keys import KeyAlgorithm, dump_key
from mooring.pki.names import Subject
from mooring.protocol.azure.identifiers import check_registration_id
from mooring.runtime.statefolder import ensure_folder, write_file
from mooring.testing.errors import ThrowAwayCloudError

ORGANIZATION = "Mooring test"
"""The field beside the common name that the guide asks for (procedure row C3)."""

CERTIFICATE_FILE = "device.crt"
KEY_FILE = "device-private-key.pem"
"""Names of the guide."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device's identity, as files for an SDK.

    Attributes:
        registration_id: Under which it asks DPS.
        certificate_file: Its certificate as PEM; intermediates follow.
        thumbprint: SHA-256 of the certificate, upper-case hex, as the hub pins it.
    """

    registration_id: str
    certificate_file: Path
    thumbprint: str
    _key_file: Path | None

    @property
    def key_file(self) -> Path:
        """Its private key as PEM, not encrypted, closed to others.

        Raises:
            ThrowAwayCloudError: It was enrolled by a certificate whose key was not given.
        """
        if self._key_file is None:
            raise ThrowAwayCloudError(
                f"The key of {self.registration_id} is not here: only its certificate was given.",
                "Give the key too, or let enroll() make both.",
            )
        return self._key_file

    @property
    def certificate_pem(self) -> str:
        """The text of `certificate_file`."""
        return self.certificate_file.read_text()

    @property
    def own_pem(self) -> str:
        """The first certificate of `certificate_file`, which is what is enrolled."""
        return _first_of(self.certificate_pem)

    @property
    def key_pem(self) -> str:
        """The text of `key_file`."""
        return self.key_file.read_text()


def fresh_name(prefix: str) -> str:
    """Return a name that nobody had before and that obeys every rule for names."""
    return f"{prefix}{secrets.token_hex(6)}"


def self_signed(registration_id: str, algorithm: KeyAlgorithm) -> Issued:
    """Return a self-signed certificate, as the guide's individual way uses it."""
    subject = Subject(common_name=check_registration_id(registration_id), organization=ORGANIZATION)
    return issue_root(subject, now=datetime.now(UTC), algorithm=algorithm, any_subject=True)


def new_device(folder: Path, registration_id: str | None, algorithm: str) -> Device:
    """Return a device with a self-signed certificate; see `RunningCloud.unenrolled_device`."""
    name = registration_id or fresh_name("device")
    return write_device(folder, name, self_signed(name, KeyAlgorithm(algorithm)))


def signed_by(issuer: Issuer, registration_id: str, algorithm: KeyAlgorithm) -> Issued:
    """Return a device's certificate under `issuer`."""
    subject = Subject(common_name=check_registration_id(registration_id), organization=ORGANIZATION)
    return issue_device(
        subject, issuer, now=datetime.now(UTC), algorithm=algorithm, any_subject=True
    )


def write_device(folder: Path, registration_id: str, issued: Issued) -> Device:
    """Write a device's certificate and key into a folder of its own below `folder`."""
    return write_pem(folder, registration_id, issued.chain_pem, dump_key(issued.key).decode())


def write_pem(
    folder: Path, registration_id: str, certificate_pem: str, key_pem: str | None
) -> Device:
    """Write a certificate, and the key if it is given, into a folder of its own below `folder`.

    Raises:
        mooring.pki.errors.PkiError: `certificate_pem` holds no certificate.
    """
    certificate = load_certificate(_first_of(certificate_pem))
    own = ensure_folder(folder / f"{registration_id}-{secrets.token_hex(3)}")
    write_file(own / CERTIFICATE_FILE, certificate_pem)
    if key_pem is not None:
        write_file(own / KEY_FILE, key_pem)
    return Device(
        registration_id,
        own / CERTIFICATE_FILE,
        sha256_thumbprint(certificate),
        None if key_pem is None else own / KEY_FILE,
    )


def write_root(folder: Path, name: str, root: Issued) -> tuple[Path, Path]:
    """Write a root's certificate and key below `folder`; return both paths."""
    own = ensure_folder(folder / f"{name}-{secrets.token_hex(3)}")
    certificate_file, key_file = own / "root-cert.pem", own / "root-private-key.pem"
    write_file(certificate_file, dump_certificate(root.certificate))
    write_file(key_file, dump_key(root.key))
    return certificate_file, key_file


def _first_of(pem: str) -> str:
    head, end, _ = pem.partition("-----END CERTIFICATE-----")
    return f"{head}{end}\n"
