"""A whole fleet registers at one time: 10,000 gateways that are switched on together.

Each has a certificate and an identity of its own, and does what an SDK does: full handshake,
CONNECT, SUBSCRIBE, register, wait as long as DPS orders, poll until "assigned". Half of them have
individual enrollments, half belong to a group. Who is turned away since too many handshakes wait
comes back, as devices do. At the end there must be a registration record and a device for each.
"""

from __future__ import annotations

import sys

from harness.bench import Bench, main, notes_on
from harness.fleet import load_issuer, make_fleet
from harness.provisioning import register, seed
from harness.report import Goal, Section
from harness.seeding import Seed, make_lines

BIND = "127.0.0.42"
GATEWAYS = 10_000
QUICK_GATEWAYS = 200


def measure(bench: Bench) -> Section:
    """Return rate and delays of one storm."""
    count = QUICK_GATEWAYS if bench.effort.quick else GATEWAYS
    bench.progress("storm: issuing certificates")
    root = load_issuer(bench.folder / "root.pem", bench.folder / "root-key.pem")
    lines = make_lines(root, 1)
    names = [f"gateway-{number:05d}" for number in range(count)]
    fleet = make_fleet(bench.folder, "storm", names, key="ec", issuers=lines)
    half = dict(zip(fleet.names[::2], fleet.certificates[::2], strict=True))
    cloud = seed("Mooring", bench, BIND, Seed(root, lines, half))
    server = bench.start(cloud.serve)
    server.process.wait_until_idle()
    before = server.process.resident_bytes()
    bench.progress(f"storm: {count} gateways")
    done = register(
        bench,
        server,
        fleet,
        tls="1.3",
        window=count,
        first=0,
        clients=count,
        count=count,
        wait=True,
    )
    after = server.process.resident_bytes()
    section = Section(
        "storm",
        f"Registration storm: {count} gateways at one time, TLS 1.3, P-256",
        ["server", "registrations/s", "p50", "p99", "longest", "came back", "CPU", "memory"],
        rows=[
            (
                "Mooring",
                f"{done.load.rate:.0f}",
                f"{done.p50_ms / 1000:.2f} s",
                f"{done.p99_ms / 1000:.2f} s",
                f"{done.max_ms / 1000:.2f} s",
                f"{done.turned_away}",
                f"{done.cpu_us:.0f} us",
                f"{before / 2**20:.0f} to {after / 2**20:.0f} MB",
            )
        ],
    )
    section.figures["Mooring"] = {
        "gateways": count,
        "registered": done.load.count,
        "per_s": done.load.rate,
        "p50_ms": done.p50_ms,
        "p99_ms": done.p99_ms,
        "max_ms": done.max_ms,
        "turned_away": done.turned_away,
        "cpu_us": done.cpu_us,
        "base_mib": before / 2**20,
        "after_mib": after / 2**20,
    }
    cloud.check_records(count)
    section.goals.append(
        Goal(f"registered, of {count} gateways", done.load.count, count, at_most=False)
    )
    section.notes.append(
        'Delays run from the first attempt to connect until "assigned", without the seconds '
        "that DPS orders to wait before the poll."
    )
    section.notes += notes_on(bench, bottleneck=False)
    return section


if __name__ == "__main__":
    sys.exit(main(measure))
