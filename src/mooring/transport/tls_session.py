"""TLS of one accepted connection, in memory: encrypted bytes in and out, plain bytes out and in.

No sockets here and nothing that waits; `server_connection` moves the bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from OpenSSL import SSL

from mooring.transport.errors import TlsSessionBroken
from mooring.transport.server_tls import clear_error_queue, describe

RECORD_BYTES = 16 * 1024
"""The most that one TLS record carries (RFC 8446 §5.1): one `recv` never gives more."""

DELIVERY_BYTES = 64 * 1024
"""Records are joined up to here before they are handed on: devices send one packet per record,
and an application acknowledges once per delivery."""

OUTPUT_BYTES = 64 * 1024
"""Encrypted bytes taken from OpenSSL at a time."""


class PeerCertificate(Protocol):
    """A certificate as the peer presented it: an object of `cryptography`.

    Transport passes it on and never looks inside; `mooring.pki` works on it.
    """

    @property
    def serial_number(self) -> int:
        """Return the serial number."""
        ...

    @property
    def not_valid_after_utc(self) -> datetime:
        """Return the end of validity, aware."""
        ...


class TlsSession:
    """The server's end of one TLS connection.

    Attributes:
        peer_closed: The peer has sent its close_notify.
    """

    __slots__ = ("_broken", "_connection", "peer_closed")

    def __init__(self, context: SSL.Context) -> None:
        """Wait for the peer's first bytes."""
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()
        self._broken: TlsSessionBroken | None = None
        self.peer_closed = False

    def feed(self, data: bytes) -> None:
        """Take encrypted bytes from the peer."""
        self._connection.bio_write(data)

    def output(self) -> Iterator[bytes]:
        """Yield what is to be sent to the peer, until there is no more.

        Something may be there after every other call, a failed one included (an alert).
        """
        while True:
            try:
                data = self._connection.bio_read(OUTPUT_BYTES)
            except SSL.WantReadError:
                return
            yield data
            if len(data) < OUTPUT_BYTES:
                return

    def shake_hands(self) -> bool:
        """Go on with the handshake; return True when it is complete.

        Raises:
            TlsSessionBroken: It failed.
        """
        clear_error_queue()
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise _broken(error) from error
        return True

    def presented(self) -> tuple[PeerCertificate, ...]:
        """Return the peer's certificates, its own first; empty if it presented none.

        Raises:
            TlsSessionBroken: One of them cannot be parsed.
        """
        connection = self._connection
        try:
            leaf = connection.get_peer_certificate(as_cryptography=True)
            # On the server side OpenSSL's chain lacks the peer's own certificate.
            above = connection.get_peer_cert_chain(as_cryptography=True)
        except Exception as error:  # the parser's own types are not ours to name
            raise TlsSessionBroken(
                f"a certificate of the peer cannot be parsed: {error}",
                "Have the device's certificate issued anew.",
            ) from error
        return () if leaf is None else (leaf, *(above or ()))

    @property
    def version(self) -> str:
        """Return ``"TLSv1.2"`` or ``"TLSv1.3"``."""
        return sys.intern(self._connection.get_protocol_version_name())

    @property
    def server_name(self) -> str | None:
        """Return the name that the peer asked for (SNI), None if none."""
        name = self._connection.get_servername()
        return None if name is None else name.decode("ascii", "replace")

    def decrypt(self, limit: int = DELIVERY_BYTES) -> tuple[bytes, bool]:
        """Return some `limit` decrypted bytes, perhaps none, and whether there may be more.

        Raises:
            TlsSessionBroken: The peer sent what TLS does not allow, or an alert; raised when all
                that came before it has been returned.
        """
        if self._broken is not None:
            raise self._broken
        recv = self._connection.recv
        records: list[bytes] = []
        size = 0
        more = False
        # The application may have used OpenSSL since the last call: see clear_error_queue.
        clear_error_queue()
        try:
            most = min(limit, RECORD_BYTES)
            while size < limit:
                record = recv(most)
                records.append(record)
                size += len(record)
            more = True
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.peer_closed = True
        except SSL.Error as error:
            self._broken = _broken(error)
            if not records:
                raise self._broken from error
            more = True
        return (records[0] if len(records) == 1 else b"".join(records)), more

    def encrypt(self, data: bytes) -> None:
        """Take plain bytes for the peer; `output` has them then.

        Raises:
            TlsSessionBroken: The session cannot send any more.
        """
        try:
            self._connection.sendall(data)
        except SSL.Error as error:
            raise _broken(error) from error

    def say_goodbye(self) -> None:
        """Put a close_notify into `output`, if the session still can."""
        clear_error_queue()
        try:
            self._connection.shutdown()
        except SSL.Error:  # TLS is beyond an orderly end; TCP is not
            clear_error_queue()


# RFC 8446 §6.2: what a client says to a server's certificate that it does not want.
_SERVER_REFUSED = ("alert unknown ca", "alert bad certificate", "alert certificate")


def _broken(error: SSL.Error) -> TlsSessionBroken:
    reason = describe(error)
    if any(alert in reason for alert in _SERVER_REFUSED):
        return TlsSessionBroken(
            f"the peer does not accept the server's certificate (TLS: {reason})",
            "Make the peer trust the server's CA, and dial a name that its certificate has.",
        )
    return TlsSessionBroken(
        f"TLS: {reason}", "Check that the peer speaks TLS 1.2 or 1.3 on this port."
    )
