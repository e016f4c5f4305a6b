"""What a listener serves: the application behind each connection, and what connections share."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mooring.runtime.ids import new_tracking_id
from mooring.runtime.logs import get_logger
from mooring.transport.admission import Admission, ListenerCounters
from mooring.transport.limits import ListenerLimits
from mooring.transport.server_tls import ServerTls
from mooring.transport.tls_session import PeerCertificate

if TYPE_CHECKING:
    from mooring.transport.server_connection import ServerConnection

_log = get_logger("transport.server")


class Carrier(enum.Enum):
    """What carries an application's bytes."""

    TLS = "tls"
    WEBSOCKET = "websocket"


class PeerConnection(Protocol):
    """A connected peer, as an application sees it: over TLS, or over WebSocket in TLS."""

    @property
    def carrier(self) -> Carrier:
        """Return what carries the application's bytes."""
        ...

    @property
    def peer_address(self) -> str:
        """Return the peer's IP address."""
        ...

    @property
    def tls_version(self) -> str:
        """Return ``"TLSv1.2"`` or ``"TLSv1.3"``."""
        ...

    @property
    def handshake_s(self) -> float:
        """Return the seconds from the accept to the end of the TLS handshake."""
        ...

    @property
    def presented(self) -> tuple[PeerCertificate, ...]:
        """Return the peer's certificates, its own first; empty after `forget_presented`."""
        ...

    @property
    def is_closing(self) -> bool:
        """Tell whether the connection is closing or closed: what is written now is dropped."""
        ...

    def forget_presented(self) -> None:
        """Drop the peer's certificates."""
        ...

    def write(self, data: bytes) -> None:
        """Send `data`."""
        ...

    def close(self) -> None:
        """Send what was written, then close in order."""
        ...

    def abort(self) -> None:
        """Close at once; what is not sent yet is lost."""
        ...

    def pause_reading(self) -> None:
        """Deliver nothing more until `resume_reading`."""
        ...

    def resume_reading(self) -> None:
        """Deliver again."""
        ...


class ServerApplication(Protocol):
    """What a listener serves: one object per connection, all calls on the event loop, in order.

    An exception that leaves one of these methods aborts this connection and is logged.
    """

    def connection_made(self, connection: ServerConnection) -> None:
        """Start: the handshake is complete, the peer has proved to hold its key."""
        ...

    def data_received(self, data: bytes) -> None:
        """Take decrypted bytes, never empty."""
        ...

    def connection_lost(self, exc: Exception | None) -> None:
        """End: called once; None after an orderly close or a plain end of stream."""
        ...

    def pause_writing(self) -> None:
        """Stop writing: the peer reads too slowly."""
        ...

    def resume_writing(self) -> None:
        """Write again."""
        ...

    def drain(self) -> None:
        """Finish what was begun and close the connection: the listener shuts down."""
        ...


class PeerApplication(ServerApplication, Protocol):
    """An application that runs over whatever carries its bytes."""

    def connection_made(self, connection: PeerConnection) -> None:
        """Start: the peer has proved to hold its key."""
        ...


@dataclass(slots=True)
class ConnectionEnvironment:
    """What all connections of a listener share."""

    tls: ServerTls
    limits: ListenerLimits
    admission: Admission
    counters: ListenerCounters
    application_factory: Callable[[], ServerApplication]
    on_handshake_failed: Callable[[str, str], None]
    connections: set[ServerConnection] = field(default_factory=set)
    draining: bool = False
    on_idle: Callable[[], None] = lambda: None

    def report_failure(self, peer_address: str, reason: str) -> None:
        """Tell the listener's owner of a peer that got no application object."""
        try:
            self.on_handshake_failed(peer_address, reason)
        except Exception:  # noqa: BLE001 - the owner's fault must not reach the event loop
            self.counters.application_errors += 1
            _log.error("on_handshake_failed failed", error_id=new_tracking_id(), exc_info=True)
