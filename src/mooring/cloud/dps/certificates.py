"""CA certificates of DPS, and the proof that whoever uploads one holds its key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from mooring.cloud.dps.authorities import AuthorityCache
from mooring.cloud.dps.errors import (
    AlreadyExists,
    CertificateInUse,
    CertificateNotFound,
    InputInvalid,
    LimitReached,
    VerificationFailed,
)
from mooring.cloud.dps.inputs import (
    check_certificate_name,
    check_if_match,
    etag_mismatch,
    take_ca_certificate,
)
from mooring.cloud.dps.model import CaCertificate, StoredCertificate
from mooring.cloud.dps.store import CertificateReferenced, DpsStore
from mooring.cloud.etags import new_etag
from mooring.cloud.preconditions import MAX_TRIES, RecordChanged, RecordExists, RecordsFull
from mooring.pki.certificates import load_certificate
from mooring.pki.errors import PkiError
from mooring.pki.possession import PossessionNotProven, check_possession, new_verification_code
from mooring.protocol.azure.identifiers import fold_registration_id as fold
from mooring.runtime.clock import Clock

ResultT = TypeVar("ResultT")

MAX_CA_CERTIFICATES = 25
"""Azure: DPS limits."""

MAX_FORMER_CODES = 5
"""Replaced codes remembered, so that signing an old one gets an answer that says so."""


class CertificateService:
    """Adds, lists, verifies and deletes CA certificates."""

    def __init__(self, store: DpsStore, authorities: AuthorityCache, clock: Clock) -> None:
        """Work on `store`, keeping `authorities` up to date."""
        self._store = store
        self._authorities = authorities
        self._clock = clock

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
        check_certificate_name(name)
        now = self._clock.now()
        loaded = take_ca_certificate(certificate, field="certificate", now=now)
        record = CaCertificate(
            name=name,
            certificate=StoredCertificate.of(loaded),
            verified=verified,
            verification_code=None,
            code_made_at=None,
            former_codes=(),
            etag=new_etag(),
            created_at=now,
            updated_at=now,
        )
        try:
            await self._store.save_certificate(record, replaces=None, limit=MAX_CA_CERTIFICATES)
        except RecordExists:
            raise await self._exists(record) from None
        except RecordsFull:
            raise LimitReached(
                f"There are {MAX_CA_CERTIFICATES} CA certificates already.",
                "Delete one that no group refers to.",
            ) from None
        await self._authorities.reload()
        return record

    async def list(self) -> tuple[CaCertificate, ...]:
        """Return all of them, by name."""
        return tuple(self._authorities.current.certificates.values())

    async def get(self, name: str) -> CaCertificate:
        """Return one. Raises CertificateNotFound."""
        return self._find(name)

    async def delete(self, name: str, *, if_match: str | None = None) -> None:
        """Delete one.

        Raises CertificateNotFound, EtagMismatch, CertificateInUse (an enrollment refers to it).
        """

        async def delete(record: CaCertificate) -> None:
            await self._store.delete_certificate(record.name, replaces=record.etag)

        try:
            await self._change(name, if_match, delete)
        except CertificateReferenced as referenced:
            raise CertificateInUse(
                f"CA certificate {name!r} is used by {referenced.user}.",
                "Give that another certificate, or delete it, first.",
                field="name",
            ) from None

    async def generate_verification_code(
        self, name: str, *, if_match: str | None = None
    ) -> CaCertificate:
        """Make a new code, which ends the former one.

        Raises CertificateNotFound, EtagMismatch.
        """

        async def generate(record: CaCertificate) -> CaCertificate:
            now = self._clock.now()
            former = record.former_codes
            if record.verification_code is not None:
                former = (*former, record.verification_code)[-MAX_FORMER_CODES:]
            return await self._save(
                replace(
                    record,
                    verification_code=new_verification_code(),
                    code_made_at=now,
                    former_codes=former,
                    etag=new_etag(),
                    updated_at=now,
                ),
                record,
            )

        return await self._change(name, if_match, generate)

    async def verify(
        self, name: str, verification_certificate: str | bytes, *, if_match: str | None = None
    ) -> CaCertificate:
        """Prove possession by a certificate with the code as CN, signed by the CA's key.

        Raises:
            VerificationFailed: Its `code` names the way to be wrong; nothing has changed.
            InputInvalid: The verification certificate cannot be read.
            CertificateNotFound, EtagMismatch: As they say.
        """
        try:
            proof = load_certificate(verification_certificate, field="verification certificate")
        except PkiError as error:
            raise InputInvalid(
                error.message, error.remedy, field="certificate", code=error.code
            ) from error

        async def verify(record: CaCertificate) -> CaCertificate:
            now = self._clock.now()
            try:
                check_possession(
                    record.certificate.load(),
                    proof,
                    code=record.verification_code,
                    code_made_at=record.code_made_at,
                    now=now,
                    former_codes=record.former_codes,
                )
            except PossessionNotProven as error:
                raise VerificationFailed(
                    error.message, error.remedy, field="certificate", code=error.code
                ) from error
            return await self._save(
                replace(
                    record,
                    verified=True,
                    verification_code=None,
                    code_made_at=None,
                    former_codes=(),
                    etag=new_etag(),
                    updated_at=now,
                ),
                record,
            )

        return await self._change(name, if_match, verify)

    def _find(self, name: str) -> CaCertificate:
        record = self._authorities.current.certificates.get(fold(name))
        if record is None:
            raise CertificateNotFound(
                f"There is no CA certificate {name!r}.",
                "List the CA certificates to see their names.",
                field="name",
            )
        return record

    async def _change(
        self,
        name: str,
        if_match: str | None,
        change: Callable[[CaCertificate], Awaitable[ResultT]],
    ) -> ResultT:
        """Apply `change` to the present record; read and try again when another was quicker."""
        for _ in range(MAX_TRIES):
            record = self._find(name)
            check_if_match(if_match, record.etag, what=f"CA certificate {name!r}")
            try:
                result = await change(record)
            except RecordChanged:
                await self._authorities.reload()
                continue
            await self._authorities.reload()
            return result
        raise etag_mismatch(f"CA certificate {name!r}")

    async def _save(self, record: CaCertificate, former: CaCertificate) -> CaCertificate:
        await self._store.save_certificate(record, replaces=former.etag, limit=MAX_CA_CERTIFICATES)
        return record

    async def _exists(self, record: CaCertificate) -> AlreadyExists:
        authorities = await self._authorities.reload()
        if fold(record.name) in authorities.certificates:
            return AlreadyExists(
                f"There is a CA certificate {record.name!r} already.",
                "Choose another name, or delete that one first.",
                field="name",
            )
        thumbprint = record.certificate.sha256_thumbprint
        other = next(
            (
                known.name
                for known in authorities.certificates.values()
                if known.certificate.sha256_thumbprint == thumbprint
            ),
            "?",
        )
        return AlreadyExists(
            f"This certificate is there already, by the name {other!r}.",
            f"Use {other!r}; one certificate has one name here.",
            field="certificate",
            code="certificate-already-exists",
        )
