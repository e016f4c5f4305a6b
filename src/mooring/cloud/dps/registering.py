"""The act of registering: decide, allocate, record; one commit, then the device is answered."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mooring.cloud.dps.allocation import NoHub, choose_hub
from mooring.cloud.dps.attesting import Attestor, Entitled
from mooring.cloud.dps.authorities import AuthorityCache
from mooring.cloud.dps.errors import DpsError, Overloaded
from mooring.cloud.dps.hubs import DeviceAssignment, LinkedHubs
from mooring.cloud.dps.linking import LinkedHubService
from mooring.cloud.dps.model import (
    IndividualEnrollment,
    Operation,
    RegisterCommand,
    Registration,
    ReprovisionPolicy,
    SubjectRules,
)
from mooring.cloud.dps.registrations import registration_missing
from mooring.cloud.dps.store import BasisChanged, DpsStore, RegistrationBasis
from mooring.cloud.etags import new_etag
from mooring.cloud.preconditions import MAX_TRIES, RecordsFull
from mooring.cloud.work import Work
from mooring.pki.verifier import ChainVerifier
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.protocol.azure.registration_state import RegistrationStatus, RegistrationSubstatus
from mooring.runtime.attempts import Failure
from mooring.runtime.clock import Clock

MAX_REGISTRATIONS = 1_000_000
"""Azure: DPS limits."""


@dataclass(frozen=True, slots=True)
class _HubWork:
    """A change at a hub; `then` is told device and hub if the committed `work` returns True."""

    work: Work[bool]
    host_name: str
    then: Callable[[str, str], None]


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
        linked: LinkedHubService,
        *,
        id_scope: str,
        verifier: ChainVerifier,
        subject_rules: SubjectRules,
        clock: Clock,
        limit: int = MAX_REGISTRATIONS,
    ) -> None:
        """Answer for `id_scope`; keep up to `limit` records."""
        self._store = store
        self._hubs = hubs
        self._authorities = authorities
        self._linked = linked
        self._attestor = Attestor(
            store, authorities, id_scope=id_scope, verifier=verifier, subject_rules=subject_rules
        )
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
        for _ in range(MAX_TRIES):
            now = self._clock.now()
            entitled = await self._attestor.entitle(command, leaf, now)
            decision = self._decide(command, entitled, now)
            operation = Operation(
                f"{self._operation_prefix}{uuid.uuid4()}", decision.registration, now
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
            for hub_work, changed in zip(decision.hub_works, results[1:], strict=True):
                if changed:
                    assert decision.registration.device_id is not None
                    hub_work.then(hub_work.host_name, decision.registration.device_id)
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

    def _decide(self, command: RegisterCommand, entitled: Entitled, now: datetime) -> _Decision:
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
                self._record(command, entitled, RegistrationStatus.DISABLED, now),
                entitled.basis,
                (),
                failure,
            )
        recorder.passed(entitled.name)
        recorder.begin("allocation")
        try:
            host_name = self._allocate(command, entitled)
        except NoHub as error:
            failure = Failure("allocation", "no-linked-hub", error.cause, error.remedy)
            return _Decision(
                self._record(command, entitled, RegistrationStatus.FAILED, now),
                entitled.basis,
                (),
                failure,
            )
        recorder.passed(host_name)
        recorder.begin("record")
        registration = self._record(
            command, entitled, RegistrationStatus.ASSIGNED, now, host_name=host_name
        )
        return _Decision(
            registration, entitled.basis, self._prepare_hub(registration, entitled), None
        )

    def _allocate(self, command: RegisterCommand, entitled: Entitled) -> str:
        former = entitled.former
        present = [hub for hub in self._linked.current if self._hubs.has_hub(hub.host_name)]
        stays = not _policy(entitled).update_hub_assignment
        if stays and former is not None and former.assigned_hub is not None:
            if self._hubs.has_hub(former.assigned_hub):
                return former.assigned_hub
            raise NoHub(
                f"The device stays with {former.assigned_hub!r} (re-provisioning policy: never), "
                "but there is no such hub any more.",
                "Delete the device's registration record, so that it is assigned anew, or change "
                "the re-provisioning policy.",
            )
        return choose_hub(command.registration_id, entitled.enrollment.terms, present)

    def _record(
        self,
        command: RegisterCommand,
        entitled: Entitled,
        status: RegistrationStatus,
        now: datetime,
        *,
        host_name: str | None = None,
    ) -> Registration:
        former = entitled.former
        assigned_hub = None if former is None else former.assigned_hub
        device_id = None if former is None else former.device_id
        substatus = None
        if host_name is not None:
            # Azure: another device id in the enrollment counts once the record is deleted.
            enrollment = entitled.enrollment
            wanted = enrollment.device_id if isinstance(enrollment, IndividualEnrollment) else None
            device_id = device_id or wanted or command.registration_id
            substatus = RegistrationSubstatus.INITIAL_ASSIGNMENT
            if assigned_hub not in (None, host_name):
                substatus = (
                    RegistrationSubstatus.DEVICE_DATA_MIGRATED
                    if _policy(entitled).migrate_device_data
                    else RegistrationSubstatus.DEVICE_DATA_RESET
                )
            assigned_hub = host_name
        failed = status is RegistrationStatus.FAILED
        return Registration(
            # Azure: the spelling first seen is kept.
            registration_id=command.registration_id if former is None else former.registration_id,
            status=status,
            substatus=substatus,
            assigned_hub=assigned_hub,
            device_id=device_id,
            enrollment_group_id=entitled.enrollment_group_id,
            error_code=int(DpsErrorCode.HUB_NOT_SPECIFIED) if failed else None,
            error_message=DpsErrorCode.HUB_NOT_SPECIFIED.text if failed else None,
            thumbprint=entitled.thumbprint,
            etag=new_etag(),
            created_at=now if former is None else former.created_at,
            updated_at=now,
            attestation_type=entitled.attestation_type,
            initial_hub=assigned_hub
            if former is None or former.initial_hub is None
            else former.initial_hub,
        )

    def _prepare_hub(self, registration: Registration, entitled: Entitled) -> tuple[_HubWork, ...]:
        assert registration.assigned_hub is not None
        assert registration.device_id is not None
        former = entitled.former
        policy = _policy(entitled)
        before = None if former is None else former.assigned_hub
        works = [
            _HubWork(
                self._hubs.prepare_device(
                    registration.assigned_hub,
                    DeviceAssignment(
                        device_id=registration.device_id,
                        credentials=entitled.credentials,
                        initial_twin=entitled.enrollment.terms.initial_twin,
                        # Azure: on the same hub, the policy "reset" is a factory reset.
                        reset_twin=before is not None
                        and policy.update_hub_assignment
                        and not policy.migrate_device_data,
                        iot_edge=entitled.enrollment.terms.iot_edge,
                    ),
                ),
                registration.assigned_hub,
                self._hubs.credentials_changed,
            )
        ]
        moved = before is not None and before != registration.assigned_hub
        if moved and before is not None and self._hubs.has_hub(before):
            works.append(
                _HubWork(
                    self._hubs.prepare_removal(before, registration.device_id),
                    before,
                    self._hubs.removed,
                )
            )
        return tuple(works)


def _policy(entitled: Entitled) -> ReprovisionPolicy:
    return entitled.enrollment.terms.reprovision_policy or ReprovisionPolicy()
