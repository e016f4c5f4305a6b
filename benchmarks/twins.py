"""How many twin patches a second: reported properties from devices, desired ones from a back end.

A reported patch is a PUBLISH of QoS 1 over TLS 1.3; it is done when its response 204 has come,
which follows the commit (`synchronous=FULL`). Each has 256 bytes and changes the twin. Beside it
telemetry of the same size, on the same cloud (committed before its PUBACK too, but nothing is
read, merged or versioned), and on mosquitto, which stores nothing: what QoS 1 costs at least.

A desired patch goes over the service API (HTTPS, kept connection, shared access signature) and is
done when its answer has come and the device has been notified.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from harness.bench import Bench, main, notes_on
from harness.calls import call
from harness.load import Measured, measure_load
from harness.mooring_cloud import (
    count_desired_patches,
    count_reported_patches,
    count_telemetry,
    mooring_cloud,
)
from harness.report import Section, median, spread
from harness.servers import Server, mosquitto

SIZE_BYTES = 256
DEVICES = 32
PROBE_MESSAGES = 1_000
"""Sent first, to learn how many messages fill the time of a run."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Devices, and patches that each may have unanswered."""

    title: str
    devices: int
    window: int


CELLS = (
    Cell("1 device, window 1", 1, 1),
    Cell("1 device, window 10", 1, 10),
    Cell("32 devices, window 1", 32, 1),
    Cell("32 devices, window 10", 32, 10),
)
CALLERS = (1, 32)
PATCHES = "Mooring hub, reported patches"
TELEMETRY = "Mooring hub, telemetry"
BOUND = "mosquitto, not stored"
DESIRED = "Mooring hub, desired patches"


def measure(bench: Bench) -> Section:
    """Return rate, times and server CPU per patch, medians of interleaved runs."""
    mooring = bench.start(mooring_cloud(devices=DEVICES))
    peer = bench.start(mosquitto)
    done: dict[tuple[str, str], list[Measured]] = {}
    messages = {
        (name, cell.title): _publish(bench, server, cell, max(1, PROBE_MESSAGES // cell.devices))
        for name, server in ((TELEMETRY, mooring), (BOUND, peer))
        for cell in CELLS
    }
    stored = sum(run.load.count for (name, _), run in messages.items() if name == TELEMETRY)
    for run in range(bench.effort.runs):
        for cell in CELLS:
            bench.progress(f"twins, run {run + 1}: {cell.title}")
            done.setdefault((cell.title, PATCHES), []).append(_patch(bench, mooring, cell))
            for name, server in ((TELEMETRY, mooring), (BOUND, peer)):
                rate = messages[name, cell.title].load.rate
                count = max(1, int(rate * bench.effort.seconds / cell.devices))
                done.setdefault((cell.title, name), []).append(_publish(bench, server, cell, count))
        for callers in CALLERS:
            bench.progress(f"twins, run {run + 1}: {callers} callers")
            done.setdefault((_callers(callers), DESIRED), []).append(
                call(bench, mooring, "desired", callers, devices=DEVICES, size=SIZE_BYTES)
            )
    _check(bench, done, stored)
    section = Section(
        "twins",
        f"Twin patches, {SIZE_BYTES} bytes, TLS 1.3",
        [
            *("load", "server", "per second", "spread"),
            *("/ telemetry", "/ mosquitto", "p50", "p99", "CPU each"),
        ],
    )
    for title in dict.fromkeys(title for title, _ in done):
        for number, name in enumerate(name for other, name in done if other == title):
            runs = done[title, name]
            rates = [run.load.rate for run in runs]
            ratios = [
                f"{median(rates) / median(run.load.rate for run in done[title, beside]):.2f}"
                if (title, beside) in done
                else "–"
                for beside in (TELEMETRY, BOUND)
            ]
            starved = any(run.load.is_bottleneck for run in runs)
            section.rows.append(
                (
                    title if number == 0 else "",
                    name,
                    f"{median(rates):,.0f}" + ("*" if starved else ""),
                    spread(rates),
                    *ratios,
                    *(
                        f"{value:.2f} ms" if value else "–"
                        for value in (
                            median(run.load.p50_ms for run in runs),
                            median(run.load.p99_ms for run in runs),
                        )
                    ),
                    f"{median(run.cpu_us for run in runs):.0f} us",
                )
            )
            section.figures[f"{name} / {title}"] = {
                "per_s": rates,
                "p50_ms": [run.load.p50_ms for run in runs],
                "p99_ms": [run.load.p99_ms for run in runs],
                "cpu_us": [run.cpu_us for run in runs],
            }
    section.notes.append(
        "The versions of all twins and the messages in the log are as many as were answered."
    )
    section.notes += notes_on(
        bench, bottleneck=any(run.load.is_bottleneck for runs in done.values() for run in runs)
    )
    return section


def _callers(count: int) -> str:
    return f"{count} caller{'s' if count > 1 else ''} over HTTPS"


def _check(bench: Bench, done: dict[tuple[str, str], list[Measured]], probed: int) -> None:
    """Compare what was answered with what is in the cloud's own file.

    Raises:
        RuntimeError: They differ.
    """

    def answered(wanted: str) -> int:
        return sum(
            run.load.count for (_, name), runs in done.items() if name == wanted for run in runs
        )

    for what, told, kept in (
        ("reported patches", answered(PATCHES), count_reported_patches(bench.folder)),
        ("desired patches", answered(DESIRED), count_desired_patches(bench.folder)),
        ("messages", probed + answered(TELEMETRY), count_telemetry(bench.folder)),
    ):
        if told != kept:
            raise RuntimeError(f"{told} {what} were answered, {kept} are stored")


def _patch(bench: Bench, server: Server, cell: Cell) -> Measured:
    load = bench.load(
        server,
        "twins",
        clients=cell.devices,
        window=cell.window,
        size=SIZE_BYTES,
        seconds=bench.effort.seconds,
    )
    return measure_load(server, load)


def _publish(bench: Bench, server: Server, cell: Cell, messages: int) -> Measured:
    load = bench.load(
        server,
        "publish",
        clients=cell.devices,
        window=cell.window,
        messages=messages,
        size=SIZE_BYTES,
    )
    return measure_load(server, load)


if __name__ == "__main__":
    sys.exit(main(measure))
