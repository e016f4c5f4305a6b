"""What a whole DPS registration costs the server, in CPU, beside the bare handshake in it.

One registration is TCP, a full handshake with client certificate, CONNECT, SUBSCRIBE, the register
request, the poll that is answered "assigned" (at once, without waiting as long as DPS orders),
DISCONNECT, close. Before the register request is answered, registration record, operation and
device are committed (`synchronous=FULL`). Every device registers once, with a certificate of its
own (leaf and intermediate); handshakes alone are done with the same certificates.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from harness.bench import Bench, main, notes_on
from harness.fleet import Fleet, load_issuer, make_fleet
from harness.load import LoadResult
from harness.provisioning import SETTLE_S, SOURCES, SeededCloud, register, seed
from harness.report import Goal, Section, median, spread
from harness.seeding import Seed, make_lines
from harness.servers import Server, openssl_s_server

BIND = "127.0.0.41"
RATE = 800
"""Registrations in a second, about: how many devices a run of so many seconds needs."""

QUICK_DEVICES = 40
WINDOW = 64
"""Devices at one time."""

PROCESSES = 8
"""The same for handshakes alone: enough that the server never idles."""

GOAL = 0.6
"""Registrations per handshake, at least, from one core."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A kind of client."""

    title: str
    tls: str
    key: str


CELLS = (
    Cell("TLS 1.3, P-256 client", "1.3", "ec"),
    Cell("TLS 1.2, RSA-2048 client", "1.2", "rsa"),
)
HANDSHAKES = ("openssl s_server, handshake", "Mooring, handshake")
REGISTRATIONS = ("Mooring, individual", "Mooring, group")


class _Figures:
    """CPU and rate of each run, by server and cell."""

    def __init__(self) -> None:
        self.cpu_us: dict[tuple[str, str], list[float]] = {}
        self.rates: dict[tuple[str, str], list[float]] = {}
        self.starved: set[tuple[str, str]] = set()

    def note(self, name: str, cell: Cell, cpu_us: float, load: LoadResult) -> None:
        key = (name, cell.title)
        self.cpu_us.setdefault(key, []).append(cpu_us)
        self.rates.setdefault(key, []).append(load.rate)
        if load.is_bottleneck:
            self.starved.add(key)

    def cost(self, name: str, cell: Cell) -> float:
        return median(self.cpu_us[name, cell.title])


def measure(bench: Bench) -> Section:
    """Return server CPU per handshake and per registration, medians of interleaved runs."""
    effort = bench.effort
    per_run = QUICK_DEVICES if effort.quick else round(RATE * effort.seconds)
    fleets, cloud = _prepare(bench, per_run * effort.runs)
    servers = {
        HANDSHAKES[0]: bench.start(openssl_s_server),
        HANDSHAKES[1]: (mooring := bench.start(cloud.serve)),
    }
    mooring.process.wait_until_idle()
    figures = _Figures()
    for run in range(effort.runs):
        for cell in CELLS:
            for name, server in servers.items():
                bench.progress(f"registration, run {run + 1}: {cell.title}, {name}")
                fleet = fleets[cell.title, REGISTRATIONS[0]]
                figures.note(name, cell, *_shake_hands(bench, server, fleet, cell))
            for kind in REGISTRATIONS:
                bench.progress(f"registration, run {run + 1}: {cell.title}, {kind}")
                done = register(
                    bench,
                    mooring,
                    fleets[cell.title, kind],
                    tls=cell.tls,
                    window=min(WINDOW, per_run),
                    first=run * per_run,
                    clients=per_run,
                    count=per_run,
                )
                figures.note(kind, cell, done.cpu_us, done.load)
    cloud.check_records(per_run * effort.runs * len(fleets))
    section = _tabulate(figures)
    section.notes += notes_on(bench, bottleneck=bool(figures.starved))
    return section


def _prepare(bench: Bench, count: int) -> tuple[dict[tuple[str, str], Fleet], SeededCloud]:
    """Return fleets of `count` devices by cell and kind, and the cloud that expects them."""
    root = load_issuer(bench.folder / "root.pem", bench.folder / "root-key.pem")
    lines = make_lines(root, 1)
    bench.progress("registration: issuing certificates")
    fleets = {}
    enrolled: dict[str, bytes] = {}
    for cell in CELLS:
        for kind in REGISTRATIONS:
            label = f"{cell.key}-{kind.split()[-1]}"
            names = [f"{label}-{number:05d}" for number in range(count)]
            fleet = make_fleet(bench.folder, label, names, key=cell.key, issuers=lines)
            fleets[cell.title, kind] = fleet
            if kind == REGISTRATIONS[0]:
                enrolled |= dict(zip(fleet.names, fleet.certificates, strict=True))
    return fleets, seed("Mooring", bench, BIND, Seed(root, lines, enrolled))


def _tabulate(figures: _Figures) -> Section:
    section = Section(
        "registration",
        "DPS registration: server CPU per registration, beside the handshake alone",
        ["client", "server", "CPU", "spread", "/ s_server", "/ own", "per s"],
    )
    for cell in CELLS:
        peers = [figures.cost(name, cell) for name in HANDSHAKES]
        for number, name in enumerate((*HANDSHAKES, *REGISTRATIONS)):
            key = (name, cell.title)
            cost = figures.cost(name, cell)
            section.rows.append(
                (
                    cell.title if number == 0 else "",
                    name,
                    f"{cost:.0f} us",
                    spread(figures.cpu_us[key]),
                    *(f"{cost / peer:.2f}" for peer in peers),
                    f"{median(figures.rates[key]):.0f}" + ("*" if key in figures.starved else ""),
                )
            )
            section.figures[f"{name} / {cell.title}"] = {
                "cpu_us": figures.cpu_us[key],
                "per_s": figures.rates[key],
            }
        for kind in REGISTRATIONS:
            for name, peer in zip(HANDSHAKES, peers, strict=True):
                text = f"{cell.title}: registrations per core, {kind} / {name}"
                value = peer / figures.cost(kind, cell)
                section.goals.append(Goal(text, value, GOAL, at_most=False))
    return section


def _shake_hands(
    bench: Bench, server: Server, fleet: Fleet, cell: Cell
) -> tuple[float, LoadResult]:
    """Return CPU (us) per handshake, and what the load was."""
    load = bench.load(
        server,
        "connect",
        credentials=fleet.credentials_file,
        tls=cell.tls,
        processes=PROCESSES,
        clients=len(fleet.names),
        sources=SOURCES,
        seconds=bench.effort.seconds,
        tls_only=True,
    )
    with load:
        before_s = server.process.cpu_s()
        result = load.run()
    time.sleep(SETTLE_S)
    return (server.process.cpu_s() - before_s) / result.count * 1e6, result


if __name__ == "__main__":
    sys.exit(main(measure))
