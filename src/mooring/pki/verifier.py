"""The one verifier of client certificates. Security-critical.

The TLS front accepts every certificate, so that a refusal can be said in MQTT or HTTP instead of
a broken handshake; all that OpenSSL then proved is that the peer holds the leaf's private key.
Whether the leaf is to be believed is decided here, at every connect.

How a chain is judged:

1. `mooring.pki.chainpaths` finds the ways from the leaf to known CAs, by signature.
2. Beside OpenSSL: validity with allowance for clocks, key usages, key sizes, signature hashes.
3. OpenSSL's store judges each way as a whole: signatures, CA flag, path length, name constraints,
   critical extensions. A known CA is a trust anchor wherever it stands (PARTIAL_CHAIN), as an
   intermediate may be verified in DPS without its root.

Accepted on purpose: leaves with nothing but a common name, X.509 version 1 leaves (as plain
`openssl x509 -req` makes), leaves that say CA:TRUE. `cryptography`'s own verifier refuses these.

The only file that imports `OpenSSL.crypto`.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from OpenSSL import crypto

from mooring.pki.certificates import (
    PARSE_FAULTS,
    Certificate,
    certificate_der,
    is_self_issued,
    sha256_thumbprint,
)
from mooring.pki.chainchecks import (
    CLOCK_SKEW,
    check_dates,
    check_key,
    check_signature_hash,
    check_size,
    check_validity_span,
)
from mooring.pki.chainfacts import (
    CaFacts,
    ChainRefused,
    RefusalCode,
    client_usage_fault,
    no_certificate,
    refusal,
)
from mooring.pki.chainpaths import MAX_REMEMBERED_CAS, CaMemory, CaSet, PathSearch

__all__ = [
    "CLOCK_SKEW",
    "MAX_PRESENTED_CERTIFICATES",
    "CaSet",
    "ChainRefused",
    "ChainVerifier",
    "RefusalCode",
    "VerifiedPath",
]

MAX_PRESENTED_CERTIFICATES = 10
"""Certificates that a peer may send, leaf included. Real chains have two to four."""

CACHE_ENTRIES = 4096
"""Verified chains remembered, about 3 KB each: the devices that connect most often."""


NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME (x509_vfy.h), which pyOpenSSL has no name for."""


class _X509Error(IntEnum):
    """OpenSSL's verify results that get a code of their own (x509_vfy.h)."""

    CERT_SIGNATURE_FAILURE = 7
    CERT_NOT_YET_VALID = 9
    CERT_HAS_EXPIRED = 10
    INVALID_CA = 24
    PATH_LENGTH_EXCEEDED = 25
    KEYUSAGE_NO_CERTSIGN = 32
    UNHANDLED_CRITICAL_EXTENSION = 34
    PERMITTED_VIOLATION = 47
    EXCLUDED_VIOLATION = 48
    INVALID_CA_CERT = 79


_REFUSAL_CODES = {
    _X509Error.CERT_NOT_YET_VALID: RefusalCode.NOT_YET_VALID,
    _X509Error.CERT_HAS_EXPIRED: RefusalCode.EXPIRED,
    _X509Error.INVALID_CA: RefusalCode.ISSUER_NOT_CA,
    _X509Error.PATH_LENGTH_EXCEEDED: RefusalCode.PATH_LENGTH_EXCEEDED,
    _X509Error.KEYUSAGE_NO_CERTSIGN: RefusalCode.ISSUER_NOT_CA,
    _X509Error.UNHANDLED_CRITICAL_EXTENSION: RefusalCode.CRITICAL_EXTENSION,
    _X509Error.PERMITTED_VIOLATION: RefusalCode.NAME_CONSTRAINT,
    _X509Error.EXCLUDED_VIOLATION: RefusalCode.NAME_CONSTRAINT,
    _X509Error.INVALID_CA_CERT: RefusalCode.ISSUER_NOT_CA,
}


