"""How fast QoS 1 telemetry is taken, beside mosquitto and amqtt.

256 bytes a message over TLS 1.3, one PUBLISH per TLS record as real devices send. Mooring's
PUBACK follows the commit of the message to its log (`synchronous=FULL`); the peers store nothing
and have no subscriber, so they only acknowledge.

With properties each topic carries a property bag as Azure's SDKs write it, message id and one
property new in every message, so that no bag was ever seen before. Mooring decodes and checks it
before it stores; the peers get the same topics and only match them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from harness.bench import Bench, main, notes_on
from harness.load import Measured, measure_load
from harness.mooring_cloud import count_telemetry, count_telemetry_with, mooring_cloud
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
    properties: bool = False


PROPERTIES = (
    "%24.mid=5f1c7a52-9d3e-4c08-8a61-{i}&%24.ct=application%2Fjson&%24.ce=utf-8&zone=a%20b&seq={i}"
)
"""Behind the topic; the generator makes ``{i}`` twelve digits that no other message has."""

CELLS = (
    Cell("2 clients, window 100", 2, 100),
    Cell("32 clients, window 10", 32, 10),
    Cell("8 clients, window 1", 8, 1),
    Cell("2 clients, window 100, properties", 2, 100, properties=True),
    Cell("32 clients, window 10, properties", 32, 10, properties=True),
    Cell("8 clients, window 1, properties", 8, 1, properties=True),
)
PIPELINED = tuple(cell for cell in CELLS if cell.window > 1)

PROBE_MESSAGES = 2_000
"""Sent first, to learn how many messages fill the time of a run."""

QUICK_S = 0.2
"""There are many cells."""


def measure(bench: Bench) -> Section:
    """Return rate and server CPU per message, medians of interleaved runs."""
    mooring = bench.start(mooring_cloud(devices=max(cell.clients for cell in CELLS)))
    servers = (mooring, bench.start(mosquitto), bench.start(amqtt))
    done: dict[tuple[str, Cell], list[Measured]] = {}
    sizes: dict[tuple[str, Cell], int] = {}
    sent = sent_with_properties = 0
    seconds = QUICK_S if bench.effort.quick else bench.effort.seconds
    for run in range(-1, bench.effort.runs):  # the first one is the probe
        for cell in CELLS:
            for server in servers:
                key = (server.name, cell)
                if run < 0:
                    messages = PROBE_MESSAGES // cell.clients
                else:
                    bench.progress(f"telemetry, run {run + 1}: {cell.title}, {server.name}")
                    messages = sizes[key]
                measured = _run(bench, server, cell, messages)
                if server is mooring:
                    sent += measured.load.count
                    sent_with_properties += measured.load.count if cell.properties else 0
                if run < 0:
                    rate = measured.load.rate
                    sizes[key] = max(1, int(rate * seconds / cell.clients))
                else:
                    done.setdefault(key, []).append(measured)
    _check(bench, sent, sent_with_properties)
    section = _tabulate(mooring.name, [server.name for server in servers], done)
    section.notes.append(f"All {sent:,} messages acknowledged by Mooring were found in its log.")
    starved = any(one.load.is_bottleneck for runs in done.values() for one in runs)
    section.notes += notes_on(bench, bottleneck=starved)
    return section


def _run(bench: Bench, server: Server, cell: Cell, messages: int) -> Measured:
    # The peers get the topics that Mooring gets.
    topic = f"devices/bench-{{n}}/messages/events/{PROPERTIES}"
    load = bench.load(
        server,
        "publish",
        topic=topic if cell.properties else server.topic,
        clients=cell.clients,
        window=cell.window,
        batch=cell.batch,
        messages=messages,
        size=SIZE_BYTES,
    )
    return measure_load(server, load)


def _check(bench: Bench, sent: int, sent_with_properties: int) -> None:
    """Compare what was acknowledged with Mooring's log.

    Raises:
        RuntimeError: They differ.
    """
    stored = count_telemetry(bench.folder)
    if stored != sent:
        raise RuntimeError(f"{sent} messages were acknowledged, {stored} are stored")
    whole = count_telemetry_with(bench.folder, *PROPERTIES.split("{i}")[:2])
    if whole != sent_with_properties:
        raise RuntimeError(
            f"{sent_with_properties} messages had properties, {whole} were stored with them"
        )


def _tabulate(ours: str, names: list[str], done: dict[tuple[str, Cell], list[Measured]]) -> Section:
    section = Section(
        "telemetry",
        "QoS 1 telemetry, 256 bytes, TLS 1.3",
        ["load", "server", "messages/s", "spread", "/ mosquitto", "CPU per message"],
    )

    def rate(name: str, cell: Cell) -> float:
        return median(one.load.rate for one in done[name, cell])

    for cell in CELLS:
        for number, name in enumerate(names):
            runs = done[name, cell]
            rates = [one.load.rate for one in runs]
            cpu_us = [one.cpu_us for one in runs]
            starved = any(one.load.is_bottleneck for one in runs)
            section.rows.append(
                (
                    cell.title if number == 0 else "",
                    f"{name}, {'stored' if name == ours else 'not stored'}",
                    f"{median(rates):,.0f}" + ("*" if starved else ""),
                    spread(rates),
                    f"{median(rates) / rate('mosquitto', cell):.2f}",
                    f"{median(cpu_us):.1f} us",
                )
            )
            section.figures[f"{name} / {cell.title}"] = {"messages_per_s": rates, "cpu_us": cpu_us}
    for cell in CELLS:
        if cell in PIPELINED:
            text = f"{cell.title}: rate, Mooring hub / mosquitto"
            value = rate(ours, cell) / rate("mosquitto", cell)
            section.goals.append(Goal(text, value, 0.8, at_most=False))
        times = rate(ours, cell) / rate("amqtt", cell)
        section.notes.append(f"{cell.title}: rate, Mooring hub / amqtt {times:.1f}")
    return section


if __name__ == "__main__":
    sys.exit(main(measure))
