"""The port behind which DPS keeps its records.

Ids are found without regard to case and kept as first spelled. Every call that writes returns
once the change is on disk; all raise mooring.storage.errors.StorageUnavailable when it cannot be.
`replaces` is the etag of the record that the caller read, or None for a new one: writes compare
and raise `RecordExists` or `RecordChanged` (mooring.cloud.preconditions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from mooring.cloud.cacertificates.model import CaCertificate
from mooring.cloud.dps.model import (
    EnrollmentGroup,
    IndividualEnrollment,
    Operation,
    Registration,
    ServiceRecord,
    Standing,
)
from mooring.cloud.dps.queries import Condition
from mooring.cloud.preconditions import RecordConflict
from mooring.cloud.work import Committer, Work

RecordT = TypeVar("RecordT")


class BasisChanged(RecordConflict):
    """What a registration was decided on is no longer so; decide again."""


class CertificateReferenced(RecordConflict):
    """A group or an individual enrollment refers to the CA certificate; `user` names one."""

    def __init__(self, user: str) -> None:
        """Hold which, e.g. ``enrollment group 'plant-7'``."""
        super().__init__(user)
        self.user = user


class ReferenceMissing(RecordConflict):
    """An enrollment refers to no uploaded CA certificate; `name` is what it says."""

    def __init__(self, name: str) -> None:
        """Hold the name."""
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Slice(Generic[RecordT]):
    """Some records in the order of their folded ids.

    `resume_after` is the id of the last record that was looked at, whether it fitted or not; None
    when there is no further one.
    """

    records: tuple[RecordT, ...]
    resume_after: str | None


@dataclass(frozen=True, slots=True)
class AuthorityRecords:
    """All CA certificates and groups of one moment; few, and needed whole at each registration.

    `version` changes with each write of either.
    """

    version: int
    certificates: tuple[CaCertificate, ...]
    groups: tuple[EnrollmentGroup, ...]


@dataclass(frozen=True, slots=True)
class RegistrationBasis:
    """What a decision rests on; compared when it is recorded.

    Attributes:
        enrollment_etag: Of the individual enrollment; None when there was none.
        authority_version: Of the CA certificates and groups; None when an individual enrollment
            decided, which asks neither.
        registration_etag: Of the former record; None when there was none.
    """

    enrollment_etag: str | None
    authority_version: int | None
    registration_etag: str | None


class DpsStore(Committer, Protocol):
    """Records of one provisioning service."""

    async def open_service(self, new_id_scope: str) -> ServiceRecord:
        """Return the service, giving it `new_id_scope` if it has none yet."""
        ...

    async def load_service(self) -> ServiceRecord:
        """Return the service that `open_service` made."""
        ...

    def prepare_service(self, service: ServiceRecord, *, replaces: int) -> Work[None]:
        """Prepare to write policy, linked hubs, tags and version in place of version `replaces`.

        Run, it raises RecordChanged when the stored version is another.
        """
        ...

    # -- authorities ------------------------------------------------------------------------

    async def load_authorities(self) -> AuthorityRecords:
        """Return CA certificates and groups, each by id, as of one moment."""
        ...

    async def save_certificate(
        self, certificate: CaCertificate, *, replaces: str | None, limit: int
    ) -> None:
        """Write a CA certificate. Raises also RecordsFull beyond `limit`."""
        ...

    async def delete_certificate(self, name: str, *, replaces: str) -> None:
        """Delete a CA certificate. Raises also CertificateReferenced."""
        ...

    async def save_group(self, group: EnrollmentGroup, *, replaces: str | None, limit: int) -> None:
        """Write a group.

        Raises also ReferenceMissing, and RecordsFull beyond `limit` groups that attest by
        certificate, or by symmetric key, as this one does.
        """
        ...

    async def delete_group(self, enrollment_group_id: str, *, replaces: str) -> None:
        """Delete a group; its registration records stay."""
        ...

    # -- individual enrollments -------------------------------------------------------------

    async def find_enrollment(self, registration_id: str) -> IndividualEnrollment | None:
        """Return one, in microseconds."""
        ...

    async def list_enrollments(
        self,
        conditions: Sequence[Condition] = (),
        *,
        after: str | None,
        limit: int,
        scan: int,
    ) -> Slice[Standing]:
        """Return up to `limit` that fit, by folded id, beyond the folded id `after`.

        Of `scan` records at most it is asked whether they fit.
        """
        ...

    async def save_enrollment(
        self, enrollment: IndividualEnrollment, *, replaces: str | None, limit: int
    ) -> None:
        """Write one. Raises also ReferenceMissing, and RecordsFull beyond `limit`."""
        ...

    async def delete_enrollment(self, registration_id: str, *, replaces: str) -> None:
        """Delete one, and the registration record of its id."""
        ...

    # -- registrations ----------------------------------------------------------------------

    async def find_standing(
        self, registration_id: str
    ) -> tuple[IndividualEnrollment | None, Registration | None]:
        """Return enrollment and registration record of an id together, in microseconds."""
        ...

    async def find_registration(self, registration_id: str) -> Registration | None:
        """Return one, in microseconds."""
        ...

    async def list_registrations(
        self,
        conditions: Sequence[Condition] = (),
        *,
        enrollment_group_id: str | None,
        after: str | None,
        limit: int,
        scan: int,
    ) -> Slice[Registration]:
        """Return up to `limit` that fit, of one group or of all; as `list_enrollments`."""
        ...

    async def delete_registration(self, registration_id: str, *, replaces: str) -> None:
        """Delete the record."""
        ...

    def prepare_registration(
        self, operation: Operation, basis: RegistrationBasis, *, limit: int
    ) -> Work[None]:
        """Prepare to write the operation and, in place of the former, its record.

        Run, it raises BasisChanged, or RecordsFull for a new record beyond `limit`.
        """
        ...

    async def find_operation(self, operation_id: str, registration_id: str) -> Operation | None:
        """Return an operation of that registration id, in microseconds."""
        ...

    async def prune_operations(self, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` operations made before `before`; return how many."""
        ...