@dataclass(frozen=True, slots=True)
class VerifiedPath:
    """A leaf that is to be believed, and why.

    Attributes:
        leaf: The peer's own certificate.
        certificates: Leaf first, up to the topmost known CA that can be reached.
        known: Known CAs above the leaf, nearest first: those in `certificates`, and those on
            further ways up (cross-signed CAs; a CA and its reissue with the same key), so that
            an enrollment group of either is found. Never holds the leaf: a device that presents
            a known CA itself is no member of that CA's group (Azure: a group takes leaves
            *issued* under its CA). Empty when the leaf is known and nothing above it is.
        known_thumbprints: Their SHA-256 thumbprints, in the same order.
        ways: The known CAs of each way up by itself, nearest first; the first is that of
            `certificates`. What stands above a CA on its own way vouches for it, what merely
            follows it in `known` need not.
        leaf_is_known: The leaf itself is one of the known CAs.
        not_before: Latest start of validity in `certificates`, aware UTC.
        not_after: Earliest end of validity in `certificates`, aware UTC.
    """

    leaf: Certificate
    certificates: tuple[Certificate, ...]
    known: tuple[Certificate, ...]
    known_thumbprints: tuple[str, ...]
    ways: tuple[tuple[Certificate, ...], ...]
    leaf_is_known: bool
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A verified chain, and the time span in which looking again would give the same."""

    path: VerifiedPath
    since: datetime
    until: datetime


_ALWAYS = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class ChainVerifier:
    """Judges what peers present; remembers who was accepted. For one thread."""

    def __init__(
        self,
        cache_entries: int = CACHE_ENTRIES,
        *,
        chain_validity: bool = True,
        pinned_validity: bool = True,
    ) -> None:
        """Remember up to `cache_entries` accepted chains; 0 remembers none.

        `chain_validity` says whether the dates count of what hangs from a CA, `pinned_validity`
        whether those of a certificate that is known by its thumbprint do.
        """
        self._cache_entries = cache_entries
        self._chain_validity = chain_validity
        self._pinned_validity = pinned_validity
        self._memory = CaMemory()
        self._cas = _OpenSslCas()
        self._cache: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._pinned: OrderedDict[str, tuple[datetime, datetime]] = OrderedDict()

    def verify(
        self, presented: Sequence[Certificate], known: CaSet, *, at: datetime
    ) -> VerifiedPath:
        """Return the path from the peer's certificate to the topmost known CA.

        The caller decides what the path opens (which group, whether enabled); that is not kept
        here, so it is looked at on every connect.

        Args:
            presented: Leaf first, then whatever else the peer sent, in its order. On a TLS
                server OpenSSL's peer chain does *not* contain the leaf: put it in front.
                Certificates that lead nowhere are ignored.
            known: The CAs to be believed.
            at: The present; aware.

        Raises:
            ChainRefused: With a `RefusalCode`, the certificate at fault and a remedy.
            ValueError: `at` is naive.
        """
        if at.tzinfo is None:
            raise ValueError("at must be aware")
        if not presented:
            raise no_certificate()
        if len(presented) > MAX_PRESENTED_CERTIFICATES:
            raise refusal(
                RefusalCode.CHAIN_TOO_LONG,
                presented[0],
                f"came with {len(presented) - 1} others, more than "
                f"{MAX_PRESENTED_CERTIFICATES - 1}",
            )
        ders = [certificate_der(certificate) for certificate in presented]
        key = _cache_key(ders, known)
        remembered = self._cache.get(key)
        if remembered is not None and remembered.since <= at <= remembered.until:
            self._cache.move_to_end(key)
            return remembered.path
        for certificate, der in zip(presented, ders, strict=True):
            check_size(certificate, der)
        try:
            judged = _judge(
                presented,
                ders,
                known,
                self._memory,
                self._cas,
                at.astimezone(UTC) if self._chain_validity else None,
            )
        except PARSE_FAULTS as error:
            raise _unreadable(presented[0], error) from error
        self._remember(key, judged)
        return judged.path

    def verify_pinned(
        self,
        leaf: Certificate,
        *,
        at: datetime,
        thumbprint: str | None = None,
    ) -> None:
        """Return if a certificate that is known by its thumbprint may be used.

        What does not change (size, key, signature hash) is remembered of those accepted; the
        dates are looked at every time.

        Whoever registered the thumbprint meant this very certificate, so its issuer and its
        usages do not matter (the guide registers a CA certificate). The thumbprint is compared
        by the caller.

        Args:
            leaf: The peer's own certificate.
            at: The present; aware.
            thumbprint: The SHA-256 thumbprint of `leaf`, for a caller who has just computed it.

        Raises:
            ChainRefused: ``expired``, ``not-yet-valid``, ``weak-key``, ``weak-signature``,
                ``certificate-too-large``, ``malformed``.
            ValueError: `at` is naive.
        """
        if at.tzinfo is None:
            raise ValueError("at must be aware")
        thumbprint = thumbprint or sha256_thumbprint(leaf)
        validity = self._pinned.get(thumbprint)
        if validity is None:
            check_size(leaf, certificate_der(leaf))
            try:
                check_key(leaf)
                if not is_self_issued(leaf):
                    check_signature_hash(leaf)
                validity = leaf.not_valid_before_utc, leaf.not_valid_after_utc
            except PARSE_FAULTS as error:
                raise _unreadable(leaf, error) from error
            self._pinned[thumbprint] = validity
        self._pinned.move_to_end(thumbprint)
        while len(self._pinned) > self._cache_entries:
            self._pinned.popitem(last=False)
        if self._pinned_validity:
            check_validity_span(leaf, *validity, at)

    def _remember(self, key: bytes, judged: _Remembered) -> None:
        self._cache[key] = judged
        self._cache.move_to_end(key)
        while len(self._cache) > self._cache_entries:
            self._cache.popitem(last=False)


def _cache_key(ders: Sequence[bytes], known: CaSet) -> bytes:
    """Everything that the verdict depends on but time: all that was presented, and the CAs.

    Not the leaf alone: the same leaf without its intermediate must be refused.
    """
    digest = hashlib.sha256(known.generation.encode("ascii"))
    for der in ders:
        # The length in front keeps two certificates from reading like another two.
        digest.update(len(der).to_bytes(4, "big"))
        digest.update(der)
    return digest.digest()


def _judge(
    presented: Sequence[Certificate],
    ders: Sequence[bytes],
    known: CaSet,
    memory: CaMemory,
    cas: _OpenSslCas,
    at: datetime | None,
) -> _Remembered:
    """Judge what was presented; without `at` no dates count.

    Where the leaf can have one issuer only, the signature on it is left to OpenSSL, which
    verifies it anyway. Should OpenSSL refuse, all is looked at once more by signature, so that
    the refusal says what it always says.
    """

    def search(*, leave_leaf_signature: bool) -> PathSearch:
        extras = zip(ders[1:], presented[1:], strict=True)
        return PathSearch(
            presented[0],
            ders[0],
            extras,
            known,
            memory,
            leave_leaf_signature=leave_leaf_signature,
        )

    first = search(leave_leaf_signature=True)
    try:
        return _judge_paths(presented[0], ders[0], first, known, cas, at)
    except ChainRefused:
        if not first.leaf_signature_open:
            raise
    second = search(leave_leaf_signature=False)
    return _judge_paths(presented[0], ders[0], second, known, cas, at)


def _judge_paths(
    leaf: Certificate,
    leaf_der: bytes,
    search: PathSearch,
    known: CaSet,
    cas: _OpenSslCas,
    at: datetime | None,
) -> _Remembered:
    """Judge the ways that `search` found, each whole."""
    leaf_is_known = known.find(leaf_der) is not None
    ways: list[tuple[CaFacts, ...]] = [*search.paths, ()] if leaf_is_known else search.paths
    if not ways:
        raise search.refusal()
    accepted: list[tuple[CaFacts, ...]] = []
    first_refusal: ChainRefused | None = None
    until = _ALWAYS[1]
    for way in ways:
        if any(longer[: len(way)] == way for longer in accepted):
            continue  # part of a way that was accepted whole
        try:
            _check_way(leaf, way, at)
            _ask_openssl(leaf_der, way, at, leaf, cas)
        except ChainRefused as refused:
            if search.leaf_signature_open and not accepted:
                raise  # no more effort for a leaf that perhaps nobody here signed
            first_refusal = first_refusal or refused
            if refused.code == RefusalCode.NOT_YET_VALID:
                until = min(until, _start([leaf, *_certificates(way)]) - CLOCK_SKEW)
        else:
            accepted.append(way)
    if not accepted:
        assert first_refusal is not None
        raise first_refusal
    ends = [_end([leaf, *_certificates(way)]) for way in accepted]
    starts = [_start([leaf, *_certificates(way)]) for way in accepted]
    above = {facts.der: facts.certificate for facts in _nearest_first(accepted)}
    known_above = tuple(
        certificate for der, certificate in above.items() if known.find(der) is not None
    )
    path = VerifiedPath(
        leaf=leaf,
        certificates=(leaf, *_certificates(accepted[0])),
        known=known_above,
        known_thumbprints=tuple(sha256_thumbprint(certificate) for certificate in known_above),
        ways=tuple(
            tuple(facts.certificate for facts in way if known.find(facts.der) is not None)
            for way in accepted
        ),
        leaf_is_known=leaf_is_known,
        not_before=starts[0],
        not_after=ends[0],
    )
    if at is None:
        return _Remembered(path, *_ALWAYS)
    return _Remembered(
        path,
        since=max(starts) - CLOCK_SKEW,
        until=min(until, min(ends) + CLOCK_SKEW),
    )


def _certificates(way: Sequence[CaFacts]) -> tuple[Certificate, ...]:
    return tuple(facts.certificate for facts in way)


def _nearest_first(ways: Sequence[tuple[CaFacts, ...]]) -> list[CaFacts]:
    height = max(len(way) for way in ways)
    return [way[level] for level in range(height) for way in ways if level < len(way)]


def _start(certificates: Sequence[Certificate]) -> datetime:
    return max(certificate.not_valid_before_utc for certificate in certificates)


def _end(certificates: Sequence[Certificate]) -> datetime:
    return min(certificate.not_valid_after_utc for certificate in certificates)


# -- what OpenSSL does not check, or not as we want it ------------------------------------------


def _check_way(leaf: Certificate, way: Sequence[CaFacts], at: datetime | None) -> None:
    """Refuse what is wrong with a way beside its signatures; issuers' own faults were seen."""
    check_key(leaf)
    usage = client_usage_fault(leaf)
    if usage:
        raise refusal(RefusalCode.WRONG_KEY_USAGE, leaf, usage)
    if not way and not is_self_issued(leaf):
        check_signature_hash(leaf)
    for position, facts in enumerate(way):
        # A root's signature on itself proves nothing anyway, so its hash does not matter.
        is_root = position == len(way) - 1 and facts.self_issued
        if facts.signature_weakness and not is_root:
            raise refusal(
                RefusalCode.WEAK_SIGNATURE, facts.certificate, f"has a {facts.signature_weakness}"
            )
    if at is not None:
        for certificate in (leaf, *_certificates(way)):
            check_dates(certificate, at)


