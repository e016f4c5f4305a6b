"""Registration records: read, listed, deleted; they are written by registering only."""

from __future__ import annotations

from mooring.cloud.dps.model import Registration
from mooring.cloud.paging import Page


class RegistrationService:
    """Reads and deletes registration records."""

    async def get(self, registration_id: str) -> Registration:
        """Return one, found without regard to case. Raises RegistrationNotFound."""
        raise NotImplementedError

    async def list(
        self,
        *,
        enrollment_group_id: str | None = None,
        limit: int | None = None,
        continuation: str | None = None,
    ) -> Page[Registration]:
        """Return a page by registration id, of one group or of all."""
        raise NotImplementedError

    async def delete(self, registration_id: str, *, if_match: str | None = None) -> None:
        """Delete the record; the enrollment and the hub's device stay.

        Raises RegistrationNotFound, EtagMismatch.
        """
        raise NotImplementedError
