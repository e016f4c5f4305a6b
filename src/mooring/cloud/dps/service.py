"""DPS in one object: its resources, and the two calls of the device API."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from datetime import timedelta

from mooring.cloud.dps.allocation import Allocator
from mooring.cloud.dps.allocation_webhook import AllocationWebhook
from mooring.cloud.dps.attesting import Attestor
from mooring.cloud.dps.authorities import AuthorityCache
from mooring.cloud.dps.certificates import CertificateService
from mooring.cloud.dps.configuration import Configuration
from mooring.cloud.dps.enrollments import EnrollmentService
from mooring.cloud.dps.errors import OperationNotFound
from mooring.cloud.dps.groups import GroupService
from mooring.cloud.dps.hubs import LinkedHubs
from mooring.cloud.dps.linking import LinkedHubService
from mooring.cloud.dps.model import (
    Operation,
    RegisterCommand,
    Registration,
    SubjectRules,
)
from mooring.cloud.dps.registering import Registrar
from mooring.cloud.dps.registrations import RegistrationService
from mooring.cloud.dps.store import DpsStore
from mooring.pki.verifier import ChainVerifier
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.identifiers import fold_registration_id as fold
from mooring.runtime.clock import SYSTEM_CLOCK, Clock

OPERATION_LIFETIME = timedelta(minutes=15)
"""How long an operation can be polled: at least ten minutes, clients give up long before."""

PRUNE_OPERATIONS = 1_000
"""Operations deleted in one write, so that no registration waits long behind it."""

RECENT_OPERATIONS = 4_096
"""Operations kept in memory until their first poll, some 1 KB each: those of the seconds that
devices wait before they poll. Of more, the oldest are read from the store again."""

MAX_OPERATION_ID_CHARS = 128
"""Ours have 55; longer ones need no look-up."""


class DpsService:
    """One provisioning service: `id_scope` and the resources behind it.

    Attributes:
        id_scope: Made at the first start, never changed: ``0ne`` and 8 upper hex digits.
        certificates: CA certificates and proof of possession.
        enrollments: Individual enrollments.
        groups: Enrollment groups.
        registrations: Records of devices that did register.
        configuration: Default allocation policy and tags, and the linked hubs with them.
        linked_hubs: Hubs that devices are assigned to.
    """

    def __init__(
        self,
        store: DpsStore,
        hubs: LinkedHubs,
        authorities: AuthorityCache,
        configuration: Configuration,
        webhook: AllocationWebhook,
        *,
        verifier: ChainVerifier,
        subject_rules: SubjectRules,
        clock: Clock,
    ) -> None:
        """Put the parts together; use `start`."""
        self._store = store
        self._clock = clock
        self._recent: OrderedDict[str, Operation] = OrderedDict()
        self.id_scope = configuration.current.id_scope
        self.certificates = CertificateService(store, authorities, clock)
        self.enrollments = EnrollmentService(store, authorities, clock)
        self.groups = GroupService(store, authorities, clock)
        self.registrations = RegistrationService(store)
        self.configuration = configuration
        self.linked_hubs = LinkedHubService(configuration, hubs)
        self._registrar = Registrar(
            store,
            hubs,
            authorities,
            Attestor(
                store,
                authorities,
                id_scope=self.id_scope,
                verifier=verifier,
                subject_rules=subject_rules,
            ),
            Allocator(hubs, configuration),
            webhook,
            id_scope=self.id_scope,
            clock=clock,
        )

    @classmethod
    async def start(
        cls,
        store: DpsStore,
        hubs: LinkedHubs,
        *,
        webhook: AllocationWebhook,
        verifier: ChainVerifier | None = None,
        subject_rules: SubjectRules = SubjectRules.AZURE,
        clock: Clock = SYSTEM_CLOCK,
    ) -> DpsService:
        """Open the service that `store` holds, making its ID scope if it has none.

        `webhook` asks for the hubs of enrollments whose allocation policy is ``custom``.
        """
        record = await store.open_service(f"0ne{secrets.token_hex(4).upper()}")
        return cls(
            store,
            hubs,
            await AuthorityCache.load(store),
            Configuration(store, record),
            webhook,
            verifier=verifier or ChainVerifier(),
            subject_rules=subject_rules,
            clock=clock,
        )

    async def register(self, command: RegisterCommand) -> Operation:
        """Decide about a device, record the outcome, and return it once it is on disk.

        Outcomes ``assigned``, ``failed`` (no hub can take the device) and ``disabled`` are
        operations; each is answered ``202 assigning`` first, and polled. Waits for a webhook as
        long as that takes, up to some seconds; for all else not longer than a commit.

        Stages given to the recorder: ``scope``, ``identity``, ``attestation``, ``enrollment``,
        ``allocation``, ``record``. A refusal, ``failed`` and ``disabled`` put their failure there;
        the recorder is not finished here.

        Raises:
            IdScopeUnknown: 404/404001.
            RegistrationRefused: 401/401002.
            InputInvalid: 400/400004, the registration id has a forbidden shape.
            Overloaded: 429/429001, others change the same record all the time, there are a
                million registration records, or webhooks are asked too much already.
            ShuttingDown: 503/503001, a webhook was being asked when the cloud closed.
            mooring.storage.errors.StorageUnavailable: Nothing was recorded; answer 503 or drop.
        """
        operation = await self._registrar.register(command)
        # What is on disk now does not change any more.
        self._recent[operation.operation_id] = operation
        if len(self._recent) > RECENT_OPERATIONS:
            self._recent.popitem(last=False)
        return operation

    async def look_up(self, command: RegisterCommand) -> Registration:
        """Return the registration record of a device that proves itself as for `register`.

        Changes nothing. A disabled enrollment does not hide the record.

        Stages given to the recorder: ``scope``, ``identity``, ``attestation``, ``enrollment``,
        ``record``.

        Raises:
            IdScopeUnknown, RegistrationRefused, InputInvalid: As `register`.
            RegistrationNotFound: 404/404202, the device never registered.
        """
        return await self._registrar.look_up(command)

    async def get_operation(self, operation_id: str, registration_id: str) -> Operation:
        """Return an operation of `registration_id`; those of others do not exist for it.

        Raises:
            OperationNotFound: Unknown, another's, or too old.
        """
        operation = self._recent.get(operation_id)
        if operation is not None and _is_of(operation, registration_id):
            del self._recent[operation_id]
        elif len(operation_id) <= MAX_OPERATION_ID_CHARS:
            operation = await self._store.find_operation(operation_id, registration_id)
        else:
            operation = None
        if operation is None or operation.created_at + OPERATION_LIFETIME < self._clock.now():
            raise OperationNotFound(
                f"There is no operation {quoted(operation_id)} of {registration_id!r}.",
                "Poll with the operationId of the answer to the register request, within "
                f"{OPERATION_LIFETIME // timedelta(minutes=1)} minutes; else register again.",
                field="operationId",
            )
        return operation

    async def housekeep(self) -> int:
        """Drop operations that nobody may poll any more; return how many. Call every minute."""
        before = self._clock.now() - OPERATION_LIFETIME
        total = 0
        while True:
            count = await self._store.prune_operations(before=before, limit=PRUNE_OPERATIONS)
            total += count
            if count < PRUNE_OPERATIONS:
                return total


def _is_of(operation: Operation, registration_id: str) -> bool:
    return fold(operation.registration.registration_id) == fold(registration_id)