def _unreadable(certificate: Certificate, error: Exception) -> ChainRefused:
    return refusal(RefusalCode.MALFORMED, certificate, f"cannot be read ({error})")


# -- OpenSSL --------------------------------------------------------------------------------------


class _OpenSslCas:
    """CA certificates as OpenSSL's own objects; a fleet's are few, and are parsed once."""

    def __init__(self) -> None:
        self._by_der: dict[bytes, crypto.X509] = {}

    def get(self, der: bytes) -> crypto.X509:
        """Return the certificate whose DER is `der`. Raises crypto.Error."""
        found = self._by_der.get(der)
        if found is None:
            found = crypto.load_certificate(crypto.FILETYPE_ASN1, der)
            if len(self._by_der) >= MAX_REMEMBERED_CAS:
                self._by_der.clear()
            self._by_der[der] = found
        return found


def _ask_openssl(
    leaf_der: bytes,
    way: Sequence[CaFacts],
    at: datetime | None,
    leaf: Certificate,
    cas: _OpenSslCas,
) -> None:
    """Have OpenSSL judge exactly this way: its last certificate trusted, the others offered."""
    try:
        converted = [
            crypto.load_certificate(crypto.FILETYPE_ASN1, leaf_der),
            *(cas.get(facts.der) for facts in way),
        ]
        store = crypto.X509Store()
        store.add_cert(converted[-1])
        if at is None:
            store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN | NO_CHECK_TIME)
        else:
            store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
            store.set_time(_common_moment([leaf, *_certificates(way)], at))
        context = crypto.X509StoreContext(store, converted[0], converted[1:-1])
        chain = context.get_verified_chain()
    except crypto.X509StoreContextError as error:
        _clear_error_queue()
        raise _translated(error, [leaf, *_certificates(way)]) from error
    except crypto.Error as error:
        raise _unreadable(leaf, error) from error
    if len(chain) != len(converted):
        # Two CAs of one name and one key: OpenSSL took a shorter way, which is judged by itself.
        raise refusal(RefusalCode.CHAIN_INVALID, leaf, "is connected to the CA by a shorter way")


