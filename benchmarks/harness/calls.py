"""Calls that go through a server to a device and back; see `loadgen/calls.c`."""

from __future__ import annotations

from typing import Any

from harness.bench import Bench
from harness.load import Measured, measure_load
from harness.servers import Server


def call(
    bench: Bench, server: Server, mode: str, callers: int, *, devices: int, size: int
) -> Measured:
    """Let so many callers at a time call `devices` devices, with payloads of `size` bytes."""
    options: dict[str, Any] = {}
    if server.service_api is not None:
        options = {
            "http_port": server.service_api.port,
            "http_host": server.service_api.host_name,
            "authorization": server.service_api.authorization,
        }
    load = bench.load(
        server,
        mode,
        clients=devices,
        window=callers,
        size=size,
        seconds=bench.effort.seconds,
        **options,
    )
    return measure_load(server, load)
