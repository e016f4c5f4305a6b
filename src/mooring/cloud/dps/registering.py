"""The act of registering: decide, allocate, record; one commit, then the device is answered."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from mooring.cloud.dps.allocation import Allocation, AllocationFailed, Allocator
from mooring.cloud.dps.allocation_webhook import AllocationWebhook, AskedOnce
from mooring.cloud.dps.attesting import Attestor, Entitled
from mooring.cloud.dps.authorities import AuthorityCache
from mooring.cloud.dps.errors import DpsError, Overloaded
from mooring.cloud.dps.hubs import LinkedHubs
from mooring.cloud.dps.model import Operation, RegisterCommand, Registration
from mooring.cloud.dps.registrations import registration_missing
from mooring.cloud.dps.reprovisioning import Assignment, assign, policy_for
from mooring.cloud.dps.store import BasisChanged, DpsStore, RegistrationBasis
from mooring.cloud.etags import new_etag
from mooring.cloud.preconditions import MAX_TRIES, RecordsFull
from mooring.cloud.work import Work
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.protocol.azure.registration_state import RegistrationStatus
from mooring.runtime.attempts import Failure
from mooring.runtime.clock import Clock

MAX_REGISTRATIONS = 1_000_000
"""Azure: DPS limits."""


@dataclass(frozen=True, slots=True)
class _HubWork:
    """A change at a hub; `then` is told hub, device and what the committed `work` returned."""

    work: Work[object]
    host_name: str
    then: Callable[[str, str, object], None]


@dataclass(frozen=True, slots=True)
class _Decision:
    """What is to be recorded, and what it rests on; `failure` when the device is not assigned."""

    registration: Registration
    basis: RegistrationBasis
    hub_works: tuple[_HubWork, ...]
    failure: Failure | None


class Registrar:
    """Registers devices."""

    def __init__(
        self,
        store: DpsStore,
        hubs: LinkedHubs,
        authorities: AuthorityCache,
        attestor: Attestor,
        allocator: Allocator,
        webhook: AllocationWebhook,
        *,
        id_scope: str,
        clock: Clock,
        limit: int = MAX_REGISTRATIONS,
    ) -> None:
        """Keep up to `limit` records; `authorities` are those that `attestor` looks at."""
        self._store = store
        self._hubs = hubs
        self._authorities = authorities
        self._attestor = attestor
        self._allocator = allocator
        self._webhook = webhook
        self._clock = clock
        self._limit = limit
        # Operation ids have the shape that the real service's have: a number, 16 hex digits that
        # name the service, a UUID. Only 0-9 a-z . and -, since clients paste them raw into topics.
        self._operation_prefix = f"4.{hashlib.sha256(id_scope.encode()).hexdigest()[:16]}."

    async def register(self, command: RegisterCommand) -> Operation:
        """See `DpsService.register`."""
        try:
            return await self._register(command)
        except DpsError as error:
            command.recorder.fail(error.code, error.message, error.remedy)
            raise

    async def look_up(self, command: RegisterCommand) -> Registration:
        """See `DpsService.look_up`."""
        recorder = command.recorder
        try:
            leaf = self._attestor.begin(command)
            entitled = await self._attestor.entitle(command, leaf, self._clock.now())
            recorder.passed(entitled.name)
            recorder.begin("record")
            if entitled.former is None:
                raise registration_missing(command.registration_id)
        except DpsError as error:
            recorder.fail(error.code, error.message, error.remedy)
            raise
        recorder.passed()
        return entitled.former

    async def _register(self, command: RegisterCommand) -> Operation:
        recorder = command.recorder
        leaf = self._attestor.begin(command)
        webhook = AskedOnce(self._webhook)
        for _ in range(MAX_TRIES):
            entitled = await self._attestor.entitle(command, leaf, self._clock.now())
            decision = await self._decide(command, entitled, webhook)
            registration = decision.registration
            operation = Operation(
                f"{self._operation_prefix}{uuid.uuid4()}", registration, registration.updated_at
            )
            try:
                results = await self._store.commit(
                    self._store.prepare_registration(operation, decision.basis, limit=self._limit),
                    *[hub_work.work for hub_work in decision.hub_works],
                )
            except BasisChanged:
                # An enrollment, a CA or this very record was written since it was read.
                await self._authorities.reload()
                continue
            except RecordsFull:
                # Azure: over a limit is 429; the device comes back once there is room.
                raise Overloaded(
                    f"There are {self._limit} registration records already.",
                    "Delete records of devices that are gone.",
                    code="registration-limit-reached",
                    wire_message=DpsErrorCode.THROTTLED.text,
                ) from None
            for hub_work, outcome in zip(decision.hub_works, results[1:], strict=True):
                assert registration.device_id is not None
                hub_work.then(hub_work.host_name, registration.device_id, outcome)
            if decision.failure is None:
                recorder.passed(operation.operation_id)
            else:
                failure = decision.failure
                recorder.fail(failure.code, failure.cause, failure.remedy)
            return operation
        raise Overloaded(
            f"The records that decide about {command.registration_id!r} change all the time.",
            "Register again in a moment; make sure that no second device uses this identity.",
            wire_message=DpsErrorCode.THROTTLED.text,
        )

    async def _decide(
        self, command: RegisterCommand, entitled: Entitled, webhook: AllocationWebhook
    ) -> _Decision:
        recorder = command.recorder
        if entitled.is_disabled:
            group = entitled.enrollment_group_id is not None
            failure = Failure(
                "enrollment",
                "group-disabled" if group else "enrollment-disabled",
                f"The device proved who it is, but {entitled.name} is disabled.",
                "Enable it if the device is to register; it is a block set on purpose.",
            )
            return _Decision(
                self._record(command, entitled, RegistrationStatus.DISABLED),
                entitled.basis,
                (),
                failure,
            )
        recorder.passed(entitled.name)
        recorder.begin("allocation")
        policy = policy_for(entitled.enrollment.terms, command.api_version)
        try:
            allocation = await self._allocator.allocate(command, entitled, policy, webhook)
        except AllocationFailed as failed:
            failure = Failure("allocation", failed.code, failed.cause, failed.remedy)
            return _Decision(
                self._record(command, entitled, RegistrationStatus.FAILED, failed=failed),
                entitled.basis,
                (),
                failure,
            )
        recorder.passed(allocation.host_name)
        recorder.begin("record")
        before = entitled.current_hub
        assignment = assign(
            command.registration_id,
            entitled,
            policy,
            allocation,
            former_hub_exists=before is not None and self._hubs.has_hub(before),
        )
        registration = self._record(
            command,
            entitled,
            RegistrationStatus.ASSIGNED,
            assignment=assignment,
            allocation=allocation,
        )
        return _Decision(registration, entitled.basis, self._prepare_hubs(assignment), None)

    def _record(
        self,
        command: RegisterCommand,
        entitled: Entitled,
        status: RegistrationStatus,
        *,
        assignment: Assignment | None = None,
        allocation: Allocation | None = None,
        failed: AllocationFailed | None = None,
    ) -> Registration:
        now = self._clock.now()
        former = entitled.former
        hub, device_id, initial_hub = (
            (None, None, None)
            if former is None
            else (former.assigned_hub, former.device_id, former.initial_hub)
        )
        if assignment is not None:
            hub, device_id = assignment.host_name, assignment.device.device_id
        return Registration(
            # Azure: the spelling first seen is kept.
            registration_id=command.registration_id if former is None else former.registration_id,
            status=status,
            substatus=None if assignment is None else assignment.substatus,
            assigned_hub=hub,
            device_id=device_id,
            enrollment_group_id=entitled.enrollment_group_id,
            error_code=None if failed is None else int(failed.error_code),
            error_message=None if failed is None else failed.text,
            thumbprint=entitled.thumbprint,
            etag=new_etag(),
            created_at=now if former is None else former.created_at,
            updated_at=now,
            attestation_type=entitled.attestation_type,
            initial_hub=initial_hub or hub,
            payload=None if allocation is None else allocation.payload,
        )

    def _prepare_hubs(self, assignment: Assignment) -> tuple[_HubWork, ...]:
        hubs = self._hubs
        host_name, device = assignment.host_name, assignment.device
        enter = _HubWork(hubs.prepare_device(host_name, device), host_name, hubs.prepared)
        left = assignment.leaves
        if left is None:
            return (enter,)
        # In this order: what migrates is read before it is removed.
        return enter, _HubWork(hubs.prepare_removal(left, device.device_id), left, hubs.removed)
