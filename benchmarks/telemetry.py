"""How fast QoS 1 telemetry is taken, beside mosquitto and amqtt.

256 bytes a message over TLS 1.3, one PUBLISH per TLS record as real devices send. Mooring's
PUBACK follows the commit of the message to its log (`synchronous=FULL`); the peers store nothing
and have no subscriber, so they only acknowledge.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from harness.bench import Bench, main, notes_on
from harness.load import LoadResult
from harness.mooring_cloud import count_telemetry, mooring_cloud
from harness.report import Goal, Section, median, spread
from harness.servers import Server, amqtt, mosquitto

SIZE_BYTES = 256


@dataclass(frozen=True, slots=True)
class Cell:
    """Connections, and messages that each may have unacknowledged."""

    title: str
    clients: int
    window: int
    batch: int = 1


CELLS = (
    Cell("2 clients, window 100", 2, 100),
    Cell("32 clients, window 10", 32, 10),
    Cell("8 clients, window 1", 8, 1),
)
PIPELINED = CELLS[:2]

PROBE_MESSAGES = 2_000
"""Sent first, to learn how many messages fill the time of a run."""


def measure(bench: Bench) -> Section:
    """Return rate and server CPU per message, medians of interleaved runs."""
    mooring = bench.start(mooring_cloud(devices=max(cell.clients for cell in CELLS)))
    servers = (mooring, bench.start(mosquitto), bench.start(amqtt))
    cpu_us: dict[tuple[str, str], list[float]] = {}
    rates: dict[tuple[str, str], list[float]] = {}
    starved: set[tuple[str, str]] = set()
    sent_to_mooring = 0
    sizes: dict[tuple[str, str], int] = {}
    for cell in CELLS:
        for server in servers:
            probe, _ = _run(bench, server, cell, PROBE_MESSAGES // cell.clients)
            sizes[server.name, cell.title] = max(
                1, int(probe.rate * bench.effort.seconds / cell.clients)
            )
            sent_to_mooring += probe.count if server is mooring else 0
    for run in range(bench.effort.runs):
        for cell in CELLS:
            for server in servers:
                bench.progress(f"telemetry, run {run + 1}: {cell.title}, {server.name}")
                key = (server.name, cell.title)
                result, cpu_s = _run(bench, server, cell, sizes[key])
                sent_to_mooring += result.count if server is mooring else 0
                cpu_us.setdefault(key, []).append(cpu_s / result.count * 1e6)
                rates.setdefault(key, []).append(result.rate)
                if result.is_bottleneck:
                    starved.add(key)
    stored = count_telemetry(bench.folder)
    if stored != sent_to_mooring:
        raise RuntimeError(f"{sent_to_mooring} messages were acknowledged, {stored} are stored")
    section = Section(
        "telemetry",
        "QoS 1 telemetry, 256 bytes, TLS 1.3",
        ["load", "server", "messages/s", "spread", "/ mosquitto", "CPU per message"],
    )
    names = {mooring.name: "Mooring hub, stored", "mosquitto": "mosquitto, not stored"}
    for cell in CELLS:
        reference = median(rates["mosquitto", cell.title])
        for number, server in enumerate(servers):
            key = (server.name, cell.title)
            section.rows.append(
                (
                    cell.title if number == 0 else "",
                    names.get(server.name, f"{server.name}, not stored"),
                    f"{median(rates[key]):,.0f}" + ("*" if key in starved else ""),
                    spread(rates[key]),
                    f"{median(rates[key]) / reference:.2f}",
                    f"{median(cpu_us[key]):.1f} us",
                )
            )
            section.figures[f"{server.name} / {cell.title}"] = {
                "messages_per_s": rates[key],
                "cpu_us": cpu_us[key],
            }
    for cell in CELLS:
        ours = median(rates[mooring.name, cell.title])
        to_mosquitto = ours / median(rates["mosquitto", cell.title])
        if cell in PIPELINED:
            text = f"{cell.title}: rate, Mooring hub / mosquitto"
            section.goals.append(Goal(text, to_mosquitto, 0.8, at_most=False))
        times = ours / median(rates["amqtt", cell.title])
        section.notes.append(f"{cell.title}: rate, Mooring hub / amqtt {times:.1f}")
    section.notes.append(f"All {stored:,} messages acknowledged by Mooring were found in its log.")
    section.notes += notes_on(bench, bottleneck=bool(starved))
    return section


def _run(bench: Bench, server: Server, cell: Cell, messages: int) -> tuple[LoadResult, float]:
    load = bench.load(
        server,
        "publish",
        clients=cell.clients,
        window=cell.window,
        batch=cell.batch,
        messages=messages,
        size=SIZE_BYTES,
    )
    with load:
        before_s = server.process.cpu_s()
        result = load.run()
        cpu_s = server.process.cpu_s() - before_s
    return result, cpu_s


if __name__ == "__main__":
    sys.exit(main(measure))
