"""Third-party programs the benchmarks need: found, installed where that may be, or asked for."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from harness.paths import BENCHMARKS, BUILD, PROJECT

DEBIAN_PACKAGES = {
    "mosquitto": "mosquitto",
    "openssl": "openssl",
    "cc": "gcc libc6-dev",
}
SEARCH_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class ToolMissing(Exception):
    """A program that cannot be had here; the message says how to get it."""


def find_tool(name: str) -> str:
    """Return the path of a program, installing Debian's package for it when we are root.

    Raises:
        ToolMissing: It is not there and cannot be installed from here.
    """
    found = shutil.which(name, path=SEARCH_PATH)
    if found is None:
        install_packages(DEBIAN_PACKAGES[name].split(), reason=f"{name} is missing")
        found = shutil.which(name, path=SEARCH_PATH)
    if found is None:
        raise ToolMissing(f"{name} is not on the path even after its package was installed")
    return found


def install_packages(packages: list[str], *, reason: str) -> None:
    """Install Debian packages, or raise with the command that does it.

    Raises:
        ToolMissing: We are not root, there is no apt-get, or it failed.
    """
    command = f"apt-get install {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ToolMissing(f"{reason}: as root, {command}")
    print(f"{reason}: installing {', '.join(packages)}", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends"]):
        extra = packages if arguments[0] == "install" else []
        done = subprocess.run(
            ["apt-get", *arguments, *extra], env=environment, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise ToolMissing(f"{reason}, and `{command}` failed: {done.stderr.strip()[-300:]}")


def build_load_generator() -> Path:
    """Compile what is in ``loadgen/`` unless the binary is newer, and return its path.

    Raises:
        ToolMissing: No compiler, or no OpenSSL headers, and neither can be installed.
    """
    folder = BENCHMARKS / "loadgen"
    sources = sorted(folder.glob("*.c"))
    newest = max(file.stat().st_mtime for file in (*sources, *folder.glob("*.h")))
    binary = BUILD / "loadgen"
    if binary.exists() and binary.stat().st_mtime > newest:
        return binary
    compiler = find_tool("cc")
    BUILD.mkdir(exist_ok=True)
    libraries = ["-lssl", "-lcrypto", "-lm"]
    # Renamed at the end: another benchmark may be looking for it now.
    made = binary.with_name(f"loadgen.{os.getpid()}")
    command = [compiler, "-O2", "-o", str(made), *map(str, sources), *libraries]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 and "openssl/" in done.stderr:
        install_packages(["libssl-dev"], reason="OpenSSL's headers are missing")
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ToolMissing(f"the load generator does not compile:\n{done.stderr}")
    made.replace(binary)
    return binary


def amqtt_python() -> Path:
    """Return the Python of a virtual environment that holds amqtt, set up on first use.

    It is an environment of its own, so that the peer's dependencies and ours never meet.

    Raises:
        ToolMissing: The environment cannot be made, or the lock file not be installed.
    """
    environment = BUILD / "amqtt"
    python = environment / "bin" / "python"
    lock = PROJECT / "requirements" / "bench.lock"
    stamp = environment / ".installed"
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "amqtt.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # another benchmark may be about it now
        _install_amqtt(environment, python, lock, stamp)
    return python


def _install_amqtt(environment: Path, python: Path, lock: Path, stamp: Path) -> None:
    if stamp.exists() and stamp.stat().st_mtime > lock.stat().st_mtime:
        return
    print("setting up amqtt in an environment of its own", file=sys.stderr)
    for command in (
        [sys.executable, "-m", "venv", str(environment)],
        [str(python), "-m", "pip", "-q", "install", "--require-hashes", "-r", str(lock)],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise ToolMissing(f"amqtt cannot be installed: {done.stderr.strip()[-400:]}")
    stamp.touch()
