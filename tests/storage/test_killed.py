"""A process killed in the middle of writing loses nothing that it acknowledged."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from tests.support.cloudworld import CloudWorld
from tests.support.stores import sqlite

KILLS = 6


def run_until_killed(folder: Path, run: int) -> list[list[str]]:
    """Return the acknowledgements that were printed before the kill."""
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.support.crashing_writer", str(folder), str(run)],
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    lines = [writer.stdout.readline()]  # it is under way
    time.sleep(random.uniform(0.05, 0.4))
    writer.send_signal(signal.SIGKILL)
    lines += writer.stdout.readlines()
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL
    # The last line may be cut short: then it was not acknowledged.
    return [line.decode().split() for line in lines if line.endswith(b"\n")]


async def test_killed_while_writing_loses_nothing_acknowledged(tmp_path: Path) -> None:
    telemetry: dict[str, int] = {}
    operations: dict[str, list[str]] = defaultdict(list)
    for run in range(KILLS):
        for kind, name, what in run_until_killed(tmp_path, run):
            if kind == "T":
                telemetry[name] = int(what)
            else:
                operations[name].append(what)

        async with sqlite(tmp_path) as stores:
            world = await CloudWorld.open(stores)
            for name, last in telemetry.items():
                events = []
                partition = world.hubs.telemetry.partition_of(world.hub, name)
                position = 0
                while True:
                    page = await world.hubs.telemetry.read(
                        world.hub,
                        partition,
                        from_sequence_number=position,
                        device_id=name,
                        limit=1000,
                    )
                    events += page.events
                    if page.next_sequence_number == position:
                        break
                    position = page.next_sequence_number
                numbers = [int(event.body) for event in events]
                assert numbers == list(range(len(numbers)))
                assert len(numbers) > last
            for name, ids in operations.items():
                for operation_id in ids[-50:]:
                    await world.dps.get_operation(operation_id, name)
                record = await world.dps.registrations.get(name)
                device = await world.hubs.devices.get(world.hub, name)
                assert device.authentication.primary_thumbprint == record.thumbprint
            for info in await world.hubs.telemetry.partitions(world.hub):
                page = await world.hubs.telemetry.read(
                    world.hub, info.partition, from_sequence_number=info.last_sequence_number
                )
                if info.last_sequence_number >= 0:
                    assert page.events[0].sequence_number == info.last_sequence_number
    assert telemetry
    assert operations
