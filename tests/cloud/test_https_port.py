"""Which port HTTPS gets, and what is said where it is not 443."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mooring.cloud.application import CloudApplication
from mooring.cloud.errors import AddressUnavailable, PortNotPermitted
from mooring.cloud.settings import CloudSettings
from mooring.runtime.loopback import lend_loopback_address

GRANT = "sudo sysctl -w net.ipv4.ip_unprivileged_port_start=443"


@pytest.fixture
def address() -> Iterator[str]:
    """Lend an address on which neither 443 nor 9443 is taken."""
    with lend_loopback_address([443, 9443]) as lent:
        yield lent


@pytest.fixture
def not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system refuse ports below 1024, whoever runs the tests."""
    real = socket.socket.bind

    def bind(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and 0 < address[1] < 1024:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        real(self, address)

    monkeypatch.setattr(socket.socket, "bind", bind)


def settings(state: Path, address: str, **given: object) -> CloudSettings:
    """Return settings with free ports for all but HTTPS."""
    ports = {"mqtt_port": 0, "admin_port": 0}
    return CloudSettings(**{"state_dir": state, "bind": (address,), **ports, **given})


@pytest.mark.usefixtures("not_permitted")
async def test_default_where_443_is_not_permitted_is_9443_and_says_so(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[dict[str, Any]] = []

    def warning(event: str, **facts: Any) -> None:
        said.append({"event": event, **facts})

    # Not by what reaches standard error: a logger goes on writing to the one it first wrote to,
    # and with a test before this one that was another's.
    monkeypatch.setattr("mooring.cloud.https_port._log", SimpleNamespace(warning=warning))
    cloud = await CloudApplication.start(settings(tmp_path, address))
    try:
        facts = await cloud.information(True)
        socket.create_connection((address, 9443)).close()
    finally:
        await cloud.close()

    assert facts["ports"]["https"] == 9443
    assert facts["service_url"] == f"https://{address}:9443"
    assert facts["dps_connection_string"].startswith(f"HostName={address}:9443;")
    fallback = facts["https_fallback"]
    assert "9443" in fallback["cause"]
    assert GRANT in fallback["remedy"]
    assert any("azure-iot-device (Python)" in client for client in fallback["unusable"])
    (warned,) = said
    assert warned["event"] == fallback["cause"]
    assert GRANT in warned["remedy"]


@pytest.mark.usefixtures("not_permitted")
async def test_port_that_is_given_is_never_replaced(tmp_path: Path, address: str) -> None:
    with pytest.raises(PortNotPermitted) as caught:
        await CloudApplication.start(settings(tmp_path, address, https_port=443))

    assert f"{address}:443" in caught.value.message
    assert GRANT in caught.value.remedy
    assert "--https-port" in caught.value.remedy


@pytest.mark.usefixtures("not_permitted")
async def test_port_that_is_taken_where_443_is_not_permitted_is_an_error(
    tmp_path: Path, address: str
) -> None:
    with socket.create_server((address, 9443)), pytest.raises(AddressUnavailable) as caught:
        await CloudApplication.start(settings(tmp_path, address))

    assert f"HTTPS: cannot listen on {address}:9443" in caught.value.message


async def test_port_that_was_asked_for_is_nothing_to_speak_of(tmp_path: Path, address: str) -> None:
    cloud = await CloudApplication.start(settings(tmp_path, address, https_port=0))
    try:
        facts = await cloud.information(False)
    finally:
        await cloud.close()

    assert facts["ports"]["https"] > 1024
    assert facts["service_url"] == f"https://{address}:{facts['ports']['https']}"
    assert facts["https_fallback"] is None


async def test_443_that_another_program_has_is_an_error_not_a_reason_for_9443(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.socket.bind

    def bind(self: socket.socket, address: Any) -> None:
        if self.family == socket.AF_INET and address[1] == 443:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        real(self, address)

    monkeypatch.setattr(socket.socket, "bind", bind)

    with pytest.raises(AddressUnavailable) as caught:
        await CloudApplication.start(settings(tmp_path, address))

    assert f"HTTPS: cannot listen on {address}:443" in caught.value.message
    assert not isinstance(caught.value, PortNotPermitted)
