"""The front door: what all device connections of the cloud share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mooring.cloud.attempts.model import KIND_UNKNOWN
from mooring.cloud.attempts.service import AttemptService
from mooring.cloud.frontdoor.connection import MqttConnection
from mooring.cloud.frontdoor.limits import DEFAULT_LIMITS, DoorLimits
from mooring.cloud.frontdoor.link import DpsDoor, HubDoor
from mooring.cloud.frontdoor.peer import TlsPeer
from mooring.cloud.frontdoor.wheel import DeadlineWheel
from mooring.pki.certificates import sha256_thumbprint
from mooring.runtime.attempts import AttemptRecorder
from mooring.runtime.clock import SYSTEM_CLOCK, Clock
from mooring.runtime.tasks import TaskKeeper

if TYPE_CHECKING:
    from mooring.cloud.frontdoor.websocket_upgrade import UpgradeRefused


class FrontDoor:
    """Makes the application object of each connection, and holds what they share."""

    def __init__(
        self,
        dps: DpsDoor,
        hub: HubDoor,
        attempts: AttemptService,
        *,
        wheel: DeadlineWheel | None = None,
        limits: DoorLimits = DEFAULT_LIMITS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Serve DPS and hubs; `wheel` is given when others share it."""
        self.dps = dps
        self.hub = hub
        self.attempts = attempts
        self.limits = limits
        self.clock = clock
        self.wheel = wheel or DeadlineWheel(clock=clock)
        self.tasks = TaskKeeper()

    def start(self) -> None:
        """Let time pass for connections."""
        self.wheel.start()

    async def close(self) -> None:
        """End what still runs; the listeners are closed before."""
        self.wheel.close()
        await self.tasks.close()

    def application(self) -> MqttConnection:
        """Return the application object of a new connection."""
        return MqttConnection(self)

    def opened(self, connection: MqttConnection) -> None:
        """Watch a connection whose TLS handshake is done."""
        self.wheel.add(connection, connection.opened_at + self.limits.connect_timeout_s)

    def closed(self, connection: MqttConnection) -> None:
        """Watch it no more."""
        self.wheel.remove(connection)

    def handshake_failed(self, source_address: str, reason: str) -> None:
        """Record a peer that did not get through the TLS handshake."""
        recorder = AttemptRecorder(
            KIND_UNKNOWN, clock=self.clock, source_address=source_address or "unknown"
        )
        recorder.begin("tls")
        recorder.fail(
            "tls-handshake-failed",
            reason,
            "check that the client speaks TLS 1.2 or 1.3 to this port, trusts the cloud's server "
            "CA (mooring cloud info says where it is) and dials a host name of its certificate",
        )
        self.attempts.record(recorder.snapshot())

    def upgrade_refused(self, peer: TlsPeer, refused: UpgradeRefused) -> None:
        """Record a peer that asked for a WebSocket and did not get it."""
        recorder = AttemptRecorder(
            KIND_UNKNOWN,
            clock=self.clock,
            source_address=peer.peer_address,
            transport="websocket",
        )
        if peer.presented:
            recorder.context["thumbprint"] = sha256_thumbprint(peer.presented[0])
        recorder.begin("tls", ago_s=peer.handshake_s)
        recorder.passed(peer.tls_version)
        recorder.begin("websocket")
        recorder.fail(refused.code, refused.cause, refused.remedy)
        self.attempts.record(recorder.snapshot())
