"""The lock files: hashes for everything, no index address, one environment with the Azure SDKs."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
NODE_LOCK = ROOT / "tests" / "interop" / "node" / "package-lock.json"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_python_lock_pins_everything_by_hash_and_names_no_index(lock: Path) -> None:
    text = lock.read_text()
    requirements = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"(?m)^#.*\n", "", text).strip())

    assert len(requirements) > 10
    for requirement in requirements:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


def test_what_is_asked_for_with_extras_is_locked_with_them() -> None:
    """Without, pip takes the newest version for `name[extra]`, which no hash covers."""
    text = "\n".join(lock.read_text() for lock in LOCKS)
    locked = set(re.findall(r"(?m)^([A-Za-z0-9._-]+(?:\[[a-z0-9,-]+\])?)==", text))
    bare = {canonicalize_name(name) for name in locked if "[" not in name}
    asked = [
        requirement
        for distribution in importlib.metadata.distributions()
        for requirement in map(Requirement, distribution.requires or ())
        if requirement.extras
        and (not requirement.marker or requirement.marker.evaluate({"extra": ""}))
    ]

    assert asked
    assert [str(each) for each in asked if canonicalize_name(each.name) in bare] == []


def test_node_lock_pins_everything_by_hash_and_names_no_registry() -> None:
    packages = json.loads(NODE_LOCK.read_text())["packages"]

    for name, package in packages.items():
        assert "resolved" not in package, name
        assert not name or "integrity" in package, name


def test_environment_holds_mooring_and_the_azure_sdk_without_a_conflict() -> None:
    assert importlib.metadata.version("azure-iot-device") == "2.14.0"

    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout
