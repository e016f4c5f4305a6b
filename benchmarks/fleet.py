"""5,000 connected devices: what they cost at rest, and what happens when all come back at once.

Each is connected over TLS 1.3 without clean session and subscribed to what a device subscribes to:
messages to it, direct methods, answers about its twin, changes of desired properties. Memory is
the growth of the server's resident set, divided by their number.

Then the server is ended and started again. As soon as it is at rest all dial at one time, with the
session that they had and without subscribing again; who is turned away since too many handshakes
wait comes back, as devices do. Times run from that moment to a CONNACK which says that the session
is there. At last a sample of them gets a direct method over the service API, which shows that the
subscriptions are. mosquitto keeps sessions in a file, written when it ends; amqtt keeps none, so
only its memory is measured.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import httpx
from harness.bench import Bench, main, notes_on
from harness.load import Load, LoadResult
from harness.mooring_cloud import NAME, mooring_cloud
from harness.report import Goal, Section
from harness.servers import Server, amqtt, mosquitto_persistent

DEVICES, QUICK_DEVICES = 5_000, 200
MOSQUITTO_DEVICES = 2_000
"""Of 5,000 that dial at one time mosquitto never answers some hundred, which then wait for ever."""

AMQTT_DEVICES = 500
"""amqtt takes some 300 KB each; its figure does not change with more."""

WARM_UP = 100
WINDOW = 64
"""Devices that connect at a time before the measurement."""

SAMPLE = 100
"""Devices that are called after the storm."""

SETTLE_S = 2.0
SOURCES = 200
"""Source addresses: a server may bound the connections of one address, as Mooring does."""

HUB_FILTERS = (
    "devices/bench-{n}/messages/devicebound/#",
    "$iothub/methods/POST/#",
    "$iothub/twin/res/#",
    "$iothub/twin/PATCH/properties/desired/#",
)
BROKER_FILTERS = (
    "devices/bench-{n}/messages/devicebound/#",
    "devices/bench-{n}/methods/POST/#",
    "devices/bench-{n}/twin/res/#",
    "devices/bench-{n}/twin/PATCH/properties/desired/#",
)
"""The same for a broker, whose topics are one space for all devices."""

MAX_KIB = 45.0
"""As for connections without a subscription (`idle_memory.py`)."""


def measure(bench: Bench) -> Section:
    """Return memory at rest, and times and CPU of one storm."""
    quick = bench.effort.quick
    count = QUICK_DEVICES if quick else DEVICES
    section = Section(
        "fleet",
        f"{count:,} devices with four subscriptions each, at rest and coming back, TLS 1.3",
        [
            *("server", "memory each", "devices", "all back", "per second"),
            *("p50", "p99", "longest", "turned away", "CPU each"),
        ],
    )
    subjects = (
        (mooring_cloud(devices=count), HUB_FILTERS, count, True),
        (mosquitto_persistent, BROKER_FILTERS, min(count, MOSQUITTO_DEVICES), True),
        (amqtt, BROKER_FILTERS, min(count, AMQTT_DEVICES), False),
    )
    for factory, filters, devices, comes_back in subjects:
        server = bench.start(factory)
        bench.progress(f"fleet: {devices} devices, {server.name}")
        with _connect(bench, server, filters, min(WARM_UP, devices // 10), keep=False) as load:
            _check_standing(server, load)
        time.sleep(SETTLE_S)
        before = server.process.resident_bytes()
        with _connect(bench, server, filters, devices, keep=comes_back) as load:
            time.sleep(SETTLE_S)
            kib = (server.process.resident_bytes() - before) / devices / 1024
            figures: dict[str, Any] = {"devices": devices, "kib_per_device": kib}
            if comes_back:
                bench.progress(f"fleet: {devices} devices come back, {server.name}")
                figures |= _come_back(server, load, devices)
            else:
                _check_standing(server, load)
        section.figures[server.name] = figures
        section.rows.append((server.name, f"{kib:.1f} KB", f"{devices:,}", *_storm_row(figures)))
    ours, theirs = section.figures[NAME], section.figures["mosquitto"]
    section.goals += [
        Goal("KB per device at rest, Mooring hub", ours["kib_per_device"], MAX_KIB, at_most=True),
        Goal(
            "CPU per device that comes back, Mooring hub / mosquitto",
            ours["cpu_us"] / theirs["cpu_us"],
            1.0,
            at_most=True,
        ),
    ]
    ratios = [
        f"/ {name} {ours['kib_per_device'] / section.figures[name]['kib_per_device']:.2f}"
        for name in ("mosquitto", "amqtt")
    ]
    section.notes.append(f"Memory: Mooring hub {', '.join(ratios)}")
    section.notes.append(
        f"All sessions were there; {ours['called']} devices of the hub answered a direct method "
        "after it, without having subscribed again."
    )
    bottleneck = ours["is_bottleneck"] or theirs["is_bottleneck"]
    section.notes += notes_on(bench, bottleneck=bottleneck)
    return section


def _connect(
    bench: Bench, server: Server, filters: tuple[str, ...], devices: int, *, keep: bool
) -> Load:
    return bench.load(
        server,
        "fleet",
        clients=devices,
        window=WINDOW,
        sources=SOURCES,
        filters=",".join(filters),
        keep_session=keep,
        storm=keep,
    )


def _check_standing(server: Server, load: Load) -> None:
    closed = load.go()["closed"]
    if closed:
        raise RuntimeError(f"{server.name} closed {closed} connections at rest")


def _come_back(server: Server, load: Load, devices: int) -> dict[str, Any]:
    """Start the server again, let all come back and call some; return the figures."""
    process = server.process
    process.restart()
    process.wait_until_listening(server.host, server.port)
    process.wait_until_idle()
    before_s = process.cpu_s()
    result = load.go()
    time.sleep(SETTLE_S)
    cpu_s = process.cpu_s() - before_s
    if result["count"] != devices:
        raise RuntimeError(f"{server.name}: {result['count']} of {devices} devices came back")
    run = LoadResult(result["count"], result["seconds"], result["cpu_s"])
    called = _call_some(server, devices)
    answered = load.go()["answered"]
    if answered != called:
        raise RuntimeError(f"{server.name}: {called} methods were called, {answered} answered")
    return {
        "seconds": run.seconds,
        "per_s": run.rate,
        "is_bottleneck": run.is_bottleneck,
        "p50_ms": result["p50_ms"],
        "p99_ms": result["p99_ms"],
        "max_ms": result["max_ms"],
        "turned_away": result["turned_away"],
        "cpu_us": cpu_s / devices * 1e6,
        "called": called,
    }


def _call_some(server: Server, devices: int) -> int:
    """Call a method of a sample of the devices, if the server is a hub; return how many.

    Raises:
        RuntimeError: One was not answered as the device answers, with what it was sent.
    """
    api = server.service_api
    if api is None:
        return 0
    numbers = range(0, devices, max(1, devices // SAMPLE))
    headers = {"Host": api.host_name, "Authorization": api.authorization}
    url = f"https://{server.host}:{api.port}"
    # The hub's certificate is for its name, which resolves to another address.
    with httpx.Client(
        base_url=url,
        headers=headers,
        verify=False,
        trust_env=False,
        timeout=60,
    ) as client:
        for number in numbers:
            body = {"methodName": "ping", "responseTimeoutInSeconds": 30, "payload": number}
            response = client.post(
                f"/twins/bench-{number}/methods?api-version=2021-04-12", json=body
            )
            if response.is_error or response.json() != {"status": 200, "payload": number}:
                raise RuntimeError(
                    f"{server.name}: device {number} was called after the storm, and the answer "
                    f"was {response.status_code}: {response.text}"
                )
    return len(numbers)


def _storm_row(figures: dict[str, Any]) -> tuple[str, ...]:
    if "seconds" not in figures:
        return ("–",) * 7
    return (
        f"{figures['seconds']:.1f} s",
        f"{figures['per_s']:.0f}" + ("*" if figures["is_bottleneck"] else ""),
        f"{figures['p50_ms'] / 1000:.2f} s",
        f"{figures['p99_ms'] / 1000:.2f} s",
        f"{figures['max_ms'] / 1000:.2f} s",
        f"{figures['turned_away']}",
        f"{figures['cpu_us']:.0f} us",
    )


if __name__ == "__main__":
    sys.exit(main(measure))
