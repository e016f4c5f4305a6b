"""CA certificates of DPS, and the proof that whoever uploads one holds its key."""

from __future__ import annotations

from mooring.cloud.dps.model import CaCertificate


class CertificateService:
    """Adds, lists, verifies and deletes CA certificates."""

    async def add(
        self, name: str, certificate: str | bytes, *, verified: bool = False
    ) -> CaCertificate:
        """Upload a CA certificate under `name`.

        Args:
            name: 1 to 64 letters, digits, ``-``, ``.``, ``_``; compared without regard to case.
            certificate: PEM, base64 or DER.
            verified: Take the caller's word that the key is held (Azure: "set certificate
                status to verified on upload").

        Raises:
            InputInvalid: Name or certificate is bad; expired; not a CA.
            AlreadyExists: The name is taken, or the same certificate is there by another name.
            LimitReached: There are 25.
        """
        raise NotImplementedError

    async def list(self) -> tuple[CaCertificate, ...]:
        """Return all of them, by name."""
        raise NotImplementedError

    async def get(self, name: str) -> CaCertificate:
        """Return one. Raises NotFound."""
        raise NotImplementedError

    async def delete(self, name: str, *, if_match: str | None = None) -> None:
        """Delete one. Raises NotFound, EtagMismatch, CertificateInUse (a group refers to it)."""
        raise NotImplementedError

    async def generate_verification_code(
        self, name: str, *, if_match: str | None = None
    ) -> CaCertificate:
        """Make a new code, which ends the former one. Raises NotFound, EtagMismatch."""
        raise NotImplementedError

    async def verify(
        self, name: str, verification_certificate: str | bytes, *, if_match: str | None = None
    ) -> CaCertificate:
        """Prove possession by a certificate with the code as CN, signed by the CA's key.

        Raises:
            VerificationFailed: Its `code` names the way to be wrong; nothing has changed.
            InputInvalid: The verification certificate cannot be read.
            NotFound, EtagMismatch: As they say.
        """
        raise NotImplementedError
