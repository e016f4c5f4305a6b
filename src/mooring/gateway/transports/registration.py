"""The conversation with DPS over one MQTT link: register, then poll as told, until it ends."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from mooring.gateway.connections.ports import AttemptFailed, Progress
from mooring.gateway.connections.states import ConnectionStage
from mooring.gateway.transports.faults import (
    FIRST_TROUBLE_STATUS,
    THROTTLED_RETRY_S,
    of_azure_error,
    of_dps_refusal,
    of_ended_registration,
    of_link_loss,
    read_error_body,
)
from mooring.gateway.transports.mqtt_link import LinkFailed, LinkLoss, MqttLink
from mooring.protocol.azure.dps_payloads import (
    OperationStatus,
    RegistrationState,
    RegistrationStatus,
    decode_operation,
    encode_register_body,
)
from mooring.protocol.azure.dps_topics import (
    DpsResponse,
    format_poll_topic,
    format_register_topic,
    parse_response_topic,
)
from mooring.protocol.azure.errors import AzureError, TopicMalformed
from mooring.protocol.mqtt.packets import Publish
from mooring.runtime.clock import Clock

ANSWER_S = 30.0
"""How long each answer may take; the Azure SDKs for Python and Node give up then, too."""

FIRST_POLL_S = 2.0
"""Wait before a poll where the answer carries no retry-after, as Azure's SDK for Python does."""

REGISTRATION_S = 600.0
"""How long a registration may take in all: custom allocation takes minutes, a DPS connection
lives for a quarter of an hour."""

_TopicOf: TypeAlias = Callable[[str], str]
"""Makes a request's topic of its request id."""

_REGISTER = "provisioning.register"
_POLLING = "provisioning.polling"


@dataclass(frozen=True, slots=True)
class RegistrationRequest:
    """What is registered. `model_id` is a whole DTMI, None for no model."""

    id_scope: str
    registration_id: str
    model_id: str | None

    @property
    def body(self) -> bytes:
        """Return the register request's body."""
        payload = None if self.model_id is None else {"modelId": self.model_id}
        return encode_register_body(self.registration_id, payload)


class ResponseInbox:
    """Pairs answers with requests by ``$rid``. Made before the link, which feeds it."""

    def __init__(self) -> None:
        """Start with nothing awaited."""
        self._awaited: dict[str, asyncio.Future[tuple[DpsResponse, bytes]]] = {}

    def expect(self) -> tuple[str, asyncio.Future[tuple[DpsResponse, bytes]]]:
        """Return a new request id and what its answer resolves."""
        rid = str(uuid.uuid4())
        future = self._awaited[rid] = asyncio.get_running_loop().create_future()
        return rid, future

    def take(self, message: Publish) -> bool:
        """Take a message of the server, True; one that answers nothing is dropped."""
        try:
            response = parse_response_topic(message.topic)
        except TopicMalformed:
            return True
        future = self._awaited.pop(response.rid, None)
        if future is not None and not future.done():
            future.set_result((response, message.payload))
        return True


class Registration:
    """One registration over one link."""

    def __init__(
        self,
        link: MqttLink,
        inbox: ResponseInbox,
        request: RegistrationRequest,
        progress: Progress,
        clock: Clock,
    ) -> None:
        """Register `request` over `link`, whose messages go to `inbox`."""
        self._link = link
        self._inbox = inbox
        self._request = request
        self._progress = progress
        self._clock = clock

    async def run(self) -> tuple[RegistrationState, str]:
        """Return the assigned registration's state and operation id.

        Raises:
            AttemptFailed: Refused, failed, disabled, or the link was lost.
        """
        deadline = self._clock.monotonic() + REGISTRATION_S
        self._progress.enter(ConnectionStage.REGISTER)
        response, payload = await self._ask(format_register_topic, self._request.body, _REGISTER)
        if response.status >= 300:
            raise self._refused(response, payload, _REGISTER)
        operation = self._decode(payload, _REGISTER)
        operation_id = operation.operation_id or ""
        self._progress.saw("operation_id", operation_id)
        self._progress.note(f"operation {operation_id}")
        wait_s = FIRST_POLL_S if response.retry_after is None else float(response.retry_after)
        stage = _REGISTER
        while not operation.status.is_terminal:
            if stage is _REGISTER:
                stage = _POLLING
                self._progress.enter(ConnectionStage.POLLING, f"first poll in {wait_s:g} s")
            if self._clock.monotonic() + wait_s > deadline:
                raise _took_too_long()
            await self._pause(wait_s)
            response, payload = await self._ask(
                lambda rid: format_poll_topic(rid, operation_id),
                # Azure: the SDKs for Python and Node poll with one space; .NET with nothing.
                b" ",
                _POLLING,
            )
            hint_s = None if response.retry_after is None else float(response.retry_after)
            if response.status >= FIRST_TROUBLE_STATUS:
                # The operation goes on at the server: the same request is repeated.
                self._saw_error(payload)
                wait_s = THROTTLED_RETRY_S if hint_s is None else hint_s
                continue
            if response.status >= 300:
                raise self._refused(response, payload, _POLLING)
            operation = self._decode(payload, _POLLING)
            wait_s = FIRST_POLL_S if hint_s is None else hint_s
        state = operation.registration_state
        if operation.status is not RegistrationStatus.ASSIGNED or state is None:
            raise AttemptFailed(
                of_ended_registration(
                    operation, stage=stage, registration_id=self._request.registration_id
                )
            )
        return state, operation_id

    async def _ask(self, topic: _TopicOf, body: bytes, stage: str) -> tuple[DpsResponse, bytes]:
        rid, answered = self._inbox.expect()
        self._progress.saw("request_id", rid)
        self._link.publish(topic(rid), body)
        try:
            return await self._link.unless_lost(
                answered, timeout_s=ANSWER_S, what="the registration request"
            )
        except LinkFailed as failed:
            raise AttemptFailed(of_link_loss(failed.loss, stage=stage)) from failed

    async def _pause(self, delay_s: float) -> None:
        """Wait exactly as long as told, unless the link is lost meanwhile."""
        await asyncio.wait({self._link.lost}, timeout=delay_s)
        if self._link.lost.done():
            raise AttemptFailed(of_link_loss(self._link.lost.result(), stage=_POLLING))

    def _decode(self, payload: bytes, stage: str) -> OperationStatus:
        try:
            return decode_operation(payload)
        except AzureError as error:
            raise AttemptFailed(
                of_azure_error(error, stage=stage, what="the answer of DPS")
            ) from error

    def _refused(self, response: DpsResponse, payload: bytes, stage: str) -> AttemptFailed:
        self._saw_error(payload)
        return AttemptFailed(
            of_dps_refusal(
                response.status,
                read_error_body(payload),
                stage=stage,
                retry_after_s=response.retry_after,
                registration_id=self._request.registration_id,
                id_scope=self._request.id_scope,
            )
        )

    def _saw_error(self, payload: bytes) -> None:
        tracking_id = read_error_body(payload).tracking_id
        if tracking_id:
            self._progress.saw("tracking_id", tracking_id)


def _took_too_long() -> AttemptFailed:
    return AttemptFailed(
        of_link_loss(
            LinkLoss(
                "registration-too-slow",
                f"DPS did not finish the registration within {REGISTRATION_S:g} s.",
                "Look at the registration in the DPS; a custom allocation webhook may hang.",
            ),
            stage=_POLLING,
        )
    )
