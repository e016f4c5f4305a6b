"""Unmodified Azure service SDKs query the twins of a hub over REST."""

from __future__ import annotations

import secrets

import pytest
from tests.interop.sdks import HubSdk

from mooring.testing import ThrowAwayCloud

pytestmark = pytest.mark.interop


@pytest.fixture
def name(hub_sdk: HubSdk) -> str:
    """Return a fresh id."""
    return f"{hub_sdk.name}{secrets.token_hex(4)}"


@pytest.mark.exercises("azure-iot-hub (PyPI)", "hub.query")
@pytest.mark.exercises("azure-iothub (npm)", "hub.query")
def test_twins_projections_and_counts_are_read_page_by_page(
    hub_sdk: HubSdk, cloud: ThrowAwayCloud, name: str
) -> None:
    names = [f"{name}-{number}" for number in range(5)]
    mine = f"FROM devices WHERE STARTSWITH(deviceId, '{name}-')"
    disabled = f"{mine} AND status = 'disabled'"

    *_, twins, rows, counted, groups, nothing = hub_sdk.run(
        cloud,
        *(("create", {"name": each}) for each in names[:3]),
        *(("create", {"name": each, "status": "disabled"}) for each in names[3:]),
        ("query", {"text": f"SELECT * {mine}", "size": 2, "twins": True}),
        ("query", {"text": f"SELECT deviceId {disabled}"}),
        ("query", {"text": f"SELECT COUNT() AS n {mine}"}),
        ("query", {"text": f"SELECT status, COUNT() {mine} GROUP BY status", "size": 1}),
        ("query", {"text": f"SELECT * {mine} AND tags.a = 1", "twins": True}),
    )

    assert twins["type"] == "Twin"
    assert [[device_id for device_id, _ in page] for page in twins["pages"]] == [
        names[:2],
        names[2:4],
        names[4:],
    ]
    assert {version for page in twins["pages"] for _, version in page} == {2}
    assert rows["type"] == "Raw"
    assert rows["pages"] == [[{"deviceId": each} for each in names[3:]]]
    assert counted["pages"] == [[{"n": 5}]]
    assert groups["pages"] == [[{"status": "disabled", "$1": 2}], [{"status": "enabled", "$1": 3}]]
    assert nothing["pages"] == [[]]


def test_query_that_is_not_understood_is_refused(hub_sdk: HubSdk, cloud: ThrowAwayCloud) -> None:
    (refused,) = hub_sdk.run(cloud, ("query", {"text": "SELECT * FROM devices ORDER BY deviceId"}))

    assert (refused["refused"], refused["errorCode"]) == (400, "ArgumentInvalid")
