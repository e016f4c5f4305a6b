"""The cloud's own certificates: a server CA for ten years, a server certificate for one.

Devices trust the CA; the server certificate names every host name and address in use, and is
issued anew when one is added or when two thirds of its life are over.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from mooring.cloud.errors import ServerIdentityBroken
from mooring.pki.certificates import (
    Certificate,
    dump_certificate,
    load_certificate,
)
from mooring.pki.errors import PkiError
from mooring.pki.issuing import Issuer, issue_server_ca, issue_server_certificate
from mooring.pki.keys import KeyAlgorithm, PrivateKey, dump_key, spki_sha256
from mooring.pki.pem import take_private_key
from mooring.runtime.clock import SYSTEM_CLOCK, Clock
from mooring.runtime.logs import get_logger
from mooring.runtime.statefolder import write_file

CA_FILE = "server-ca.pem"
CA_KEY_FILE = "server-ca-key.pem"
CERTIFICATE_FILE = "server.pem"
KEY_FILE = "server-key.pem"

RENEWAL_SHARE = 2 / 3
"""Share of the server certificate's life after which it is replaced (design section 3)."""

SUBJECT_ALTERNATIVE_NAME = "2.5.29.17"  # RFC 5280 §4.2.1.6

CHECK_EVERY_S = 3600.0
"""How often the life of the server certificate is looked at."""

_log = get_logger("cloud.server-identity")


class ServerIdentity:
    """Keeps CA and server certificate in a folder; `on_change` is told of a new certificate."""

    def __init__(
        self,
        folder: Path,
        *,
        algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Work in `folder`, which exists; nothing is read or written yet."""
        self._folder = folder
        self._algorithm = algorithm
        self._clock = clock
        self._names: tuple[str, ...] = ()
        self._certificate: Certificate | None = None
        # Hubs are created, and the renewal runs, on threads of their own.
        self._lock = threading.RLock()
        self.on_change: Callable[[], None] = lambda: None

    @property
    def ca_file(self) -> Path:
        """Return the file that clients are given to trust."""
        return self._folder / CA_FILE

    @property
    def certificate_file(self) -> Path:
        """Return the server certificate's file."""
        return self._folder / CERTIFICATE_FILE

    @property
    def key_file(self) -> Path:
        """Return the server key's file."""
        return self._folder / KEY_FILE

    @property
    def certificate(self) -> Certificate:
        """Return the certificate in use."""
        if self._certificate is None:
            raise RuntimeError("the server identity was not ensured yet")
        return self._certificate

    @property
    def host_names(self) -> tuple[str, ...]:
        """Return the names and addresses that the server certificate is for, in lower case."""
        return self._names

    def ensure(self, host_names: Iterable[str]) -> bool:
        """Make what is missing, broken or due, for `host_names` (DNS names and IP addresses).

        Returns whether there is a new server certificate; `on_change` was told then.

        Raises:
            ServerIdentityBroken: The CA is there but cannot be used.
        """
        with self._lock:
            return self._ensure(tuple(dict.fromkeys(name.lower() for name in host_names)))

    def _ensure(self, names: tuple[str, ...]) -> bool:
        now = self._clock.now()
        issuer = self._load_or_issue_ca(now)
        self._names = names
        kept = self._load_certificate(issuer)
        if kept is not None and self._serves(kept, names, now):
            self._certificate = kept
            return False
        issued = issue_server_certificate(
            issuer, host_names=names, now=now, algorithm=self._algorithm
        )
        # Certificate last: a crash in between leaves a pair that does not fit, which the next
        # start sees and replaces.
        write_file(self.key_file, dump_key(issued.key))
        write_file(self.certificate_file, dump_certificate(issued.certificate))
        self._certificate = issued.certificate
        _log.info(
            "server certificate issued",
            host_names=",".join(names),
            not_after=issued.certificate.not_valid_after_utc.isoformat(),
        )
        self.on_change()
        return True

    def add_host_name(self, host_name: str) -> bool:
        """Let the server certificate name `host_name` too; say whether it had to be reissued."""
        with self._lock:
            return self.ensure((*self._names, host_name))

    def renew_if_due(self) -> bool:
        """Reissue the server certificate if its time has come; say whether it had."""
        with self._lock:
            return self.ensure(self._names)

    def _serves(self, certificate: Certificate, names: tuple[str, ...], now: datetime) -> bool:
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not begin <= now < begin + (end - begin) * RENEWAL_SHARE:
            return False
        return set(names) <= _names_of(certificate)

    def _load_or_issue_ca(self, now: datetime) -> Issuer:
        key_path = self._folder / CA_KEY_FILE
        if not self.ca_file.exists() and not (key_path.exists() and self.certificate_file.exists()):
            # A key alone, with nothing issued by it, is left of a first start that was cut off.
            # A name of its own: a CA made anew must not pass for the one before.
            issued = issue_server_ca(f"Mooring server CA {secrets.token_hex(4)}", now=now)
            write_file(key_path, dump_key(issued.key))
            write_file(self.ca_file, dump_certificate(issued.certificate))
            _log.info("server CA issued", ca_file=str(self.ca_file))
            return Issuer(issued.certificate, issued.key)
        try:
            certificate = load_certificate(self.ca_file.read_bytes())
            key = _load_key(key_path)
        except (OSError, ValueError, PkiError) as error:
            raise self._broken(str(error)) from error
        if not _fits(certificate, key):
            raise self._broken(f"{CA_KEY_FILE} is not its key")
        if certificate.not_valid_after_utc <= now:
            raise self._broken("it has expired")
        return Issuer(certificate, key)

    def _broken(self, cause: str) -> ServerIdentityBroken:
        return ServerIdentityBroken(
            f"{self.ca_file} cannot be used as the server CA: {cause}",
            f"put {CA_FILE} and {CA_KEY_FILE} back from a copy, or delete both: a new CA is made, "
            "which every device must then be told to trust",
        )

    def _load_certificate(self, issuer: Issuer) -> Certificate | None:
        try:
            certificate = load_certificate(self.certificate_file.read_bytes())
            key = _load_key(self.key_file)
        except (OSError, ValueError, PkiError):
            return None
        if not _fits(certificate, key) or certificate.issuer != issuer.certificate.subject:
            return None
        return certificate


def _fits(certificate: Certificate, key: PrivateKey) -> bool:
    return spki_sha256(certificate) == spki_sha256(key)


def _load_key(path: Path) -> PrivateKey:
    return take_private_key(path.read_text(), field=path.name).key


def _names_of(certificate: Certificate) -> set[str]:
    """Return the DNS names and IP addresses that a certificate of ours names."""
    return {
        str(name.value)
        for extension in certificate.extensions
        if extension.oid.dotted_string == SUBJECT_ALTERNATIVE_NAME
        for name in extension.value
    }
