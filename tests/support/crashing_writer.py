"""A process that registers devices and appends telemetry until it is killed.

It prints one line per acknowledgement, after the commit, as a front door would answer:
``T <device> <number>`` for a message, ``R <registration id> <operation id>`` for a registration.

    python -m tests.support.crashing_writer STATE_FOLDER RUN
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.support import authority
from tests.support.cloudworld import CloudWorld
from tests.support.stores import sqlite

from mooring.cloud.dps.errors import AlreadyExists
from mooring.cloud.hub.model import (
    AuthenticatedDevice,
    AuthenticationType,
    DeviceAuthentication,
    DeviceDraft,
    TelemetryMessage,
)

PINNED = DeviceAuthentication(AuthenticationType.SELF_SIGNED, "AB" * 32)


def acknowledge(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def telemetry(world: CloudWorld, device_id: str) -> None:
    identity = await world.hubs.devices.put(world.hub, DeviceDraft(device_id, PINNED))
    source = world.hubs.telemetry.source(AuthenticatedDevice(world.hub, identity, None))
    number = 0
    while True:
        batch = [TelemetryMessage("", str(number + n).encode()) for n in range(5)]
        await world.hubs.telemetry.append(source, batch)
        for _ in batch:
            acknowledge("T", device_id, number)
            number += 1


async def registrations(world: CloudWorld, name: str) -> None:
    own = authority.root(name)
    try:
        await world.enroll(own, name)
    except AlreadyExists:
        raise SystemExit(f"{name} is enrolled") from None
    while True:
        operation = await world.register(own.certificate, registration_id=name)
        acknowledge("R", name, operation.operation_id)


async def main(folder: Path, run: str) -> None:
    async with sqlite(folder) as stores:
        world = await CloudWorld.open(stores)
        await asyncio.gather(
            *(telemetry(world, f"t{run}x{n}") for n in range(4)),
            *(registrations(world, f"r{run}x{n}") for n in range(4)),
        )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
