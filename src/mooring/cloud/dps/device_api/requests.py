"""What a device may ask of DPS, whatever it asks it by: register, poll, look up.

MQTT and HTTPS decode their own framing and write the answer in it; everything between is here,
so that both refuse, answer and record alike (dps.md 1.6 to 1.9 and 2.1).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from mooring.cloud.dps.device_api.answers import (
    check_register_body,
    failure_of,
    note_outcome,
    wire_error,
)
from mooring.cloud.dps.errors import RegistrationRefused, Throttled
from mooring.cloud.dps.matching import INVALID_CERTIFICATE
from mooring.cloud.dps.model import AttestationType, Operation, RegisterCommand
from mooring.cloud.dps.service import DpsService
from mooring.cloud.dps.throttling import Throttling
from mooring.cloud.dps.wire import operation_body, registration_body
from mooring.pki.certificates import Certificate, sha256_thumbprint
from mooring.protocol.azure.dps_payloads import (
    ErrorBody,
    OperationStatus,
    RegistrationStatus,
    decode_register_body,
    encode_error_body,
    encode_operation,
)
from mooring.protocol.azure.json_documents import JsonValue
from mooring.runtime.attempts import AttemptRecorder
from mooring.runtime.clock import SYSTEM_CLOCK, Clock
from mooring.runtime.ids import new_tracking_id
from mooring.runtime.logs import get_logger
from mooring.storage.errors import StorageFailed, StorageFull
from mooring.storage.state import StorageCondition, StorageState

OVERLOAD_RETRY_AFTER_S = 5
"""What a device is told to wait after 429 and 5xx: the longest that the Java SDK takes."""

FIRST_RETRIED_STATUS = 429
"""Azure's SDKs give up on 300 to 428 and send the same request again from here on."""

_log = get_logger("cloud.dps.device")


@dataclass(frozen=True, slots=True)
class DeviceCaller:
    """Who asks, and by what it may prove it.

    `presented` is the peer's chain, leaf first; `sas_token` the token that it gave, unread. Both
    may be missing: then every request is refused as Azure refuses it, with 401.
    """

    id_scope: str
    registration_id: str
    api_version: str
    presented: tuple[Certificate, ...]
    source_address: str
    sas_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """What the device is told.

    Attributes:
        status: As in HTTP, and in an MQTT response topic.
        body: JSON, pure ASCII.
        retry_after_s: After how many seconds to ask (again); None: say nothing of it.
        operation_id: Of a registration that was accepted.
        error_code: The number in the body of an error; None when it is none.
        tracking_id: The id in the body of an error, by which it is found in the records here.
    """

    status: int
    body: bytes
    retry_after_s: int | None = None
    operation_id: str | None = None
    error_code: int | None = None
    tracking_id: str | None = None

    @property
    def is_accepted(self) -> bool:
        """Return whether the caller was let in and served."""
        return self.error_code is None

    @property
    def is_retried(self) -> bool:
        """Return whether the device will send the same request again."""
        return self.status >= FIRST_RETRIED_STATUS


