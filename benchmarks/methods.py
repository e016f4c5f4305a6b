"""How long a direct method takes there and back, and how many are made in a second.

Callers use the service API over HTTPS: connections that are kept, a shared access signature in each
request, one call under way on each. The devices are connected over MQTT, TLS 1.3, and answer at
once. Callers and devices are one small program in C on the other core; it checks each answer.

The peers are brokers: the caller is an MQTT client that publishes to the device's topic, the
device answers on the caller's, both with QoS 0. As many hops over TLS, but no HTTP, no
authorization of a call, no device that is looked up, no time limit on the answer.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from harness.bench import Bench, main, notes_on
from harness.calls import call
from harness.load import Measured
from harness.mooring_cloud import mooring_cloud
from harness.report import Goal, Section, median, spread
from harness.servers import amqtt, mosquitto

DEVICES = 64
SIZE_BYTES = 256
"""Payload, the same in both directions."""

MAX_P99_MS = 10.0
"""Of a single caller: a person or a back end that calls one device does not notice it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Callers at a time, over all devices."""

    title: str
    callers: int


CELLS = (Cell("1 caller", 1), Cell("32 callers", 32))


def measure(bench: Bench) -> Section:
    """Return times, rate and server CPU per call, medians of interleaved runs."""
    mooring = bench.start(mooring_cloud(devices=DEVICES))
    servers = (mooring, bench.start(mosquitto), bench.start(amqtt))
    done: dict[tuple[str, str], list[Measured]] = {}
    for run in range(bench.effort.runs):
        for cell in CELLS:
            for server in servers:
                bench.progress(f"methods, run {run + 1}: {cell.title}, {server.name}")
                mode = "methods" if server is mooring else "relay"
                done.setdefault((server.name, cell.title), []).append(
                    call(bench, server, mode, cell.callers, devices=DEVICES, size=SIZE_BYTES)
                )
    section = Section(
        "methods",
        f"Direct methods, {SIZE_BYTES} bytes each way, {DEVICES} devices, TLS 1.3",
        ["load", "server", "p50", "p99", "calls/s", "spread", "/ mosquitto", "CPU per call"],
    )
    names = {mooring.name: "Mooring hub, HTTPS", "mosquitto": "mosquitto, MQTT"}
    bottleneck = False
    for cell in CELLS:
        reference = median(run.load.rate for run in done["mosquitto", cell.title])
        for number, server in enumerate(servers):
            runs = done[server.name, cell.title]
            rates = [run.load.rate for run in runs]
            starved = any(run.load.is_bottleneck for run in runs)
            bottleneck |= starved
            section.rows.append(
                (
                    cell.title if number == 0 else "",
                    names.get(server.name, f"{server.name}, MQTT"),
                    f"{median(run.load.p50_ms for run in runs):.2f} ms",
                    f"{median(run.load.p99_ms for run in runs):.2f} ms",
                    f"{median(rates):,.0f}" + ("*" if starved else ""),
                    spread(rates),
                    f"{median(rates) / reference:.2f}",
                    f"{median(run.cpu_us for run in runs):.0f} us",
                )
            )
            section.figures[f"{server.name} / {cell.title}"] = {
                "calls_per_s": rates,
                "p50_ms": [run.load.p50_ms for run in runs],
                "p99_ms": [run.load.p99_ms for run in runs],
                "cpu_us": [run.cpu_us for run in runs],
            }
    alone = done[mooring.name, CELLS[0].title]
    section.goals.append(
        Goal(
            f"{CELLS[0].title}: p99 in ms, Mooring hub",
            median(run.load.p99_ms for run in alone),
            MAX_P99_MS,
            at_most=True,
        )
    )
    section.notes.append("Every answer was that of the device called, to that very call.")
    section.notes += notes_on(bench, bottleneck=bottleneck)
    return section


if __name__ == "__main__":
    sys.exit(main(measure))
