"""The door of all hubs over MQTT: who may connect, take-over, sessions.

Telemetry is acknowledged after its commit only, in the order in which it came; what cannot be
served ends the connection, since MQTT 3.1.1 has no other way to say so.
"""

from __future__ import annotations

from collections.abc import Callable

from mooring.cloud.attempts.model import KIND_HUB_CONNECTION
from mooring.cloud.frontdoor.limits import DEFAULT_LIMITS, DoorLimits
from mooring.cloud.frontdoor.link import DeviceLink
from mooring.cloud.hub.errors import ConnectRefused
from mooring.cloud.hub.model import AuthenticatedDevice, AuthenticationType, Hub, HubConnect
from mooring.cloud.hub.mqtt.devicebound import SentBefore
from mooring.cloud.hub.mqtt.endings import CREDENTIALS_CHANGED
from mooring.cloud.hub.mqtt.session import HubSession, SessionKey
from mooring.cloud.hub.mqtt.subscriptions import NONE
from mooring.cloud.hub.mqtt.telemetry import will_message
from mooring.cloud.hub.mqtt.twins import notify
from mooring.cloud.hub.service import HubService
from mooring.cloud.hub.store import Saved
from mooring.cloud.hub.throttling.errors import Throttled
from mooring.cloud.hub.throttling.model import HubLimit
from mooring.cloud.hub.twins.model import DesiredChange
from mooring.protocol.azure.errors import AzureError, IdentifierMalformed
from mooring.protocol.azure.hub_topics import HubFilter
from mooring.protocol.azure.identifiers import check_device_id
from mooring.protocol.azure.usernames import HubUserName
from mooring.protocol.mqtt.codes import ConnectReturnCode
from mooring.protocol.mqtt.packets import Connect
from mooring.runtime.clock import SYSTEM_CLOCK, Clock
from mooring.runtime.logs import get_logger
from mooring.storage.errors import StorageUnavailable
from mooring.storage.state import StorageCondition, StorageState

_log = get_logger("cloud.hub.mqtt")

MAX_AUTHENTICATIONS = 3
"""How often a CONNECT is judged anew because the identity changed meanwhile."""


