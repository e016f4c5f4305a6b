"""The benchmarks of DPS run, small, and end with the records they must; speed is not tested."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parent.parent.parent
BENCHMARKS = PROJECT / "benchmarks"
REMEDY = "apt-get install gcc libc6-dev libssl-dev (tests/install-tools.sh does it)"


@pytest.fixture(scope="module", autouse=True)
def compiler() -> None:
    """Skip where the load generator cannot be compiled."""
    found = shutil.which("cc")
    if found is None:
        pytest.skip(f"no C compiler; remedy: {REMEDY}")
    check = [found, "-E", "-include", "openssl/ssl.h", "-x", "c", "/dev/null"]
    if subprocess.run(check, capture_output=True).returncode != 0:
        pytest.skip(f"OpenSSL's headers are missing; remedy: {REMEDY}")


def run_script(name: str, results: Path) -> dict[str, Any]:
    """Run a benchmark in its smallest form and return its one section."""
    command = [sys.executable, str(BENCHMARKS / name), "--quick", "--results", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    (file,) = results.glob("*.json")
    (section,) = json.loads(file.read_text())["sections"]
    assert isinstance(section, dict)
    return section


@pytest.mark.slow
def test_registration_when_run_small_measures_every_server_and_client(tmp_path: Path) -> None:
    section = run_script("registration.py", tmp_path)

    servers = ("openssl s_server, handshake", "Mooring, handshake", "Mooring, individual")
    for cell in ("TLS 1.3, P-256 client", "TLS 1.2, RSA-2048 client"):
        for server in (*servers, "Mooring, group"):
            assert section["figures"][f"{server} / {cell}"]["cpu_us"][0] > 0


@pytest.mark.slow
def test_storm_when_run_small_ends_with_every_gateway_registered(tmp_path: Path) -> None:
    section = run_script("storm.py", tmp_path)

    figures = section["figures"]["Mooring"]
    assert figures["registered"] == figures["gateways"] > 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]


@pytest.mark.slow
def test_million_when_run_small_measures_both_clouds(tmp_path: Path) -> None:
    section = run_script("million.py", tmp_path)

    for cloud in ("100 enrollments, 1 group", "10,000 enrollments, 10 groups"):
        assert section["figures"][cloud]["start_up_s"][0] > 0
        assert section["figures"][cloud]["base_mib"] > 0
        assert section["figures"][f"group, first time / {cloud}"]["per_s"][0] > 0
