"""Clouds for our own tests: the published one, and one whose parts can be reached.

Take the fixture by importing it into a ``conftest.py``::

    from tests.support.cloud import cloud  # noqa: F401 - a fixture
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from mooring.cloud.application import CloudApplication
from mooring.cloud.frontdoor.limits import DEFAULT_LIMITS
from mooring.cloud.settings import CloudSettings
from mooring.runtime.logs import configure_logs
from mooring.runtime.loopback import lend_loopback_address
from mooring.testing.cloud import ThrowAwayCloud
from mooring.testing.running import RunningCloud

STOP_TIMEOUT_S = 20.0


def https_port() -> int:
    """Return the port that a cloud of this user serves HTTPS on."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 443))
        except PermissionError:
            return 9443
        except OSError:  # taken by another: permitted
            pass
    return 443


class OwnersClient(RunningCloud):
    """What only our own tests ask of a cloud."""

    @property
    def https_url(self) -> str:
        """Return the base of the HTTPS APIs: device, service and resource API."""
        return self.service_url

    @property
    def https_port(self) -> int:
        """Return the port of HTTPS and of MQTT over WebSocket."""
        return int(self.facts["ports"]["https"])

    def api(self) -> httpx.Client:
        """Return a client of the admin API with the owner token; the caller closes it."""
        return httpx.Client(
            base_url=f"{self.api_url}/",
            headers={"Authorization": f"Bearer {self.owner_token}"},
            trust_env=False,
            timeout=30.0,
            verify=False,  # plain HTTP; loading the system's CAs would only take time
        )


class CloudProcess(ThrowAwayCloud, OwnersClient):
    """A cloud in a process of its own."""


@contextmanager
def running_cloud(state: Path, **settings: Any) -> Iterator[CloudProcess]:
    """Run a cloud in folder `state`, and end it."""
    with CloudProcess(state=state, **settings) as cloud:
        yield cloud


class ShiftedClock:
    """The machine's clock, whose monotonic side can be put forward."""

    def __init__(self) -> None:
        """Start with the right time."""
        self.shift_s = 0.0

    def now(self) -> datetime:
        """Return the present."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic() + self.shift_s


class CloudThread(OwnersClient):
    """A cloud on a thread of this process: its parts can be reached, and are covered."""

    def __init__(self, state: Path, address: str, **options: Any) -> None:
        """Run in folder `state`; `options` go to `CloudApplication.start`, or are settings."""
        super().__init__(state)
        self.address = address
        self.clock = ShiftedClock()
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.application: CloudApplication | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        configure_logs(level="warning")
        self._thread.start()
        limits = self._options.pop("limits", DEFAULT_LIMITS)
        settings = CloudSettings(state_dir=self.state, bind=(self.address,), **self._options)
        self.application = self.run(
            CloudApplication.start(settings, clock=self.clock, limits=limits)
        )
        self.connected()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run `work` on the cloud's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def begin(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Begin `work` on the cloud's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a plain function on the cloud's loop and return its result."""

        async def work() -> Any:
            return function(*arguments)

        return self.run(work())

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass for timeouts of connections, at once."""
        assert self.application is not None
        self.clock.shift_s += seconds
        self.call(self.application.front_door.wheel.turn)

    def stop(self) -> None:
        """End it in good order; a second call does nothing."""
        if self._loop.is_closed():
            return
        self.disconnected()
        try:
            if self.application is not None:
                self.run(self.application.close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_TIMEOUT_S)
            self._loop.close()


@contextmanager
def cloud_on_thread(state: Path, **options: Any) -> Iterator[CloudThread]:
    """Run a cloud of this process in folder `state`, and end it."""
    with lend_loopback_address() as address:
        cloud = CloudThread(state, address, **options)
        cloud.start()
        try:
            yield cloud
        finally:
            cloud.stop()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Generator[CloudProcess]:
    """Run one cloud for a test module."""
    with running_cloud(tmp_path_factory.mktemp("cloud")) as process:
        yield process
