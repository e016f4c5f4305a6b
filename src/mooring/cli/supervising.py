"""The supervisor behind `mooring up`: starts cloud and gateway, keeps them up, ends them.

One supervisor per state folder: it holds a lock on ``up.lock`` and writes where everything is to
``up.json`` once both answer. The lock alone says whether one runs; a killed supervisor leaves the
files, but not the lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mooring.cli.api_access import gateway_api, read_facts
from mooring.cli.output import error_console
from mooring.cli.processes import Child, stop_requested, wait_ready
from mooring.runtime.backoff import Backoff
from mooring.runtime.statefolder import ensure_folder, write_file

LOCK_FILE = "up.lock"
FACTS_FILE = "up.json"

_FLOCK = "hhqqi"
"""``struct flock`` of 64-bit Linux: type, whence, start, length, process id."""

STEADY_S = 60.0
"""A part that ran this long is started again at once, however often it ended before."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts are to listen, as given on the command line; None for the default."""

    bind: tuple[str, ...] = ()
    gateway_host: str | None = None
    gateway_port: int | None = None

    def cloud_arguments(self) -> list[str]:
        """Return the options of `mooring cloud serve`."""
        return [word for address in self.bind for word in ("--bind", address)]

    def gateway_arguments(self) -> list[str]:
        """Return the options of `mooring gateway serve`."""
        given = {"--host": self.gateway_host, "--port": self.gateway_port}
        return [
            word
            for option, value in given.items()
            if value is not None
            for word in (option, str(value))
        ]


def take_lock(state: Path) -> int | None:
    """Return a descriptor that holds the supervisor's lock, None if another process has it.

    A POSIX record lock: unlike flock, it can be asked about without being taken for a moment,
    which another `mooring up` could mistake for a supervisor. It is lost as soon as this process
    closes any descriptor of that file.
    """
    descriptor = os.open(state / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # POSIX leaves open which of the two
        os.close(descriptor)
        return None
    return descriptor


def supervisor_pid(state: Path) -> int | None:
    """Return the process id of the supervisor that runs in `state`, None if none does."""
    try:
        descriptor = os.open(state / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        found, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return None if found == fcntl.F_UNLCK else int(pid)


def running_facts(state: Path) -> dict[str, Any] | None:
    """Return what the running supervisor wrote down, None if none runs or it is not ready yet."""
    pid = supervisor_pid(state)
    if pid is None:
        return None
    try:
        facts: dict[str, Any] = json.loads((state / FACTS_FILE).read_text())
    except (OSError, ValueError):
        return None
    return facts if facts.get("pid") == pid else None


async def supervise(
    state: Path,
    addresses: Addresses,
    *,
    on_ready: Callable[[dict[str, Any]], None],
    on_ending: Callable[[], None],
) -> None:
    """Run cloud and gateway until asked to stop; the caller holds the lock.

    Args:
        state: The state folder.
        addresses: Where the parts listen.
        on_ready: Called once with where everything is.
        on_ending: Called when the end begins.

    Raises:
        CommandError: A part did not start.
    """
    stop = await stop_requested()
    cloud = Child(
        "cloud",
        ["cloud", "serve", "--state", str(state), *addresses.cloud_arguments()],
        log=ensure_folder(state / "cloud") / "cloud.log",
    )
    gateway = Child(
        "gateway",
        ["gateway", "serve", "--state", str(state), *addresses.gateway_arguments()],
        log=ensure_folder(state / "gateway") / "gateway.log",
    )
    keepers: list[asyncio.Task[None]] = []
    try:
        starting = asyncio.create_task(_start_all(state, cloud, gateway))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        await starting
        facts = _facts(state)
        write_file(state / FACTS_FILE, json.dumps(facts, indent=2) + "\n")
        on_ready(facts)
        keepers = [asyncio.create_task(_keep(state, child)) for child in (cloud, gateway)]
        await stopping
    finally:
        on_ending()
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        # The gateway first: it says goodbye to a cloud that still answers.
        await gateway.stop()
        await cloud.stop()
        (state / FACTS_FILE).unlink(missing_ok=True)


async def _start_all(state: Path, cloud: Child, gateway: Child) -> None:
    await asyncio.gather(cloud.start(), gateway.start())
    await asyncio.gather(*(wait_ready(child, state) for child in (cloud, gateway)))
    await asyncio.to_thread(trust_cloud, state)


def trust_cloud(state: Path) -> None:
    """Put the cloud's server CA into the gateway's trust store, so that nobody has to."""
    certificate = Path(read_facts(state, "cloud")["ca_file"]).read_text()
    with gateway_api(state) as api:
        api.post_json("trust", {"name": "mooring-cloud", "certificate": certificate})


async def _keep(state: Path, child: Child) -> None:
    """Start a child again that ended by itself, ever more slowly."""
    backoff = Backoff(base_s=1, cap_s=30)
    while True:
        began = time.monotonic()
        code = await child.wait()
        if time.monotonic() - began > STEADY_S:
            backoff.reset()
        delay_s = backoff.next_delay_s()
        error_console.print(
            f"[red]the {child.name} ended by itself (status {code})[/]; its log is "
            f"{state / child.name / child.name}.log; starting it again in {delay_s:.1f} s",
            soft_wrap=True,
        )
        await child.stop()
        await asyncio.sleep(delay_s)
        with contextlib.suppress(OSError):  # no process to be had: the next turn tries again
            await child.start()


def _facts(state: Path) -> dict[str, Any]:
    cloud = read_facts(state, "cloud")
    gateway = read_facts(state, "gateway")
    return {
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "state": str(state),
        "id_scope": cloud["id_scope"],
        "global_endpoint": cloud["global_endpoint"],
        "hubs": cloud["hubs"],
        "ca_file": cloud["ca_file"],
        "service_url": cloud["service_url"],
        "https_fallback": cloud["https_fallback"],
        "cloud_url": cloud["api_url"],
        "gateway_url": gateway["api_url"],
    }
