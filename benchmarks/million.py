"""A million individual enrollments and a hundred groups, beside a hundred enrollments and a group.

Start-up (process start to the first CONNACK), memory, and what a registration costs: of a device
with an individual enrollment, and of a group's device that was never seen before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from harness.bench import Bench, main, notes_on
from harness.fleet import Fleet, load_issuer, make_fleet
from harness.provisioning import Registered, SeededCloud, register, seed
from harness.report import Goal, Section, median, spread
from harness.seeding import Seed, make_lines
from harness.servers import Server

from mooring.pki.issuers import Issuer

SMALL_BIND, LARGE_BIND = "127.0.0.43", "127.0.0.44"
SMALL = 100
LARGE, QUICK_LARGE = 1_000_000, 10_000
GROUPS, QUICK_GROUPS = 100, 10
RATE = 800
"""Registrations in a second, about."""

QUICK_DEVICES = 40
WINDOW = 32
MAX_SLOWER = 1.15
MAX_START_UP_S = 2.0


def measure(bench: Bench) -> Section:
    """Return start-up, memory and CPU per registration of both clouds."""
    effort = bench.effort
    per_run = QUICK_DEVICES if effort.quick else round(RATE * effort.seconds)
    total = QUICK_LARGE if effort.quick else LARGE
    bench.progress("million: issuing certificates")
    root = load_issuer(bench.folder / "root.pem", bench.folder / "root-key.pem")
    lines = make_lines(root, QUICK_GROUPS if effort.quick else GROUPS)
    few = _fleet(bench, "few", range(SMALL), lines)
    # Spread over all ids, so that their records lie on pages that nobody else needs.
    count = per_run * effort.runs
    step = (total - SMALL) // count
    many = _fleet(bench, "many", range(SMALL, SMALL + count * step, step), lines)
    members = [
        make_fleet(
            bench.folder,
            f"members-{side}",
            [f"member-{number:05d}" for number in range(count)],
            key="ec",
            issuers=issuers,
        )
        for side, issuers in (("small", lines[:1]), ("large", lines))
    ]
    enrolled = dict(zip(few.names, few.certificates, strict=True))
    small = seed(
        f"{SMALL} enrollments, 1 group", bench, SMALL_BIND, Seed(root, lines[:1], enrolled)
    )
    enrolled |= dict(zip(many.names, many.certificates, strict=True))
    large = seed(
        f"{total:,} enrollments, {len(lines)} groups",
        bench,
        LARGE_BIND,
        Seed(root, lines, enrolled, filler=total - len(enrolled)),
    )
    start_up_s = {
        cloud.name: [_start_up_s(bench, cloud) for _ in range(effort.runs)]
        for cloud in (small, large)
    }
    servers = {cloud.name: bench.start(cloud.serve) for cloud in (small, large)}
    for server in servers.values():
        server.process.wait_until_idle()
    before = {name: server.process.resident_bytes() for name, server in servers.items()}
    # What registers, where, from which number on; the few come again and again.
    loads: list[tuple[str, SeededCloud, Fleet]] = [
        ("individual, again", small, few),
        ("individual, again", large, few),
        ("individual, first time", large, many),
        ("group, first time", small, members[0]),
        ("group, first time", large, members[1]),
    ]
    done: dict[tuple[str, str], list[Registered]] = {}
    for run in range(effort.runs):
        for what, cloud, fleet in loads:
            bench.progress(f"million, run {run + 1}: {cloud.name}: {what}")
            done.setdefault((what, cloud.name), []).append(
                _register(bench, servers[cloud.name], fleet, run, per_run)
            )
    after = {name: server.process.resident_bytes() for name, server in servers.items()}
    section = Section(
        "million",
        f"{large.name}, beside {small.name}: TLS 1.3, P-256",
        ["registration", "server", "CPU", "spread", "/ small", "per second", "p99"],
    )
    small_cost = {
        "individual": _cost(done["individual, again", small.name]),
        "group": _cost(done["group, first time", small.name]),
    }
    for what, cloud, _ in loads:
        runs = done[what, cloud.name]
        ratio = _cost(runs) / small_cost[what.partition(",")[0]]
        section.rows.append(
            (
                what,
                cloud.name,
                f"{_cost(runs):.0f} us",
                spread([run.cpu_us for run in runs]),
                f"{ratio:.2f}",
                f"{median(run.load.rate for run in runs):.0f}",
                f"{median(run.p99_ms for run in runs):.0f} ms",
            )
        )
        section.figures[f"{what} / {cloud.name}"] = {
            "cpu_us": [run.cpu_us for run in runs],
            "per_s": [run.load.rate for run in runs],
            "p99_ms": [run.p99_ms for run in runs],
        }
        if cloud is large:
            text = f"CPU per registration ({what}), {large.name} / {small.name}"
            section.goals.append(Goal(text, ratio, MAX_SLOWER, at_most=True))
    for cloud in (small, large):
        section.figures[cloud.name] = {
            "start_up_s": start_up_s[cloud.name],
            "base_mib": before[cloud.name] / 2**20,
            "after_mib": after[cloud.name] / 2**20,
            "database_mib": cloud.database_bytes / 2**20,
        }
        section.notes.append(
            f"{cloud.name}: start-up {median(start_up_s[cloud.name]):.2f} s, memory "
            f"{before[cloud.name] / 2**20:.0f} MB, after the registrations "
            f"{after[cloud.name] / 2**20:.0f} MB; file {cloud.database_bytes / 2**20:.0f} MB"
        )
    section.goals.append(
        Goal(
            f"start-up in s, process start to CONNACK, {large.name}",
            median(start_up_s[large.name]),
            MAX_START_UP_S,
            at_most=True,
        )
    )
    small.check_records(min(SMALL, per_run) + count)
    large.check_records(min(SMALL, per_run) + 2 * count)
    section.notes += notes_on(bench, bottleneck=False)
    return section


def _fleet(bench: Bench, label: str, numbers: Sequence[int], issuers: Sequence[Issuer]) -> Fleet:
    names = [f"edge{number:07d}" for number in numbers]
    return make_fleet(bench.folder, label, names, key="ec", issuers=issuers)


def _start_up_s(bench: Bench, cloud: SeededCloud) -> float:
    """Return seconds from the start of the process until a device has its CONNACK."""
    with (
        cloud.serve(bench.folder, bench.credentials, bench.cores.server) as server,
        bench.load(server, "idle"),
    ):
        return time.monotonic() - server.process.started_at


def _register(bench: Bench, server: Server, fleet: Fleet, run: int, per_run: int) -> Registered:
    again = len(fleet.names) == SMALL
    return register(
        bench,
        server,
        fleet,
        tls="1.3",
        window=min(WINDOW, per_run),
        first=0 if again else run * per_run,
        clients=min(SMALL, per_run) if again else per_run,
        count=per_run,
    )


def _cost(runs: Sequence[Registered]) -> float:
    return median(run.cpu_us for run in runs)


if __name__ == "__main__":
    sys.exit(main(measure))
