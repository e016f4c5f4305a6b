"""The built wheel, in an empty environment outside the checkout: what a user gets.

Everything of it is used: the command, the schema's migrations, the plug-in that pytest finds.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
TIMEOUT_S = 240

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")

BESIDE = ("pytest", "azure-iot-device")
"""What a user has beside Mooring."""

USERS_TEST = """
from azure.iot.device import X509, IoTHubDeviceClient, Message, ProvisioningDeviceClient


def test_device_registers_and_sends(mooring_cloud):
    device = mooring_cloud.enroll("edge01")
    x509 = X509(cert_file=str(device.certificate_file), key_file=str(device.key_file))
    registered = ProvisioningDeviceClient.create_from_x509_certificate(
        provisioning_host=mooring_cloud.global_endpoint,
        registration_id=device.registration_id,
        id_scope=mooring_cloud.id_scope,
        x509=x509,
        server_verification_cert=mooring_cloud.ca_pem,
    ).register()
    client = IoTHubDeviceClient.create_from_x509_certificate(
        x509=x509,
        hostname=registered.registration_state.assigned_hub,
        device_id=registered.registration_state.device_id,
        server_verification_cert=mooring_cloud.ca_pem,
    )
    client.send_message(Message("hello"))
    client.shutdown()
    assert [event["body"] for event in mooring_cloud.telemetry("edge01")] == ["hello"]
"""


@dataclass(frozen=True)
class Outside:
    """A folder outside the checkout with an environment of its own."""

    folder: Path

    @property
    def environment(self) -> Path:
        """Return the virtual environment."""
        return self.folder / "environment"

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command of the environment; nothing of the checkout is in its reach."""
        own = {
            k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "MOORING"))
        }
        return subprocess.Popen(
            [self.environment / "bin" / command[0], *command[1:]],
            cwd=self.folder,
            env=own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def output(self, *command: str) -> str:
        """Run a command that must succeed and return what it prints."""
        return _finished(self.start(*command))


def _finished(process: subprocess.Popen[str]) -> str:
    said = process.communicate(timeout=TIMEOUT_S)[0]
    assert process.returncode == 0, said
    return said


def _blocks(lock: str) -> dict[str, str]:
    """Return the requirements of a lock file by name, each with its hashes."""
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / "requirements" / lock).read_text())
    return {
        canonicalize_name(re.split(r"[=\[]", block, maxsplit=1)[0]): block
        for block in re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    }


def _needed_by(names: tuple[str, ...]) -> Iterator[str]:
    """Yield `names` and what they need here, by the metadata of this environment."""
    waiting, seen = list(names), set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        yield name
        for text in importlib.metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Build the wheel."""
    _run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path / "dist", ROOT)
    (built,) = (tmp_path / "dist").glob("mooring-*.whl")
    return built


@pytest.fixture
def outside(wheel: Path, tmp_path: Path) -> Outside:
    """Install the wheel with what the lock files pin, and nothing else."""
    here = Outside(tmp_path / "outside")
    here.folder.mkdir()
    _run(sys.executable, "-m", "venv", "--without-pip", here.environment)
    pip = (*PIP, "--python", here.environment / "bin" / "python")
    locked = _blocks("dev.lock")
    pinned = _blocks("runtime.lock") | {name: locked[name] for name in _needed_by(BESIDE)}
    (tmp_path / "pinned.txt").write_text("\n".join(pinned.values()))
    _run(*pip, "install", "--no-compile", "--require-hashes", "-r", tmp_path / "pinned.txt")
    _run(*pip, "install", "--no-compile", "--no-deps", wheel)
    # What the wheel itself asks for is there, in a version that it takes.
    _run(*pip, "check")
    return here


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("mooring/")}

    assert packed == {
        path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / "mooring").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert any("migrations/versions/0001" in name for name in packed)
    assert "mooring/py.typed" in packed


@pytest.mark.slow
@pytest.mark.interop
def test_wheel_in_an_empty_environment_runs_the_demo_and_a_users_test(outside: Outside) -> None:
    imported = outside.output("python", "-c", "import mooring; print(mooring.__file__)")
    assert Path(imported.strip()).is_relative_to(outside.environment)
    (outside.folder / "test_users.py").write_text(USERS_TEST)

    # Both at one time, as they mostly wait for what DPS orders.
    with (
        outside.start("mooring", "demo") as demo,
        outside.start("python", "-m", "pytest", "-q", "test_users.py") as tests,
    ):
        assert "1 passed" in _finished(tests)
        assert "telemetry read back" in _finished(demo)
