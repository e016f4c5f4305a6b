"""Limits as values, and the counting of connections and handshakes."""

from __future__ import annotations

import resource

import pytest

from mooring.transport import file_limit
from mooring.transport.admission import Admission, ListenerCounters, Turn, network_of
from mooring.transport.file_limit import raise_file_limit
from mooring.transport.limits import ListenerLimits

HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_connections": 0}, "max_connections must be above 0, not 0"),
        ({"handshake_timeout_s": -1.0}, "handshake_timeout_s must be above 0, not -1.0"),
        ({"max_handshakes_waiting": -1}, "max_handshakes_waiting must not be negative"),
        ({"write_limit_bytes": 10}, r"write_limit_bytes \(10\) is below"),
    ],
)
def test_limits_when_contradictory_are_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ListenerLimits(**options)


def test_limits_when_nothing_may_wait_are_accepted() -> None:
    limits = ListenerLimits(max_handshakes_in_flight=1, max_handshakes_waiting=0)
    admission = Admission(limits, ListenerCounters())
    assert admission.begin_handshake(lambda: None, HERE) is Turn.NOW
    assert admission.begin_handshake(lambda: None, HERE) is Turn.REFUSED


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_network_when_address_is_ipv6_is_its_64(address: str, network: str) -> None:
    assert network_of(address) == network


def test_admission_when_network_is_shared_counts_its_addresses_together() -> None:
    counters = ListenerCounters()
    admission = Admission(ListenerLimits(max_connections_per_address=2), counters)
    assert admission.admit("2001:db8::1") is None
    assert admission.admit("2001:db8::2") is None
    assert admission.admit("2001:db8::3") == "2001:db8::/64 already has 2 connections"
    assert admission.admit("2001:db8:0:1::1") is None
    admission.dismiss("2001:db8::1")
    assert admission.admit("2001:db8::3") is None
    assert counters.open_connections == 3
    assert counters.accepted == 5
    assert counters.refused_by_address_limit == 1


def test_admission_when_handshakes_end_takes_the_longest_waiting_first() -> None:
    started: list[str] = []
    admission = Admission(ListenerLimits(max_handshakes_in_flight=1), ListenerCounters())
    assert admission.begin_handshake(lambda: started.append("a"), HERE) is Turn.NOW
    assert admission.begin_handshake(lambda: started.append("b"), HERE) is Turn.WAIT
    assert admission.begin_handshake(lambda: started.append("c"), HERE) is Turn.WAIT
    admission.end_handshake(HERE)
    assert started == ["b"]
    admission.end_handshake(HERE)
    admission.end_handshake(HERE)
    assert started == ["b", "c"]
    assert admission.begin_handshake(lambda: None, HERE) is Turn.NOW


def test_admission_when_one_address_stalls_its_handshakes_lets_others_pass() -> None:
    started: list[str] = []
    admission = Admission(
        ListenerLimits(max_handshakes_in_flight=3, max_handshakes_per_address=2),
        ListenerCounters(),
    )
    for _ in range(2):
        assert admission.begin_handshake(lambda: None, HERE) is Turn.NOW
    assert admission.begin_handshake(lambda: started.append("stalled"), HERE) is Turn.WAIT
    assert admission.begin_handshake(lambda: None, THERE) is Turn.NOW
    assert admission.begin_handshake(lambda: started.append("other"), THERE) is Turn.WAIT
    # The longest waiting is of the address that has its share: it is passed over.
    admission.end_handshake(THERE)
    assert started == ["other"]
    admission.end_handshake(HERE)
    assert started == ["other", "stalled"]


def test_raise_file_limit_when_system_permits_reaches_the_hard_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, both: limits.append(both))
    assert raise_file_limit() == 4096
    assert limits == [(1024, 4096), (4096, 4096)]
    assert raise_file_limit() == 4096
    assert len(limits) == 2


def test_raise_file_limit_when_system_forbids_keeps_the_soft_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbid(which: int, both: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", forbid)
    assert raise_file_limit() == 1024


def test_reserved_files_when_few_are_left_are_not_all() -> None:
    assert 0 < file_limit.RESERVED_FILES < 1024
