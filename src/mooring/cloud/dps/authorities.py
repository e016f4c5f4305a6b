"""CA certificates and groups, known in memory as one snapshot and replaced as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mooring.cloud.cacertificates.model import CaCertificate, StoredCertificate
from mooring.cloud.dps.model import CaReferences, EnrollmentGroup, SymmetricKeys
from mooring.cloud.dps.store import AuthorityRecords, DpsStore
from mooring.pki.verifier import CaSet
from mooring.protocol.azure.identifiers import fold_registration_id as fold
from mooring.protocol.azure.sas import decode_key


@dataclass(frozen=True, slots=True)
class GroupClaim:
    """A group that lays claim to what hangs from one certificate.

    `by_reference`: the certificate is an uploaded CA, so that it must itself be verified;
    otherwise it is the group's own, and it or one above it must be.
    """

    group: EnrollmentGroup
    by_reference: bool


@dataclass(frozen=True, slots=True)
class KeyedGroup:
    """A group of symmetric keys; the keys as bytes, from which its devices' keys are derived."""

    group: EnrollmentGroup
    primary: bytes = field(repr=False)
    secondary: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authorities:
    """CA certificates and groups of one moment, ready for matching.

    Attributes:
        version: Compared when a registration is recorded.
        certificates: By folded name.
        groups: By folded id.
        known: Every certificate that a path may lead to, verified or not: what may vouch for a
            device is decided by `verified`, after the path is found, so that "not verified" can
            be told from "unknown".
        verified: SHA-256 thumbprints of the verified CA certificates.
        claims: By SHA-256 thumbprint, in the order of group ids.
        keyed: The groups of symmetric keys, in the order of their ids.
    """

    version: int
    certificates: dict[str, CaCertificate]
    groups: dict[str, EnrollmentGroup]
    known: CaSet
    verified: frozenset[str]
    claims: dict[str, tuple[GroupClaim, ...]]
    keyed: tuple[KeyedGroup, ...]

    @classmethod
    def of(cls, records: AuthorityRecords) -> Authorities:
        """Arrange `records`."""
        certificates = {fold(record.name): record for record in records.certificates}
        claims: dict[str, list[GroupClaim]] = {}
        known = {
            record.certificate.sha256_thumbprint: record.certificate
            for record in records.certificates
        }
        for group in records.groups:
            for certificate, by_reference in _claimed(group, certificates):
                known.setdefault(certificate.sha256_thumbprint, certificate)
                claims.setdefault(certificate.sha256_thumbprint, []).append(
                    GroupClaim(group, by_reference)
                )
        return cls(
            version=records.version,
            certificates=certificates,
            groups={fold(group.enrollment_group_id): group for group in records.groups},
            known=CaSet(certificate.load() for certificate in known.values()),
            verified=frozenset(
                record.certificate.sha256_thumbprint
                for record in records.certificates
                if record.verified
            ),
            claims={thumbprint: tuple(groups) for thumbprint, groups in claims.items()},
            keyed=tuple(_keyed(records.groups)),
        )


class AuthorityCache:
    """Holds the present `Authorities`. Whoever writes a CA certificate or a group reloads it.

    A registration that was decided on an older snapshot is not recorded: the store compares
    versions. So the cache need not be exact, only soon.
    """

    def __init__(self, store: DpsStore, current: Authorities) -> None:
        """Hold `current`; use `load`."""
        self._store = store
        self.current = current

    @classmethod
    async def load(cls, store: DpsStore) -> AuthorityCache:
        """Read the present state of `store`."""
        return cls(store, Authorities.of(await store.load_authorities()))

    async def reload(self) -> Authorities:
        """Read it again; of several readings under way the newest stays."""
        fresh = Authorities.of(await self._store.load_authorities())
        if fresh.version >= self.current.version:
            self.current = fresh
        return self.current


def _keyed(groups: Iterable[EnrollmentGroup]) -> Iterator[KeyedGroup]:
    for group in groups:
        keys = group.attestation
        if isinstance(keys, SymmetricKeys):
            yield KeyedGroup(group, decode_key(keys.primary), decode_key(keys.secondary))


def _claimed(
    group: EnrollmentGroup, certificates: dict[str, CaCertificate]
) -> Iterator[tuple[StoredCertificate, bool]]:
    attestation = group.attestation
    if isinstance(attestation, SymmetricKeys):
        return
    if isinstance(attestation, CaReferences):
        for name in (attestation.primary, attestation.secondary):
            record = None if name is None else certificates.get(fold(name))
            if record is not None:
                yield record.certificate, True
        return
    for certificate in (attestation.primary, attestation.secondary):
        if certificate is not None:
            yield certificate, False
