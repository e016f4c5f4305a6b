"""Every test here runs on asyncio's own event loop and on uvloop, with real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tests.support.certificates import Credential, certify, certify_server, key_of
from tests.support.tlspeers import StartListener

from mooring.transport.listener import TlsListener
from mooring.transport.server_tls import ServerTls


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each test of this folder on both event loops."""
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def server_ca() -> Credential:
    """The CA of the servers in these tests."""
    return certify("server CA", key_of("ec#serverca"), ca=True)


@pytest.fixture(scope="session")
def server_ca_file(server_ca: Credential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CA as a PEM file."""
    file = tmp_path_factory.mktemp("trust") / "server-ca.pem"
    file.write_bytes(server_ca.pem)
    return file


@pytest.fixture
def server_tls(server_ca: Credential, tmp_path: Path) -> ServerTls:
    """A server's identity for localhost."""
    server = certify_server(["localhost", "127.0.0.1", "::1"], server_ca)
    return ServerTls(*server.write(tmp_path))


@pytest.fixture
async def start_listener(server_tls: ServerTls) -> AsyncIterator[StartListener]:
    """Start listeners that are closed at the end of the test."""
    listeners: list[TlsListener] = []

    async def start(application_factory: Callable[[], Any], **options: Any) -> TlsListener:
        options = {"host": "127.0.0.1", "port": 0, "tls": server_tls, **options}
        listener = await TlsListener.start(application_factory, **options)
        listeners.append(listener)
        return listener

    yield start
    for listener in listeners:
        await listener.close(drain_s=0)
