"""DPS over MQTT: CONNECT, the one subscription, register and poll.

The wire rules are those of Microsoft's DPS as its device SDKs impose them: nothing is refused at
CONNECT but what cannot be read; PUBACK goes out before the answer; register is answered by
``202 assigning`` always, and the first poll brings the outcome.
"""

from __future__ import annotations

from collections.abc import Sequence

from mooring.cloud.attempts.model import KIND_REGISTRATION
from mooring.cloud.dps.device_api.requests import DeviceAnswer, DeviceCaller, DeviceRequests
from mooring.cloud.dps.mqtt_endings import (
    IDLE,
    NOT_SUBSCRIBED,
    QOS_2,
    QUIET,
    SHUTTING_DOWN,
    SILENT,
    TOO_OLD,
)
from mooring.cloud.frontdoor.limits import DEFAULT_LIMITS, DoorLimits
from mooring.cloud.frontdoor.link import DeviceLink, Ending
from mooring.pki.certificates import sha256_thumbprint
from mooring.protocol.azure.dps_topics import (
    RESPONSE_FILTER,
    PollRequest,
    RegisterRequest,
    format_response_topic,
    parse_request_topic,
)
from mooring.protocol.azure.errors import TopicMalformed
from mooring.protocol.azure.identifiers import fold_registration_id
from mooring.protocol.azure.usernames import DpsUserName
from mooring.protocol.mqtt.codes import ConnectReturnCode, SubAckCode
from mooring.protocol.mqtt.keepalive import silence_limit_s
from mooring.protocol.mqtt.packets import (
    Connect,
    Packet,
    PingReq,
    PubAck,
    Publish,
    Subscribe,
    Unsubscribe,
)
from mooring.runtime.attempts import AttemptRecorder
from mooring.runtime.clock import SYSTEM_CLOCK, Clock


