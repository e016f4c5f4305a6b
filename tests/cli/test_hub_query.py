"""`mooring hub query` against a running house, and against a hub that has no bounds."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.support.commandline import CommandLine, QuickCommandLine, house_up
from tests.support.scripted_api import Script, scripted

from mooring.cli.api import ApiError
from mooring.cli.hub_api import HubApi


def _add(mooring: CommandLine, *names: str, hub: str | None = None) -> None:
    for name in names:
        mooring.text(
            *("cert", "root", "--cn", name, "--organization", "Quay"),
            *("--key", "ec-p256", "--out-dir", name),
        )
        to = () if hub is None else ("--hub", hub)
        mooring.text("hub", "device", "add", "--certificate", f"{name}/root-cert.pem", *to)


@pytest.fixture
def devices(mooring: CommandLine) -> Generator[None]:
    """Add two devices for the time of a test."""
    _add(mooring, "asked1", "asked2")
    yield
    for name in ("asked1", "asked2"):
        mooring.text("hub", "device", "delete", name)


MINE = "STARTSWITH(deviceId, 'asked')"


@pytest.mark.usefixtures("devices")
def test_rows_are_a_table_of_what_select_names(mooring: CommandLine) -> None:
    text = mooring.text(
        "hub", "query", f"SELECT deviceId AS id, capabilities FROM devices WHERE {MINE}"
    )

    assert re.search(r"^id +capabilities\s*$", text, re.MULTILINE)
    assert re.search(r'^asked2 +\{"iotEdge": false\}\s*$', text, re.MULTILINE)
    narrow = mooring.text("hub", "query", f"SELECT COUNT() AS n FROM devices WHERE {MINE}")
    assert re.match(r"rows *\nn *\n─+\n2 *\n", narrow)
    counted = mooring.json("hub", "query", f"SELECT COUNT() AS n FROM devices WHERE {MINE}")
    assert counted == [{"n": 2}]


@pytest.mark.usefixtures("devices")
def test_whole_twins_are_a_table_of_what_tells_them_apart(mooring: CommandLine) -> None:
    text = mooring.text("hub", "query", f"SELECT * FROM devices WHERE {MINE}")
    assert re.search(r"^asked1 +enabled +Disconnected +never +\d+ +\{\}\s*$", text, re.MULTILINE)

    twins = mooring.json("hub", "query", f"SELECT * FROM devices WHERE {MINE}", "--limit", "1")
    assert [twin["deviceId"] for twin in twins] == ["asked1"]
    assert twins[0]["properties"]["desired"]["$version"] == 1


def test_nothing_found_is_said(mooring: CommandLine) -> None:
    assert "none" in mooring.text("hub", "query", "SELECT * FROM devices WHERE deviceId = ''")
    assert mooring.json("hub", "query", "SELECT * FROM devices WHERE deviceId = ''") == []


def test_what_is_no_query_is_refused_with_the_place_of_the_fault(mooring: CommandLine) -> None:
    refusal = mooring.refusal("hub", "query", "SELECT * FROM devices ORDER BY deviceId")

    assert refusal["code"] == "argument-invalid"
    assert "ORDER at character 23 is not in the language" in refusal["message"]
    assert "ErrorCode" not in refusal["message"]


def test_hub_that_is_not_there_is_refused(mooring: CommandLine) -> None:
    refusal = mooring.refusal("hub", "query", "SELECT * FROM devices", "--hub", "nobody")

    assert refusal["code"] == "hub-not-found"


def test_one_of_two_hubs_is_asked_by_its_name(tmp_path: Path) -> None:
    with house_up(tmp_path) as here:
        mooring = QuickCommandLine.of(here, tmp_path)
        mooring.text("hub", "create", "second", "--host-name", "hub2.example")
        _add(mooring, "one")
        _add(mooring, "two", hub="second")
        ids = "SELECT deviceId FROM devices"

        assert mooring.json("hub", "query", ids) == [{"deviceId": "one"}]
        assert mooring.json("hub", "query", ids, "--hub", "Second") == [{"deviceId": "two"}]
        elsewhere = (
            *("--url", mooring.json("cloud", "info")["service_url"]),
            *("--trust", mooring.json("cloud", "info")["ca_file"]),
        )
        assert mooring.json("hub", "query", ids, *elsewhere) == [{"deviceId": "one"}]
        by_host = mooring.json("hub", "query", ids, *elsewhere, "--hub", "hub2.example")
        assert by_host == [{"deviceId": "two"}]
        plain = mooring.refusal("hub", "query", ids, "--url", "http://hub", exit_code=2)
        assert plain["code"] == "url-not-https"


# -- a scripted hub -------------------------------------------------------------------------------


@pytest.fixture
def script() -> Script:
    """Return a script without answers."""
    return Script()


@pytest.fixture
def api(script: Script) -> Generator[HubApi]:
    """Return a client of the server that answers by `script`."""
    with scripted(script) as url, HubApi(url, "token") as client:
        yield client


def test_pages_are_followed_also_where_they_are_empty(script: Script, api: HubApi) -> None:
    script.then(200, [{"n": 1}], x_ms_item_type="Raw", x_ms_continuation="a")
    script.then(200, [], x_ms_item_type="Raw", x_ms_continuation="b")
    script.then(200, [{"n": 2}], x_ms_item_type="Raw")

    assert list(api.query("SELECT n FROM devices")) == [("Raw", {"n": 1}), ("Raw", {"n": 2})]
    assert {path for _, path, _ in script.requests} == {"/devices/query?api-version=2021-04-12"}


def test_no_more_pages_are_asked_for_than_the_limit_needs(script: Script, api: HubApi) -> None:
    script.then(200, [{"n": 1}, {"n": 2}], x_ms_item_type="Raw", x_ms_continuation="a")

    assert list(api.query("SELECT n FROM devices", limit=2)) == [
        ("Raw", {"n": 1}),
        ("Raw", {"n": 2}),
    ]


def test_error_in_the_shape_of_twins_is_read_too(script: Script, api: HubApi) -> None:
    inner = {"errorCode": 404103, "trackingId": "t", "message": "It sleeps."}
    body = {"Message": json.dumps(inner), "ExceptionMessage": ""}
    script.then(404, body, iothub_errorcode="DeviceNotOnline")

    with pytest.raises(ApiError) as refused:
        api.post_json("twins/a/methods", {})
    assert (refused.value.code, refused.value.message) == ("device-not-online", "It sleeps.")
    assert refused.value.remedy
