"""Individual enrollments."""

from __future__ import annotations

from mooring.cloud.dps.model import EnrollmentDraft, IndividualEnrollment
from mooring.cloud.paging import Page


class EnrollmentService:
    """Creates, replaces, lists and deletes individual enrollments."""

    async def put(
        self, draft: EnrollmentDraft, *, if_match: str | None = None
    ) -> IndividualEnrollment:
        """Create, or replace when `if_match` is ``*`` or the record's etag.

        Raises:
            InputInvalid: A field is bad (named in `field`).
            AlreadyExists: There is one and `if_match` is None.
            EtagMismatch: The etag is stale, or `if_match` is given and there is none.
            LimitReached: There are as many as may be.
        """
        raise NotImplementedError

    async def get(self, registration_id: str) -> IndividualEnrollment:
        """Return one, found without regard to case. Raises NotFound."""
        raise NotImplementedError

    async def list(
        self, *, limit: int | None = None, continuation: str | None = None
    ) -> Page[IndividualEnrollment]:
        """Return a page, by registration id. Raises InputInvalid for a bad continuation."""
        raise NotImplementedError

    async def delete(self, registration_id: str, *, if_match: str | None = None) -> None:
        """Delete it and its registration record. Raises NotFound, EtagMismatch."""
        raise NotImplementedError
