"""Enrollment groups."""

from __future__ import annotations

from bisect import bisect_right

from mooring.cloud.dps.attestations import reference_missing, take_group_attestation
from mooring.cloud.dps.authorities import AuthorityCache
from mooring.cloud.dps.errors import AlreadyExists, LimitReached, NotFound
from mooring.cloud.dps.inputs import (
    check_id,
    check_if_match,
    check_terms,
    contended,
    etag_mismatch,
    read_continuation,
)
from mooring.cloud.dps.model import EnrollmentGroup, GroupDraft
from mooring.cloud.dps.queries import Condition, group_fits
from mooring.cloud.dps.store import DpsStore, ReferenceMissing
from mooring.cloud.etags import new_etag
from mooring.cloud.paging import Page, encode_continuation, page_size
from mooring.cloud.preconditions import MAX_TRIES, RecordChanged, RecordExists, RecordsFull
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.identifiers import fold_registration_id as fold
from mooring.runtime.clock import Clock

MAX_GROUPS = 100
"""Azure: DPS limits, X.509 groups, and as many of symmetric keys. They are known in memory."""


class GroupService:
    """Creates, replaces, lists and deletes enrollment groups."""

    def __init__(self, store: DpsStore, authorities: AuthorityCache, clock: Clock) -> None:
        """Work on `store`, keeping `authorities` up to date."""
        self._store = store
        self._authorities = authorities
        self._clock = clock

    async def put(self, draft: GroupDraft, *, if_match: str | None = None) -> EnrollmentGroup:
        """Create, or replace when `if_match` is ``*`` or the record's etag.

        Raises as `EnrollmentService.put`; a CA reference to no uploaded certificate is
        InputInvalid.
        """
        check_id(draft.enrollment_group_id, field="enrollmentGroupId")
        what = f"Enrollment group {draft.enrollment_group_id!r}"
        for _ in range(MAX_TRIES):
            former = self._authorities.current.groups.get(fold(draft.enrollment_group_id))
            if former is not None and if_match is None:
                break
            if former is None and if_match is not None:
                raise etag_mismatch(what)
            if former is not None:
                check_if_match(if_match, former.etag, what=what)
            group = self._build(draft, former)
            try:
                await self._store.save_group(
                    group, replaces=None if former is None else former.etag, limit=MAX_GROUPS
                )
            except (RecordChanged, RecordExists):
                await self._authorities.reload()
                continue
            except ReferenceMissing as missing:
                raise reference_missing(missing.name) from None
            except RecordsFull:
                raise LimitReached(
                    f"There are {MAX_GROUPS} enrollment groups of this attestation type already.",
                    "Delete one first.",
                ) from None
            await self._authorities.reload()
            return group
        if if_match is None:
            raise AlreadyExists(
                f"{what} exists already.",
                "To replace it, send If-Match with its etag, or with *.",
                field="enrollmentGroupId",
            )
        raise contended(what)

    async def get(self, enrollment_group_id: str) -> EnrollmentGroup:
        """Return one, found without regard to case. Raises NotFound."""
        group = self._authorities.current.groups.get(fold(enrollment_group_id))
        if group is None:
            raise NotFound(
                f"There is no enrollment group {quoted(enrollment_group_id)}.",
                "List the enrollment groups to see their ids.",
                field="enrollmentGroupId",
            )
        return group

    async def list(
        self,
        conditions: tuple[Condition, ...] = (),
        *,
        limit: int | None = None,
        continuation: str | None = None,
    ) -> Page[EnrollmentGroup]:
        """Return a page by id, of those that fit. Raises InputInvalid for a bad continuation."""
        groups = self._authorities.current.groups
        keys = sorted(key for key, group in groups.items() if group_fits(group, conditions))
        after = read_continuation(continuation)
        start = 0 if after is None else bisect_right(keys, after)
        wanted = keys[start : start + page_size(limit)]
        more = start + len(wanted) < len(keys)
        return Page(
            tuple(groups[key] for key in wanted), encode_continuation(wanted[-1] if more else None)
        )

    async def delete(self, enrollment_group_id: str, *, if_match: str | None = None) -> None:
        """Delete it; its registration records stay, as in Azure.

        Raises NotFound, EtagMismatch, Overloaded.
        """
        what = f"Enrollment group {enrollment_group_id!r}"
        for _ in range(MAX_TRIES):
            group = await self.get(enrollment_group_id)
            check_if_match(if_match, group.etag, what=what)
            try:
                await self._store.delete_group(enrollment_group_id, replaces=group.etag)
            except RecordChanged:
                await self._authorities.reload()
                continue
            await self._authorities.reload()
            return
        raise contended(what)

    def _build(self, draft: GroupDraft, former: EnrollmentGroup | None) -> EnrollmentGroup:
        now = self._clock.now()
        return EnrollmentGroup(
            enrollment_group_id=draft.enrollment_group_id
            if former is None
            else former.enrollment_group_id,
            attestation=take_group_attestation(
                draft.attestation,
                None if former is None else former.attestation,
                uploaded=self._authorities.current.certificates,
                now=now,
            ),
            terms=check_terms(draft.terms),
            etag=new_etag(),
            created_at=now if former is None else former.created_at,
            updated_at=now,
        )
