"""What a mutual-TLS connect costs the server, in CPU, beside `openssl s_server` and mosquitto.

One connect is TCP, a full handshake with client certificate (leaf and intermediate), CONNECT,
CONNACK, DISCONNECT, close; "TLS only" leaves MQTT out. Mooring's is a connect to the hub of a
device with a pinned thumbprint, and leaves a record of the attempt as any other does.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from harness.bench import Bench, main, notes_on
from harness.mooring_cloud import mooring_cloud
from harness.report import Goal, Section, median, spread
from harness.servers import Server, amqtt, mosquitto, openssl_s_server

PROCESSES = 8
"""Clients at a time: handshakes overlap as in a returning fleet, and the server never idles."""

CLIENTS = 64
SETTLE_S = 0.3
"""After the load ends the server still closes connections; that belongs to their cost."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A kind of client."""

    title: str
    tls: str
    client: str


CELLS = (
    Cell("TLS 1.3, P-256 client", "1.3", "ec"),
    Cell("TLS 1.2, RSA-2048 client", "1.2", "rsa"),
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A server, measured with or without MQTT."""

    name: str
    server: Server
    tls_only: bool


def measure(bench: Bench) -> Section:
    """Return server CPU per connect for every subject and cell, medians of interleaved runs."""
    mooring = bench.start(mooring_cloud(devices=CLIENTS))
    peer = bench.start(mosquitto)
    subjects = (
        Subject("openssl s_server, TLS only", bench.start(openssl_s_server), True),
        Subject("Mooring, TLS only", mooring, True),
        Subject("mosquitto", peer, False),
        Subject("Mooring hub", mooring, False),
        Subject("amqtt", bench.start(amqtt), False),
    )
    cpu_us: dict[tuple[str, str], list[float]] = {}
    rates: dict[tuple[str, str], list[float]] = {}
    starved: set[tuple[str, str]] = set()
    for run in range(bench.effort.runs):
        for cell in CELLS:
            for subject in subjects:
                bench.progress(f"connect, run {run + 1}: {cell.title}, {subject.name}")
                key = (subject.name, cell.title)
                process = subject.server.process
                load = bench.load(
                    subject.server,
                    "connect",
                    client=cell.client,
                    tls=cell.tls,
                    processes=PROCESSES,
                    clients=CLIENTS,
                    sources=PROCESSES,
                    seconds=bench.effort.seconds,
                    tls_only=subject.tls_only,
                )
                with load:
                    before_s = process.cpu_s()
                    result = load.run()
                time.sleep(SETTLE_S)
                cpu_us.setdefault(key, []).append((process.cpu_s() - before_s) / result.count * 1e6)
                rates.setdefault(key, []).append(result.rate)
                if result.is_bottleneck:
                    starved.add(key)
    section = Section(
        "connect",
        "Mutual-TLS connect: server CPU per connect",
        ["client", "server", "CPU", "spread", "/ mosquitto", "connects/s"],
    )
    for cell in CELLS:
        reference = median(cpu_us["mosquitto", cell.title])
        for number, subject in enumerate(subjects):
            key = (subject.name, cell.title)
            section.rows.append(
                (
                    cell.title if number == 0 else "",
                    subject.name,
                    f"{median(cpu_us[key]):.0f} us",
                    spread(cpu_us[key]),
                    f"{median(cpu_us[key]) / reference:.2f}",
                    f"{median(rates[key]):.0f}" + ("*" if key in starved else ""),
                )
            )
            section.figures[f"{subject.name} / {cell.title}"] = {
                "cpu_us": cpu_us[key],
                "connects_per_s": rates[key],
            }
    for cell in CELLS:
        ours = median(cpu_us["Mooring hub", cell.title])
        section.goals.append(
            Goal(
                f"{cell.title}: connect CPU, Mooring hub / mosquitto",
                ours / median(cpu_us["mosquitto", cell.title]),
                1.0,
                at_most=True,
            )
        )
        bare = median(cpu_us["Mooring, TLS only", cell.title])
        theirs = median(cpu_us["openssl s_server, TLS only", cell.title])
        section.notes.append(
            f"{cell.title}: TLS only, Mooring / s_server {bare / theirs:.2f}; "
            f"Mooring hub / amqtt {ours / median(cpu_us['amqtt', cell.title]):.2f}"
        )
    section.notes += notes_on(bench, bottleneck=bool(starved))
    return section


if __name__ == "__main__":
    sys.exit(main(measure))
