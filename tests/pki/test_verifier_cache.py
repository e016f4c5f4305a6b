"""The verifier's memory of who was accepted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from tests.support.x509 import NOW, Made, key_of, make_ca, make_leaf, with_broken_signature

from mooring.pki import chainpaths
from mooring.pki import verifier as module
from mooring.pki.verifier import CLOCK_SKEW, CaSet, ChainRefused, ChainVerifier

SECOND = timedelta(seconds=1)


class Counter:
    """Counts how often a chain is judged anew."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.judged = 0
        genuine = module._judge

        def counted(*arguments: object) -> object:
            self.judged += 1
            return genuine(*arguments)  # type: ignore[arg-type]  # passed on as they came

        monkeypatch.setattr(module, "_judge", counted)


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    return Counter(monkeypatch)


def test_verify_when_presented_again_is_not_judged_again(root: Made, counter: Counter) -> None:
    leaf = make_leaf("edge01", root)
    verifier = ChainVerifier()
    known = CaSet([root.certificate])
    first = verifier.verify([leaf.certificate], known, at=NOW)
    again = verifier.verify([leaf.certificate], CaSet([root.certificate]), at=NOW + SECOND)
    assert again is first
    assert counter.judged == 1


def test_verify_when_intermediate_is_left_out_after_full_chain_refuses(
    root: Made, intermediate: Made
) -> None:
    leaf = make_leaf("edge01", intermediate)
    verifier = ChainVerifier()
    known = CaSet([root.certificate])
    verifier.verify([leaf.certificate, intermediate.certificate], known, at=NOW)
    with pytest.raises(ChainRefused) as refused:
        verifier.verify([leaf.certificate], known, at=NOW)
    assert refused.value.code == "unknown-ca"


def test_verify_when_ca_is_gone_refuses(root: Made) -> None:
    leaf = make_leaf("edge01", root)
    verifier = ChainVerifier()
    verifier.verify([leaf.certificate], CaSet([root.certificate]), at=NOW)
    with pytest.raises(ChainRefused):
        verifier.verify([leaf.certificate], CaSet([]), at=NOW)


def test_verify_when_root_becomes_known_reaches_it(root: Made, intermediate: Made) -> None:
    leaf = make_leaf("edge01", intermediate)
    verifier = ChainVerifier()
    below = verifier.verify([leaf.certificate], CaSet([intermediate.certificate]), at=NOW)
    assert len(below.certificates) == 2
    both = CaSet([intermediate.certificate, root.certificate])
    assert len(verifier.verify([leaf.certificate], both, at=NOW).certificates) == 3


def test_verify_when_time_passes_the_end_refuses(root: Made) -> None:
    leaf = make_leaf("edge01", root, end=NOW + timedelta(hours=1))
    verifier = ChainVerifier()
    known = CaSet([root.certificate])
    verifier.verify([leaf.certificate], known, at=NOW)
    last = NOW + timedelta(hours=1) + CLOCK_SKEW
    verifier.verify([leaf.certificate], known, at=last)
    with pytest.raises(ChainRefused) as refused:
        verifier.verify([leaf.certificate], known, at=last + SECOND)
    assert refused.value.code == "expired"


def test_verify_when_ca_passes_its_end_refuses() -> None:
    ca = make_ca("ca", end=NOW + timedelta(hours=1))
    leaf = make_leaf("edge01", ca)
    verifier = ChainVerifier()
    known = CaSet([ca.certificate])
    verifier.verify([leaf.certificate], known, at=NOW)
    with pytest.raises(ChainRefused) as refused:
        verifier.verify([leaf.certificate], known, at=NOW + timedelta(hours=2))
    assert refused.value.code == "expired"


def test_verify_when_clock_goes_back_before_the_start_refuses(root: Made) -> None:
    leaf = make_leaf("edge01", root, start=NOW)
    verifier = ChainVerifier()
    known = CaSet([root.certificate])
    verifier.verify([leaf.certificate], known, at=NOW)
    with pytest.raises(ChainRefused) as refused:
        verifier.verify([leaf.certificate], known, at=NOW - CLOCK_SKEW - SECOND)
    assert refused.value.code == "not-yet-valid"


def test_verify_when_refused_before_is_judged_again(root: Made, counter: Counter) -> None:
    leaf = make_leaf("edge01", root)
    verifier = ChainVerifier()
    for _ in range(2):
        with pytest.raises(ChainRefused):
            verifier.verify([leaf.certificate], CaSet([]), at=NOW)
    assert counter.judged == 2


def test_verify_when_one_of_two_ways_ends_is_judged_again(counter: Counter) -> None:
    key = key_of("p256#rolled")
    old = make_ca("root", key=key, end=NOW + timedelta(hours=1))
    new = make_ca("root", key=key)
    leaf = make_leaf("edge01", old)
    verifier = ChainVerifier()
    known = CaSet([old.certificate, new.certificate])
    assert len(verifier.verify([leaf.certificate], known, at=NOW).known) == 2
    later = verifier.verify([leaf.certificate], known, at=NOW + timedelta(hours=2))
    assert later.known == (new.certificate,)
    assert counter.judged == 2


