"""One cloud connection that runs: its supervisor, its messages, its transport."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mooring.gateway.configuration.model import (
    DataServiceSettings,
    StoredConnection,
    TransportSettings,
    data_service_settings,
    endpoint_settings,
    is_configured,
    transport_settings,
)
from mooring.gateway.connections.assignments import AssignmentStore
from mooring.gateway.connections.model import ConnectionStatus, Fault
from mooring.gateway.connections.ports import AttemptSink
from mooring.gateway.connections.states import ConnectionState
from mooring.gateway.connections.supervisor import Plan, Supervisor
from mooring.gateway.data.message import TelemetryMessage
from mooring.gateway.data.metrics_publisher import MetricsPublisher
from mooring.gateway.data.service import Confirmation, DataService
from mooring.gateway.errors import ConfigurationMissing, KeystoreEntryUnusable, NotConnected
from mooring.gateway.keystore.entries import Keystore
from mooring.gateway.transports.x509_mqtt import X509MqttDataTransport
from mooring.pki.errors import PkiError
from mooring.pki.lint import IdentityPreview, preview_identity
from mooring.pki.pem import take_certificates
from mooring.runtime.clock import Clock


class CloudConnection:
    """A running cloud connection; `start` it, `apply` changes, `close` it."""

    def __init__(
        self,
        stored: StoredConnection,
        *,
        keystore: Keystore,
        trust_files: Callable[[], tuple[Path, ...]],
        assignments: AssignmentStore,
        attempts: AttemptSink,
        clock: Clock,
    ) -> None:
        """Prepare for `stored`; nothing happens before `start`."""
        self._keystore = keystore
        self._trust_files = trust_files
        self._clock = clock
        self._stored = stored
        self._transport: X509MqttDataTransport | None = None
        self._transport_settings: TransportSettings | None = None
        self._damage: KeystoreEntryUnusable | None = None
        self.identity: IdentityPreview | None = None
        data = data_service_settings(stored)
        self.data = DataService(clock, window=data.in_flight_max, capacity=data.capacity)
        self._metrics = MetricsPublisher(stored.pid, self.data, clock)
        self._supervisor = Supervisor(
            stored.pid, user=self.data, assignments=assignments, attempts=attempts, clock=clock
        )

    @property
    def pid(self) -> str:
        """Return the Cloud Connection Service PID."""
        return self._stored.pid

    @property
    def stored(self) -> StoredConnection:
        """Return the configuration that it runs with."""
        return self._stored

    def status(self) -> ConnectionStatus:
        """Return how it stands."""
        return self._supervisor.status()

    async def start(self) -> None:
        """Begin, and connect if auto-connect is on."""
        data = data_service_settings(self._stored)
        await self._configure_metrics()
        try:
            plan, fault = self._plan(data), None
        except (KeystoreEntryUnusable, PkiError) as error:
            # One damaged entry must not keep the other connections from starting.
            self._damage = KeystoreEntryUnusable(error.message, error.remedy)
            plan, fault = None, Fault("linting", error.code, error.message, error.remedy, True)
        self._supervisor.start(plan, connect=data.auto_connect, fault=fault)

    async def apply(self, stored: StoredConnection) -> None:
        """Run with `stored` from now on; the link stays up where it still fits."""
        before = data_service_settings(self._stored)
        self._stored = stored
        data = data_service_settings(stored)
        self.data.configure(window=data.in_flight_max, capacity=data.capacity)
        await self._configure_metrics()
        plan = self._plan(data)
        if plan is None:
            return
        self._damage = None
        first_use = self.status().state is ConnectionState.DISABLED
        switched_on = data.auto_connect and (first_use or not before.auto_connect)
        self._supervisor.reconfigure(plan, connect=switched_on)

    def connect(self) -> None:
        """Connect now, and again after every loss, until `disconnect`.

        Raises:
            ConfigurationMissing: The transport tab has not been applied yet.
            KeystoreEntryUnusable: Certificate or key is gone from the keystore.
        """
        transport_settings(self._stored)
        if self._damage is not None:
            raise self._damage
        self._supervisor.connect()

    async def disconnect(self) -> None:
        """Disconnect in order, and stay so until `connect` or a restart."""
        await self._supervisor.disconnect()

    def retry_now(self) -> None:
        """Cut a wait between attempts short."""
        self._supervisor.retry_now()

    async def wait_until(
        self, done: Callable[[ConnectionStatus], bool], *, timeout_s: float
    ) -> ConnectionStatus:
        """Return the first status for which `done` holds, or the one at the end of the time."""
        return await self._supervisor.wait_until(done, timeout_s=timeout_s)

    async def publish(self, message: TelemetryMessage, *, timeout_s: float) -> Confirmation:
        """Publish `message` and return the hub's confirmation.

        Raises:
            NotConnected: The connection is down and will not come up by itself.
            MessageMalformed, MessageTooLarge, QueueFull, NotAcknowledged, ConnectionRemoved: As
                `DataService.publish`.
        """
        status = self.status()
        if status.state is ConnectionState.DISABLED:
            raise ConfigurationMissing(
                f"The connection {self.pid} is not configured yet.",
                "Fill in the X509MqttDataTransport tab, press Apply, then Connect.",
            )
        if status.state is not ConnectionState.CONNECTED and not status.will_reconnect:
            why = "" if status.fault is None else f": {status.fault.cause.rstrip('.')}"
            raise NotConnected(
                f"The connection {self.pid} is {status.state}{why}.",
                "Press Connect, then publish again."
                if status.fault is None
                else status.fault.remedy,
            )
        return await self.data.publish(message, timeout_s=timeout_s)

    async def close(self) -> None:
        """Disconnect in order and end everything."""
        await self._metrics.close()
        await self._supervisor.close()
        self.data.close()
        if self._transport is not None:
            await self._transport.close()

    async def _configure_metrics(self) -> None:
        endpoint = endpoint_settings(self._stored)
        await self._metrics.configure(
            interval_s=endpoint.metrics_interval_s if endpoint.metrics_enabled else None
        )

    def _plan(self, data: DataServiceSettings) -> Plan | None:
        """Return how to connect; with the transport that is in use where it still fits."""
        if not is_configured(self._stored):
            return None
        settings = transport_settings(self._stored)
        if self._transport is None or settings != self._transport_settings:
            entry = self._keystore.find(settings.entry_id)
            self.identity = preview_identity(
                take_certificates(entry.read_certificates()).certificates
            )
            self._transport = X509MqttDataTransport(
                settings,
                entry,
                self.identity,
                trust_files=self._trust_files,
                clock=self._clock,
            )
            self._transport_settings = settings
        return Plan(
            transport=self._transport,
            retry_interval_s=data.retry_interval_s,
            retry_interval_max_s=data.retry_interval_max_s,
            quiesce_timeout_s=data.quiesce_timeout_s,
        )
