"""The whole cloud in one object: what is started, in which order, and wired to what."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Awaitable, Callable, Generator
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from mooring.cloud.accounts.model import AccessPolicy, ResourceKind
from mooring.cloud.accounts.service import AccountService
from mooring.cloud.attempts.service import AttemptService
from mooring.cloud.doors import Doors
from mooring.cloud.dps.device_api.begun_attempts import BegunAttempts
from mooring.cloud.dps.device_api.requests import DeviceRequests
from mooring.cloud.dps.model import LinkedHub
from mooring.cloud.dps.mqtt import DpsMqtt
from mooring.cloud.dps.service import DpsService
from mooring.cloud.dps.throttling import Throttling
from mooring.cloud.dps.webhook import HttpWebhook
from mooring.cloud.errors import StateFolderUnusable
from mooring.cloud.facts import ADMIN_PREFIX, cloud_facts, write_facts
from mooring.cloud.frontdoor.door import FrontDoor
from mooring.cloud.frontdoor.limits import DEFAULT_LIMITS, DoorLimits
from mooring.cloud.hub.model import DEFAULT_PARTITIONS, Hub, Retention
from mooring.cloud.hub.mqtt.door import HubMqtt
from mooring.cloud.hub.service import HubService
from mooring.cloud.linked_hubs import OwnHubs
from mooring.cloud.listening import names_of_addresses
from mooring.cloud.server_identity import CHECK_EVERY_S, ServerIdentity
from mooring.cloud.settings import CloudSettings
from mooring.cloud.stores.sqlite import MIGRATIONS
from mooring.cloud.stores.sqlite.accounts import SqliteAccountStore
from mooring.cloud.stores.sqlite.attempts import SqliteAttemptStore
from mooring.cloud.stores.sqlite.dps import SqliteDpsStore
from mooring.cloud.stores.sqlite.hub import SqliteHubStore
from mooring.cloud.stores.sqlite.probe import probe_storage
from mooring.pki.keys import KeyAlgorithm
from mooring.pki.verifier import ChainVerifier
from mooring.runtime.clock import SYSTEM_CLOCK, Clock
from mooring.runtime.collector import settle_collector
from mooring.runtime.logs import get_logger
from mooring.runtime.statefolder import ensure_folder
from mooring.runtime.tasks import TaskKeeper
from mooring.storage.database import Database
from mooring.storage.errors import StorageError
from mooring.storage.lock import FolderLock
from mooring.storage.state import StorageCondition
from mooring.transport.server_tls import ServerTls

if TYPE_CHECKING:
    from mooring.cloud.api.context import CloudServices
    from mooring.cloud.api.server import AdminServer

FIRST_HUB = "hub"
"""Name of the hub that is there from the first start."""

DPS_HOUSEKEEPING_S = 60.0
HUB_HOUSEKEEPING_S = 30.0

STORAGE_PROBE_S = 2.0
"""While writes fail, one is tried this often, so that the cloud recovers without being asked."""

_log = get_logger("cloud")


class CloudApplication:
    """A running cloud. Made by `start`."""

    def __init__(self, settings: CloudSettings, clock: Clock, limits: DoorLimits) -> None:
        """Prepare to run by `settings`; use `start`."""
        self.settings = settings
        self._clock = clock
        self._limits = limits
        self._started_at = clock.now()
        self._tasks = TaskKeeper()
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._admin: AdminServer | None = None
        self._services: CloudServices | None = None

    @classmethod
    async def start(
        cls,
        settings: CloudSettings,
        *,
        clock: Clock = SYSTEM_CLOCK,
        limits: DoorLimits = DEFAULT_LIMITS,
    ) -> CloudApplication:
        """Start a cloud; returns when devices and the admin API are answered.

        Raises:
            CloudError: An address, the state folder or the server CA cannot be had.
            mooring.storage.errors.StorageError: The folder is in use, or the database is broken.
        """
        cloud = cls(settings, clock, limits)
        try:
            await cloud._start()
        except BaseException:
            await cloud.close()
            raise
        return cloud

    @property
    def mqtt_port(self) -> int:
        """Return the port of MQTT over TLS."""
        return self.doors.mqtt_port

    @property
    def https_port(self) -> int:
        """Return the port of HTTPS and of MQTT over WebSocket."""
        return self.doors.https_port

    @property
    def api_url(self) -> str:
        """Return where the admin API is."""
        assert self._admin is not None
        address = self._admin.address
        host = f"[{address}]" if ":" in address else address
        scheme = "https" if self._admin.is_secure else "http"
        return f"{scheme}://{host}:{self._admin.port}{ADMIN_PREFIX}"

    async def close(self) -> None:
        """Take nothing new, finish what was begun, write what is in memory, let go."""
        if self._services is not None:
            self._services.closing.set()
        # The reverse of the start: what is reached from outside ends first.
        while self._closers:
            closer = self._closers.pop()
            try:
                await closer()
            except Exception as error:  # noqa: BLE001 - the rest must be closed all the same
                _log.error("closing a part failed", exc_info=error)

    async def create_hub(
        self, name: str, host_name: str, partition_count: int = DEFAULT_PARTITIONS
    ) -> Hub:
        """Create a hub, give it policies, link it to DPS and name it in the server certificate.

        Raises:
            mooring.cloud.hub.errors.HubError: The name is bad or taken, or there are too many.
        """
        hub = await self.hub.hubs.create(name, host_name, partition_count=partition_count)
        await self.accounts.ensure_policies(ResourceKind.HUB, hub.host_name)
        await self.dps.linked_hubs.link(LinkedHub(hub.host_name))
        await asyncio.to_thread(self.identity.add_host_name, hub.host_name)
        if self._admin is not None:
            self._write_facts()
        return hub

    async def information(self, with_keys: bool) -> dict[str, Any]:
        """Return what `cloud info` shows; the connection strings when `with_keys`."""
        facts = self._facts() | {
            "running": True,
            "storage": {
                "state": self.database.state.condition.value,
                "reason": self.database.state.reason,
                "remedy": self.database.state.remedy,
            },
            "connections": {**self.doors.connections, "hub_devices": self.hub_door.connections},
            "server_certificate": {
                "not_after": self.identity.certificate.not_valid_after_utc.isoformat()
            },
        }
        if with_keys:
            # With the port, where it is not 443: some SDKs dial it then.
            authority = str(facts["service_url"]).removeprefix("https://")
            facts["dps_connection_string"] = await self.accounts.owner_connection_string(
                ResourceKind.DPS, self.dps.id_scope, authority
            )
            for hub in facts["hubs"]:
                hub["connection_string"] = await self.accounts.owner_connection_string(
                    ResourceKind.HUB, hub["host_name"], hub["host_name"]
                )
        return facts

    # -- start ---------------------------------------------------------------------------------

    async def _start(self) -> None:
        settings = self.settings
        self._take_folder()
        self.database = await asyncio.to_thread(
            Database.open,
            settings.cloud_dir / "cloud.db",
            migrations_package=MIGRATIONS,
            synchronous=settings.durability,
        )
        self._closers.append(self.database.close)
        await self._start_services()
        await self._start_identity()
        await self._start_front_door()
        await self._start_apis()
        # Closed before the listeners: no device that waits for a webhook holds up their end.
        self._closers.append(self._webhook.close)
        self._write_facts()
        self._closers.append(self._tasks.close)
        self._tasks.spawn(self._housekeep_dps(), name="dps-housekeeping")
        self._tasks.spawn(self._housekeep_hub(), name="hub-housekeeping")
        self._tasks.spawn(self._renew_identity(), name="server-certificate-renewal")
        self._tasks.spawn(self._probe_storage(), name="storage-probe")
        _log.info(
            "cloud is up",
            id_scope=self.dps.id_scope,
            mqtt=f"{','.join(self.doors.addresses)}:{self.mqtt_port}",
            https=self.https_port,
            api=self.api_url,
            state=str(settings.state_dir),
        )

    def _take_folder(self) -> None:
        folder = self.settings.cloud_dir
        try:
            ensure_folder(self.settings.state_dir)
            ensure_folder(folder)
        except OSError as error:
            raise StateFolderUnusable(
                f"state folder {folder} cannot be made: {error.strerror}",
                "give a folder that this user may write, with --state",
            ) from error
        try:
            lock = FolderLock.acquire(folder)
        except OSError as error:
            raise StateFolderUnusable(
                f"state folder {folder} cannot be written: {error.strerror}",
                "make it writable for this user, or give another with --state",
            ) from error

        async def release() -> None:
            lock.release()

        self._closers.append(release)

    async def _start_services(self) -> None:
        settings = self.settings
        verifier = ChainVerifier(
            chain_validity=settings.check_chain_validity,
            pinned_validity=settings.check_pinned_validity,
        )
        self.attempts = AttemptService(SqliteAttemptStore(self.database))
        self._closers.append(self.attempts.close)
        self.accounts = AccountService(
            SqliteAccountStore(self.database),
            owner_token_path=settings.cloud_dir / "owner-token",
            clock=self._clock,
        )
        self.hub = await HubService.start(
            SqliteHubStore(self.database),
            policies=self._find_hub_policy,
            verifier=verifier,
            retention=Retention(
                timedelta(seconds=settings.telemetry_retention_s),
                settings.telemetry_retention_bytes,
            ),
            clock=self._clock,
        )
        self._closers.append(self.hub.close)
        self._webhook = HttpWebhook()
        self.dps = await DpsService.start(
            SqliteDpsStore(self.database),
            OwnHubs(self.hub),
            webhook=self._webhook,
            verifier=verifier,
            subject_rules=settings.subject_rules,
            clock=self._clock,
        )
        await self.accounts.ensure_policies(ResourceKind.DPS, self.dps.id_scope)
        self.throttling = Throttling(settings.throttling, clock=self._clock)
        self.device_requests = DeviceRequests(
            self.dps,
            storage_state=lambda: self.database.state,
            retry_after_s=settings.retry_after_s,
            throttling=self.throttling,
            clock=self._clock,
        )
        self.begun_attempts = BegunAttempts(self.attempts.record, clock=self._clock)

    def _find_hub_policy(self, hub: Hub, name: str) -> AccessPolicy | None:
        return self.accounts.find_policy(ResourceKind.HUB, hub.host_name, name)

    async def _start_identity(self) -> None:
        settings = self.settings
        self.identity = ServerIdentity(
            settings.cloud_dir,
            algorithm=KeyAlgorithm(settings.server_key_algorithm.value),
            clock=self._clock,
        )
        first = settings.first_host_name
        hubs = self.hub.hubs.list()
        names = [
            first,
            *(hub.host_name for hub in hubs),
            *names_of_addresses(settings.bind),
            *names_of_addresses(settings.admin_addresses),
        ]
        await asyncio.to_thread(self.identity.ensure, names)
        if not hubs:
            await self.create_hub(FIRST_HUB, first)
            return
        # A first start that was cut off may have left the hub without the rest.
        for hub in hubs:
            await self.accounts.ensure_policies(ResourceKind.HUB, hub.host_name)
        if not await self.dps.linked_hubs.list():
            await self.dps.linked_hubs.link(LinkedHub(hubs[0].host_name))

    async def _start_front_door(self) -> None:
        settings = self.settings
        tls = ServerTls(self.identity.certificate_file, self.identity.key_file)
        self._tls = tls
        self.identity.on_change = self._swap_certificate
        self.hub_door = HubMqtt(
            self.hub,
            storage_state=lambda: self.database.state,
            limits=self._limits,
            clock=self._clock,
        )
        self.front_door = FrontDoor(
            DpsMqtt(self.device_requests, limits=self._limits, clock=self._clock),
            self.hub_door,
            self.attempts,
            limits=self._limits,
            clock=self._clock,
        )
        self.front_door.start()
        self._closers.append(self.front_door.close)
        self.doors = Doors(settings, self.front_door, tls)
        self._closers.append(self._close_doors)
        await self.doors.open_mqtt()

    async def _start_apis(self) -> None:
        # Imported late: FastAPI takes longer to import than all the rest, and devices that
        # dial already are answered meanwhile.
        apis = await asyncio.to_thread(_import_apis)
        self._services = services = apis.context.CloudServices(
            dps=self.dps,
            hub=self.hub,
            attempts=self.attempts,
            accounts=self.accounts,
            device_requests=self.device_requests,
            begun_attempts=self.begun_attempts,
            throttling=self.throttling,
            host_names=lambda: self.identity.host_names,
            information=self.information,
            create_hub=self.create_hub,
            clock=self._clock,
        )
        azure = apis.azure.create_azure_app(services)
        await self.doors.open_https(apis.https.HttpsDoor(self.front_door, azure))
        self._admin = apis.server.AdminServer.bind(
            self.settings.admin_addresses, self.settings.admin_port
        )
        self._closers.append(self._admin.close)
        await self._admin.start(
            apis.application.create_admin_app(services),
            certificate_file=self.identity.certificate_file,
            key_file=self.identity.key_file,
        )

    async def _close_doors(self) -> None:
        await self.doors.close()
        self.begun_attempts.close()

    # -- while it runs -------------------------------------------------------------------------

    def _swap_certificate(self) -> None:
        """Serve the new certificate from the next connection on; called on any thread."""
        self._tls.reload()
        if self._admin is not None:
            self._admin.reload_identity()

    async def _renew_identity(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            try:
                await asyncio.to_thread(self.identity.renew_if_due)
            except Exception as error:  # noqa: BLE001 - tried again at the next turn
                _log.error("renewing the server certificate failed", exc_info=error)

    async def _housekeep_dps(self) -> None:
        while True:
            await asyncio.sleep(DPS_HOUSEKEEPING_S)
            with _logged("dps housekeeping failed"):
                await self.dps.housekeep()
                self.begun_attempts.expire()

    async def _housekeep_hub(self) -> None:
        while True:
            await asyncio.sleep(HUB_HOUSEKEEPING_S)
            with _logged("hub housekeeping failed"):
                await self.hub.housekeep()

    async def _probe_storage(self) -> None:
        while True:
            await asyncio.sleep(STORAGE_PROBE_S)
            if self.database.state.condition is not StorageCondition.OK:
                with contextlib.suppress(StorageError):
                    await probe_storage(self.database)

    # -- what it says of itself ----------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        assert self._admin is not None
        return cloud_facts(
            started_at=self._started_at,
            id_scope=self.dps.id_scope,
            host_name=self.settings.first_host_name,
            addresses=self.doors.addresses,
            mqtt_port=self.mqtt_port,
            https_port=self.https_port,
            https_fallback=self.doors.https_fallback,
            admin_port=self._admin.port,
            api_url=self.api_url,
            ca_file=self.identity.ca_file,
            state_dir=self.settings.state_dir,
            hubs=self.hub.hubs.list(),
            retry_after_s=self.settings.retry_after_s,
        )

    def _write_facts(self) -> None:
        write_facts(self.settings.cloud_dir, self._facts())


async def serve(settings: CloudSettings, stop: asyncio.Event) -> None:
    """Run a cloud until `stop` is set. Raises what `CloudApplication.start` raises."""
    cloud = await CloudApplication.start(settings)
    settle_collector()
    try:
        await stop.wait()
    finally:
        _log.info("cloud ends")
        await cloud.close()


@contextlib.contextmanager
def _logged(event: str) -> Generator[None, None, None]:
    try:
        yield
    except StorageError as error:
        _log.warning(event, error=str(error))
    except Exception as error:  # noqa: BLE001 - tried again at the next turn
        _log.error(event, exc_info=error)


def _import_apis() -> SimpleNamespace:
    return SimpleNamespace(
        application=importlib.import_module("mooring.cloud.api.application"),
        azure=importlib.import_module("mooring.cloud.api.azure"),
        context=importlib.import_module("mooring.cloud.api.context"),
        https=importlib.import_module("mooring.cloud.frontdoor.https"),
        server=importlib.import_module("mooring.cloud.api.server"),
    )
