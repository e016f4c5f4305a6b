"""What front door, DPS and hub ask of one another; the two services' handlers meet only here."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mooring.pki.certificates import Certificate
from mooring.protocol.azure.usernames import DpsUserName, HubUserName
from mooring.protocol.mqtt.codes import ConnectReturnCode
from mooring.protocol.mqtt.packets import Connect, Packet
from mooring.protocol.mqtt.server import ServerMachine
from mooring.runtime.attempts import Attempt, AttemptRecorder


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the server ends a connection, for the attempt record."""

    stage: str
    code: str
    cause: str
    remedy: str


class DeviceSession(Protocol):
    """An accepted connection, as DPS or a hub sees it."""

    def receive(self, packets: Sequence[Packet]) -> None:
        """Take the packets of one read, in order."""
        ...

    def deadline(self, last_seen: float) -> tuple[float, Ending]:
        """Return when (monotonic s) and why the connection must end if no more packets come.

        `last_seen` is when the last packet came.
        """
        ...

    def broken(self, ending: Ending) -> None:
        """Note that the connection is being ended for `ending`, in an attempt record."""
        ...

    def lost(self, *, orderly: bool) -> None:
        """Note that the connection is gone; `orderly` after a DISCONNECT of the device."""
        ...

    def drain(self) -> None:
        """Finish what was taken, then close the link; take nothing new."""
        ...


class DeviceLink(Protocol):
    """One device connection, as its session may use it."""

    @property
    def source_address(self) -> str:
        """Return the peer's IP address."""
        ...

    @property
    def machine(self) -> ServerMachine:
        """Return the protocol machine, which builds what is sent."""
        ...

    @property
    def presented(self) -> tuple[Certificate, ...]:
        """Return the certificates that the peer showed, leaf first; empty after `forget`."""
        ...

    @property
    def is_open(self) -> bool:
        """Return whether something can still be sent."""
        ...

    @property
    def recorder(self) -> AttemptRecorder:
        """Return the recorder of the connection's first attempt, opened with the TLS stage."""
        ...

    def forget_presented(self) -> None:
        """Drop the certificates: they are the largest part of an idle connection."""
        ...

    def write(self, data: bytes) -> None:
        """Send `data`; nothing happens once the connection is closing."""
        ...

    def close(self) -> None:
        """Send what is written, then close."""
        ...

    def end(self, ending: Ending) -> None:
        """Close because of `ending`, which the session is told to record."""
        ...

    def run(self, work: Coroutine[Any, Any, None], rest: Sequence[Packet]) -> None:
        """Run `work` as the connection's only task; `rest` and what comes later waits for it."""
        ...

    def pause(self) -> None:
        """Read no more from the peer until `resume`."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def record(self, attempt: Attempt) -> None:
        """Keep a finished attempt."""
        ...


class DpsDoor(Protocol):
    """The provisioning service's side of the front door."""

    def open(
        self, link: DeviceLink, connect: Connect, user_name: DpsUserName
    ) -> DeviceSession | ConnectReturnCode:
        """Accept a CONNECT (CONNACK is written by the session) or say how it is refused."""
        ...


class HubDoor(Protocol):
    """The hubs' side of the front door."""

    async def open(
        self, link: DeviceLink, connect: Connect, user_name: HubUserName
    ) -> DeviceSession | ConnectReturnCode:
        """Authenticate and accept a CONNECT, or say how it is refused."""
        ...
