"""How much memory an idle connection takes: TLS 1.3, client chain of two certificates, MQTT up.

The growth of the server's resident set while the connections stand, divided by their number. A
first wave of connections comes and goes before, so that what is allocated once is not counted.
"""

from __future__ import annotations

import sys
import time

from harness.bench import Bench, main, notes_on
from harness.mooring_cloud import mooring_cloud
from harness.report import Goal, Section
from harness.servers import Server, amqtt, mosquitto

CONNECTIONS = 2_000
AMQTT_CONNECTIONS = 500
"""amqtt takes some 300 KB each; its figure does not change with more."""

WARM_UP = 100
SETTLE_S = 2.0
SOURCES = 200
"""Source addresses: a server may bound the connections of one address, as Mooring does."""


def measure(bench: Bench) -> Section:
    """Return resident bytes per idle connection; one run, since it hardly varies."""
    section = Section(
        "idle-memory",
        "Memory per idle connection, TLS 1.3",
        ["server", "per connection", "connections", "server before"],
    )
    subjects = (
        (mooring_cloud(devices=CONNECTIONS), CONNECTIONS),
        (mosquitto, CONNECTIONS),
        (amqtt, AMQTT_CONNECTIONS),
    )
    per_connection: dict[str, float] = {}
    for factory, connections in subjects:
        server = bench.start(factory)
        bench.progress(f"idle memory: {connections} connections, {server.name}")
        _hold(bench, server, WARM_UP)
        time.sleep(SETTLE_S)
        before = server.process.resident_bytes()
        after = _hold(bench, server, connections)
        figure = (after - before) / connections / 1024
        per_connection[server.name] = figure
        section.rows.append(
            (server.name, f"{figure:.1f} KB", f"{connections}", f"{before / 2**20:.0f} MB")
        )
        section.figures[server.name] = {
            "kib_per_connection": figure,
            "connections": connections,
            "base_mib": before / 2**20,
        }
    section.goals.append(
        Goal("KB per idle connection, Mooring hub", per_connection["Mooring hub"], 45, at_most=True)
    )
    section.notes.append(
        f"Mooring hub / mosquitto "
        f"{per_connection['Mooring hub'] / per_connection['mosquitto']:.2f}, "
        f"/ amqtt {per_connection['Mooring hub'] / per_connection['amqtt']:.2f}"
    )
    section.notes += notes_on(bench, bottleneck=False)
    return section


def _hold(bench: Bench, server: Server, connections: int) -> int:
    """Open that many, return the server's resident bytes while they stand, close them."""
    with bench.load(server, "idle", clients=connections, sources=SOURCES) as load:
        time.sleep(SETTLE_S)
        resident = server.process.resident_bytes()
        closed = load.go()["closed"]
    if closed:
        raise RuntimeError(f"{server.name} closed {closed} of {connections} idle connections")
    return resident


if __name__ == "__main__":
    sys.exit(main(measure))
