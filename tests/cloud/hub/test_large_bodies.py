"""Large requests of back ends and devices keep no other device waiting."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.support.cloud import CloudThread
from tests.support.hub_api import HubClient, hub_client
from tests.support.service_api import signed

NUMBERS = "[" + ",".join(["1"] * 400_000) + "]"
LISTS = "[" + ",".join(["[]"] * 300_000) + "]"
BATCH = "application/vnd.microsoft.iothub.json"

MOST_OF_THE_TIME = 0.7
"""Of a request: what is done on the loop itself takes nearly all of it."""


@pytest.fixture(scope="module")
def api(cloud: CloudThread) -> Iterator[HubClient]:
    with hub_client(cloud) as client:
        client.created("dock-07")
        yield client


def send(api: HubClient, method: str, path: str, text: str) -> Callable[[], httpx.Response]:
    headers = {"Content-Type": "application/json"}
    return lambda: api.call(method, path, content=text.encode(), headers=headers)


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("PUT", "/devices/dock-07", f'{{"parentScopes":{NUMBERS}}}'),
        ("POST", "/devices", NUMBERS),
        ("PATCH", "/twins/dock-07", f'{{"tags":{{"a":{NUMBERS}}}}}'),
        ("PATCH", "/twins/dock-07", f'{{"tags":{{"a":{LISTS}}}}}'),
        ("POST", "/twins/dock-07/methods", f'{{"methodName":"m","payload":{NUMBERS}}}'),
        ("POST", "/devices/query", f'{{"query":{NUMBERS}}}'),
    ],
    ids=["device", "bulk", "twin-numbers", "twin-lists", "method", "query"],
)
def test_large_body_of_a_back_end_leaves_the_loop_to_others(
    cloud: CloudThread, api: HubClient, method: str, path: str, text: str
) -> None:
    response = left_to_others(cloud, send(api, method, path, text))

    assert response.status_code in (400, 413)


def test_large_batch_of_a_device_leaves_the_loop_to_others(
    cloud: CloudThread, api: HubClient
) -> None:
    identity = api.got("GET", "/devices/dock-07")
    token = signed(
        f"{cloud.address}/devices/dock-07",
        identity["authentication"]["symmetricKey"]["primaryKey"],
        None,
    )

    def batch() -> httpx.Response:
        return api.call(
            "POST",
            "/devices/dock-07/messages/events",
            content=NUMBERS.encode(),
            headers={"Content-Type": BATCH},
            authorization=token,
        )

    assert left_to_others(cloud, batch).status_code == 413


def test_list_of_a_full_queue_leaves_the_loop_to_others(cloud: CloudThread, api: HubClient) -> None:
    path = f"hubs/{cloud.facts['hubs'][0]['name']}/devices/dock-07/messages/devicebound"
    body = json.dumps([1] * 20_000, separators=(",", ":"))
    with cloud.api() as admin:
        for _ in range(50):
            assert admin.post(path, json={"body": body}).status_code == 201

        response = left_to_others(cloud, lambda: admin.get(path))

    assert [len(message["body"]) for message in response.json()["value"]] == [20_000] * 50


def test_bulk_that_creates_and_fails_answers_for_each_item_as_ever(api: HubClient) -> None:
    items: list[dict[str, Any]] = [
        {"id": f"crane-{number}", "importMode": "create", "tags": {"a": ["x" * 50] * 30}}
        for number in range(20)
    ]
    items[7]["importMode"] = "nonsense"
    items[9]["tags"] = {"a b": 1}
    items[11]["moduleId"] = "m"

    response = api.call("POST", "/devices", items)

    assert response.status_code == 400
    failed = {error["deviceId"]: error["errorCode"] for error in response.json()["errors"]}
    assert failed == {
        "crane-7": "ArgumentInvalid",
        "crane-9": "ArgumentInvalid",
        "crane-11": "InvalidOperation",
    }
    assert api.got("GET", "/statistics/devices")["totalDeviceCount"] == 1 + 17


def left_to_others(cloud: CloudThread, request: Callable[[], httpx.Response]) -> httpx.Response:
    """Return the answer to `request`, during which the loop did not stand still for long."""
    request()  # what is made at the first call is made
    gaps: list[float] = []
    over = asyncio.Event()

    async def watch() -> None:
        last = time.perf_counter()
        while not over.is_set():
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    watching = cloud.begin(watch())
    begun = time.perf_counter()
    response = request()
    took_s = time.perf_counter() - begun
    cloud.call(over.set)
    watching.result(10)
    assert max(gaps) < MOST_OF_THE_TIME * took_s, f"{max(gaps):.3f} s of {took_s:.3f} s"
    return response