class DeviceRequests:
    """Serves devices; each call returns an answer and raises nothing.

    Each takes the recorder of the attempt that the request belongs to, and leaves it over when
    nothing more is to come of it: the caller then keeps its record.
    """

    def __init__(
        self,
        service: DpsService,
        *,
        storage_state: Callable[[], StorageState],
        retry_after_s: int,
        throttling: Throttling | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Answer for `service`; `retry_after_s` goes with every 202.

        `storage_state` says whether a registration could be kept now; while it could not, none
        is tried: some small record might still find room, and others not.
        """
        self._service = service
        self._storage_state = storage_state
        self._retry_after_s = retry_after_s
        self._throttling = throttling or Throttling(clock=clock)
        self.clock = clock

    async def register(
        self, caller: DeviceCaller, body: bytes, recorder: AttemptRecorder
    ) -> DeviceAnswer:
        """Register; accepted is always ``202 assigning``, and the first poll brings the outcome.

        .NET takes no other answer than 202 to this request, and Azure itself lets the poll tell
        of disabled enrollments and failed allocations.
        """
        recorder.begin("register")
        try:
            document = decode_register_body(body)
            check_register_body(document, caller.registration_id)
            self._throttling.admit_registration()
            self._check_storage()
            operation = await self._service.register(
                _command(caller, recorder, payload=document.payload)
            )
        except Exception as error:  # noqa: BLE001 - every failure has its answer
            return self.refuse(error, recorder)
        recorder.saw("operationId", operation.operation_id)
        if not recorder.is_over:
            recorder.begin("poll")
        return DeviceAnswer(
            202,
            encode_operation(OperationStatus(operation.operation_id, RegistrationStatus.ASSIGNING)),
            retry_after_s=self._retry_after_s,
            operation_id=operation.operation_id,
        )

    async def poll(
        self,
        caller: DeviceCaller,
        operation_id: str,
        recorder: AttemptRecorder,
        *,
        is_own: bool = False,
        begun: Callable[[], AttemptRecorder | None] = lambda: None,
    ) -> DeviceAnswer:
        """Tell how a registration stands, to the identity that it was made for.

        `is_own` says that the operation was made on this very connection, so that nothing is
        left to be proved. `begun` returns the recorder that the register request opened, where
        that is another than `recorder`; once the caller is proved, that one goes on.
        """
        recorder.saw("operationId", operation_id)
        if recorder.current_stage != "poll":
            recorder.begin("poll")
        try:
            operation = await self._service.get_operation(operation_id, caller.registration_id)
            if not is_own:
                await self._prove(caller, operation, recorder)
            recorder = begun() or recorder
            self._throttling.admit_poll(caller.registration_id)
        except Exception as error:  # noqa: BLE001 - every failure has its answer
            return self.refuse(error, recorder, ends_attempt=False)
        body = operation_body(operation)
        if not operation.registration.status.is_terminal:
            return DeviceAnswer(
                202, body, retry_after_s=self._retry_after_s, operation_id=operation.operation_id
            )
        note_outcome(recorder, operation.registration)
        recorder.finish()
        return DeviceAnswer(200, body, operation_id=operation.operation_id)

    async def look_up(
        self, caller: DeviceCaller, body: bytes, recorder: AttemptRecorder
    ) -> DeviceAnswer:
        """Tell a device what its registration record says, without registering it."""
        recorder.begin("lookup")
        try:
            check_register_body(decode_register_body(body), caller.registration_id)
            registration = await self._service.look_up(_command(caller, recorder))
        except Exception as error:  # noqa: BLE001 - every failure has its answer
            return self.refuse(error, recorder)
        note_outcome(recorder, registration)
        recorder.finish()
        return DeviceAnswer(200, registration_body(registration))

    def refuse(
        self, error: Exception, recorder: AttemptRecorder, *, ends_attempt: bool = True
    ) -> DeviceAnswer:
        """Return the answer to a request that failed by `error`, and record it.

        Without `ends_attempt`, an answer after which devices ask again leaves the attempt open.
        """
        code, message = wire_error(error)
        status = code // 1000
        tracking_id = new_tracking_id()
        recorder.saw("trackingId", tracking_id)
        failure_code, cause, remedy = failure_of(error)
        if status >= 500:
            _log.error("request failed", tracking_id=tracking_id, exc_info=error)
        if ends_attempt or status < FIRST_RETRIED_STATUS:
            if not recorder.is_over:
                recorder.fail(failure_code, cause, remedy)
        else:
            recorder.context["detail"] = f"answered {status} in between: {cause}"
        retry_after_s = None
        if isinstance(error, Throttled):
            retry_after_s = error.retry_after_s
        elif status in {429, 500, 503}:
            retry_after_s = OVERLOAD_RETRY_AFTER_S
        return DeviceAnswer(
            status,
            encode_error_body(
                ErrorBody(code, message, tracking_id, timestamp_utc=self.clock.now())
            ),
            retry_after_s=retry_after_s,
            error_code=code,
            tracking_id=tracking_id,
        )

    def _check_storage(self) -> None:
        state = self._storage_state()
        if state.condition is not StorageCondition.OK:
            kind = StorageFull if state.condition is StorageCondition.FULL else StorageFailed
            raise kind(state.reason, state.remedy)

    async def _prove(
        self, caller: DeviceCaller, operation: Operation, recorder: AttemptRecorder
    ) -> None:
        """Return if `caller` is the identity that `operation` was made for.

        By X.509 that is the same certificate, without a further look at its chain: it was good
        when the operation began, minutes ago at most. By symmetric key it is any good token.
        """
        registration = operation.registration
        by_certificate = registration.attestation_type is AttestationType.X509
        if (
            by_certificate
            and caller.presented
            and caller.id_scope == self._service.id_scope
            and hmac.compare_digest(
                sha256_thumbprint(caller.presented[0]), registration.thumbprint or ""
            )
        ):
            return
        await self._service.look_up(_command(caller, recorder))
        if by_certificate:
            raise RegistrationRefused(
                f"Operation {operation.operation_id} was begun with another certificate, SHA-256 "
                f"{registration.thumbprint}.",
                "Poll with the certificate that the device registered with, or register anew.",
                code="certificate-not-of-operation",
                wire_message=INVALID_CERTIFICATE,
            )


def _command(
    caller: DeviceCaller, recorder: AttemptRecorder, *, payload: JsonValue = None
) -> RegisterCommand:
    return RegisterCommand(
        id_scope=caller.id_scope,
        registration_id=caller.registration_id,
        presented=caller.presented,
        payload=payload,
        api_version=caller.api_version,
        source_address=caller.source_address,
        recorder=recorder,
        sas_token=caller.sas_token,
    )
