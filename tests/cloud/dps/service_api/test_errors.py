"""What the service API answers to requests that are wrong before any operation is reached."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from tests.support.cloud import CloudThread, cloud_on_thread
from tests.support.service_api import ServiceClient, dps_error, service_client

from mooring.storage.errors import StorageFull

SYMMETRIC = {"attestation": {"type": "symmetricKey"}}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/enrollments", "POST"),
        ("GET", "/enrollments/", "POST"),
        ("DELETE", "/enrollmentGroups", "POST"),
        ("POST", "/enrollments/gw01", "DELETE, GET, PUT"),
        ("PATCH", "/enrollmentGroups/plant", "DELETE, GET, PUT"),
        ("PUT", "/registrations/gw01", "DELETE, GET"),
        ("GET", "/enrollments/gw01/attestationmechanism", "POST"),
    ],
)
def test_method_that_the_path_does_not_allow_is_405(
    api: ServiceClient, method: str, path: str, allowed: str
) -> None:
    response = api.call(method, path)

    message = dps_error(response, 405, 405000)
    assert response.headers["allow"] == allowed
    assert allowed in message


@pytest.mark.parametrize(
    "path",
    [
        "/enrollments/a/b",
        "/enrollments/a/attestationmechanism/b",
        "/registrations",
        "/enrollmentGroups//query",
    ],
)
def test_path_that_is_none_is_404(api: ServiceClient, path: str) -> None:
    dps_error(api.call("GET", path), 404, 404000)


def test_error_has_its_parts_told_apart_for_tools(api: ServiceClient, name: str) -> None:
    body = {"attestation": {"type": "x509", "x509": {"caReferences": {"primary": "nobody"}}}}

    document = api.call("PUT", f"/enrollments/{name}", body).json()

    assert document["info"] == {
        "code": "ca-reference-unknown",
        "field": "attestation.x509.caReferences",
        "message": "attestation.x509.caReferences: there is no CA certificate 'nobody'.",
        "remedy": "Upload it first (mooring dps certificate add), or correct the name.",
    }
    assert document["message"] == f"{document['info']['message']} {document['info']['remedy']}"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_body_of_another_content_type_is_415(
    api: ServiceClient, name: str, content_type: str
) -> None:
    response = api.call(
        "PUT",
        f"/enrollments/{name}",
        content=json.dumps(SYMMETRIC).encode(),
        headers={"Content-Type": content_type},
    )

    message = dps_error(response, 415, 415000)
    assert message.startswith("Content-Type: ")
    assert "application/json" in message


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON;charset=utf-8", None],
)
def test_body_of_json_is_taken(api: ServiceClient, name: str, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}

    response = api.call(
        "PUT", f"/enrollments/{name}", content=json.dumps(SYMMETRIC).encode(), headers=headers
    )

    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    "version",
    [None, "", "1.0", "2018-03-31", "2017-08-31-preview", "2021-10-01-beta", "2021-13-01"],
)
def test_api_version_that_is_missing_or_unknown_is_400(
    api: ServiceClient, version: str | None
) -> None:
    message = dps_error(api.call("GET", "/enrollments/gw01", api_version=version), 400, 400004)

    assert message.startswith("api-version: ")
    assert "2021-10-01" in message


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", 400004, "body: empty"),
        (b"  ", 400004, "body: empty"),
        (b"{", 400001, "body is not JSON"),
        (b"[]", 400004, "body is an array, not a JSON object"),
        (b'{"attestation": {"type": "\\ud800"}}', 400001, "half a surrogate pair"),
        (b'{"a": NaN}', 400001, "a number that cannot be represented"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, 400001, "nested deeper than 32 levels. keep it to 32"),
        (b"\xff\xfe", 400001, "not UTF-8"),
    ],
)
def test_body_that_is_no_document_is_400(
    api: ServiceClient, name: str, content: bytes, code: int, said: str
) -> None:
    response = api.call(
        "PUT",
        f"/enrollments/{name}",
        content=content,
        headers={"Content-Type": "application/json"},
    )

    assert said.lower() in dps_error(response, 400, code).lower()


@pytest.mark.parametrize("path", ["enrollments", "enrollmentGroups", "registrations"])
def test_name_that_is_not_there_is_repeated_in_part_only(api: ServiceClient, path: str) -> None:
    response = api.call("GET", f"/{path}/{'a' * 5000}")

    assert response.status_code == 404
    assert len(response.content) < 1000


def test_body_that_is_too_large_is_413_announced_or_not(api: ServiceClient, name: str) -> None:
    path = f"/enrollments/{name}"
    large = b" " * (1024 * 1024 + 1)

    def pieces() -> Any:
        for start in range(0, len(large), 65_536):
            yield large[start : start + 65_536]

    announced = api.call("PUT", path, content=large)
    assert "larger than" in dps_error(announced, 413, 413001)
    piecemeal = api.call("PUT", path, content=pieces())
    dps_error(piecemeal, 413, 413001)


def test_caller_without_authorization_learns_nothing_of_its_body(
    api: ServiceClient, name: str
) -> None:
    api.authorization = None

    response = api.call("PUT", f"/enrollments/{name}", content=b"{", api_version=None)

    dps_error(response, 401, 401002)


def test_what_fails_here_is_500_with_the_tracking_id_alone(
    api: ServiceClient,
    cloud: CloudThread,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert cloud.application is not None

    async def fail(*_: object) -> None:
        raise RuntimeError("the secret cause")

    logged: list[dict[str, Any]] = []
    monkeypatch.setattr(cloud.application.dps.enrollments, "get", fail)
    monkeypatch.setattr(
        "mooring.cloud.api.errors._log",
        SimpleNamespace(error=lambda _, **facts: logged.append(facts)),
    )

    response = api.call("GET", "/enrollments/gw01")

    message = dps_error(response, 500, 500001)
    assert "secret" not in response.text
    assert "tracking id" in message
    assert logged[0]["tracking_id"] == response.json()["trackingId"]
    assert "the secret cause" in str(logged[0]["exc_info"])


def test_storage_that_takes_nothing_is_503_and_says_when_to_come_back(
    api: ServiceClient, cloud: CloudThread, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None

    async def full(*_: object, **__: object) -> None:
        raise StorageFull("cloud.db: the disk is full.", "Free space.")

    monkeypatch.setattr(cloud.application.dps.enrollments, "put", full)

    response: httpx.Response = api.call("PUT", f"/enrollments/{name}", SYMMETRIC)

    assert "free space" in dps_error(response, 503, 503001).lower()
    assert int(response.headers["retry-after"]) > 0


def test_service_operations_beyond_the_limit_are_429_when_throttling_is_on(tmp_path: Path) -> None:
    with cloud_on_thread(tmp_path, throttling="azure") as cloud, service_client(cloud) as api:
        for _ in range(1000):
            assert api.call("GET", "/enrollments/gw01").status_code == 404

        response = api.call("GET", "/enrollments/gw01")

        assert "1000 service operations" in dps_error(response, 429, 429001)
        assert 2 <= int(response.headers["retry-after"]) <= 5
        cloud.clock.shift_s += 60
        assert api.call("GET", "/enrollments/gw01").status_code == 404
