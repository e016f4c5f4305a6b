"""Adds, lists, verifies and deletes CA certificates, and asks for a proof of possession."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from mooring.cloud.cacertificates.inputs import check_certificate_name, take_ca_certificate
from mooring.cloud.cacertificates.model import CaCertificate, StoredCertificate, WaitingCode
from mooring.cloud.cacertificates.refusals import Refusals
from mooring.cloud.etags import etag_matches, new_etag
from mooring.cloud.preconditions import MAX_TRIES, RecordChanged, RecordExists, RecordsFull
from mooring.pki.certificates import Certificate, common_name, load_certificate
from mooring.pki.errors import PkiError
from mooring.pki.possession import (
    CODE_LIFETIME,
    PossessionNotProven,
    check_possession,
    new_verification_code,
)
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.identifiers import fold_registration_id as fold
from mooring.runtime.clock import Clock

ResultT = TypeVar("ResultT")

MAX_CA_CERTIFICATES = 25
"""Azure: limits of DPS and of IoT Hub."""

MAX_FORMER_CODES = 5
"""Replaced codes remembered, so that signing an old one gets an answer that says so."""


class CertificateShelf(Protocol):
    """The CA certificates of one DPS or hub, as known in memory, and how they are changed."""

    @property
    def certificates(self) -> Mapping[str, CaCertificate]:
        """Return those of the last reload, by folded name."""
        ...

    async def reload(self) -> None:
        """Read what is stored now."""
        ...

    async def save(self, record: CaCertificate, *, replaces: str | None, limit: int) -> None:
        """Write one; `replaces` is the etag that was read, None for a new one.

        Raises:
            RecordExists: The name is taken, or the certificate is there by another.
            RecordChanged: It is of another etag, or gone.
            RecordsFull: There are `limit`.
        """
        ...

    async def delete(self, name: str, *, replaces: str) -> None:
        """Delete one. Raises RecordChanged."""
        ...


class CaCertificateService:
    """The CA certificates of one DPS or hub.

    What is documented to be raised are the errors of `Refusals`.
    """

    def __init__(self, shelf: CertificateShelf, refusals: Refusals, clock: Clock) -> None:
        """Work on what is on `shelf`."""
        self._shelf = shelf
        self._refusals = refusals
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
            Input invalid: Name or certificate is bad; expired; not a CA.
            Already exists: The name is taken, or the same certificate is there by another name.
            Limit reached: There are 25.
        """
        check_certificate_name(name, field="name", invalid=self._refusals.input_invalid)
        stored = self._take(certificate)
        return await self._add(name, stored, verified=verified)

    async def put(
        self,
        name: str,
        certificate: str | bytes,
        *,
        verified: bool | None = None,
        if_match: str | None = None,
    ) -> CaCertificate:
        """Upload a CA certificate, or with `if_match` replace the one of that name.

        Another certificate in place of the former has yet to be verified, and a code that waits
        for its proof is void; sending the same certificate changes neither.

        Args:
            name: As in `add`.
            certificate: PEM, base64 or DER.
            verified: Whether possession counts as proven, on the caller's word; None leaves it
                as it is, or unproven for another certificate.
            if_match: Etag of the certificate to be replaced, or ``*``. Ignored when there is
                none of that name (Azure: the header is for updates only).

        Raises:
            Input invalid: Name or certificate is bad; expired; not a CA.
            Already exists: The name is taken and `if_match` is None, or the same certificate is
                there by another name.
            Limit reached: There are 25.
            Etag mismatch: The certificate has changed since.
        """
        check_certificate_name(name, field="name", invalid=self._refusals.input_invalid)
        stored = self._take(certificate)
        if if_match is None or fold(name) not in self._shelf.certificates:
            return await self._add(name, stored, verified=bool(verified))

        async def change(record: CaCertificate) -> CaCertificate:
            same = record.certificate == stored
            proven = (same and record.verified) if verified is None else verified
            keeps_code = same and (record.verified or not proven)
            return await self._save(
                replace(
                    record,
                    certificate=stored,
                    verified=proven,
                    verification_code=record.verification_code if keeps_code else None,
                    code_made_at=record.code_made_at if keeps_code else None,
                    former_codes=record.former_codes if keeps_code else (),
                    etag=new_etag(),
                    updated_at=self._clock.now(),
                ),
                record,
            )

        try:
            return await self._change(name, if_match, change)
        except RecordExists:
            await self._shelf.reload()
            raise self._duplicate(stored) from None

    async def list(self) -> tuple[CaCertificate, ...]:
        """Return all of them, by name."""
        return tuple(self._shelf.certificates.values())

    async def get(self, name: str) -> CaCertificate:
        """Return one. Raises not found."""
        return self._find(name)

    async def delete(self, name: str, *, if_match: str | None = None) -> None:
        """Delete one. Raises not found, etag mismatch."""

        async def delete(record: CaCertificate) -> None:
            await self._shelf.delete(record.name, replaces=record.etag)

        await self._change(name, if_match, delete)

    async def generate_verification_code(
        self, name: str, *, if_match: str | None = None
    ) -> CaCertificate:
        """Make a new code, which ends the former one.

        Raises not found, etag mismatch.
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
            Verification failed: Its `code` names the way to be wrong; nothing has changed.
            Input invalid: The verification certificate cannot be read.
            Not found, etag mismatch: As they say.
        """
        try:
            proof = load_certificate(verification_certificate, field="verification certificate")
        except PkiError as error:
            raise self._refusals.input_invalid(
                error.message, error.remedy, field="certificate", code=error.code
            ) from error

        async def verify(record: CaCertificate) -> CaCertificate:
            now = self._clock.now()
            if record.verified and record.verification_code is None:
                raise self._refusals.verification_failed(
                    f"CA certificate {record.name!r} is verified already, and no code waits for "
                    "a proof.",
                    "Nothing is left to do; to prove possession once more, generate a code first.",
                    field="certificate",
                    code="verified-already",
                )
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
                raise self._refusal(record, proof, error) from error
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

    def waiting_code(self, record: CaCertificate) -> WaitingCode | None:
        """Return the code that a verification certificate may be made with now, if there is one."""
        if record.verification_code is None or record.code_made_at is None:
            return None
        expires_at = record.code_made_at + CODE_LIFETIME
        if self._clock.now() > expires_at:
            return None
        return WaitingCode(record.verification_code, expires_at)

    def _take(self, certificate: str | bytes) -> StoredCertificate:
        now = self._clock.now()
        return StoredCertificate.of(
            take_ca_certificate(
                certificate, field="certificate", now=now, invalid=self._refusals.input_invalid
            )
        )

    async def _add(self, name: str, stored: StoredCertificate, *, verified: bool) -> CaCertificate:
        now = self._clock.now()
        record = CaCertificate(
            name=name,
            certificate=stored,
            verified=verified,
            verification_code=None,
            code_made_at=None,
            former_codes=(),
            etag=new_etag(),
            created_at=now,
            updated_at=now,
        )
        try:
            await self._shelf.save(record, replaces=None, limit=MAX_CA_CERTIFICATES)
        except RecordExists:
            raise await self._exists(record) from None
        except RecordsFull:
            raise self._refusals.limit_reached(
                f"There are {MAX_CA_CERTIFICATES} CA certificates already.",
                "Delete one that nothing depends on.",
            ) from None
        await self._shelf.reload()
        return record

    def _refusal(
        self, record: CaCertificate, proof: Certificate, error: PossessionNotProven
    ) -> Exception:
        """Return why `proof` proves nothing; a code of another CA is named as such."""
        given = common_name(proof)
        for other in self._shelf.certificates.values():
            if given and given == other.verification_code and other.name != record.name:
                return self._refusals.verification_failed(
                    f"The common name is the code of another CA certificate, {other.name!r}.",
                    f"Verify {other.name!r} with it, or make one with the code of {record.name!r}.",
                    field="certificate",
                    code="verification-code-of-another",
                )
        return self._refusals.verification_failed(
            error.message, error.remedy, field="certificate", code=error.code
        )

    def _find(self, name: str) -> CaCertificate:
        record = self._shelf.certificates.get(fold(name))
        if record is None:
            raise self._refusals.not_found(
                f"There is no CA certificate {quoted(name)}.",
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
            if if_match is not None and not etag_matches(if_match, record.etag):
                raise self._stale(name)
            try:
                result = await change(record)
            except RecordChanged:
                await self._shelf.reload()
                continue
            await self._shelf.reload()
            return result
        raise self._stale(name)

    def _stale(self, name: str) -> Exception:
        return self._refusals.etag_mismatch(
            f"CA certificate {name!r} has changed since it was read (If-Match does not fit).",
            "Read it again, apply your change to what it is now, and send that with its etag.",
            field="If-Match",
        )

    async def _save(self, record: CaCertificate, former: CaCertificate) -> CaCertificate:
        await self._shelf.save(record, replaces=former.etag, limit=MAX_CA_CERTIFICATES)
        return record

    async def _exists(self, record: CaCertificate) -> Exception:
        await self._shelf.reload()
        if fold(record.name) in self._shelf.certificates:
            return self._refusals.already_exists(
                f"There is a CA certificate {record.name!r} already.",
                "Choose another name; or, to replace it, send its etag as If-Match.",
                field="name",
            )
        return self._duplicate(record.certificate)

    def _duplicate(self, stored: StoredCertificate) -> Exception:
        other = next(
            (
                known.name
                for known in self._shelf.certificates.values()
                if known.certificate.sha256_thumbprint == stored.sha256_thumbprint
            ),
            "?",
        )
        return self._refusals.already_exists(
            f"This certificate is there already, by the name {other!r}.",
            f"Use {other!r}; one certificate has one name here.",
            field="certificate",
            code="certificate-already-exists",
        )
