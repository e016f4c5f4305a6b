"""CA certificates of every hub, known in memory: each connection of a device asks for them."""

from __future__ import annotations

from collections.abc import Mapping

from mooring.cloud.cacertificates.model import CaCertificate
from mooring.cloud.cacertificates.refusals import Refusals
from mooring.cloud.cacertificates.service import CaCertificateService
from mooring.cloud.hub.certificates.store import HubCertificateRecords, HubCertificateStore
from mooring.cloud.hub.errors import (
    CertificateAlreadyExists,
    CertificateLimitReached,
    CertificateNotFound,
    EtagMismatch,
    InputInvalid,
    VerificationFailed,
)
from mooring.cloud.hub.model import Hub
from mooring.pki.verifier import CaSet
from mooring.protocol.azure.identifiers import fold_registration_id as fold
from mooring.runtime.clock import Clock

_REFUSALS = Refusals(
    input_invalid=InputInvalid,
    already_exists=CertificateAlreadyExists,
    not_found=CertificateNotFound,
    limit_reached=CertificateLimitReached,
    etag_mismatch=EtagMismatch,
    verification_failed=VerificationFailed,
)


class HubCertificates:
    """The CA certificates of every hub."""

    def __init__(self, store: HubCertificateStore, clock: Clock) -> None:
        """Know nothing yet; use `open_hub`."""
        self._store = store
        self._clock = clock
        self._shelves: dict[int, _Shelf] = {}

    async def open_hub(self, hub: Hub) -> None:
        """Know the certificates of `hub`."""
        shelf = _Shelf(self._store, hub.hub_id)
        await shelf.reload()
        self._shelves[hub.hub_id] = shelf

    def of(self, hub: Hub) -> CaCertificateService:
        """Return the service for the certificates of `hub`."""
        return CaCertificateService(self._shelves[hub.hub_id], _REFUSALS, self._clock)

    def authorities(self, hub: Hub) -> CaSet:
        """Return the verified certificates: an unverified one vouches for nobody."""
        return self._shelves[hub.hub_id].verified


class _Shelf:
    """The certificates of one hub; a `mooring.cloud.cacertificates.service.CertificateShelf`."""

    def __init__(self, store: HubCertificateStore, hub_id: int) -> None:
        self._store = store
        self._hub_id = hub_id
        self._records = HubCertificateRecords(-1, ())
        self.certificates: Mapping[str, CaCertificate] = {}
        self.verified = CaSet()

    async def reload(self) -> None:
        fresh = await self._store.load_hub_certificates(self._hub_id)
        if fresh.version <= self._records.version:
            return  # of several readings under way the newest stays
        self._records = fresh
        self.certificates = {fold(record.name): record for record in fresh.certificates}
        self.verified = CaSet(
            record.certificate.load() for record in fresh.certificates if record.verified
        )

    async def save(self, record: CaCertificate, *, replaces: str | None, limit: int) -> None:
        await self._store.save_hub_certificate(self._hub_id, record, replaces=replaces, limit=limit)

    async def delete(self, name: str, *, replaces: str) -> None:
        await self._store.delete_hub_certificate(self._hub_id, name, replaces=replaces)
