"""X509MqttDataTransport: DPS and hub over MQTT, authenticated by one certificate.

Wire: Azure DPS device API over MQTT; IoT Hub device API over MQTT. Nothing in here depends on
who runs the server: against Azure only the endpoint differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from mooring import __version__
from mooring.gateway.configuration.checks import findings_of
from mooring.gateway.configuration.endpoint import Endpoint, parse_endpoint
from mooring.gateway.configuration.findings import Finding
from mooring.gateway.configuration.model import TransportSettings
from mooring.gateway.configuration.showing import shown
from mooring.gateway.connections.assignments import Assignment, assignment_key
from mooring.gateway.connections.model import Fault, LinkFacts
from mooring.gateway.connections.ports import AttemptFailed, HubLink, Progress
from mooring.gateway.connections.states import ConnectionStage
from mooring.gateway.data.message import TelemetryMessage
from mooring.gateway.errors import KeystoreEntryUnusable
from mooring.gateway.keystore.entries import KeystoreEntry
from mooring.gateway.transports.faults import (
    of_connect_error,
    of_dps_connack,
    of_hub_connack,
    of_link_loss,
)
from mooring.gateway.transports.mqtt_link import LinkFailed, LinkLoss, MqttLink
from mooring.gateway.transports.registration import (
    Registration,
    RegistrationRequest,
    ResponseInbox,
)
from mooring.pki.lint import IdentityPreview, lint_pasted
from mooring.protocol.azure.dps_topics import RESPONSE_FILTER
from mooring.protocol.azure.errors import IdentifierMalformed
from mooring.protocol.azure.hub_topics import format_telemetry_topic
from mooring.protocol.azure.identifiers import check_device_id
from mooring.protocol.azure.usernames import format_dps_user_name, format_hub_user_name
from mooring.protocol.mqtt.client import ClientMachine
from mooring.protocol.mqtt.errors import ConnectRefused
from mooring.protocol.mqtt.packets import Publish
from mooring.runtime.clock import Clock
from mooring.runtime.logs import get_logger
from mooring.runtime.tasks import TaskKeeper
from mooring.transport.client import ClientConnection, ConnectTimeouts, open_connection
from mooring.transport.client_tls import ClientCertificate, ClientTls
from mooring.transport.errors import ConnectError

_log = get_logger("gateway.transports")

USER_AGENT = f"mooring-gateway/{__version__}"
"""How the gateway names itself to DPS (`ClientVersion`) and hub (`DeviceClientType`)."""

MAX_IN_FLIGHT = 1_000
"""The machine's own bound; the DataService tab's is smaller or the same."""


class X509MqttDataTransport:
    """One configured way to a hub. Implements `DataTransport`."""

    def __init__(
        self,
        settings: TransportSettings,
        entry: KeystoreEntry,
        identity: IdentityPreview,
        *,
        trust_files: Callable[[], Sequence[Path]],
        clock: Clock,
    ) -> None:
        """Set up for `settings`; nothing is opened before `provision` or `connect`.

        Args:
            settings: The tab's values.
            entry: Where certificate and key lie.
            identity: Who the certificate is; its common name is the registration id.
            trust_files: The trust store's files at the time of a connect.
            clock: Source of time.
        """
        self._settings = settings
        self._entry = entry
        self._identity = identity
        self._trust_files = trust_files
        self._clock = clock
        self._closing = TaskKeeper()
        self._session: HubSession | None = None

    @property
    def registration_id(self) -> str:
        """Return the id under which the device asks DPS; empty where the CN is none."""
        return self._identity.registers_as or ""

    @property
    def assignment_key(self) -> str:
        """Return the key under which this configuration's assignment is kept."""
        return assignment_key(
            endpoint=str(self._settings.endpoint),
            id_scope=self._settings.id_scope,
            sha256_thumbprint=self._identity.info.sha256_thumbprint,
            model_id=self._settings.model_id,
        )

    @property
    def context(self) -> dict[str, str]:
        """Return who and where, for attempt records."""
        return {
            "registration_id": self.registration_id,
            "endpoint": str(self._settings.endpoint),
            "id_scope": self._settings.id_scope,
            "thumbprint": self._identity.info.sha256_thumbprint,
        }

    async def check(self) -> Sequence[Finding]:
        """Return what the lint finds in certificate, key and settings as they are stored now.

        Raises:
            AttemptFailed: The keystore's files cannot be read.
        """
        try:
            report = lint_pasted(
                self._entry.read_certificates(),
                self._entry.read_key(),
                self._entry.read_passphrase(),
                now=self._clock.now(),
                strict_subject_rules=self._settings.strict_subject_rules,
                endpoint=str(self._settings.endpoint),
                scope_id=self._settings.id_scope,
            )
        except KeystoreEntryUnusable as error:
            raise AttemptFailed(
                Fault("linting", error.code, error.message, error.remedy, permanent=True)
            ) from error
        return findings_of(report)

    async def provision(self, progress: Progress) -> Assignment:
        """Register through DPS and return the assignment.

        Raises:
            AttemptFailed: With the stage and the reason.
        """
        settings = self._settings
        inbox = ResponseInbox()
        stream = await self._open(settings.endpoint, progress, where="provisioning")
        progress.enter(ConnectionStage.MQTT)
        link = await self._open_dps_link(stream, inbox)
        try:
            try:
                await link.subscribe(RESPONSE_FILTER, timeout_s=settings.timeout_s)
            except LinkFailed as failed:
                raise AttemptFailed(
                    of_link_loss(failed.loss, stage="provisioning.mqtt")
                ) from failed
            progress.note("CONNACK 0, subscribed")
            request = RegistrationRequest(
                settings.id_scope, self.registration_id, settings.model_id
            )
            state, operation_id = await Registration(
                link, inbox, request, progress, self._clock
            ).run()
        finally:
            # Not waited for: the hub need not wait until DPS has said good-bye.
            self._closing.spawn(link.close(), name="closing a DPS link")
        assert state.assigned_hub
        assert state.device_id
        self._check_assignment(state.assigned_hub, state.device_id)
        return Assignment(state.assigned_hub, state.device_id, self._clock.now(), operation_id)

    async def connect(self, assignment: Assignment, progress: Progress) -> HubLink:
        """Connect to the assigned hub.

        Raises:
            AttemptFailed: With the stage and the reason.
        """
        settings = self._settings
        hub, device_id = assignment.assigned_hub, assignment.device_id
        stream = await self._open(self._hub_endpoint(hub), progress, where="connecting")
        progress.enter(ConnectionStage.MQTT)
        session = self._session_for(hub, device_id)
        try:
            link = await MqttLink.open(
                stream,
                session.machine,
                client_id=device_id,
                user_name=format_hub_user_name(
                    hub, device_id, client_type=USER_AGENT, model_id=settings.model_id
                ),
                # As the official SDKs do: the hub keeps the subscriptions over a reconnect.
                clean_session=False,
                keep_alive_s=settings.keep_alive_s,
                timeout_s=settings.timeout_s,
                clock=self._clock,
                on_message=_leave_at_hub,
            )
        except ConnectRefused as refused:
            raise AttemptFailed(of_hub_connack(refused, hub=hub, device_id=device_id)) from refused
        except LinkFailed as failed:
            raise AttemptFailed(of_link_loss(failed.loss, stage="connecting.mqtt")) from failed
        facts = link.facts
        progress.note(f"CONNACK 0 from {hub}")
        return X509HubLink(
            link,
            session,
            LinkFacts(
                hub=hub,
                device_id=device_id,
                connected_at=self._clock.now(),
                peer_address=f"{facts.address}:{facts.port}",
                tls_version=facts.tls_version,
                cipher=facts.cipher,
                server_subject=facts.subject,
                operation_id=assignment.operation_id,
            ),
        )

    async def _open(
        self, endpoint: Endpoint, progress: Progress, *, where: str
    ) -> ClientConnection:
        timeout_s = float(self._settings.timeout_s)
        try:
            passphrase = self._entry.read_passphrase()
        except KeystoreEntryUnusable as error:
            fault = Fault(f"{where}.tls", error.code, error.message, error.remedy, permanent=True)
            raise AttemptFailed(fault) from error
        tls = ClientTls(
            trust_files=tuple(self._trust_files()),
            certificate=ClientCertificate(
                self._entry.certificate_file,
                self._entry.key_file,
                None if passphrase is None else lambda: passphrase,
            ),
        )
        try:
            return await open_connection(
                endpoint.host,
                endpoint.dial_port,
                tls=tls,
                observer=_StageObserver(progress),
                timeouts=ConnectTimeouts(timeout_s, timeout_s, timeout_s, 3 * timeout_s),
                clock=self._clock,
            )
        except ConnectError as error:
            raise AttemptFailed(of_connect_error(error, where=where)) from error

    async def _open_dps_link(self, stream: ClientConnection, inbox: ResponseInbox) -> MqttLink:
        settings = self._settings
        try:
            return await MqttLink.open(
                stream,
                ClientMachine(literal_wildcards=True),
                client_id=self.registration_id,
                user_name=format_dps_user_name(
                    settings.id_scope, self.registration_id, client_version=USER_AGENT
                ),
                clean_session=True,
                keep_alive_s=settings.keep_alive_s,
                timeout_s=settings.timeout_s,
                clock=self._clock,
                on_message=inbox.take,
            )
        except ConnectRefused as refused:
            fault = of_dps_connack(refused, id_scope=settings.id_scope)
            raise AttemptFailed(fault) from refused
        except LinkFailed as failed:
            raise AttemptFailed(of_link_loss(failed.loss, stage="provisioning.mqtt")) from failed

    def _check_assignment(self, hub: str, device_id: str) -> None:
        """Refuse an assignment that cannot be dialled, before it is kept.

        Raises:
            AttemptFailed: Hub or device id is none.
        """
        try:
            _, repairs = parse_endpoint(hub)
            if repairs:
                # A person's paste is mended, a server's answer is not.
                raise ValueError("the hub's name is no bare host name")
            check_device_id(device_id)
        except (ValueError, IdentifierMalformed) as error:
            raise AttemptFailed(
                Fault(
                    "provisioning.polling",
                    "assignment-unusable",
                    f"DPS assigned the hub {shown(hub)} and the device {shown(device_id)}, which "
                    f"cannot be used: {error}.",
                    "Correct the linked hub's host name, or the device id, in the enrollment.",
                )
            ) from error

    def _hub_endpoint(self, hub: str) -> Endpoint:
        endpoint = parse_endpoint(hub)[0]
        if endpoint.port is not None:
            return endpoint
        # Azure's hubs listen on 8883 alone. A cloud that puts its DPS on another port (the Global
        # Endpoint says so) serves its hubs there too; see docs/divergences.md.
        return Endpoint(endpoint.host, self._settings.endpoint.port)

    def _session_for(self, hub: str, device_id: str) -> HubSession:
        """Return the session with this hub, a new one where hub or device is another."""
        if self._session is None or (self._session.hub, self._session.device_id) != (
            hub,
            device_id,
        ):
            self._session = HubSession(hub, device_id)
        return self._session

    async def close(self) -> None:
        """Wait for what is still being closed."""
        await self._closing.close()


