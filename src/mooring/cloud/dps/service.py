"""DPS in one object: its resources, and the two calls of the device API."""

from __future__ import annotations

from mooring.cloud.dps.certificates import CertificateService
from mooring.cloud.dps.enrollments import EnrollmentService
from mooring.cloud.dps.groups import GroupService
from mooring.cloud.dps.hubs import LinkedHubs
from mooring.cloud.dps.linking import LinkedHubService
from mooring.cloud.dps.model import Operation, RegisterCommand, SubjectRules
from mooring.cloud.dps.registrations import RegistrationService
from mooring.cloud.dps.store import DpsStore
from mooring.pki.verifier import ChainVerifier
from mooring.runtime.clock import SYSTEM_CLOCK, Clock


class DpsService:
    """One provisioning service: `id_scope` and the resources behind it.

    Attributes:
        id_scope: Made at the first start, never changed: ``0ne`` and 8 upper hex digits.
        certificates: CA certificates and proof of possession.
        enrollments: Individual enrollments.
        groups: Enrollment groups.
        registrations: Records of devices that did register.
        linked_hubs: Hubs that devices are assigned to.
    """

    id_scope: str
    certificates: CertificateService
    enrollments: EnrollmentService
    groups: GroupService
    registrations: RegistrationService
    linked_hubs: LinkedHubService

    @classmethod
    async def start(
        cls,
        store: DpsStore,
        hubs: LinkedHubs,
        *,
        verifier: ChainVerifier | None = None,
        subject_rules: SubjectRules = SubjectRules.AZURE,
        clock: Clock = SYSTEM_CLOCK,
    ) -> DpsService:
        """Open the service that `store` holds, making its ID scope if it has none."""
        raise NotImplementedError

    async def register(self, command: RegisterCommand) -> Operation:
        """Decide about a device, record the outcome, and return it once it is on disk.

        Outcomes ``assigned``, ``failed`` (no hub can take the device) and ``disabled`` are
        operations; each is answered ``202 assigning`` first, and polled.

        Stages given to the recorder: ``scope``, ``identity``, ``attestation``, ``enrollment``,
        ``allocation``, ``record``. A refusal, ``failed`` and ``disabled`` put their failure there;
        the recorder is not finished here.

        Raises:
            IdScopeUnknown: 404/404001.
            RegistrationRefused: 401/401002.
            InputInvalid: 400/400004, the registration id has a forbidden shape.
            Overloaded: 429/429001, others change the same record all the time.
            mooring.storage.errors.StorageUnavailable: Nothing was recorded; answer 503 or drop.
        """
        raise NotImplementedError

    async def get_operation(self, operation_id: str, registration_id: str) -> Operation:
        """Return an operation of `registration_id`; those of others do not exist for it.

        Raises:
            OperationNotFound: Unknown, another's, or older than ten minutes.
        """
        raise NotImplementedError

    async def housekeep(self) -> int:
        """Drop operations that nobody may poll any more; return how many. Call every minute."""
        raise NotImplementedError
