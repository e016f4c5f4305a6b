"""`mooring hub show` and `update`, and the CA certificates of a hub."""

from __future__ import annotations

import re
from collections.abc import Generator

import pytest
from tests.support.commandline import CommandLine
from tests.support.dps_commands import fresh_name, make_root


@pytest.fixture
def settings(mooring: CommandLine) -> Generator[None]:
    """Put the hub's settings back after a test."""
    yield
    mooring.text(
        *("hub", "update", "hub", "--events", "none", "--throttling", "off", "--sku", "S1"),
        *("--units", "1", "--enable-local-auth", "--enable-device-sas", "--c2d-ttl", "PT1H"),
        *("--max-delivery-count", "10", "--feedback-ttl", "PT1H", "--feedback-lock", "PT1M"),
    )


@pytest.mark.usefixtures("settings")
def test_settings_that_are_named_change_and_others_stay(mooring: CommandLine) -> None:
    before = mooring.json("hub", "show", "hub")["settings"]
    changed = mooring.json(
        *("hub", "update", "hub", "--events", "twin, connection", "--throttling", "azure"),
        *("--sku", "S2", "--units", "3", "--disable-device-sas", "--max-delivery-count", "7"),
        *("--c2d-ttl", "PT2H", "--feedback-lock", "PT30S"),
    )
    assert set(changed["events"]) == {"twinChangeEvents", "deviceConnectionStateEvents"}
    assert changed["throttling"] == "azure"
    assert changed["sku"] == {"name": "S2", "capacity": 3}
    assert changed["disableDeviceSAS"] is True
    assert changed["disableLocalAuth"] is False
    messages = changed["cloudToDevice"]
    assert messages["maxDeliveryCount"] == 7
    assert messages["defaultTtlAsIso8601"] == "PT2H"
    assert messages["feedback"] == {
        **before["cloudToDevice"]["feedback"],
        "lockDurationAsIso8601": "PT30S",
    }
    assert mooring.json("hub", "show", "hub")["settings"] == changed
    text = mooring.text("hub", "show", "hub")
    assert "events               connection, twin" in text
    assert "size                 S2, units: 3" in text
    off = mooring.text("hub", "update", "hub", "--events", "none", "--enable-device-sas")
    assert "events               none" in off


@pytest.mark.parametrize(
    ("options", "code", "exit_code"),
    [
        ((), "nothing-to-change", 2),
        (("--limit", "twinReads"), "limit-malformed", 2),
        (("--limit", "=5"), "limit-malformed", 2),
        (("--limit", "bogus=5"), "input-invalid", 1),
        (("--events", "twin,bogus"), "event-unknown", 2),
        (("--c2d-ttl", "soon"), "duration-malformed", 1),
        (("--units", "0"), "input-invalid", 1),
    ],
)
def test_update_that_cannot_be_done_says_why(
    mooring: CommandLine, options: tuple[str, ...], code: str, exit_code: int
) -> None:
    refusal = mooring.refusal("hub", "update", "hub", *options, exit_code=exit_code)
    assert refusal["code"] == code


def test_hub_that_is_not_there_is_refused(mooring: CommandLine) -> None:
    for words in (
        ("show", "nobody"),
        ("update", "nobody", "--units", "1"),
        ("monitor", "--hub", "nobody"),
        ("group", "list", "--hub", "nobody"),
        ("certificate", "list", "--hub", "nobody"),
        ("twin", "show", "x", "--hub", "nobody"),
        ("queue", "x", "--hub", "nobody"),
    ):
        assert mooring.refusal("hub", *words)["code"] == "hub-not-found"


@pytest.mark.usefixtures("settings")
def test_limits_of_ones_own_are_set_shown_and_given_back(mooring: CommandLine) -> None:
    changed = mooring.json(
        *("hub", "update", "hub", "--throttling", "azure"),
        *("--limit", "twinReads=1", "--limit", "messagesPerDay=100"),
    )
    assert changed["limits"] == {"twinReads": 1, "messagesPerDay": 100}
    assert "twinReads=1" in mooring.text("hub", "show", "hub")
    codes = {mooring.refusal("hub", "twin", "show", "nobody")["code"] for _ in range(10)}
    assert "throttling-exception" in codes
    text = mooring.text("hub", "quotas")
    assert re.search(r"^messagesPerDay +\d+ of 100 used", text, re.MULTILINE)
    assert re.search(r"^twinReads +1 +1 s ", text, re.MULTILINE)
    assert mooring.json("hub", "quotas")["rates"]["twinReads"]["refused"] > 0
    back = mooring.json(
        *("hub", "update", "hub", "--limit", "twinReads=default"),
        *("--limit", "messagesPerDay=default"),
    )
    assert back["limits"] == {}


# -- CA certificates ------------------------------------------------------------------------------


def test_ca_certificate_is_uploaded_verified_with_its_key_and_deleted(
    mooring: CommandLine,
) -> None:
    root = make_root(mooring, "hubroot")
    name = fresh_name("ca")
    added = mooring.text("hub", "certificate", "add", name, root)
    assert "Unverified" in added
    assert f"next: mooring hub certificate code {name}" in added
    code = mooring.text("hub", "certificate", "code", name)
    assert f"mooring hub certificate verify {name} --with-key" in code
    verified = mooring.json(
        "hub", "certificate", "verify", name, "--with-key", "root-private-key.pem"
    )
    assert verified["properties"]["isVerified"] is True
    assert name in mooring.text("hub", "certificate", "list")
    assert mooring.json("dps", "certificate", "list") == [] or name not in {
        row["name"] for row in mooring.json("dps", "certificate", "list")
    }
    assert "CN=hubroot" in mooring.text("hub", "certificate", "show", name)
    assert mooring.json("hub", "certificate", "delete", name) == {"deleted": name}
    mooring.refusal("hub", "certificate", "show", name)


def test_ca_certificate_by_url_needs_the_name_of_the_hub(mooring: CommandLine) -> None:
    facts = mooring.json("cloud", "info")
    elsewhere = ("--url", facts["service_url"], "--trust", facts["ca_file"])
    refusal = mooring.refusal("hub", "certificate", "list", *elsewhere, exit_code=2)
    assert refusal["code"] == "hub-missing"
    assert mooring.json("hub", "certificate", "list", *elsewhere, "--hub", "hub") == []
