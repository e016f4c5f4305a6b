"""Queries over the service API: vector T7 of iothub.md, headers, pages, refusals."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from tests.support.cloud import CloudThread
from tests.support.hub_api import HubClient, hub_client, registry_error

PATH = "/devices/query"


def ask(api: HubClient, text: Any, **headers: str) -> Any:
    return api.call("POST", PATH, {"query": text}, headers=headers)


def test_t7_query(api: HubClient) -> None:
    site = f"s{secrets.token_hex(4)}"
    api.created(f"gw-{site}")
    api.got("PATCH", f"/twins/gw-{site}", {"tags": {site: "north"}})

    answer = ask(api, f"SELECT COUNT() AS n FROM devices WHERE is_defined(tags.{site})")

    assert (answer.status_code, answer.json()) == (200, [{"n": 1}])
    assert answer.headers["x-ms-item-type"] == "Raw"
    assert "x-ms-continuation" not in answer.headers
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_twins_are_those_of_the_twin_resource(api: HubClient, name: str) -> None:
    api.created(name)

    answer = ask(api, f"SELECT * FROM devices WHERE deviceId = '{name}'")

    assert answer.headers["x-ms-item-type"] == "Twin"
    assert answer.json() == [api.got("GET", f"/twins/{name}")]


def test_pages_follow_each_other(api: HubClient, name: str) -> None:
    names = [f"{name}-{number}" for number in range(5)]
    for each in names:
        api.created(each)
    text = f"SELECT deviceId FROM devices WHERE STARTSWITH(deviceId, '{name}-')"

    found: list[str] = []
    headers = {"x-ms-max-item-count": "2"}
    sizes = []
    while True:
        answer = ask(api, text, **headers)
        found += [row["deviceId"] for row in answer.json()]
        sizes.append(len(answer.json()))
        if "x-ms-continuation" not in answer.headers:
            break
        headers["x-ms-continuation"] = answer.headers["x-ms-continuation"]

    assert (found, sizes) == (names, [2, 2, 1])
    refused = ask(api, text + ";", **headers)
    assert "x-ms-continuation: it belongs to another query" in registry_error(
        refused, 400, "ArgumentInvalid"
    )


@pytest.mark.parametrize("count", ["0", "-1", "x", "1.5"])
def test_page_size_that_is_none_is_refused(api: HubClient, count: str) -> None:
    answer = ask(api, "SELECT * FROM devices", **{"x-ms-max-item-count": count})

    assert "x-ms-max-item-count" in registry_error(answer, 400, "ArgumentInvalid")


def test_page_size_beyond_the_most_is_the_most(api: HubClient) -> None:
    # A .NET sample in use asks for 10,000.
    answer = ask(api, "SELECT * FROM devices", **{"x-ms-max-item-count": "10000"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("text", "status", "name", "said"),
    [
        ("SELECT * FROM devices ORDER BY deviceId", 400, "ArgumentInvalid", "ORDER at character"),
        ("", 400, "ArgumentInvalid", "the end at character 1, where there must be SELECT"),
        ("SELECT * FROM devices.modules", 501, "NotImplemented", "devices.modules"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    api: HubClient, text: str, status: int, name: str, said: str
) -> None:
    assert said in registry_error(ask(api, text), status, name)


@pytest.mark.parametrize("body", [{}, {"query": 1}, [], None])
def test_body_without_a_query_is_refused(api: HubClient, body: Any) -> None:
    assert api.call("POST", PATH, body).status_code == 400


def test_query_needs_the_right_to_the_service(cloud: CloudThread) -> None:
    with hub_client(cloud, "") as nobody:
        assert ask(nobody, "SELECT * FROM devices").status_code == 401
