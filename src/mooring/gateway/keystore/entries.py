"""The keystore: what the TLS client authenticates with, one folder per entry.

`ssl` loads certificate and key straight from these files, an encrypted key through the
passphrase kept beside it, so nothing is ever copied to a temporary file. An entry is never
changed: Apply writes a new one, the configuration's commit makes it the valid one, and what no
configuration refers to is collected afterwards. A crash in between leaves the old entry valid.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mooring.gateway.errors import KeystoreEntryUnusable
from mooring.runtime.statefolder import ensure_folder, write_file

_CERTIFICATE = "certificate.pem"
_KEY = "private-key.pem"
_PASSPHRASE = "passphrase"  # noqa: S105 - the name of a file

_REMEDY = "Apply the X509MqttDataTransport tab again with certificate and private key."


@dataclass(frozen=True, slots=True)
class KeystoreEntry:
    """Where one certificate with its key lies. Holds paths only, so it may be logged."""

    entry_id: str
    certificate_file: Path
    key_file: Path
    passphrase_file: Path | None

    def read_certificates(self) -> str:
        """Return the certificate chain, leaf first, as PEM.

        Raises:
            KeystoreEntryUnusable: The file cannot be read.
        """
        return _read(self.certificate_file).decode("ascii", "replace")

    def read_key(self) -> bytes:
        """Return the private key as PEM, encrypted if it is; to be checked, never to be shown.

        Raises:
            KeystoreEntryUnusable: The file cannot be read.
        """
        return _read(self.key_file)

    def read_passphrase(self) -> bytes | None:
        """Return the key's passphrase, or None where it has none; never to be shown.

        Raises:
            KeystoreEntryUnusable: The file cannot be read.
        """
        return None if self.passphrase_file is None else _read(self.passphrase_file)


class Keystore:
    """The entries under one folder."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is made if it is missing."""
        self._folder = ensure_folder(folder)

    def add(
        self, label: str, certificates: str, key: bytes, passphrase: bytes | None
    ) -> KeystoreEntry:
        """Write an entry and return it.

        Args:
            label: What the entry's name begins with: a checked PID.
            certificates: PEM, leaf first.
            key: PKCS#8 PEM; written as it is, encrypted or not.
            passphrase: Of an encrypted key.
        """
        entry_id = f"{label}.{secrets.token_hex(6)}"
        folder = ensure_folder(self._folder / entry_id)
        write_file(folder / _CERTIFICATE, certificates)
        write_file(folder / _KEY, key)
        if passphrase is not None:
            write_file(folder / _PASSPHRASE, passphrase)
        return self.find(entry_id)

    def find(self, entry_id: str) -> KeystoreEntry:
        """Return the entry of that id.

        Raises:
            KeystoreEntryUnusable: There is none, or a file of it is missing.
        """
        folder = self._folder / entry_id
        if folder.parent != self._folder or not folder.is_dir():
            raise KeystoreEntryUnusable(f"The keystore has no entry {entry_id!r}.", _REMEDY)
        passphrase = folder / _PASSPHRASE
        entry = KeystoreEntry(
            entry_id,
            folder / _CERTIFICATE,
            folder / _KEY,
            passphrase if passphrase.exists() else None,
        )
        for file in (entry.certificate_file, entry.key_file):
            if not file.is_file():
                raise KeystoreEntryUnusable(
                    f"The keystore entry {entry_id!r} lacks {file.name}.", _REMEDY
                )
        return entry

    def collect(self, keep: Collection[str]) -> list[str]:
        """Delete every entry whose id is not in `keep`; return the ids deleted."""
        deleted = []
        for folder in sorted(self._folder.iterdir()):
            if folder.is_dir() and folder.name not in keep:
                shutil.rmtree(folder)
                deleted.append(folder.name)
        return deleted


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise KeystoreEntryUnusable(
            f"The keystore file {file.name} cannot be read ({error.strerror}).", _REMEDY
        ) from error
