"""What the benchmarks need."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent
BENCHMARKS = PROJECT / "benchmarks"
REMEDY = "apt-get install gcc libc6-dev libssl-dev (tests/install-tools.sh does it)"


@pytest.fixture(scope="session")
def compiler() -> str:
    """Return the C compiler; skip where the load generator cannot be compiled."""
    found = shutil.which("cc")
    if found is None:
        pytest.skip(f"no C compiler; remedy: {REMEDY}")
    check = [found, "-E", "-include", "openssl/ssl.h", "-x", "c", "/dev/null"]
    if subprocess.run(check, capture_output=True).returncode != 0:
        pytest.skip(f"OpenSSL's headers are missing; remedy: {REMEDY}")
    return found


@pytest.fixture(scope="session")
def loadgen(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the load generator, compiled with warnings as errors."""
    binary = tmp_path_factory.mktemp("loadgen") / "loadgen"
    sources = sorted((BENCHMARKS / "loadgen").glob("*.c"))
    command = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(binary)]
    done = subprocess.run(
        [*command, *map(str, sources), "-lssl", "-lcrypto", "-lm"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return binary
