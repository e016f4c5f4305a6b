"""IoT Hub in one object: hubs, devices, who may connect, telemetry."""

from __future__ import annotations

from collections.abc import Callable

from mooring.cloud.hub.activity import ActivityLedger
from mooring.cloud.hub.authentication import Authenticator, FindPolicy
from mooring.cloud.hub.certificates.service import HubCertificates
from mooring.cloud.hub.consumers.service import ConsumerService
from mooring.cloud.hub.devicebound.service import DeviceboundService
from mooring.cloud.hub.events.lifecycle import DeviceLifecycle
from mooring.cloud.hub.events.service import HubEvents
from mooring.cloud.hub.hubs import HubRegistry
from mooring.cloud.hub.methods.service import MethodService
from mooring.cloud.hub.model import AuthenticatedDevice, Hub, HubConnect, Retention
from mooring.cloud.hub.query.service import QueryService
from mooring.cloud.hub.registry import DeviceRegistry
from mooring.cloud.hub.sessions import SessionService
from mooring.cloud.hub.settings.service import SettingsService
from mooring.cloud.hub.store import HubStore
from mooring.cloud.hub.telemetry import TelemetryLog
from mooring.cloud.hub.throttling.service import ThrottlingService
from mooring.cloud.hub.twins.service import TwinService
from mooring.pki.verifier import CaSet, ChainVerifier
from mooring.runtime.clock import SYSTEM_CLOCK, Clock


class HubService:
    """All hubs of this cloud.

    Attributes:
        hubs: The hubs themselves.
        devices: Their identity registries.
        devicebound: Their cloud-to-device messages.
        telemetry: Their telemetry logs.
        sessions: What devices stay subscribed to while they are away.
        certificates: Their CA certificates, which vouch for devices.
        methods: Direct methods of connected devices.
        twins: Their devices' twins.
        query: Queries over those.
        settings: How each hub behaves.
        throttling: Quotas and throttles of each hub.
        events: What the hubs report of themselves.
        consumers: Groups of readers of the telemetry logs.
    """

    def __init__(
        self,
        store: HubStore,
        hubs: HubRegistry,
        telemetry: TelemetryLog,
        certificates: HubCertificates,
        settings: SettingsService,
        *,
        authorities: Callable[[Hub], CaSet],
        policies: FindPolicy,
        verifier: ChainVerifier,
        retention: Retention,
        clock: Clock,
    ) -> None:
        """Put the parts together; use `start`."""
        self._retention = retention
        self._activity = ActivityLedger(store, clock)
        self.hubs = hubs
        self.throttling = ThrottlingService(settings.of, clock)
        settings.on_change(self.throttling.changed)
        self.devicebound = DeviceboundService(
            store, clock, settings_of=lambda hub: settings.of(hub).cloud_to_device
        )
        self.telemetry = telemetry
        self.certificates = certificates
        self.settings = settings
        self.events = HubEvents(telemetry, settings.of, clock)
        self.devices = DeviceRegistry(
            store,
            self._activity,
            DeviceLifecycle(self.events, store.find_twin),
            clock,
            limit_of=self.throttling.device_limit,
        )
        self.consumers = ConsumerService(store, telemetry, clock)
        self.sessions = SessionService(store)
        self.methods = MethodService(self.devices)
        self.twins = TwinService(store, self._activity, clock, messages=self.devicebound)
        self.twins.on_change(self.events.twin_changed)
        self.query = QueryService(self.twins, self.devices)
        self._authenticator = Authenticator(
            store,
            hubs,
            authorities=authorities,
            policies=policies,
            settings_of=settings.of,
            verifier=verifier,
            clock=clock,
        )

    @classmethod
    async def start(
        cls,
        store: HubStore,
        *,
        authorities: Callable[[Hub], CaSet] | None = None,
        policies: FindPolicy | None = None,
        verifier: ChainVerifier | None = None,
        retention: Retention | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> HubService:
        """Open the hubs that `store` holds.

        `authorities` gives the CA certificates of a hub that vouch for devices of type
        ``certificateAuthority``: by default its verified ones. `policies` gives the shared access
        policies whose tokens open every device; none by default.
        """
        telemetry = TelemetryLog(store, clock)
        certificates = HubCertificates(store, clock)

        async def open_hub(hub: Hub) -> None:
            await telemetry.open_hub(hub)
            await certificates.open_hub(hub)

        hubs = HubRegistry(store, open_hub, clock)
        settings = SettingsService(store)
        await hubs.load()
        await settings.load()
        await store.disconnect_all(clock.now())
        return cls(
            store,
            hubs,
            telemetry,
            certificates,
            settings,
            authorities=authorities or certificates.authorities,
            policies=policies or (lambda _hub, _name: None),
            verifier=verifier or ChainVerifier(),
            retention=retention or Retention(),
            clock=clock,
        )

    async def authenticate(self, connect: HubConnect) -> AuthenticatedDevice:
        """Decide whether a device may connect, by its ``authentication.type`` alone.

        Stages given to the recorder: ``hub``, ``identity``, ``attestation``. A refusal puts its
        failure there; the recorder is not finished here.

        Raises:
            ConnectRefused: CONNACK 5.
            mooring.storage.errors.StorageUnavailable: CONNACK 3.
        """
        return await self._authenticator.authenticate(connect)

    def connected(self, hub: Hub, device_id: str) -> None:
        """Note that a device is connected now (after CONNACK 0)."""
        self._activity.connected(hub, device_id)
        self.events.connected(hub, device_id)

    def disconnected(self, hub: Hub, device_id: str) -> None:
        """Note that a device's connection ended; before `connected` where it is taken over."""
        self._activity.disconnected(hub, device_id)
        self.events.disconnected(hub, device_id)

    def active(self, hub: Hub, device_id: str) -> None:
        """Note activity of a device: once per read at most."""
        self._activity.active(hub, device_id)

    async def housekeep(self) -> None:
        """Write connection states and activity, trim logs and queues. Call every 30 s or so."""
        await self._activity.flush()
        await self.devicebound.housekeep(self.hubs.list())
        await self.telemetry.trim(self._retention)

    async def close(self) -> None:
        """Write what is only in memory. The store is closed by whoever opened it."""
        await self.telemetry.drain()
        await self._activity.flush()
