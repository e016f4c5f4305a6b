"""The port behind which CA certificates of hubs are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mooring.cloud.cacertificates.model import CaCertificate


@dataclass(frozen=True, slots=True)
class HubCertificateRecords:
    """The CA certificates of one hub as of one moment, by name; `version` grows by each write."""

    version: int
    certificates: tuple[CaCertificate, ...]


class HubCertificateStore(Protocol):
    """CA certificates of all hubs; names are compared without regard to case."""

    async def load_hub_certificates(self, hub_id: int) -> HubCertificateRecords:
        """Return those of one hub."""
        ...

    async def save_hub_certificate(
        self, hub_id: int, certificate: CaCertificate, *, replaces: str | None, limit: int
    ) -> None:
        """Write one; `replaces` is the etag that the caller read, None for a new one.

        Raises:
            RecordExists: The name is taken, or the certificate is there by another.
            RecordChanged: It is of another etag, or gone.
            RecordsFull: The hub has `limit`.
        """
        ...

    async def delete_hub_certificate(self, hub_id: int, name: str, *, replaces: str) -> None:
        """Delete one. Raises RecordChanged."""
        ...
