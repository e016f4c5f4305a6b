"""Dialling a host that has several addresses."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest
from tests.support.tlspeers import WAIT_S

from mooring.transport import dialling
from mooring.transport.dialling import MAX_ADDRESSES, Endpoint, dial, order_addresses
from mooring.transport.errors import (
    ConnectError,
    ConnectionRefused,
    ConnectTimeout,
    HostUnreachable,
    TcpFailed,
)


def v4(last: int, port: int = 8883) -> Endpoint:
    return Endpoint(socket.AF_INET, (f"192.0.2.{last}", port))


def v6(last: int, port: int = 8883) -> Endpoint:
    return Endpoint(socket.AF_INET6, (f"2001:db8::{last}", port, 0, 0))


class Network:
    """Answers dials by a plan: an error number, a delay in seconds, or an event to wait for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, plan: dict[Endpoint, object]) -> None:
        self.dialled: list[Endpoint] = []
        self.sockets: list[socket.socket] = []
        self._plan = plan
        monkeypatch.setattr(dialling, "_connect", self._connect)

    async def _connect(self, endpoint: Endpoint) -> socket.socket:
        self.dialled.append(endpoint)
        answer = self._plan[endpoint]
        if isinstance(answer, float):
            await asyncio.sleep(answer)
        elif isinstance(answer, int):
            raise OSError(answer, "asyncio's own words")
        elif isinstance(answer, Exception):
            raise answer
        self.sockets.append(socket.socket())
        return self.sockets[-1]


async def failure(endpoints: list[Endpoint], within_s: float = WAIT_S) -> ConnectError:
    """Dial, and return the error that this must give."""
    with pytest.raises(ConnectError) as error:
        await dial(endpoints, host="hub.example", within_s=within_s)
    assert error.value.stage == "tcp"
    assert "hub.example" in error.value.message
    return error.value


def test_order_when_families_are_mixed_alternates_from_the_first() -> None:
    found = [v6(1), v6(2), v6(1), v4(1), v4(2), v4(3)]
    assert order_addresses(found) == [v6(1), v4(1), v6(2), v4(2), v4(3)]
    assert order_addresses([v4(1)]) == [v4(1)]
    assert len(order_addresses(v4(n) for n in range(100))) == MAX_ADDRESSES


def test_endpoint_when_shown_has_ipv6_in_brackets() -> None:
    assert str(v4(1)) == "192.0.2.1:8883"
    assert str(v6(1)) == "[2001:db8::1]:8883"


async def test_dial_when_first_fails_takes_the_next_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialling, "HEAD_START_S", WAIT_S)
    network = Network(monkeypatch, {v6(1): errno.ENETUNREACH, v4(1): 0.0})
    connected, endpoint = await dial([v6(1), v4(1)], host="hub.example", within_s=WAIT_S)
    assert endpoint == v4(1)
    assert network.dialled == [v6(1), v4(1)]
    connected.close()


async def test_dial_when_first_is_slow_starts_the_next_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialling, "HEAD_START_S", 0.01)
    network = Network(monkeypatch, {v6(1): WAIT_S, v4(1): 0.0})
    connected, endpoint = await dial([v6(1), v4(1)], host="hub.example", within_s=WAIT_S)
    assert endpoint == v4(1)
    assert network.dialled == [v6(1), v4(1)]
    connected.close()


async def test_dial_when_two_answer_together_closes_the_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialling, "HEAD_START_S", 0.0)
    network = Network(monkeypatch, {v6(1): 0.05, v4(1): 0.05})
    connected, _ = await dial([v6(1), v4(1)], host="hub.example", within_s=WAIT_S)
    open_sockets = [each for each in network.sockets if each.fileno() != -1]
    assert open_sockets == [connected]
    connected.close()


async def test_dial_when_nobody_listens_anywhere_lists_each_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Network(monkeypatch, {v6(1): errno.ENETUNREACH, v4(1): errno.ECONNREFUSED})
    error = await failure([v6(1), v4(1)])
    assert isinstance(error, ConnectionRefused)
    assert "[2001:db8::1]:8883: network is unreachable" in error.message
    assert "192.0.2.1:8883: connection refused" in error.message


async def test_dial_when_no_route_leads_there_is_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Network(monkeypatch, {v6(1): errno.ENETUNREACH, v4(1): errno.EHOSTUNREACH})
    error = await failure([v6(1), v4(1)])
    assert isinstance(error, HostUnreachable)
    assert error.code == "host-unreachable"


async def test_dial_when_nothing_comes_back_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "HEAD_START_S", 0.01)
    Network(monkeypatch, {v4(1): WAIT_S, v4(2): errno.EHOSTUNREACH})
    error = await failure([v4(1), v4(2)], within_s=0.1)
    assert isinstance(error, ConnectTimeout)
    assert "within 0.1 s" in error.message
    assert "192.0.2.1:8883: no answer" in error.message
    Network(monkeypatch, {v4(1): errno.ETIMEDOUT})
    assert isinstance(await failure([v4(1)]), ConnectTimeout)


async def test_dial_when_system_refuses_otherwise_shows_its_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Network(monkeypatch, {v4(1): errno.EPERM})
    error = await failure([v4(1)])
    assert isinstance(error, TcpFailed)
    assert "operation not permitted" in error.message
    Network(monkeypatch, {v4(1): OSError("without a number")})
    assert "without a number" in (await failure([v4(1)])).message


async def test_dial_when_the_fault_is_ours_does_not_hide_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Network(monkeypatch, {v4(1): RuntimeError("a mistake")})
    with pytest.raises(RuntimeError, match="a mistake"):
        await dial([v4(1)], host="hub.example", within_s=WAIT_S)
