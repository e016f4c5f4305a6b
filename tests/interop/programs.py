"""Device programs that stay: told what to do on standard input, heard on standard output."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.interop.sdks import HERE, need_node

from mooring.testing import ThrowAwayCloud

STEP_S = 40.0
"""The longest that a step may take: the SDKs wait some seconds before they connect again."""


class DeviceProgram:
    """One running program; a context manager."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.told: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(5)

    def do(self, step: str, **arguments: Any) -> Any:
        """Have a step done, and return what came of it."""
        self.begin(step, **arguments)
        outcome = self.hear(lambda fact: fact.get("step") == step, f"an answer to {step}")
        assert outcome["event"] == "done", (outcome, self.errors)
        return outcome["result"]

    def begin(self, step: str, **arguments: Any) -> None:
        """Have a step begun."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([step, arguments]) + "\n")
        self._process.stdin.flush()

    def hear(self, wanted: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Return the next fact that is `wanted`; others stay to be heard."""
        for number, fact in enumerate(self.told):
            if wanted(fact):
                return self.told.pop(number)
        deadline = time.monotonic() + STEP_S
        while True:
            try:
                fact = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {what}; heard {self.told}\n{self.errors}") from None
            if wanted(fact):
                return fact
            self.told.append(fact)

    def event(self, name: str) -> dict[str, Any]:
        """Return the next fact called `name`."""
        return self.hear(lambda fact: fact["event"] == name, name)

    @property
    def errors(self) -> str:
        """Return the last that it wrote to standard error."""
        return "".join(self._errors[-30:])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                self._lines.put(json.loads(line))

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors.extend(self._process.stderr)


class PythonHubDevice:
    """azure-iot-device from PyPI."""

    name = "python"
    client = "azure-iot-device (PyPI)"

    def __init__(self, *, websockets: bool = False) -> None:
        self.websockets = websockets

    def start(self, cloud: ThrowAwayCloud, **options: Any) -> DeviceProgram:
        """Start the program."""
        given = json.dumps({**_options(cloud), **options, "websockets": self.websockets})
        return DeviceProgram([sys.executable, str(HERE / "python_hub_device.py"), given], {})


class NodeHubDevice:
    """azure-iot-device and azure-iot-device-mqtt from npm."""

    name = "node"
    client = "azure-iot-device-mqtt (npm)"

    def __init__(self, *, websockets: bool = False) -> None:
        self.websockets = websockets

    def start(self, cloud: ThrowAwayCloud, **options: Any) -> DeviceProgram:
        """Start the program."""
        need_node()
        given = json.dumps({**_options(cloud), **options, "websockets": self.websockets})
        program = str(HERE / "node" / "hub_device.js")
        return DeviceProgram(["node", program, given], cloud.environment())


def _options(cloud: ThrowAwayCloud) -> dict[str, Any]:
    return {"host": cloud.address, "caFile": str(cloud.ca_file), "methods": ["lift", "ping"]}


def write_credential(folder: Path, certificate_pem: str, key_pem: bytes) -> dict[str, str]:
    """Write a certificate and its key; return the options that name them."""
    certificate, key = folder / "device.pem", folder / "device.key"
    certificate.write_text(certificate_pem)
    key.write_bytes(key_pem)
    return {"certFile": str(certificate), "keyFile": str(key)}
