"""Registration records: read, listed, deleted; they are written by registering only."""

from __future__ import annotations

from mooring.cloud.dps.errors import RegistrationNotFound
from mooring.cloud.dps.inputs import check_if_match, contended, read_continuation
from mooring.cloud.dps.model import Registration
from mooring.cloud.dps.queries import MAX_SCANNED, Condition
from mooring.cloud.dps.store import DpsStore
from mooring.cloud.paging import Page, encode_continuation, page_size
from mooring.cloud.preconditions import MAX_TRIES, RecordChanged
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.protocol.azure.errors import quoted


def registration_missing(registration_id: str) -> RegistrationNotFound:
    """Return the refusal of an id that no record has."""
    return RegistrationNotFound(
        f"There is no registration record {quoted(registration_id)}.",
        "A record is made when the device first registers; see the attempts for why it did not.",
        field="registrationId",
        wire_message=DpsErrorCode.REGISTRATION_NOT_FOUND.text,
    )


class RegistrationService:
    """Reads and deletes registration records."""

    def __init__(self, store: DpsStore) -> None:
        """Work on `store`."""
        self._store = store

    async def get(self, registration_id: str) -> Registration:
        """Return one, found without regard to case. Raises RegistrationNotFound."""
        registration = await self._store.find_registration(registration_id)
        if registration is None:
            raise registration_missing(registration_id)
        return registration

    async def list(
        self,
        conditions: tuple[Condition, ...] = (),
        *,
        enrollment_group_id: str | None = None,
        limit: int | None = None,
        continuation: str | None = None,
    ) -> Page[Registration]:
        """Return a page by registration id, of one group or of all, as `EnrollmentService.list`."""
        found = await self._store.list_registrations(
            conditions,
            enrollment_group_id=enrollment_group_id,
            after=read_continuation(continuation),
            limit=page_size(limit),
            scan=MAX_SCANNED,
        )
        return Page(found.records, encode_continuation(found.resume_after))

    async def delete(self, registration_id: str, *, if_match: str | None = None) -> None:
        """Delete the record; the enrollment and the hub's device stay.

        Raises RegistrationNotFound, EtagMismatch, Overloaded.
        """
        what = f"Registration {registration_id!r}"
        for _ in range(MAX_TRIES):
            registration = await self.get(registration_id)
            check_if_match(if_match, registration.etag, what=what)
            try:
                await self._store.delete_registration(registration_id, replaces=registration.etag)
            except RecordChanged:
                continue
            return
        raise contended(what)
