"""`mooring hub monitor` and `mooring hub group`: filters, places, sources."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import Any

import pytest
from tests.support.commandline import CommandLine, wait_until
from tests.support.dps_commands import fresh_name
from tests.support.hub_devices import Device, added, connected

from mooring.cli.hub_filters import EventFilter


def _bodies(events: list[dict[str, Any]]) -> list[Any]:
    return [event["body"] for event in events]


def next_millisecond() -> None:
    """Let the time go on by which messages of several partitions are put in order."""
    time.sleep(0.002)


def test_monitor_shows_what_fits_device_patterns_and_properties(mooring: CommandLine) -> None:
    with connected(mooring) as one, connected(mooring) as other:
        one.tell(b"first", "unit=C")
        next_millisecond()
        other.tell(b"second", "unit=F&%24.ct=text%2Fplain")
        next_millisecond()
        one.tell(b"third", "unit=")
        both = ("--device", f"{one.name[:8]}*{one.name[-4:]}", "--device", other.name)

        def seen(*options: str) -> list[Any]:
            return _bodies(mooring.json("hub", "monitor", *both, *options))

        assert seen() == ["first", "second", "third"]
        assert seen("--limit", "2") == ["first", "second"]
        assert seen("--property", "unit=*") == ["first", "second", "third"]
        assert seen("--property", "unit=") == ["third"]
        assert seen("-p", "unit", "-p", "$.content-type=text/*") == ["second"]
        assert seen("--from", "latest") == []
        assert seen("--source", "twin") == []
        alone = mooring.json("hub", "monitor", "--device", one.name)
        assert _bodies(alone) == ["first", "third"]
        later = alone[1]["enqueuedTimeUtc"]
        assert "first" not in seen("--from", later)
        text = mooring.text("hub", "monitor", "--device", other.name, "--all")
        assert f"{other.name} second content-type=text/plain unit=F" in text
        assert "iothub-message-source  Telemetry" in text


def test_monitor_of_more_than_a_page_finds_all(
    mooring: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.cli.hub_monitor.PAGE_EVENTS", 2)
    with connected(mooring) as device:
        for number in range(7):
            device.tell(str(number).encode(), f"odd={number % 2}")
        assert _bodies(mooring.json("hub", "monitor", "--device", f"{device.name}*")) == list(
            "0123456"
        )
        odd = ("--device", device.name, "--property", "odd=1")
        assert _bodies(mooring.json("hub", "monitor", *odd)) == list("135")


def test_monitor_shows_what_the_hub_reports_once_it_is_told_to(mooring: CommandLine) -> None:
    mooring.text("hub", "update", "hub", "--events", "twin,lifecycle,connection")
    try:
        with added(mooring) as name:
            mooring.text("hub", "twin", "tags", name, '{"site": "north"}')
            Device(mooring, name).close()

            def seen(source: str) -> list[dict[str, Any]]:
                found: list[dict[str, Any]] = mooring.json(
                    "hub", "monitor", "--device", name, "--source", source
                )
                return found

            (created,) = seen("lifecycle")
            assert created["properties"]["opType"] == "createDeviceIdentity"
            (changed,) = seen("twin")
            assert changed["body"]["tags"] == {"site": "north"}
            assert seen("connection")[0]["properties"]["opType"] == "deviceConnected"
    finally:
        mooring.text("hub", "update", "hub", "--events", "none")


def test_group_goes_on_where_it_was_and_can_be_set_back(mooring: CommandLine) -> None:
    group = fresh_name("group")
    made = mooring.json("hub", "group", "create", group, "--from", "latest")
    assert made["name"] == group
    assert mooring.refusal("hub", "group", "create", group)["code"]
    read = ("hub", "monitor", "--group", group)
    with connected(mooring) as device:
        for text in (b"a", b"b", b"c"):
            device.tell(text)
        assert _bodies(mooring.json(*read, "--limit", "1")) == ["a"]
        assert " b " in mooring.text(*read, "--limit", "1")
        assert _bodies(mooring.json(*read)) == ["c"]
        assert mooring.json(*read) == []
        mooring.text("hub", "group", "reset", group, "--from", "earliest")
        mine = ("--device", f"{device.name}*")
        assert _bodies(mooring.json(*read, *mine)) == ["a", "b", "c"]
        assert mooring.json(*read) == []  # what a filter leaves out is dealt with
    assert group in mooring.text("hub", "group", "list")
    assert mooring.json("hub", "group", "show", group)["positions"]
    both = mooring.refusal(*read, "--from", "earliest", exit_code=2)
    assert both["code"] == "group-and-start"
    assert mooring.refusal("hub", "group", "reset", group, "--from", "soon")["code"]
    assert mooring.json("hub", "group", "delete", group) == {"deleted": group}
    assert mooring.refusal(*read)["code"] == "consumer-group-not-found"


def test_follow_by_group_shows_what_comes_and_ctrl_c_ends_it_without_loss(
    mooring: CommandLine, mooring_process: CommandLine
) -> None:
    group = fresh_name("group")
    mooring.text("hub", "group", "create", group, "--from", "latest")
    seen = mooring.folder / "seen"
    with connected(mooring) as device, seen.open("w") as output:
        reader = mooring_process.start(
            *("hub", "monitor", "--group", group, "--follow", "--json"),
            stdout=output,
            stderr=subprocess.PIPE,
        )
        device.tell(b"one")
        wait_until(seen.read_text, "what was sent")
        reader.send_signal(signal.SIGINT)
        assert reader.wait(30) == 0
        assert reader.stderr is not None
        assert reader.stderr.read() == ""
        device.tell(b"two")
        assert [json.loads(line)["body"] for line in seen.read_text().splitlines()] == ["one"]
        assert _bodies(mooring.json("hub", "monitor", "--group", group)) == ["two"]
    mooring.text("hub", "group", "delete", group)


def test_follow_with_a_limit_ends_by_itself(mooring: CommandLine) -> None:
    with connected(mooring) as device:
        device.tell(b"one")
        device.tell(b"two")
        followed = ("hub", "monitor", "--follow", "--from", "earliest", "--device", device.name)
        text = mooring.text(*followed, "--limit", "1", "--json")
        assert [json.loads(line)["body"] for line in text.splitlines()] == ["one"]


def test_property_without_a_name_is_refused(mooring: CommandLine) -> None:
    for given in ("=5", "$.", ""):
        refusal = mooring.refusal("hub", "monitor", "--property", given, exit_code=2)
        assert refusal["code"] == "property-malformed"


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [("a*", "a\n.b"), ("*", ""), ("a.c", "a.c"), ("*b*", "abc")],
)
def test_star_stands_for_any_characters_and_nothing_else_does(pattern: str, fits: str) -> None:
    wanted = EventFilter.of((), [f"name={pattern}"], ())

    def event(value: str) -> dict[str, Any]:
        return {"deviceId": "d", "properties": {"name": value}, "systemProperties": {}}

    assert wanted(event(fits))
    assert wanted(event("xyz")) == (pattern == "*")
    assert not EventFilter.of(("a.c", "x*"), (), ())({**event("x"), "deviceId": "abc"})
