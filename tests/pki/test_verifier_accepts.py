"""What the verifier accepts, and the path it returns."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.x509 import (
    ANY_USAGE,
    NOW,
    SERVER_AUTH,
    VECTOR_TIME,
    Made,
    key_of,
    make,
    make_ca,
    make_leaf,
    name,
    usage,
    vector,
)

from mooring.pki import verifier as module
from mooring.pki.verifier import CLOCK_SKEW, CaSet, ChainRefused, ChainVerifier


@pytest.fixture
def verifier() -> ChainVerifier:
    return ChainVerifier()


def test_verify_when_leaf_is_below_known_root_returns_both(
    verifier: ChainVerifier, root: Made
) -> None:
    leaf = make_leaf("edge01", root)
    path = verifier.verify([leaf.certificate], CaSet([root.certificate]), at=NOW)
    assert path.leaf == leaf.certificate
    assert path.certificates == (leaf.certificate, root.certificate)
    assert path.known == (root.certificate,)
    assert not path.leaf_is_known


def test_verify_when_intermediate_is_presented_returns_whole_path(
    verifier: ChainVerifier, root: Made, intermediate: Made
) -> None:
    leaf = make_leaf("edge01", intermediate)
    presented = [leaf.certificate, intermediate.certificate]
    path = verifier.verify(presented, CaSet([root.certificate]), at=NOW)
    assert path.certificates == (leaf.certificate, intermediate.certificate, root.certificate)
    assert path.known == (root.certificate,)


def test_verify_when_root_is_presented_too_returns_the_same_path(
    verifier: ChainVerifier, root: Made, intermediate: Made
) -> None:
    leaf = make_leaf("edge01", intermediate)
    presented = [leaf.certificate, intermediate.certificate, root.certificate]
    path = verifier.verify(presented, CaSet([root.certificate]), at=NOW)
    assert path.certificates == tuple(presented)


def test_verify_when_intermediate_is_known_and_root_too_reaches_the_root(
    verifier: ChainVerifier, root: Made, intermediate: Made
) -> None:
    leaf = make_leaf("edge01", intermediate)
    known = CaSet([intermediate.certificate, root.certificate])
    path = verifier.verify([leaf.certificate], known, at=NOW)
    assert path.certificates == (leaf.certificate, intermediate.certificate, root.certificate)
    assert path.known == (intermediate.certificate, root.certificate)
    assert path.ways == (path.known,)


def test_verify_when_only_the_intermediate_is_known_stops_there(
    verifier: ChainVerifier, root: Made, intermediate: Made
) -> None:
    leaf = make_leaf("edge01", intermediate)
    presented = [leaf.certificate, intermediate.certificate, root.certificate]
    path = verifier.verify(presented, CaSet([intermediate.certificate]), at=NOW)
    assert path.certificates == (leaf.certificate, intermediate.certificate)
    assert path.known == (intermediate.certificate,)


def test_verify_when_known_ca_stands_between_presented_ones_reaches_the_top(
    verifier: ChainVerifier,
) -> None:
    top = make_ca("top")
    upper = make_ca("upper", top)
    lower = make_ca("lower", upper)
    leaf = make_leaf("edge01", lower)
    presented = [leaf.certificate, upper.certificate]
    known = CaSet([lower.certificate, top.certificate])
    path = verifier.verify(presented, known, at=NOW)
    assert path.certificates == (
        leaf.certificate,
        lower.certificate,
        upper.certificate,
        top.certificate,
    )
    assert path.known == (lower.certificate, top.certificate)


def test_verify_when_presented_out_of_order_with_junk_ignores_the_junk(
    verifier: ChainVerifier, root: Made, intermediate: Made
) -> None:
    leaf = make_leaf("edge01", intermediate)
    junk = [make_ca("junk").certificate, make_leaf("other", make_ca("elsewhere")).certificate]
    presented = [leaf.certificate, *junk, root.certificate, intermediate.certificate, *junk]
    path = verifier.verify(presented, CaSet([root.certificate]), at=NOW)
    assert path.certificates == (leaf.certificate, intermediate.certificate, root.certificate)


def test_verify_when_leaf_is_presented_twice_accepts(verifier: ChainVerifier, root: Made) -> None:
    leaf = make_leaf("edge01", root)
    presented = [leaf.certificate, leaf.certificate]
    assert verifier.verify(presented, CaSet([root.certificate]), at=NOW).leaf == leaf.certificate


def test_verify_when_leaf_has_nothing_but_a_common_name_accepts(
    verifier: ChainVerifier, root: Made
) -> None:
    leaf = make(name("edge01", None), root)
    path = verifier.verify([leaf.certificate], CaSet([root.certificate]), at=NOW)
    assert len(path.certificates) == 2


@pytest.mark.parametrize("kind", ["rsa2048", "p256", "p384"])
def test_verify_when_ca_and_leaf_are_of_a_usual_kind_accepts(
    verifier: ChainVerifier, kind: str
) -> None:
    ca = make_ca("ca", key=key_of(kind))
    leaf = make_leaf("edge01", ca, key=key_of(kind + "#leaf"))
    assert verifier.verify([leaf.certificate], CaSet([ca.certificate]), at=NOW)


def test_verify_when_leaf_is_version_1_accepts(verifier: ChainVerifier) -> None:
    leaf = vector("v1-leaf.pem")
    assert leaf.version.value == 0
    path = verifier.verify([leaf], CaSet([vector("v1-root.pem")]), at=VECTOR_TIME)
    assert path.certificates == (leaf, vector("v1-root.pem"))


def test_verify_when_root_signed_itself_with_sha1_accepts_what_it_issued(
    verifier: ChainVerifier,
) -> None:
    path = verifier.verify(
        [vector("sha256-leaf.pem")], CaSet([vector("sha1-root.pem")]), at=VECTOR_TIME
    )
    assert path.known == (vector("sha1-root.pem"),)


def test_verify_when_leaf_says_it_is_a_ca_accepts(verifier: ChainVerifier, root: Made) -> None:
    leaf = make_ca("edge01", root, key_usage=usage("digital_signature", "key_cert_sign"))
    path = verifier.verify([leaf.certificate], CaSet([root.certificate]), at=NOW)
    assert not path.leaf_is_known


def test_verify_when_leaf_allows_any_extended_usage_accepts(
    verifier: ChainVerifier, root: Made
) -> None:
    leaf = make_leaf("edge01", root, usages=[ANY_USAGE])
    assert verifier.verify([leaf.certificate], CaSet([root.certificate]), at=NOW)


def test_verify_when_known_root_presents_itself_says_so_and_lists_no_ca_above(
    verifier: ChainVerifier,
) -> None:
    ca = make_ca("edge01", key_usage=None)
    path = verifier.verify([ca.certificate], CaSet([ca.certificate]), at=NOW)
    assert path.leaf_is_known
    assert path.certificates == (ca.certificate,)
    assert path.known == ()


def test_verify_when_known_intermediate_presents_itself_lists_the_root_only(
    verifier: ChainVerifier, root: Made
) -> None:
    ca = make_ca("edge01", root, key_usage=None)
    known = CaSet([ca.certificate, root.certificate])
    path = verifier.verify([ca.certificate], known, at=NOW)
    assert path.leaf_is_known
    assert path.known == (root.certificate,)


# -- CAs of one name ----------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_verify_when_two_known_cas_have_one_name_accepts_leaves_of_both(
    verifier: ChainVerifier, order: tuple[int, int]
) -> None:
    cas = [make_ca("ca"), make_ca("ca")]
    known = CaSet([cas[index].certificate for index in order])
    for ca in cas:
        leaf = make_leaf("edge01", ca)
        path = verifier.verify([leaf.certificate], known, at=NOW)
        assert path.known == (ca.certificate,)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_verify_when_presented_intermediate_has_a_namesake_uses_the_one_that_signed(
    verifier: ChainVerifier, root: Made, order: tuple[int, int]
) -> None:
    namesakes = [make_ca("intermediate", root), make_ca("intermediate", root)]
    leaf = make_leaf("edge01", namesakes[0])
    presented = [leaf.certificate, *(namesakes[index].certificate for index in order)]
    path = verifier.verify(presented, CaSet([root.certificate]), at=NOW)
    assert path.certificates[1] == namesakes[0].certificate


def test_verify_when_many_known_cas_have_one_name_finds_the_one(verifier: ChainVerifier) -> None:
    cas = [make_ca("ca") for _ in range(25)]
    leaf = make_leaf("edge01", cas[-1])
    path = verifier.verify([leaf.certificate], CaSet([ca.certificate for ca in cas]), at=NOW)
    assert path.known == (cas[-1].certificate,)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_verify_when_root_was_reissued_with_its_key_lists_both(
    verifier: ChainVerifier, order: tuple[int, int]
) -> None:
    old = make_ca("root", key=key_of("p256#rolled"))
    new = make_ca("root", key=key_of("p256#rolled"), end=NOW + timedelta(days=99))
    leaf = make_leaf("edge01", old)
    known = CaSet([(old, new)[index].certificate for index in order])
    path = verifier.verify([leaf.certificate], known, at=NOW)
    assert set(path.known) == {old.certificate, new.certificate}
    assert len(path.certificates) == 2


def test_verify_when_reissued_root_replaced_an_expired_one_lists_the_valid_one(
    verifier: ChainVerifier,
) -> None:
    old = make_ca("root", key=key_of("p256#rolled"), end=NOW - timedelta(hours=1))
    new = make_ca("root", key=key_of("p256#rolled"))
    leaf = make_leaf("edge01", old)
    path = verifier.verify([leaf.certificate], CaSet([old.certificate, new.certificate]), at=NOW)
    assert path.known == (new.certificate,)


def test_verify_when_intermediate_is_cross_signed_lists_both_roots(
    verifier: ChainVerifier,
) -> None:
    first, second = make_ca("first"), make_ca("second")
    key = key_of("p256#crossed")
    crossed = [make_ca("crossed", ca, key=key) for ca in (first, second)]
    leaf = make_leaf("edge01", crossed[0])
    presented = [leaf.certificate, *(ca.certificate for ca in crossed)]
    known = CaSet([first.certificate, second.certificate])
    path = verifier.verify(presented, known, at=NOW)
    assert set(path.known) == {first.certificate, second.certificate}
    assert set(path.ways) == {(first.certificate,), (second.certificate,)}
    assert path.ways[0] == path.certificates[2:]
    assert len(path.certificates) == 3


def test_verify_when_known_root_above_known_intermediate_is_expired_stops_below_it(
    verifier: ChainVerifier,
) -> None:
    expired = make_ca("root", end=NOW - timedelta(hours=1))
    ca = make_ca("intermediate", expired)
    leaf = make_leaf("edge01", ca)
    known = CaSet([expired.certificate, ca.certificate])
    path = verifier.verify([leaf.certificate], known, at=NOW)
    assert path.certificates == (leaf.certificate, ca.certificate)
    assert path.known == (ca.certificate,)


def test_verify_when_intermediate_and_root_share_name_and_key_accepts(
    verifier: ChainVerifier, root: Made
) -> None:
    # A self-issued link certificate: OpenSSL itself takes the shorter way past it.
    old = make_ca("root", key=key_of("p256#link"))
    link = make_ca("root", root, key=key_of("p256#link"), issuer_name=root.certificate.subject)
    leaf = make_leaf("edge01", old)
    presented = [leaf.certificate, link.certificate]
    path = verifier.verify(presented, CaSet([root.certificate, old.certificate]), at=NOW)
    assert old.certificate in path.known


def test_verify_when_two_cas_vouch_for_each_other_goes_round_once(
    verifier: ChainVerifier,
) -> None:
    keys = [key_of("p256#round1"), key_of("p256#round2")]
    first = make_ca("first", key=keys[0], signer=keys[1], issuer_name=name("second"))
    second = make_ca("second", key=keys[1], signer=keys[0], issuer_name=name("first"))
    leaf = make_leaf("edge01", first)
    presented = [leaf.certificate, first.certificate]
    path = verifier.verify(presented, CaSet([second.certificate]), at=NOW)
    assert path.certificates == (leaf.certificate, first.certificate, second.certificate)


def test_verify_when_chain_is_known_as_a_whole_asks_openssl_once(
    verifier: ChainVerifier, root: Made, intermediate: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    genuine = module._ask_openssl
    monkeypatch.setattr(module, "_ask_openssl", lambda *all_: (asked.append(all_), genuine(*all_)))
    leaf = make_leaf("edge01", intermediate)
    known = CaSet([root.certificate, intermediate.certificate])
    verifier.verify([leaf.certificate], known, at=NOW)
    assert len(asked) == 1


# -- time ---------------------------------------------------------------------------------------


def test_verify_when_valid_states_latest_start_and_earliest_end(
    verifier: ChainVerifier, root: Made
) -> None:
    start, end = NOW - timedelta(hours=3), NOW + timedelta(hours=5)
    leaf = make_leaf("edge01", root, start=start, end=end)
    path = verifier.verify([leaf.certificate], CaSet([root.certificate]), at=NOW)
    assert (path.not_before, path.not_after) == (start, end)


@pytest.mark.parametrize(
    "offset",
    [-CLOCK_SKEW, -timedelta(seconds=1), timedelta(0), timedelta(microseconds=500_000)],
)
def test_verify_when_start_is_within_the_allowance_accepts(
    verifier: ChainVerifier, root: Made, offset: timedelta
) -> None:
    leaf = make_leaf("edge01", root, start=NOW)
    assert verifier.verify([leaf.certificate], CaSet([root.certificate]), at=NOW + offset)


@pytest.mark.parametrize(
    "offset",
    [CLOCK_SKEW, timedelta(seconds=1), timedelta(0), -timedelta(microseconds=500_000)],
)
def test_verify_when_end_is_within_the_allowance_accepts(
    verifier: ChainVerifier, root: Made, offset: timedelta
) -> None:
    leaf = make_leaf("edge01", root, end=NOW)
    assert verifier.verify([leaf.certificate], CaSet([root.certificate]), at=NOW + offset)


def test_verify_when_ca_ended_within_the_allowance_accepts(verifier: ChainVerifier) -> None:
    ca = make_ca("ca", end=NOW - timedelta(minutes=4))
    leaf = make_leaf("edge01", ca)
    assert verifier.verify([leaf.certificate], CaSet([ca.certificate]), at=NOW)


def test_verify_when_time_is_naive_is_an_error(verifier: ChainVerifier, root: Made) -> None:
    leaf = make_leaf("edge01", root)
    with pytest.raises(ValueError, match="aware"):
        verifier.verify([leaf.certificate], CaSet([root.certificate]), at=NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="aware"):
        verifier.verify_pinned(leaf.certificate, at=NOW.replace(tzinfo=None))


# -- pinned -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "leaf",
    [
        make_leaf("edge01"),
        make_ca("edge01"),
        make_leaf("edge01", usages=[SERVER_AUTH], key_usage=usage("key_agreement")),
        make_leaf("edge01", make_ca("nobody-knows")),
    ],
    ids=["self-signed", "ca", "odd-usage", "issued"],
)
def test_verify_pinned_when_usages_or_issuer_would_not_do_accepts(
    verifier: ChainVerifier, leaf: Made
) -> None:
    verifier.verify_pinned(leaf.certificate, at=NOW)


def test_verify_pinned_when_version_1_or_self_signed_with_sha1_accepts(
    verifier: ChainVerifier,
) -> None:
    verifier.verify_pinned(vector("v1-leaf.pem"), at=VECTOR_TIME)
    verifier.verify_pinned(vector("sha1-root.pem"), at=VECTOR_TIME)


def test_verify_pinned_when_validity_is_switched_off_accepts_expired(
    verifier: ChainVerifier,
) -> None:
    leaf = make_leaf("edge01", end=NOW - timedelta(hours=1))
    with pytest.raises(ChainRefused) as refused:
        verifier.verify_pinned(leaf.certificate, at=NOW)
    assert refused.value.code == "expired"
    ChainVerifier(pinned_validity=False).verify_pinned(leaf.certificate, at=NOW)
    with pytest.raises(ChainRefused):
        ChainVerifier(chain_validity=False).verify_pinned(leaf.certificate, at=NOW)


def test_verify_when_validity_is_switched_off_accepts_expired_and_early_chains() -> None:
    verifier = ChainVerifier(chain_validity=False)
    ended, early = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
    root = make_ca("quay root", end=ended)
    middle = make_ca("quay line a", root, start=early)
    leaf = make_leaf("edge01", middle, end=ended)
    presented, known = [leaf.certificate, middle.certificate], CaSet([root.certificate])

    for _ in range(2):  # judged, then remembered
        path = verifier.verify(presented, known, at=NOW)
        assert path.certificates == (*presented, root.certificate)
    for strict in (ChainVerifier(), ChainVerifier(pinned_validity=False)):
        with pytest.raises(ChainRefused) as refused:
            strict.verify(presented, known, at=NOW)
        assert refused.value.code in {"expired", "not-yet-valid"}


def test_verify_when_validity_is_switched_off_still_refuses_what_else_is_wrong(
    root: Made,
) -> None:
    verifier = ChainVerifier(chain_validity=False)
    leaf = make_leaf("edge01", root, end=NOW - timedelta(hours=1))
    below = make_leaf("edge02", leaf)
    stranger = make_leaf("edge03", make_ca("quay root"))

    for presented in ([below.certificate, leaf.certificate], [stranger.certificate]):
        with pytest.raises(ChainRefused) as refused:
            verifier.verify(presented, CaSet([root.certificate]), at=NOW)
        assert refused.value.code in {"issuer-not-ca", "bad-signature", "unknown-ca"}


def test_verify_pinned_when_remembered_looks_at_the_dates_every_time(
    verifier: ChainVerifier,
) -> None:
    leaf = make_leaf("edge01").certificate
    verifier.verify_pinned(leaf, at=NOW)

    with pytest.raises(ChainRefused) as ended:
        verifier.verify_pinned(leaf, at=leaf.not_valid_after_utc + timedelta(minutes=6))
    with pytest.raises(ChainRefused) as early:
        verifier.verify_pinned(leaf, at=leaf.not_valid_before_utc - timedelta(minutes=6))

    assert (ended.value.code, early.value.code) == ("expired", "not-yet-valid")
    verifier.verify_pinned(leaf, at=NOW)


def test_verify_pinned_when_many_devices_connect_remembers_no_more_than_it_may() -> None:
    verifier = ChainVerifier(cache_entries=2)
    for number in range(4):
        verifier.verify_pinned(make_leaf(f"edge{number}").certificate, at=NOW)

    assert len(verifier._pinned) == 2
