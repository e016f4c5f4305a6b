"""Enrollment groups."""

from __future__ import annotations

from mooring.cloud.dps.model import EnrollmentGroup, GroupDraft
from mooring.cloud.paging import Page


class GroupService:
    """Creates, replaces, lists and deletes enrollment groups."""

    async def put(self, draft: GroupDraft, *, if_match: str | None = None) -> EnrollmentGroup:
        """Create, or replace when `if_match` is ``*`` or the record's etag.

        Raises as `EnrollmentService.put`; a CA reference to no uploaded certificate is
        InputInvalid.
        """
        raise NotImplementedError

    async def get(self, enrollment_group_id: str) -> EnrollmentGroup:
        """Return one, found without regard to case. Raises NotFound."""
        raise NotImplementedError

    async def list(
        self, *, limit: int | None = None, continuation: str | None = None
    ) -> Page[EnrollmentGroup]:
        """Return a page, by id. Raises InputInvalid for a bad continuation."""
        raise NotImplementedError

    async def delete(self, enrollment_group_id: str, *, if_match: str | None = None) -> None:
        """Delete it; its registration records stay, as in Azure. Raises NotFound, EtagMismatch."""
        raise NotImplementedError
