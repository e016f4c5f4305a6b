"""The benchmarks run, small, and end with the records they must; speed is not tested."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("compiler")]


@pytest.fixture(scope="module")
def mosquitto() -> None:
    """Skip where this peer is missing; amqtt is installed by the benchmark itself."""
    if shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        pytest.skip("mosquitto is missing; remedy: tests/install-tools.sh")


def run_script(name: str, results: Path) -> dict[str, Any]:
    """Run a benchmark in its smallest form and return its one section."""
    command = [sys.executable, str(BENCHMARKS / name), "--quick", "--results", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    (file,) = results.glob("*.json")
    (section,) = json.loads(file.read_text())["sections"]
    assert isinstance(section, dict)
    return section


def test_registration_when_run_small_measures_every_server_and_client(tmp_path: Path) -> None:
    section = run_script("registration.py", tmp_path)

    servers = ("openssl s_server, handshake", "Mooring, handshake", "Mooring, individual")
    for cell in ("TLS 1.3, P-256 client", "TLS 1.2, RSA-2048 client"):
        for server in (*servers, "Mooring, group"):
            assert section["figures"][f"{server} / {cell}"]["cpu_us"][0] > 0


def test_storm_when_run_small_ends_with_every_gateway_registered(tmp_path: Path) -> None:
    section = run_script("storm.py", tmp_path)

    figures = section["figures"]["Mooring"]
    assert figures["registered"] == figures["gateways"] > 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]


def test_million_when_run_small_measures_both_clouds(tmp_path: Path) -> None:
    section = run_script("million.py", tmp_path)

    for cloud in ("100 enrollments, 1 group", "10,000 enrollments, 10 groups"):
        assert section["figures"][cloud]["start_up_s"][0] > 0
        assert section["figures"][cloud]["base_mib"] > 0
        assert section["figures"][f"group, first time / {cloud}"]["per_s"][0] > 0


@pytest.mark.usefixtures("mosquitto")
def test_telemetry_when_run_small_measures_with_and_without_properties(tmp_path: Path) -> None:
    section = run_script("telemetry.py", tmp_path)

    for server in ("Mooring hub", "mosquitto", "amqtt"):
        for load in ("32 clients, window 10", "32 clients, window 10, properties"):
            assert section["figures"][f"{server} / {load}"]["messages_per_s"][0] > 0


@pytest.mark.usefixtures("mosquitto")
def test_methods_when_run_small_measures_every_server_and_load(tmp_path: Path) -> None:
    section = run_script("methods.py", tmp_path)

    for server in ("Mooring hub", "mosquitto", "amqtt"):
        for load in ("1 caller", "32 callers"):
            figures = section["figures"][f"{server} / {load}"]
            assert 0 < figures["p50_ms"][0] <= figures["p99_ms"][0]
            assert figures["calls_per_s"][0] > 0


@pytest.mark.usefixtures("mosquitto")
def test_twins_when_run_small_measures_both_directions(tmp_path: Path) -> None:
    section = run_script("twins.py", tmp_path)

    for load in (
        "Mooring hub, reported patches / 32 devices, window 10",
        "Mooring hub, desired patches / 32 callers over HTTPS",
    ):
        figures = section["figures"][load]
        assert 0 < figures["p50_ms"][0] <= figures["p99_ms"][0]
        assert figures["per_s"][0] > 0


@pytest.mark.usefixtures("mosquitto")
def test_fleet_when_run_small_has_all_back_and_calls_some(tmp_path: Path) -> None:
    section = run_script("fleet.py", tmp_path)

    hub = section["figures"]["Mooring hub"]
    assert hub["called"] > 0
    for server in ("Mooring hub", "mosquitto"):
        figures = section["figures"][server]
        assert figures["devices"] > 0
        assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]
