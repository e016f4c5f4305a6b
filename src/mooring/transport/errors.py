"""What can go wrong below the protocols, each as its own type with a remedy.

`TransportError` is the root. Everything that a connecting client can meet is a `ConnectError`
and names the stage it happened in: ``"dns"``, ``"tcp"`` or ``"tls"``, or ``"connection"`` once
all three have passed.
"""

from __future__ import annotations

from typing import ClassVar


class TransportError(Exception):
    """Root of the package's errors.

    Attributes:
        code: Stable, kebab-case; for records and programs.
        message: What happened, with the values at fault; for a person.
        remedy: What to do about it.
    """

    code: ClassVar[str] = "transport-failed"

    def __init__(self, message: str, remedy: str) -> None:
        """Keep `message` and `remedy`; `str()` of the error is the message."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class ServerCertificateUnusable(TransportError):
    """Certificate and key for a listener cannot be loaded or do not belong together."""

    code = "server-certificate-unusable"


class ListenAddressUnavailable(TransportError):
    """The address or port to listen on cannot be had."""

    code = "listen-address-unavailable"


class TlsSessionBroken(TransportError):
    """An accepted peer broke TLS: no handshake, a damaged record, an alert."""

    code = "tls-session-broken"


class PeerTooSlow(TransportError):
    """An accepted peer took so little of what was sent to it that it was cut off."""

    code = "peer-too-slow"


class WebSocketBroken(TransportError):
    """An accepted peer broke the rules of WebSocket, or of what travels in it."""

    code = "websocket-broken"


class ConnectError(TransportError):
    """Root of what a connecting client can meet; `stage` says where."""

    code = "connect-failed"
    stage: str = "tcp"


class EndpointMalformed(ConnectError):
    """Host or port cannot be dialled as they are written; `stage` says what noticed."""

    code = "endpoint-malformed"

    def __init__(self, message: str, remedy: str, *, stage: str = "dns") -> None:
        """Keep the texts and the stage that was running."""
        super().__init__(message, remedy)
        self.stage = stage


class NameNotResolved(ConnectError):
    """The host name has no address, or no resolver answered."""

    code = "name-not-resolved"
    stage = "dns"


class ConnectTimeout(ConnectError):
    """A stage took longer than allowed; `stage` says which."""

    code = "connect-timeout"

    def __init__(self, message: str, remedy: str, *, stage: str) -> None:
        """Keep the texts and the stage that was running."""
        super().__init__(message, remedy)
        self.stage = stage


class ConnectionRefused(ConnectError):
    """Nobody listens on that port."""

    code = "connection-refused"


class HostUnreachable(ConnectError):
    """No route leads to the host."""

    code = "host-unreachable"


class TcpFailed(ConnectError):
    """The operating system refused the connection for another reason."""

    code = "tcp-failed"


class TlsError(ConnectError):
    """Root of what can fail in the TLS handshake."""

    code = "tls-failed"
    stage = "tls"


class TlsFailed(TlsError):
    """The handshake failed for a reason that has no type of its own."""


class NotTlsServer(TlsError):
    """The peer answered, but not in TLS."""

    code = "not-a-tls-server"


class HandshakeCutOff(TlsError):
    """The peer closed the connection in the middle of the handshake."""

    code = "handshake-cut-off"


class TlsVersionMismatch(TlsError):
    """Both sides have no TLS version in common."""

    code = "tls-version-mismatch"


class ServerNotTrusted(TlsError):
    """The server's certificate leads to no trusted certificate authority."""

    code = "server-not-trusted"


class ServerNameWrong(TlsError):
    """The server's certificate is for other names; `server_names` has them."""

    code = "server-name-wrong"

    def __init__(self, message: str, remedy: str, *, server_names: tuple[str, ...]) -> None:
        """Keep the texts and the names that the certificate carries (may be unknown: empty)."""
        super().__init__(message, remedy)
        self.server_names = server_names


class ServerCertificateExpired(TlsError):
    """A certificate of the server's chain is past its end, or the local clock is wrong."""

    code = "server-certificate-expired"


class ServerCertificateNotYetValid(TlsError):
    """A certificate of the server's chain has not begun, or the local clock is wrong."""

    code = "server-certificate-not-yet-valid"


class ServerCertificateRefused(TlsError):
    """The server's certificate fails verification for another reason."""

    code = "server-certificate-refused"


class ClientCertificateRefused(TlsError):
    """The server refused the client certificate by a TLS alert."""

    code = "client-certificate-refused"


class TrustUnreadable(TlsError):
    """A file or text of trusted certificates cannot be read."""

    code = "trust-unreadable"


class ClientCertificateUnreadable(TlsError):
    """The client certificate's file is missing, not readable, or holds no certificate."""

    code = "client-certificate-unreadable"


class ClientCertificateWeak(TlsError):
    """The client certificate's key or signature is weaker than TLS allows at either end."""

    code = "client-certificate-weak"


class ClientKeyUnreadable(TlsError):
    """The private key's file is missing, not readable, or holds no private key."""

    code = "client-key-unreadable"


class ClientKeyMismatch(TlsError):
    """Certificate and private key do not belong together."""

    code = "client-key-mismatch"


class PassphraseMissing(TlsError):
    """The private key is encrypted and no passphrase was given."""

    code = "passphrase-missing"


class PassphraseWrong(TlsError):
    """The passphrase does not open the private key."""

    code = "passphrase-wrong"


class ConnectionLost(ConnectError):
    """An established connection broke without being closed in order."""

    code = "connection-lost"
    stage = "connection"
