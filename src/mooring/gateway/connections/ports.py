"""What a connection's supervisor needs of others, as protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from mooring.gateway.configuration.findings import Finding
from mooring.gateway.connections.assignments import Assignment
from mooring.gateway.connections.model import Fault, LinkFacts
from mooring.gateway.connections.states import ConnectionStage
from mooring.gateway.data.message import TelemetryMessage
from mooring.runtime.attempts import Attempt


class AttemptFailed(Exception):
    """A step of an attempt failed; `fault` says which, why, and what to do."""

    def __init__(self, fault: Fault) -> None:
        """Keep the fault."""
        super().__init__(fault.cause)
        self.fault = fault


class Progress(Protocol):
    """Told by a transport how far it is, as it happens."""

    def enter(self, stage: ConnectionStage, detail: str = "") -> None:
        """Say that `stage` begins; the one before it has passed."""
        ...

    def note(self, detail: str) -> None:
        """Say what came of the stage that runs, e.g. the address that a name resolved to."""
        ...

    def saw(self, kind: str, wire_id: str) -> None:
        """Keep an identifier seen on the wire."""
        ...


class HubLink(Protocol):
    """A live connection to a hub."""

    @property
    def facts(self) -> LinkFacts:
        """Return where it leads and how it is secured."""
        ...

    @property
    def lost(self) -> asyncio.Future[Fault]:
        """Return what is resolved with the reason as soon as the link is gone."""
        ...

    def send(self, message: TelemetryMessage, *, again: bool) -> asyncio.Future[None]:
        """Send at QoS 1; the future is resolved by the acknowledgement, and never if it is lost.

        `again` says that another link may have delivered it already.
        """
        ...

    async def disconnect(self) -> None:
        """Say good-bye and close; no error if the link is gone already."""
        ...


class DataTransport(Protocol):
    """A way to a cloud, set up for one configuration: check, provision, connect."""

    @property
    def assignment_key(self) -> str:
        """Return the key under which this configuration's assignment is kept."""
        ...

    @property
    def context(self) -> dict[str, str]:
        """Return who and where, for attempt records."""
        ...

    async def check(self) -> Sequence[Finding]:
        """Return what a look at certificate, key and settings finds, without any network.

        Raises:
            AttemptFailed: They cannot be looked at.
        """
        ...

    async def provision(self, progress: Progress) -> Assignment:
        """Register and return the assignment.

        Raises:
            AttemptFailed: With the stage and the reason.
        """
        ...

    async def connect(self, assignment: Assignment, progress: Progress) -> HubLink:
        """Connect to the assigned hub.

        Raises:
            AttemptFailed: With the stage and the reason.
        """
        ...


class LinkUser(Protocol):
    """Who sends over the link while there is one."""

    def attach(self, link: HubLink) -> None:
        """Begin to use `link`."""
        ...

    def detach(self) -> None:
        """Stop using the link; what is not acknowledged waits for the next one."""
        ...

    async def drain(self, timeout_s: float) -> int:
        """Wait until all is acknowledged, at most `timeout_s`; return how many are left."""
        ...


class AttemptSink(Protocol):
    """Where finished attempts go."""

    def add(self, pid: str, attempt: Attempt) -> None:
        """Keep `attempt` of the connection `pid`; written soon, not awaited."""
        ...
