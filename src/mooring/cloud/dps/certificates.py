"""CA certificates of DPS, to which enrollments may refer."""

from __future__ import annotations

from collections.abc import Mapping

from mooring.cloud.cacertificates.model import CaCertificate
from mooring.cloud.cacertificates.refusals import Refusals
from mooring.cloud.cacertificates.service import CaCertificateService
from mooring.cloud.dps.authorities import AuthorityCache
from mooring.cloud.dps.errors import (
    AlreadyExists,
    CertificateInUse,
    CertificateNotFound,
    EtagMismatch,
    InputInvalid,
    LimitReached,
    VerificationFailed,
)
from mooring.cloud.dps.store import CertificateReferenced, DpsStore
from mooring.runtime.clock import Clock

_REFUSALS = Refusals(
    input_invalid=InputInvalid,
    already_exists=AlreadyExists,
    not_found=CertificateNotFound,
    limit_reached=LimitReached,
    etag_mismatch=EtagMismatch,
    verification_failed=VerificationFailed,
)


class CertificateService(CaCertificateService):
    """Adds, lists, verifies and deletes the CA certificates of DPS."""

    def __init__(self, store: DpsStore, authorities: AuthorityCache, clock: Clock) -> None:
        """Work on `store`, keeping `authorities` up to date."""
        super().__init__(_Shelf(store, authorities), _REFUSALS, clock)

    async def delete(self, name: str, *, if_match: str | None = None) -> None:
        """Delete one.

        Raises CertificateNotFound, EtagMismatch, CertificateInUse (an enrollment refers to it).
        """
        try:
            await super().delete(name, if_match=if_match)
        except CertificateReferenced as referenced:
            raise CertificateInUse(
                f"CA certificate {name!r} is used by {referenced.user}.",
                "Give that another certificate, or delete it, first.",
                field="name",
            ) from None


class _Shelf:
    """Adapter of `mooring.cloud.cacertificates.service.CertificateShelf` to DPS's store."""

    def __init__(self, store: DpsStore, authorities: AuthorityCache) -> None:
        self._store = store
        self._authorities = authorities

    @property
    def certificates(self) -> Mapping[str, CaCertificate]:
        return self._authorities.current.certificates

    async def reload(self) -> None:
        await self._authorities.reload()

    async def save(self, record: CaCertificate, *, replaces: str | None, limit: int) -> None:
        await self._store.save_certificate(record, replaces=replaces, limit=limit)

    async def delete(self, name: str, *, replaces: str) -> None:
        await self._store.delete_certificate(name, replaces=replaces)
