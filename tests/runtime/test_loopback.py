"""Lending loopback addresses: alone, free, and given back."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from mooring.runtime import loopback
from mooring.runtime.loopback import NoAddressFree, lend_loopback_address


@pytest.fixture
def one_address(monkeypatch: pytest.MonkeyPatch) -> str:
    """Leave one address to be lent."""
    monkeypatch.setattr(loopback.random, "randint", lambda low, high: low)
    return "127.1.0.2"


def test_lent_addresses_are_different_and_their_ports_free() -> None:
    with ExitStack() as stack:
        lent = [stack.enter_context(lend_loopback_address()) for _ in range(20)]
        assert len(set(lent)) == 20
        for address in lent:
            assert address.startswith("127.")
            socket.create_server((address, 8883)).close()


def test_address_that_is_lent_already_is_not_lent_again(one_address: str) -> None:
    with lend_loopback_address() as address:
        assert address == one_address
        with pytest.raises(NoAddressFree), lend_loopback_address():
            pass
    with lend_loopback_address() as again:
        assert again == one_address


def test_address_lent_by_a_process_that_was_killed_is_free_again(one_address: str) -> None:
    program = (
        "import sys, time\n"
        "from mooring.runtime import loopback\n"
        "loopback.random.randint = lambda low, high: low\n"
        "with loopback.lend_loopback_address() as address:\n"
        "    print(address, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline().decode().strip() == one_address
        with pytest.raises(NoAddressFree), lend_loopback_address():
            pass
        other.kill()
    with lend_loopback_address() as address:
        assert address == one_address


def test_address_whose_port_is_taken_is_refused_naming_the_port(one_address: str) -> None:
    with (
        socket.create_server((one_address, 8081)),
        pytest.raises(NoAddressFree) as caught,
        lend_loopback_address(),
    ):
        pass

    assert "port 8081 is in use" in caught.value.message
    assert "0.0.0.0" in caught.value.remedy


def test_address_whose_port_is_taken_by_a_program_that_we_do_not_need_is_lent(
    one_address: str,
) -> None:
    with socket.create_server((one_address, 8081)), lend_loopback_address((8883,)) as address:
        assert address == one_address


def test_port_that_this_user_may_not_bind_does_not_count_as_taken(
    one_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.socket.bind

    def bind(self: socket.socket, address: tuple[str, int]) -> None:
        if address[1] < 1024:
            raise PermissionError(13, "Permission denied")
        real(self, address)

    monkeypatch.setattr(socket.socket, "bind", bind)
    with lend_loopback_address() as address:
        assert address == one_address


def test_machine_without_such_addresses_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bind(self: socket.socket, address: tuple[str, int]) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(NoAddressFree) as caught, lend_loopback_address():
        pass

    assert "not an address of this machine" in caught.value.message
    assert "macOS" in caught.value.remedy
