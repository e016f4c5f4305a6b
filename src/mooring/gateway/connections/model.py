"""What is known of a cloud connection while it runs: frozen facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mooring.gateway.connections.states import ConnectionStage, ConnectionState, console_word


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an attempt or a connection ended.

    `permanent` is True where only a changed configuration can mend it; `retry_after_s` is the
    shortest wait that the server or the kind of fault asks for, in seconds.
    `assignment_suspect` is True where a known assignment may be what is wrong.
    """

    stage: str
    code: str
    cause: str
    remedy: str
    permanent: bool = False
    retry_after_s: float | None = None
    assignment_suspect: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what people see of it, JSON-ready."""
        return {
            "stage": self.stage,
            "code": self.code,
            "cause": self.cause,
            "remedy": self.remedy,
            "permanent": self.permanent,
        }


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state or stage, with the fault that caused it, if one did."""

    at: datetime
    state: ConnectionState
    stage: ConnectionStage | None = None
    detail: str = ""
    fault: Fault | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the transition as JSON-ready values."""
        return {
            "at": self.at.isoformat(),
            "state": self.state.value,
            "stage": None if self.stage is None else self.stage.value,
            "detail": self.detail,
            "fault": None if self.fault is None else self.fault.to_json(),
        }


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """The link that is up: where to, as whom, secured how.

    `operation_id` is that of the registration which led here.
    """

    hub: str
    device_id: str
    connected_at: datetime
    peer_address: str
    tls_version: str
    cipher: str
    server_subject: str
    operation_id: str

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON-ready values."""
        return {
            "hub": self.hub,
            "device_id": self.device_id,
            "connected_at": self.connected_at.isoformat(),
            "peer_address": self.peer_address,
            "tls_version": self.tls_version,
            "cipher": self.cipher,
            "server_subject": self.server_subject,
            "operation_id": self.operation_id,
        }


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """How a connection stands now; `revision` grows with every transition.

    `will_reconnect` says whether it comes back by itself; `paused` that Disconnect keeps it
    down. `fault` is the last one since it was connected; `since` the time of the last change of
    state; `attempt_number` counts the failures in a row plus one.
    """

    state: ConnectionState
    stage: ConnectionStage | None
    since: datetime
    detail: str
    fault: Fault | None
    attempt_number: int
    next_attempt_at: datetime | None
    will_reconnect: bool
    paused: bool
    link: LinkFacts | None
    last_attempt_id: str | None
    revision: int
    history: tuple[Transition, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the status as JSON-ready values; `status` is the console's word."""
        return {
            "status": console_word(self.state),
            "state": self.state.value,
            "stage": None if self.stage is None else self.stage.value,
            "since": self.since.isoformat(),
            "detail": self.detail,
            "failed_stage": None if self.fault is None else self.fault.stage,
            "code": None if self.fault is None else self.fault.code,
            "cause": None if self.fault is None else self.fault.cause,
            "remedy": None if self.fault is None else self.fault.remedy,
            "attempt_number": self.attempt_number,
            "next_attempt_at": None
            if self.next_attempt_at is None
            else self.next_attempt_at.isoformat(),
            "will_reconnect": self.will_reconnect,
            "paused": self.paused,
            "link": None if self.link is None else self.link.to_json(),
            "last_attempt_id": self.last_attempt_id,
            "revision": self.revision,
            "history": [transition.to_json() for transition in self.history],
        }
