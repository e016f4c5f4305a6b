"""A real mosquitto on a free loopback port, for tests of clients.

    with Mosquitto.start(tmp_path) as broker:
        connect(broker.host, broker.port)

With TLS: ``Mosquitto.start(tmp_path, tls=MosquittoTls(...))``. Where mosquitto is not installed,
`start` skips the test and says how to get it.
"""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

HOST = "127.0.0.1"

_START_ATTEMPTS = 5
"""Free ports tried: another process may take one between the look and mosquitto's bind."""

_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class MosquittoTls:
    """Files (PEM) for a TLS listener.

    Attributes:
        certfile, keyfile: The server's certificate (chain, leaf first) and key.
        cafile: CAs that client certificates must come from.
        require_certificate: Refuse clients without a certificate.
        use_identity_as_username: Take the client certificate's CN as the user name.
        tls_version: Least version, e.g. ``"tlsv1.2"``.
    """

    certfile: Path
    keyfile: Path
    cafile: Path | None = None
    require_certificate: bool = False
    use_identity_as_username: bool = False
    tls_version: str | None = None

    def lines(self) -> list[str]:
        """Return the settings for the listener."""
        lines = [f"certfile {self.certfile}", f"keyfile {self.keyfile}"]
        if self.cafile is not None:
            lines.append(f"cafile {self.cafile}")
        lines.append(f"require_certificate {str(self.require_certificate).lower()}")
        lines.append(f"use_identity_as_username {str(self.use_identity_as_username).lower()}")
        if self.tls_version is not None:
            lines.append(f"tls_version {self.tls_version}")
        return lines


def mosquitto_program() -> str:
    """Return the path of the broker's program; skip the test when there is none."""
    # Debian puts it into /usr/sbin, which is not on every user's PATH.
    program = shutil.which("mosquitto") or shutil.which(
        "mosquitto", path="/usr/sbin:/usr/local/sbin"
    )
    if program is None:
        pytest.skip("mosquitto is not installed; remedy: apt-get install mosquitto")
    return program


class Mosquitto:
    """A running broker; a context manager that ends it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log_file: Path) -> None:
        """Take over a started `process`."""
        self._process = process
        self._log_file = log_file
        self.host = HOST
        self.port = port

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        tls: MosquittoTls | None = None,
        allow_anonymous: bool = True,
        settings: Sequence[str] = (),
    ) -> Self:
        """Start a broker with its configuration and log in `folder`, and wait until it listens.

        Args:
            folder: An existing folder, the test's ``tmp_path``.
            tls: None for plain TCP.
            allow_anonymous: Take clients without a user name that is known.
            settings: Further lines of the configuration.
        """
        program = mosquitto_program()
        log_file = folder / "mosquitto.log"
        for _ in range(_START_ATTEMPTS):
            port = _free_port()
            config_file = folder / "mosquitto.conf"
            lines = [
                # Without this, root's mosquitto becomes a user that cannot read the keys.
                f"user {getpass.getuser()}",
                "persistence false",
                "log_dest stderr",
                "log_type all",
                f"listener {port} {HOST}",
                f"allow_anonymous {str(allow_anonymous).lower()}",
                *([] if tls is None else tls.lines()),
                *settings,
            ]
            config_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
            with log_file.open("wb") as log:
                process = subprocess.Popen([program, "-c", str(config_file)], stderr=log)
            if _listens(process, port):
                return cls(process, port, log_file)
            _end(process)
            text = log_file.read_text(encoding="utf-8", errors="replace")
            if "Address already in use" not in text:
                raise RuntimeError(f"mosquitto did not start:\n{text}")
        raise RuntimeError(f"mosquitto found no free port in {_START_ATTEMPTS} attempts")

    def log_text(self) -> str:
        """Return the broker's log so far."""
        return self._log_file.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """End the broker."""
        _end(self._process)

    def __enter__(self) -> Self:
        """Return the broker."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the broker."""
        self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Return whether the broker takes connections before it ends or time is up."""
    give_up_at = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < give_up_at:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return process.poll() is None
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
