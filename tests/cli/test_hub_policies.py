"""`mooring hub policy`: shared access policies of a hub."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from tests.support.commandline import CommandLine, QuickCommandLine, house_up

from mooring.cli.hub_policy import Right
from mooring.cloud.accounts.model import DEFAULT_POLICIES, ResourceKind
from mooring.protocol.azure.connection_strings import parse_connection_string

POLICY = ("hub", "policy")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[CommandLine]:
    """Run cloud and gateway for this module."""
    with house_up(tmp_path_factory.mktemp("policies")) as here:
        yield here


@pytest.fixture
def mooring(house: CommandLine, tmp_path: Path) -> CommandLine:
    """Return the command in an empty folder, quick to run."""
    return QuickCommandLine.of(house, tmp_path)


def test_rights_are_those_of_hubs() -> None:
    known = set().union(*DEFAULT_POLICIES[ResourceKind.HUB].values())

    assert {right.value for right in Right} == {right.value for right in known}


def test_policy_is_made_changed_rolled_and_deleted(mooring: CommandLine) -> None:
    made = mooring.json(*POLICY, "add", "reader", "--right", "RegistryRead")
    assert made["rights"] == "RegistryRead"
    shown = mooring.text(*POLICY, "show", "Reader")
    string = next(line for line in shown.splitlines() if line.startswith("connection string"))
    parts = parse_connection_string(string.split()[-1])
    assert (parts.host_name, parts.shared_access_key) == (mooring.address, made["primaryKey"])
    assert made["primaryKey"] not in mooring.text(*POLICY, "list")
    assert made["primaryKey"] not in str(mooring.json(*POLICY, "list", "--hub", "hub"))

    changed = mooring.json(
        *(*POLICY, "set", "reader", "--right", "RegistryRead", "--right", "ServiceConnect")
    )
    assert changed == {"keyName": "reader", "rights": "RegistryRead, ServiceConnect"}
    rolled = mooring.json(*POLICY, "regenerate-key", "reader", "--key", "primary")
    assert rolled["primaryKey"] != made["primaryKey"]
    assert rolled["secondaryKey"] == made["secondaryKey"]
    both = mooring.json(*POLICY, "regenerate-key", "reader", "--key", "both")
    assert both["primaryKey"] != rolled["primaryKey"]
    assert both["secondaryKey"] != rolled["secondaryKey"]

    twice = mooring.refusal(*POLICY, "add", "Reader", "--right", "RegistryRead")
    assert twice["code"] == "policy-exists"
    assert mooring.json(*POLICY, "delete", "reader") == {"deleted": "reader"}
    for gone in (
        ("delete", "reader"),
        ("show", "reader"),
        ("set", "reader", "--right", "RegistryRead"),
        ("regenerate-key", "reader", "--key", "both"),
    ):
        assert mooring.refusal(*POLICY, *gone)["code"] == "policy-not-found"
    assert mooring.run(*POLICY, "add", "other", "--right", "Nonsense").returncode == 2


def test_owners_policy_stays(mooring: CommandLine) -> None:
    refusal = mooring.refusal(*POLICY, "delete", "iothubowner")

    assert refusal["code"] == "owner-policy-needed"
    assert mooring.refusal(*POLICY, "list", "--hub", "nobody")["code"] == "hub-not-found"
