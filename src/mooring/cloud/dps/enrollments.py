"""Individual enrollments."""

from __future__ import annotations

from mooring.cloud.dps.attestations import reference_missing, take_individual_attestation
from mooring.cloud.dps.authorities import AuthorityCache
from mooring.cloud.dps.errors import AlreadyExists, LimitReached, NotFound
from mooring.cloud.dps.inputs import (
    check_device_information,
    check_hub_device_id,
    check_id,
    check_if_match,
    check_terms,
    contended,
    etag_mismatch,
    read_continuation,
)
from mooring.cloud.dps.model import EnrollmentDraft, IndividualEnrollment, Standing
from mooring.cloud.dps.queries import MAX_SCANNED, Condition
from mooring.cloud.dps.store import DpsStore, ReferenceMissing
from mooring.cloud.etags import new_etag
from mooring.cloud.paging import Page, encode_continuation, page_size
from mooring.cloud.preconditions import MAX_TRIES, RecordChanged, RecordExists, RecordsFull
from mooring.protocol.azure.errors import quoted
from mooring.runtime.clock import Clock

MAX_ENROLLMENTS = 1_000_000
"""Azure: DPS limits."""


class EnrollmentService:
    """Creates, replaces, lists and deletes individual enrollments."""

    def __init__(
        self,
        store: DpsStore,
        authorities: AuthorityCache,
        clock: Clock,
        *,
        limit: int = MAX_ENROLLMENTS,
    ) -> None:
        """Work on `store`, which may hold `limit` enrollments."""
        self._store = store
        self._authorities = authorities
        self._clock = clock
        self._limit = limit

    async def put(
        self, draft: EnrollmentDraft, *, if_match: str | None = None
    ) -> IndividualEnrollment:
        """Create, or replace when `if_match` is ``*`` or the record's etag.

        Raises:
            InputInvalid: A field is bad (named in `field`).
            AlreadyExists: There is one and `if_match` is None.
            EtagMismatch: The etag is stale, or `if_match` is given and there is none.
            LimitReached: There are as many as may be.
            Overloaded: `if_match` is ``*``, and others change the record all the time.
        """
        check_id(draft.registration_id, field="registrationId")
        if draft.device_id is not None:
            check_hub_device_id(draft.device_id)
        what = f"Enrollment {draft.registration_id!r}"
        for _ in range(MAX_TRIES):
            former = await self._store.find_enrollment(draft.registration_id)
            if former is not None and if_match is None:
                break
            if former is None and if_match is not None:
                raise etag_mismatch(what)
            if former is not None:
                check_if_match(if_match, former.etag, what=what)
            enrollment = self._build(draft, former)
            try:
                await self._store.save_enrollment(
                    enrollment,
                    replaces=None if former is None else former.etag,
                    limit=self._limit,
                )
            except (RecordChanged, RecordExists):
                continue
            except ReferenceMissing as missing:
                await self._authorities.reload()
                raise reference_missing(missing.name) from None
            except RecordsFull:
                raise LimitReached(
                    f"There are {self._limit} individual enrollments already.",
                    "Delete those of devices that are gone, or use enrollment groups.",
                ) from None
            return enrollment
        if if_match is None:
            raise AlreadyExists(
                f"{what} exists already.",
                "To replace it, send If-Match with its etag, or with *.",
                field="registrationId",
            )
        raise contended(what)

    async def get(self, registration_id: str) -> IndividualEnrollment:
        """Return one, found without regard to case. Raises NotFound."""
        enrollment = await self._store.find_enrollment(registration_id)
        if enrollment is None:
            raise NotFound(
                f"There is no individual enrollment {quoted(registration_id)}.",
                "List the enrollments to see their registration ids.",
                field="registrationId",
            )
        return enrollment

    async def list(
        self,
        conditions: tuple[Condition, ...] = (),
        *,
        limit: int | None = None,
        continuation: str | None = None,
    ) -> Page[Standing]:
        """Return a page by registration id, of those that fit `conditions`.

        A page may be short, and even empty, and still have a continuation: what fits is not
        looked for without end. Raises InputInvalid for a bad continuation.
        """
        found = await self._store.list_enrollments(
            conditions,
            after=read_continuation(continuation),
            limit=page_size(limit),
            scan=MAX_SCANNED,
        )
        return Page(found.records, encode_continuation(found.resume_after))

    async def delete(self, registration_id: str, *, if_match: str | None = None) -> None:
        """Delete it and its registration record. Raises NotFound, EtagMismatch, Overloaded."""
        what = f"Enrollment {registration_id!r}"
        for _ in range(MAX_TRIES):
            enrollment = await self.get(registration_id)
            check_if_match(if_match, enrollment.etag, what=what)
            try:
                await self._store.delete_enrollment(registration_id, replaces=enrollment.etag)
            except RecordChanged:
                continue
            return
        raise contended(what)

    def _build(
        self, draft: EnrollmentDraft, former: IndividualEnrollment | None
    ) -> IndividualEnrollment:
        now = self._clock.now()
        return IndividualEnrollment(
            # Azure: the spelling first seen is kept.
            registration_id=draft.registration_id if former is None else former.registration_id,
            attestation=take_individual_attestation(
                draft.attestation,
                None if former is None else former.attestation,
                uploaded=self._authorities.current.certificates,
                now=now,
            ),
            device_id=draft.device_id,
            terms=check_terms(draft.terms),
            etag=new_etag(),
            created_at=now if former is None else former.created_at,
            updated_at=now,
            optional_device_information=check_device_information(draft.optional_device_information),
        )
