"""The trust store: server CAs trusted beside the system's, as PEM files.

The system's own authorities are always trusted, so real Azure needs nothing here; a private
cloud's server CA is added once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mooring.gateway.configuration.showing import shown
from mooring.gateway.errors import TrustRefused, TrustUnknown
from mooring.pki.certificates import (
    Certificate,
    CertificateInfo,
    common_name,
    describe,
    dump_certificate,
    sha256_thumbprint,
)
from mooring.pki.errors import PkiError
from mooring.pki.pem import take_bundle
from mooring.runtime.statefolder import ensure_folder, write_file

MAX_TRUSTED = 500
"""Certificates in the store: OpenSSL reads all of them at each connect."""

MAX_BUNDLE_BYTES = 1_048_576
"""Size of one paste or file: a whole system bundle is about 250 kB."""

_THUMBPRINT_DIGITS = 16
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_THUMBPRINT = re.compile(r"[0-9A-F]{8,64}")


@dataclass(frozen=True, slots=True)
class TrustedCertificate:
    """One trusted certificate and the file that it lies in."""

    name: str
    file: Path
    info: CertificateInfo

    def to_json(self) -> dict[str, Any]:
        """Return what is shown of it, JSON-ready."""
        return {
            "name": self.name,
            "subject_name": self.info.subject_name,
            "issuer_name": self.info.issuer_name,
            "sha1_thumbprint": self.info.sha1_thumbprint,
            "sha256_thumbprint": self.info.sha256_thumbprint,
            "not_before": self.info.not_before.isoformat(),
            "not_after": self.info.not_after.isoformat(),
        }


class TrustStore:
    """The trusted certificates under one folder."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is made if it is missing."""
        self._folder = ensure_folder(folder)

    def add(self, text: str | bytes, *, name: str | None = None) -> list[TrustedCertificate]:
        """Trust every certificate in `text`; return them.

        Args:
            text: PEM, or a file's bytes.
            name: Keep them together under this name, instead of what was there before. Without
                one each is kept under a name made from its own, and adding it again changes
                nothing.

        Raises:
            TrustRefused: `text` holds no readable certificate, or too many; or the name is none.
        """
        if len(text) > MAX_BUNDLE_BYTES:
            raise TrustRefused(
                f"The text has {len(text)} characters.",
                f"Give at most {MAX_BUNDLE_BYTES}: only the CA certificates that are needed.",
                field="certificate",
            )
        if name is not None and not _NAME.fullmatch(name):
            raise TrustRefused(
                f"{shown(name)} is no name for an entry of the trust store.",
                "Use at most 100 letters, digits, '-', '_' and '.', not beginning with a dot.",
                field="name",
            )
        try:
            certificates = take_bundle(text, field="certificate").certificates
        except PkiError as error:
            raise TrustRefused(error.message, error.remedy, field="certificate") from error
        if len(certificates) + len(self.entries()) > MAX_TRUSTED:
            raise TrustRefused(
                f"The trust store would hold more than {MAX_TRUSTED} certificates.",
                "Remove those that are not needed.",
                field="certificate",
            )
        files: dict[Path, list[Certificate]] = {}
        for certificate in certificates:
            stem = name or _stem(certificate)
            files.setdefault(self._folder / f"{stem}.pem", []).append(certificate)
        for file, content in files.items():
            pem = "".join(dump_certificate(certificate) for certificate in content)
            if not file.exists() or file.read_text() != pem:
                write_file(file, pem)
        return [
            TrustedCertificate(file.stem, file, describe(certificate))
            for file, content in files.items()
            for certificate in content
        ]

    def entries(self) -> list[TrustedCertificate]:
        """Return what is trusted beside the system's authorities, ordered by name.

        A file put into the folder by hand counts too; one that cannot be read is left out.
        """
        trusted = []
        for file in sorted(self._folder.glob("*.pem")):
            try:
                certificates = take_bundle(file.read_bytes(), field=file.name).certificates
            except (OSError, PkiError):
                continue
            trusted += [
                TrustedCertificate(file.stem, file, describe(certificate))
                for certificate in certificates
            ]
        return trusted

    def files(self) -> tuple[Path, ...]:
        """Return the files that a TLS client is to read."""
        return tuple(sorted({trusted.file for trusted in self.entries()}))

    def remove(self, name_or_thumbprint: str) -> list[TrustedCertificate]:
        """Stop trusting an entry, named as `entries` does or by thumbprint; return what went.

        A thumbprint is SHA-1 or SHA-256, whole or its first eight digits and more, with or
        without colons. An entry with several certificates goes as a whole.

        Raises:
            TrustUnknown: No such entry, or several certificates begin with these digits.
        """
        trusted = self.entries()
        files = {entry.file for entry in trusted if entry.name == name_or_thumbprint}
        digits = re.sub(r"[:\s]", "", name_or_thumbprint).upper()
        if not files and _THUMBPRINT.fullmatch(digits):
            files = {
                entry.file
                for entry in trusted
                if entry.info.sha256_thumbprint.startswith(digits)
                or entry.info.sha1_thumbprint.startswith(digits)
            }
        if len(files) != 1:
            fault = "no entry" if not files else f"{len(files)} entries that match"
            raise TrustUnknown(
                f"The trust store holds {fault} {shown(name_or_thumbprint)}.",
                "List the trust store, and give the name or the whole thumbprint of one.",
                field="name",
            )
        file = files.pop()
        file.unlink()
        return [entry for entry in trusted if entry.file == file]


def _stem(certificate: Certificate) -> str:
    """Return a name that a person recognises and that is unique by the digits at its end."""
    words = re.findall(r"[a-z0-9]+", (common_name(certificate) or "").lower())
    digits = sha256_thumbprint(certificate)[:_THUMBPRINT_DIGITS].lower()
    return "-".join([*words, digits])[-120:]