class HubSession:
    """What outlives a link to one hub as one device: the messages without acknowledgement."""

    def __init__(self, hub: str, device_id: str) -> None:
        """Start a session in which nothing is under way."""
        self.hub = hub
        self.device_id = device_id
        # A device id may hold '+' and '#'.
        self.machine = ClientMachine(in_flight_window=MAX_IN_FLIGHT, literal_wildcards=True)
        self._packet_ids: dict[int, int] = {}

    def send(self, link: MqttLink, message: TelemetryMessage) -> asyncio.Future[None]:
        """Send `message` over `link`, under its old packet id if it was sent before."""
        key = id(message)
        packet_id = self._packet_ids.get(key)
        if packet_id is not None and link.holds(packet_id):
            acknowledged = link.send_again(packet_id)
        elif packet_id is not None:
            # The hub knew the session and acknowledged before it was asked again.
            acknowledged = asyncio.get_running_loop().create_future()
            acknowledged.set_result(None)
        else:
            topic = format_telemetry_topic(self.device_id, message.bag)
            acknowledged, packet_id = link.publish(topic, message.body)
            self._packet_ids[key] = packet_id
        acknowledged.add_done_callback(lambda done: self._settle(key, done))
        return acknowledged

    def _settle(self, key: int, acknowledged: asyncio.Future[None]) -> None:
        if not acknowledged.cancelled():
            self._packet_ids.pop(key, None)