class HubMqtt:
    """All hubs behind the front door: one live connection per device."""

    def __init__(
        self,
        service: HubService,
        *,
        storage_state: Callable[[], StorageState],
        limits: DoorLimits = DEFAULT_LIMITS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Serve `service`'s hubs; `storage_state` says whether telemetry could be kept now."""
        self.service = service
        self.limits = limits
        self.clock = clock
        self._storage_state = storage_state
        self.sent_before = SentBefore()
        self._live: dict[SessionKey, HubSession] = {}
        self._opening: set[_Opening] = set()
        service.devices.on_change(self._identity_changed)
        service.methods.serve_by(self._method_target)
        service.twins.on_desired_change(self._desired_changed)

    async def open(
        self, link: DeviceLink, connect: Connect, user_name: HubUserName
    ) -> HubSession | ConnectReturnCode:
        """Authenticate and accept a CONNECT, or say how it is refused."""
        recorder = link.recorder
        recorder.kind = KIND_HUB_CONNECTION
        recorder.context["hub"] = user_name.host
        recorder.context["device_id"] = user_name.device_id
        if user_name.module_id is not None:
            recorder.context["module_id"] = user_name.module_id
        if user_name.client_type:
            recorder.context["client"] = user_name.client_type
        refusal = self._check_connect(link, connect, user_name)
        if refusal is not None:
            return refusal
        recorder.passed(f"keep-alive {connect.keep_alive_s} s")
        try:
            found = await self._authenticate(link, connect, user_name)
        except ConnectRefused as error:
            if recorder.snapshot().failure is None:
                recorder.fail(error.code, error.message, error.remedy)
            return ConnectReturnCode.NOT_AUTHORIZED
        except StorageUnavailable as error:
            if recorder.snapshot().failure is None:
                recorder.fail(error.code, error.message, error.remedy)
            return ConnectReturnCode.SERVER_UNAVAILABLE
        if found is None:
            recorder.fail(
                "identity-unsettled",
                "the device's identity changed each time while the connection was judged",
                "connect again when whoever changes it is done",
            )
            return ConnectReturnCode.SERVER_UNAVAILABLE
        if not link.is_open:
            recorder.fail(
                "gone-before-connack",
                "the client closed the connection before it was answered",
                "see whether its connect timeout is too short",
            )
            link.record(recorder.snapshot())
            return ConnectReturnCode.SERVER_UNAVAILABLE
        try:
            # Only now, so that no stranger takes anything from the hub's devices; and an older
            # connection of this device stays.
            self.service.throttling.of(found[0].hub).admit(HubLimit.DEVICE_CONNECTIONS)
        except Throttled as error:
            recorder.begin("throttling")
            recorder.fail(error.code, f"{error.error_code.value}: {error.message}", error.remedy)
            return ConnectReturnCode.SERVER_UNAVAILABLE
        return self._accept(link, connect, user_name, *found)

    def close(self, session: HubSession) -> None:
        """Note that `session` is over."""
        self.service.methods.lost(session)
        if self._live.get(session.key) is session:
            del self._live[session.key]
        self.service.disconnected(session.hub, session.device_id)

    def keep_subscriptions(self, session: HubSession, subscriptions: int, saved: Saved) -> None:
        """Keep what a device is subscribed to for its next connection; call `saved` after it."""
        try:
            self.service.sessions.save(
                *session.key, session.generation_id, subscriptions, saved=saved
            )
        except StorageUnavailable as error:
            saved(error)

    @property
    def connections(self) -> int:
        """Return how many devices are connected now."""
        return len(self._live)

    # -- CONNECT -------------------------------------------------------------------------------

    def _check_connect(
        self, link: DeviceLink, connect: Connect, user_name: HubUserName
    ) -> ConnectReturnCode | None:
        recorder = link.recorder
        try:
            check_device_id(user_name.device_id)
            if user_name.module_id is not None:
                check_device_id(user_name.module_id, field="moduleId")
        except IdentifierMalformed as error:
            recorder.fail(error.code, error.message, error.remedy)
            return ConnectReturnCode.IDENTIFIER_REJECTED
        if connect.client_id != user_name.client_id:
            recorder.fail(
                "client-id-not-device-id",
                f"client id {connect.client_id!r} is not {user_name.client_id!r} of the user name",
                "use the device id as MQTT client id, in the same case",
            )
            return ConnectReturnCode.IDENTIFIER_REJECTED
        state = self._storage_state()
        if state.condition is not StorageCondition.OK:
            recorder.fail(f"storage-{state.condition}", state.reason, state.remedy)
            return ConnectReturnCode.SERVER_UNAVAILABLE
        return None

    async def _authenticate(
        self, link: DeviceLink, connect: Connect, user_name: HubUserName
    ) -> tuple[AuthenticatedDevice, int] | None:
        """Return the device and what it had subscribed to, None if its identity will not settle.

        Raises:
            ConnectRefused, StorageUnavailable: As `HubService.authenticate`.
        """
        password = connect.password
        command = HubConnect(
            host_name=user_name.host,
            device_id=user_name.device_id,
            module_id=user_name.module_id,
            presented=link.presented,
            password=None if password is None else password.decode("utf-8", "replace"),
            source_address=link.source_address,
            recorder=link.recorder,
        )
        for _ in range(MAX_AUTHENTICATIONS):
            opening = _Opening(user_name.host.lower(), user_name.device_id)
            self._opening.add(opening)
            try:
                device = await self.service.authenticate(command)
                kept = await self._kept_subscriptions(connect, device)
            finally:
                self._opening.discard(opening)
            # An identity that was disabled or re-pinned between its look-up and now has told
            # `_identity_changed`, which found no live connection to close yet.
            if not opening.stale:
                return device, kept
        return None

    def _accept(
        self,
        link: DeviceLink,
        connect: Connect,
        user_name: HubUserName,
        device: AuthenticatedDevice,
        kept: int,
    ) -> HubSession | ConnectReturnCode:
        recorder = link.recorder
        # The hub refuses modules as yet, so a session is a device's.
        key = (device.hub.hub_id, device.identity.device_id)
        source = self.service.telemetry.source(device, model_id=user_name.model_id)
        will = None
        if connect.will is not None:
            try:
                will = will_message(connect.will, user_name.device_id)
            except AzureError as error:
                recorder.fail(
                    "will-topic",
                    f"will: {error.message}",
                    error.remedy,
                )
                return ConnectReturnCode.NOT_AUTHORIZED
        session = HubSession(
            self,
            link,
            key=key,
            hub=device.hub,
            source=source,
            generation_id=device.identity.generation_id,
            subscriptions=kept,
            is_clean=connect.clean_session,
            keep_alive_s=connect.keep_alive_s,
            will=will,
            ends_at=self._token_end(device),
        )
        # Only now, when the newcomer has proved who it is: a stranger disturbs nobody.
        older = self._live.get(key)
        self._live[key] = session
        if older is not None:
            older.take_over()
            if connect.clean_session:
                # Behind what the older connection may still have on the way to the disk.
                self.keep_subscriptions(session, NONE, _discarded)
        if kept == NONE:
            self.sent_before.take(key)  # a new session: nothing was sent in it before
        recorder.begin("connack")
        link.write(link.machine.accept(session_present=kept != NONE))
        self.service.connected(device.hub, session.device_id)
        self.service.twins.set_model_id(
            device.hub, session.device_id, session.generation_id, user_name.model_id
        )
        recorder.passed("taken over from an older connection" if older is not None else "")
        recorder.finish()
        link.record(recorder.snapshot())
        link.forget_presented()
        session.begin()
        return session

    def _token_end(self, device: AuthenticatedDevice) -> float | None:
        """Return when (monotonic s) the connection must end with its token, None for never.

        A certificate's end is looked at when a device connects only, as Azure does.
        """
        ends_at = device.credential_ends_at
        if device.identity.authentication.type is not AuthenticationType.SAS or ends_at is None:
            return None
        return self.clock.monotonic() + (ends_at - self.clock.now()).total_seconds()

    async def _kept_subscriptions(self, connect: Connect, device: AuthenticatedDevice) -> int:
        """Return what an earlier connection left; a clean session drops it.

        A session without a subscription is none: the client could miss nothing of it.

        Raises:
            StorageUnavailable: It cannot be read, or not be dropped.
        """
        hub_id, identity = device.hub.hub_id, device.identity
        kept = self.service.sessions.find(hub_id, identity.device_id, identity.generation_id)
        if kept != NONE and connect.clean_session:
            await self.service.sessions.discard(hub_id, identity.device_id)
            return NONE
        return kept

    def _method_target(self, hub_id: int, device_id: str) -> HubSession | None:
        """Return the connection that takes direct methods of a device now."""
        session = self._live.get((hub_id, device_id))
        if session is None or session.granted_qos(HubFilter.METHODS) is None:
            return None
        return session

    def _desired_changed(self, change: DesiredChange) -> None:
        session = self._live.get((change.hub.hub_id, change.device_id))
        if session is not None:
            notify(session, change)

    def _identity_changed(self, hub: Hub, device_id: str) -> None:
        host_name = hub.host_name.lower()
        for opening in self._opening:
            if opening.device_id == device_id and opening.host_name == host_name:
                opening.stale = True
        session = self._live.get((hub.hub_id, device_id))
        if session is not None:
            session.link.end(CREDENTIALS_CHANGED)


def _discarded(error: BaseException | None) -> None:
    if error is not None:
        _log.warning("a session was not dropped", error=str(error))


class _Opening:
    """A CONNECT that is being judged."""

    __slots__ = ("device_id", "host_name", "stale")

    def __init__(self, host_name: str, device_id: str) -> None:
        self.host_name = host_name
        self.device_id = device_id
        self.stale = False