def _common_moment(certificates: Sequence[Certificate], at: datetime) -> datetime:
    """Return the moment nearest to `at` at which all are valid, if there is one.

    OpenSSL knows no allowance for clocks; `check_dates` has seen that `at` is within ours.
    """
    # RFC 5280 §4.1.2.5 counts the last second as valid; not every release of OpenSSL does
    # (X509_cmp_time).
    last = _end(certificates) - timedelta(seconds=1)
    return min(max(at, _start(certificates)), last)


def _translated(
    error: crypto.X509StoreContextError, certificates: Sequence[Certificate]
) -> ChainRefused:
    number, depth, words = error.errors
    at_fault = certificates[min(depth, len(certificates) - 1)]
    if number == _X509Error.CERT_SIGNATURE_FAILURE:
        # Every signature on this way was seen to be good (`_judge` looks again where the leaf's was
        # left open), so OpenSSL took another certificate of the issuer's name: it goes by names
        # unless key identifiers tell them apart.
        return refusal(
            RefusalCode.AMBIGUOUS_ISSUER,
            at_fault,
            "stands below two CAs of one name that no key identifier tells apart",
        )
    code = _REFUSAL_CODES.get(number, RefusalCode.CHAIN_INVALID)
    return refusal(code, at_fault, f"does not fit into the chain: {words}")


def _clear_error_queue() -> None:
    """Leave nothing in OpenSSL's error queue of this thread.

    The TLS connections of the same thread look there after each step, and would take a left-over
    for a fault of their own and break. Reading garbage fails and takes the whole queue along.
    """
    try:
        crypto.load_certificate(crypto.FILETYPE_ASN1, b"")
    except crypto.Error:
        return
