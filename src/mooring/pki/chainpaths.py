"""Finding how a leaf may be connected to known CAs: by signature, never by name alone.

OpenSSL picks an issuer by its name and does not look for another one when the signature turns
out wrong. Two CAs of one name with different keys (a CA made twice while trying the guide, or
somebody's attack) would break it. So the paths are found here, by signature, and OpenSSL judges
each path whole (`mooring.pki.verifier`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from cryptography import x509

from mooring.pki.certificates import PARSE_FAULTS, Certificate, certificate_der, format_name
from mooring.pki.chainfacts import (
    CaFacts,
    ChainRefused,
    RefusalCode,
    ca_facts,
    has_signed,
    refusal,
    signature_weakness,
)

MAX_PATH_CERTIFICATES = 10
"""Leaf, intermediates and topmost CA together. Real chains have two to four."""

MAX_SIGNATURE_CHECKS = 64
"""For one presented chain. Some 70 us each; enough for Azure's 25 CAs, were they all of one name,
and a bound on what a stranger can make us compute with certificates that sign each other."""

MAX_REMEMBERED_CAS = 256
"""Presented CAs, and pairs of CAs, that are remembered; some 3 KB each. More than any fleet has;
when strangers fill it up, it is emptied and costs what it costs without."""

MAX_PATHS = 16
"""Paths looked at for one presented chain; cross-signed hierarchies have two to four."""


class CaSet:
    """An immutable set of known CA certificates.

    Attributes:
        generation: Digest of the content, upper hex: equal content, equal generation, whatever
            the order.
        thumbprints: SHA-256 thumbprints of the members, upper hex.
    """

    __slots__ = ("_by_der", "_by_subject", "generation", "thumbprints")

    def __init__(self, certificates: Iterable[Certificate] = ()) -> None:
        """Take the known CAs; doubles count once.

        Raises:
            ChainRefused: ``malformed``, for a certificate that cannot be read.
        """
        self._by_der: dict[bytes, CaFacts] = {}
        self._by_subject: dict[x509.Name, list[CaFacts]] = {}
        for certificate in certificates:
            der = certificate_der(certificate)
            if der in self._by_der:
                continue
            try:
                facts = ca_facts(certificate, der)
            except PARSE_FAULTS as error:
                raise refusal(
                    RefusalCode.MALFORMED, certificate, f"cannot be read ({error})"
                ) from error
            self._by_der[der] = facts
            self._by_subject.setdefault(facts.subject, []).append(facts)
        digests = {der: hashlib.sha256(der).digest() for der in self._by_der}
        self.thumbprints = frozenset(digest.hex().upper() for digest in digests.values())
        self.generation = hashlib.sha256(b"".join(sorted(digests.values()))).hexdigest().upper()

    def __len__(self) -> int:
        return len(self._by_der)

    def __iter__(self) -> Iterator[Certificate]:
        return (facts.certificate for facts in self._by_der.values())

    def __contains__(self, certificate: object) -> bool:
        return (
            isinstance(certificate, x509.Certificate)
            and certificate_der(certificate) in self._by_der
        )

    def find(self, der: bytes) -> CaFacts | None:
        """Return the member with this DER."""
        return self._by_der.get(der)

    def named(self, subject: x509.Name) -> Sequence[CaFacts]:
        """Return the members with this subject."""
        return self._by_subject.get(subject, ())


class CaMemory:
    """What was found out about CA certificates that peers presented; a fleet's are all the same.

    Holds facts that never change: what a certificate says, and whether one signed another.
    """

    def __init__(self) -> None:
        self._facts: dict[bytes, CaFacts] = {}
        self._signed: dict[tuple[bytes, bytes], bool] = {}

    def facts(self, certificate: Certificate, der: bytes) -> CaFacts:
        """Return what `certificate` is worth as an issuer.

        Raises:
            PARSE_FAULTS: It cannot be read.
        """
        found = self._facts.get(der)
        if found is None:
            found = ca_facts(certificate, der)
            if len(self._facts) >= MAX_REMEMBERED_CAS:
                self._facts.clear()
            self._facts[der] = found
        return found

    def signed(self, parent: CaFacts, child: CaFacts) -> bool | None:
        """Return whether one CA signed another; None if that was never looked at."""
        return self._signed.get((parent.der, child.der))

    def remember(self, parent: CaFacts, child: CaFacts, *, signed: bool) -> None:
        """Keep whether one CA signed another."""
        if len(self._signed) >= MAX_REMEMBERED_CAS:
            self._signed.clear()
        self._signed[parent.der, child.der] = signed


# What to report when nothing leads to a known CA: the fault nearest to being accepted.
_REPORTED_FIRST = (
    RefusalCode.ISSUER_NOT_CA,
    RefusalCode.WEAK_KEY,
    RefusalCode.WEAK_SIGNATURE,
    RefusalCode.WRONG_KEY_USAGE,
    RefusalCode.CHAIN_TOO_LONG,
    RefusalCode.BAD_SIGNATURE,
    RefusalCode.UNKNOWN_CA,
)


class PathSearch:
    """Every way from one leaf to known CAs.

    Attributes:
        paths: Issuers from the leaf's own upwards, each way ending at a known CA; longest first,
            otherwise in the order of the set. Only signatures that were verified, save that of a
            leaf with `leaf_signature_open`.
        leaf_signature_open: The signature on the leaf was not verified: only one CA could have
            made it, and the caller asked to leave that to whoever judges the path whole.
    """

    def __init__(
        self,
        leaf: Certificate,
        leaf_der: bytes,
        extras: Iterable[tuple[bytes, Certificate]],
        known: CaSet,
        memory: CaMemory,
        *,
        leave_leaf_signature: bool = False,
    ) -> None:
        """Search.

        Args:
            leaf: The peer's own certificate.
            leaf_der: Its DER.
            extras: DER and certificate of whatever else was presented; what cannot be read or
                leads nowhere is ignored.
            known: The CAs that a path may end at.
            memory: What is known about CAs already.
            leave_leaf_signature: Do not verify the signature on the leaf where only one CA could
                have made it; see `leaf_signature_open`.

        Raises:
            PARSE_FAULTS: The leaf cannot be read.
        """
        self.leaf_signature_open = False
        self._leaves_leaf_signature = leave_leaf_signature
        self.paths: list[tuple[CaFacts, ...]] = []
        self._known = known
        self._memory = memory
        self._extras: dict[x509.Name, list[tuple[bytes, Certificate]]] = {}
        self._faults: dict[RefusalCode, ChainRefused] = {}
        self._checks_left = MAX_SIGNATURE_CHECKS
        for der, certificate in extras:
            if der != leaf_der and known.find(der) is None:
                self._add_extra(der, certificate)
        weakness = signature_weakness(leaf)
        self._climb(leaf, None, leaf.issuer, weakness, (), {leaf_der})
        self.paths.sort(key=len, reverse=True)

    def refusal(self) -> ChainRefused:
        """Return why there is no path."""
        return next(self._faults[code] for code in _REPORTED_FIRST if code in self._faults)

    def _add_extra(self, der: bytes, certificate: Certificate) -> None:
        try:
            entries = self._extras.setdefault(certificate.subject, [])
        except PARSE_FAULTS:
            return
        if all(der != present for present, _ in entries):
            entries.append((der, certificate))

    def _candidates(self, name: x509.Name) -> Iterator[CaFacts]:
        yield from self._known.named(name)
        for der, certificate in self._extras.get(name, ()):
            try:
                yield self._memory.facts(certificate, der)
            except PARSE_FAULTS:
                continue

    def _climb(
        self,
        child: Certificate,
        child_facts: CaFacts | None,
        issuer: x509.Name,
        weakness: str | None,
        path: tuple[CaFacts, ...],
        used: set[bytes],
    ) -> None:
        candidates = [facts for facts in self._candidates(issuer) if facts.der not in used]
        if not candidates:
            self._fault(
                RefusalCode.UNKNOWN_CA,
                child,
                "is self-signed and not known"
                if child.subject == issuer
                else f"is issued by {format_name(issuer)!r}, which is not known",
            )
        if self._leaves_leaf_signature and child_facts is None and len(candidates) == 1:
            self.leaf_signature_open = True
        for parent in candidates:
            if len(self.paths) >= MAX_PATHS or not self._leads_up(
                child, child_facts, parent, weakness
            ):
                continue
            longer = (*path, parent)
            if self._known.find(parent.der) is not None:
                self.paths.append(longer)
            if parent.self_signed:
                if self._known.find(parent.der) is None:
                    self._fault(
                        RefusalCode.UNKNOWN_CA, parent.certificate, "is self-signed and not known"
                    )
            elif len(longer) + 1 < MAX_PATH_CERTIFICATES:
                self._climb(
                    parent.certificate,
                    parent,
                    parent.issuer,
                    parent.signature_weakness,
                    longer,
                    used | {parent.der},
                )
            else:
                self._fault(
                    RefusalCode.CHAIN_TOO_LONG,
                    parent.certificate,
                    f"is number {MAX_PATH_CERTIFICATES} above no known CA",
                )

    def _leads_up(
        self,
        child: Certificate,
        child_facts: CaFacts | None,
        parent: CaFacts,
        weakness: str | None,
    ) -> bool:
        if parent.fault is not None:
            self._fault(parent.fault[0], parent.certificate, parent.fault[1])
            return False
        if weakness is not None:
            self._fault(RefusalCode.WEAK_SIGNATURE, child, f"has a {weakness}")
            return False
        if child_facts is None and self.leaf_signature_open:
            return True
        signed = None if child_facts is None else self._memory.signed(parent, child_facts)
        if signed is None:
            if self._checks_left <= 0:
                self._fault(RefusalCode.CHAIN_TOO_LONG, child, "has too many possible issuers")
                return False
            self._checks_left -= 1
            signed = has_signed(parent.certificate, child)
            if child_facts is not None:
                self._memory.remember(parent, child_facts, signed=signed)
        if not signed:
            self._fault(
                RefusalCode.BAD_SIGNATURE,
                child,
                f"names {format_name(parent.subject)!r} as issuer, but another key signed it",
            )
        return signed

    def _fault(self, code: RefusalCode, certificate: Certificate, words: str) -> None:
        if code not in self._faults:
            self._faults[code] = refusal(code, certificate, words)