class X509HubLink:
    """A live link to a hub. Implements `HubLink`."""

    def __init__(self, link: MqttLink, session: HubSession, facts: LinkFacts) -> None:
        """Send over `link` within `session`."""
        self._link = link
        self._session = session
        self.facts = facts
        self.lost: asyncio.Future[Fault] = asyncio.get_running_loop().create_future()
        link.lost.add_done_callback(self._tell)

    def send(self, message: TelemetryMessage, *, again: bool) -> asyncio.Future[None]:
        """Send at QoS 1; the future is resolved by the acknowledgement, and never if it is lost."""
        return self._session.send(self._link, message)

    async def disconnect(self) -> None:
        """Say good-bye and close; no error if the link is gone already."""
        await self._link.close()

    def _tell(self, lost: asyncio.Future[LinkLoss]) -> None:
        if not self.lost.done():
            self.lost.set_result(of_link_loss(lost.result(), stage="connected"))


class _StageObserver:
    """Passes the stages of `open_connection` on as they begin and pass."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, stage: str) -> None:
        self._progress.enter(ConnectionStage(stage))

    def passed(self, detail: str = "") -> None:
        self._progress.note(detail)


def _leave_at_hub(message: Publish) -> bool:
    """Take nothing: the gateway subscribes to nothing, but the session may be an older client's.

    Without acknowledgement the message stays in the hub's queue, for who can handle it.
    """
    _log.warning("message of the hub left alone, nothing handles it", topic=message.topic[:200])
    return False