def test_verify_when_another_way_begins_is_judged_again(counter: Counter) -> None:
    key = key_of("p256#rolled")
    old = make_ca("root", key=key)
    new = make_ca("root", key=key, start=NOW + timedelta(hours=1))
    leaf = make_leaf("edge01", old)
    verifier = ChainVerifier()
    known = CaSet([old.certificate, new.certificate])
    assert verifier.verify([leaf.certificate], known, at=NOW).known == (old.certificate,)
    later = verifier.verify([leaf.certificate], known, at=NOW + timedelta(hours=2))
    assert len(later.known) == 2
    assert counter.judged == 2


def test_verify_when_memory_is_full_forgets_the_least_recent(root: Made, counter: Counter) -> None:
    verifier = ChainVerifier(cache_entries=2)
    known = CaSet([root.certificate])
    first, second, third = ([make_leaf(f"edge{n}", root).certificate] for n in range(3))
    verifier.verify(first, known, at=NOW)
    verifier.verify(second, known, at=NOW)
    verifier.verify(first, known, at=NOW)
    verifier.verify(third, known, at=NOW)
    assert counter.judged == 3
    verifier.verify(first, known, at=NOW)
    assert counter.judged == 3
    verifier.verify(second, known, at=NOW)
    assert counter.judged == 4
    assert len(verifier._cache) == 2


def test_verify_when_memory_is_switched_off_judges_each_time(root: Made, counter: Counter) -> None:
    verifier = ChainVerifier(cache_entries=0)
    leaf = make_leaf("edge01", root)
    for _ in range(2):
        verifier.verify([leaf.certificate], CaSet([root.certificate]), at=NOW)
    assert counter.judged == 2


def test_verify_when_strangers_fill_the_memory_of_cas_stays_bounded(
    root: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.pki.chainpaths.MAX_REMEMBERED_CAS", 3)
    monkeypatch.setattr("mooring.pki.verifier.MAX_REMEMBERED_CAS", 3)
    verifier = ChainVerifier()
    known = CaSet([root.certificate])
    for number in range(5):
        ca = make_ca(f"ca{number}", root)
        leaf = make_leaf("edge01", ca)
        verifier.verify([leaf.certificate, ca.certificate], known, at=NOW)
    assert len(verifier._memory._facts) <= 3
    assert len(verifier._memory._signed) <= 3
    assert len(verifier._cas._by_der) <= 3


def test_verify_when_another_device_has_the_same_intermediate_checks_its_own_signature_only(
    root: Made, intermediate: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = ChainVerifier()
    known = CaSet([root.certificate])
    first, second = (make_leaf(f"edge{n}", intermediate).certificate for n in range(2))
    verifier.verify([first, intermediate.certificate], known, at=NOW)
    checked: list[object] = []
    genuine = chainpaths.has_signed

    def counted(parent: x509.Certificate, child: x509.Certificate) -> bool:
        checked.append(child)
        return genuine(parent, child)

    monkeypatch.setattr(chainpaths, "has_signed", counted)
    verifier.verify([second, intermediate.certificate], known, at=NOW)
    assert checked == []  # OpenSSL does it
    broken = with_broken_signature(second)
    with pytest.raises(ChainRefused) as refused:
        verifier.verify([broken, intermediate.certificate], known, at=NOW)
    assert refused.value.code == "bad-signature"
    assert checked == [broken]  # to say what is wrong with it


def test_verify_when_two_cas_of_one_name_are_known_finds_the_one_that_signed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verifier = ChainVerifier()
    older, newer = make_ca("plant"), make_ca("plant")
    leaf = make_leaf("edge01", newer).certificate
    asked: list[x509.Certificate] = []
    genuine = chainpaths.has_signed

    def counted(parent: x509.Certificate, child: x509.Certificate) -> bool:
        asked.append(parent)
        return genuine(parent, child)

    known = CaSet([older.certificate, newer.certificate])
    monkeypatch.setattr(chainpaths, "has_signed", counted)
    path = verifier.verify([leaf], known, at=NOW)
    assert path.certificates == (leaf, newer.certificate)
    assert asked == [older.certificate, newer.certificate]


# -- sets of known CAs --------------------------------------------------------------------------


def test_ca_set_generation_when_order_or_doubles_differ_is_the_same() -> None:
    first, second = make_ca("first").certificate, make_ca("second").certificate
    assert CaSet([first, second]).generation == CaSet([second, first, first]).generation
    assert CaSet([first]).generation != CaSet([second]).generation
    assert CaSet([first]).generation != CaSet([]).generation


def test_ca_set_when_asked_tells_its_members() -> None:
    first, second = make_ca("first").certificate, make_ca("second").certificate
    known = CaSet([first, first])
    assert len(known) == 1
    assert list(known) == [first]
    assert first in known
    assert second not in known
    assert "first" not in known
    assert known.thumbprints == {first.fingerprint(first.signature_hash_algorithm).hex().upper()}