class DpsMqtt:
    """The provisioning service behind the front door."""

    def __init__(
        self,
        requests: DeviceRequests,
        *,
        limits: DoorLimits = DEFAULT_LIMITS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Take `requests` from devices."""
        self.requests = requests
        self.limits = limits
        self.clock = clock

    def open(
        self, link: DeviceLink, connect: Connect, user_name: DpsUserName
    ) -> DpsSession | ConnectReturnCode:
        """Accept what can be read; who may register is decided at the register request."""
        recorder = link.recorder
        recorder.kind = KIND_REGISTRATION
        recorder.context["registration_id"] = user_name.registration_id
        recorder.context["id_scope"] = user_name.id_scope
        if user_name.client_version:
            recorder.context["client"] = user_name.client_version
        same = fold_registration_id(connect.client_id) == fold_registration_id(
            user_name.registration_id
        )
        if not same:
            recorder.fail(
                "client-id-not-registration-id",
                f"client id {connect.client_id!r} is not the registration id "
                f"{user_name.registration_id!r} of the user name",
                "use the registration id as MQTT client id",
            )
            return ConnectReturnCode.IDENTIFIER_REJECTED
        if not link.presented and not connect.password:
            recorder.fail(
                "no-credentials",
                "the client offered neither a certificate in TLS nor a password",
                "give the device its certificate and key, e.g. ESF: Device Certificate and "
                "Device Private Key; or its symmetric key",
            )
            return ConnectReturnCode.NOT_AUTHORIZED
        recorder.passed(f"keep-alive {connect.keep_alive_s} s")
        recorder.begin("subscribe")
        # .NET takes "session present" for a protocol error, whatever CleanSession says.
        link.write(link.machine.accept(session_present=False))
        return DpsSession(self, link, connect, user_name)


class DpsSession:
    """One accepted DPS connection."""

    __slots__ = (
        "_caller",
        "_context",
        "_door",
        "_draining",
        "_ends_at",
        "_idle_ends_at",
        "_link",
        "_operation_id",
        "_qos",
        "_recorder",
        "_silence_s",
        "_working",
    )

    def __init__(
        self, door: DpsMqtt, link: DeviceLink, connect: Connect, user_name: DpsUserName
    ) -> None:
        """Begin; CONNACK is written."""
        self._door = door
        self._link = link
        self._caller = DeviceCaller(
            id_scope=user_name.id_scope,
            registration_id=user_name.registration_id,
            api_version=user_name.api_version,
            presented=link.presented,
            source_address=link.source_address,
            sas_token=_sas_token(connect.password),
        )
        self._operation_id: str | None = None
        now = door.clock.monotonic()
        # Keep-alive 0 means none: .NET and C send it.
        self._silence_s = silence_limit_s(connect.keep_alive_s)
        self._ends_at = now + door.limits.dps_max_age_s
        self._idle_ends_at: float | None = now + door.limits.dps_idle_s
        # Azure keeps no sessions, but the Python SDK, after a reconnect, counts on the subscription
        # that it made before it: who asks to keep the session is answered without a new one.
        self._qos: int | None = None if connect.clean_session else 1
        self._recorder: AttemptRecorder | None = link.recorder
        self._context = dict(link.recorder.context)
        self._working = False
        self._draining = False

    # -- DeviceSession -------------------------------------------------------------------------

    def receive(self, packets: Sequence[Packet]) -> None:
        """Take the packets of one read, in order."""
        link = self._link
        for position, packet in enumerate(packets):
            if not link.is_open:  # a DISCONNECT came in the same read, or the link was ended
                link.close()
                return
            if isinstance(packet, Publish):
                if self._publish(packet, packets[position + 1 :]):
                    return
            elif isinstance(packet, Subscribe):
                self._subscribe(packet)
            elif isinstance(packet, Unsubscribe):
                if RESPONSE_FILTER in packet.topic_filters:
                    self._qos = None
                link.write(link.machine.unsuback(packet.packet_id))
            elif isinstance(packet, PingReq):
                link.write(link.machine.pingresp())
            elif not isinstance(packet, PubAck):
                link.end(QOS_2)

    def deadline(self, last_seen: float) -> tuple[float, Ending]:
        """Return when and why the connection must end if no more packets come."""
        moment, ending = self._ends_at, TOO_OLD
        if self._idle_ends_at is not None and self._idle_ends_at < moment:
            moment, ending = self._idle_ends_at, IDLE
        if self._silence_s is not None and last_seen + self._silence_s < moment:
            moment, ending = last_seen + self._silence_s, SILENT
        return moment, ending

    def broken(self, ending: Ending) -> None:
        """Record why the connection is being ended."""
        if self._recorder is None and ending in QUIET:
            return
        recorder = self._recorder or self._new_recorder()
        if not recorder.is_over:
            recorder.fail(ending.code, ending.cause, ending.remedy, stage=ending.stage)
        self._finish(recorder)

    def lost(self, *, orderly: bool) -> None:
        """Record what the device left undone."""
        recorder = self._recorder
        if recorder is None or self._working:  # what works on it records it
            return
        if not recorder.is_over:
            stage = recorder.current_stage
            cause = (
                "the device went away without asking for the result"
                if stage == "poll"
                else "the device went away without registering"
            )
            recorder.fail(
                "gone-before-result" if stage == "poll" else "gone-before-register",
                cause,
                "see the device's own log; if it gave up after a timeout, its network is slow or "
                "it could not read an answer",
            )
        self._finish(recorder)

    def drain(self) -> None:
        """Close now; a registration that runs is finished first, by the link's task."""
        self._draining = True
        if not self._working:
            self._link.end(SHUTTING_DOWN)

    # -- packets -------------------------------------------------------------------------------

    def _subscribe(self, packet: Subscribe) -> None:
        codes = []
        for topic_filter, qos in packet.subscriptions:
            if topic_filter == RESPONSE_FILTER:
                self._qos = min(qos, 1)
                codes.append(SubAckCode(self._qos))
                self._idle_ends_at = None
                if self._recorder is not None and self._recorder.current_stage == "subscribe":
                    self._recorder.passed()
            else:
                codes.append(SubAckCode.FAILURE)
        self._link.write(self._link.machine.suback(packet.packet_id, codes))

    def _publish(self, packet: Publish, rest: Sequence[Packet]) -> bool:
        """Act on a PUBLISH; say whether the packets after it must wait."""
        link = self._link
        if packet.qos == 2:
            link.end(QOS_2)
            return True
        try:
            if "+" in packet.topic or "#" in packet.topic:
                raise TopicMalformed(
                    "the topic holds '+' or '#', which no topic may",  # [MQTT-3.3.2-2]
                    remedy="percent-encode them",
                    field="topic",
                )
            request = parse_request_topic(packet.topic)
        except TopicMalformed as error:
            link.end(Ending("publish", error.code, error.message, error.remedy))
            return True
        if self._qos is None:
            link.end(NOT_SUBSCRIBED)
            return True
        self._idle_ends_at = None
        link.run(self._work(packet, request), rest)
        return True

    async def _work(self, packet: Publish, request: RegisterRequest | PollRequest) -> None:
        self._working = True
        try:
            if isinstance(request, RegisterRequest):
                await self._register(packet, request)
            else:
                await self._poll(packet, request)
        finally:
            self._working = False
        if self._draining:
            self._link.end(SHUTTING_DOWN)
        elif not self._link.is_open:
            self.lost(orderly=False)

    async def _register(self, packet: Publish, request: RegisterRequest) -> None:
        recorder = self._recorder
        if recorder is None or recorder.current_stage == "poll":
            if recorder is not None:  # a second register before the first was collected
                recorder.finish()
                self._finish(recorder)
            recorder = self._recorder = self._new_recorder()
        recorder.saw("$rid", request.rid)
        answer = await self._door.requests.register(self._caller, packet.payload, recorder)
        if answer.is_accepted:
            self._operation_id = answer.operation_id
        self._answer(packet, request.rid, answer)
        if recorder.is_over:
            self._finish(recorder)

    async def _poll(self, packet: Publish, request: PollRequest) -> None:
        recorder = self._recorder or self._new_recorder()
        recorder.saw("$rid", request.rid)
        answer = await self._door.requests.poll(
            self._caller,
            request.operation_id,
            recorder,
            is_own=request.operation_id == self._operation_id,
        )
        self._answer(packet, request.rid, answer)
        # A device that asks once more for what it was told leaves no second record.
        if recorder.is_over and (recorder is self._recorder or not answer.is_accepted):
            self._finish(recorder)

    # -- answers -------------------------------------------------------------------------------

    def _answer(self, packet: Publish, rid: str, answer: DeviceAnswer) -> None:
        link = self._link
        if not link.is_open:
            return
        # .NET knows one order only: PUBACK, then the answer.
        puback = b"" if packet.packet_id is None else link.machine.pubacks((packet.packet_id,))
        topic = format_response_topic(answer.status, rid, answer.retry_after_s)
        # A client that acknowledges nothing gets its answers all the same, at QoS 0.
        qos = self._qos if self._qos and link.machine.window_free else 0
        data, _ = link.machine.publish(topic, answer.body, qos)
        link.write(puback + data)

    def _finish(self, recorder: AttemptRecorder) -> None:
        if recorder is self._recorder:
            self._recorder = None
        self._link.record(recorder.snapshot())

    def _new_recorder(self) -> AttemptRecorder:
        """Return the recorder of one more attempt on this connection."""
        recorder = AttemptRecorder(KIND_REGISTRATION, clock=self._door.clock, **self._context)
        if self._caller.presented:
            recorder.context["thumbprint"] = sha256_thumbprint(self._caller.presented[0])
        return recorder


def _sas_token(password: bytes | None) -> str | None:
    """Return the token that a CONNECT carries; an empty password is none.

    What is no text is kept as far as it takes to refuse it at the register request, as Azure does.
    """
    return password.decode("utf-8", "replace") if password else None
