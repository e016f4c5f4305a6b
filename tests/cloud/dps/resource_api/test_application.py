"""The resource API as a whole: who gets in, versions, paths, one shape of errors."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from tests.support.cloud import CloudThread
from tests.support.resource_api import SERVICE, ResourceClient, arm_error, resource_client

from mooring.cloud.api.body_limit import MAX_BODY_BYTES
from mooring.cloud.dps.resource_api.application import OPERATIONS
from mooring.storage.errors import StorageFull


@pytest.fixture
def arm(cloud: CloudThread) -> Iterator[ResourceClient]:
    with resource_client(cloud) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Authorization": ""}, "token-missing"),
        ({"Authorization": "Basic b3duZXI6eA=="}, "token-missing"),
        ({"Authorization": "Bearer"}, "token-missing"),
        ({"Authorization": "Bearer wrong"}, "token-refused"),
        ({"Authorization": "SharedAccessSignature sr=x&sig=x&se=1&skn=x"}, "token-missing"),
    ],
)
def test_every_operation_needs_a_bearer_token(
    cloud: CloudThread, headers: dict[str, str], code: str
) -> None:
    with resource_client(cloud, token="unused") as arm:
        for operation in OPERATIONS:
            path = re.sub(r"{[^}]+}", "x", operation.path)
            refused = arm.call(operation.method, path, headers=headers, content=b"{")
            arm_error(refused, 401, code)
            assert refused.headers["www-authenticate"] == "Bearer"


def test_admin_token_opens_it_until_it_is_revoked(cloud: CloudThread) -> None:
    with cloud.api() as api:
        made = api.post("tokens", json={"name": "arm"}).json()
        with resource_client(cloud, made["token"]) as arm:
            assert arm.got("GET", "certificates")["value"] == []
            assert api.delete(f"tokens/{made['token_id']}").status_code == 204
            arm_error(arm.call("GET", "certificates"), 401, "token-refused")


@pytest.mark.parametrize(
    ("version", "code"),
    [
        (None, "api-version-missing"),
        ("", "api-version-malformed"),
        ("latest", "api-version-malformed"),
        ("2022-12-12-beta", "api-version-malformed"),
        ("2022-13-01", "api-version-malformed"),
    ],
)
def test_api_version_must_be_there_and_be_one(
    arm: ResourceClient, version: str | None, code: str
) -> None:
    error = arm_error(arm.call("GET", "certificates", api_version=version), 400, code)

    assert error["target"] == "api-version"


@pytest.mark.parametrize(
    "path",
    ["/subscriptions", "/providers/x", f"{SERVICE}/certificates/a/b", f"{SERVICE}/nothing/here"],
)
def test_unknown_path_is_404(arm: ResourceClient, path: str) -> None:
    arm_error(arm.call("GET", path), 404, "not-found")


def test_another_service_is_404(arm: ResourceClient) -> None:
    path = f"{SERVICE.removesuffix('dps')}another/certificates"

    error = arm_error(arm.call("GET", path), 404, "resource-not-found")

    assert "'dps'" in error["message"]


def test_wrong_method_is_405_and_names_the_allowed(arm: ResourceClient) -> None:
    refused = arm.call("PATCH", "certificates/x")

    arm_error(refused, 405, "method-not-allowed")
    assert refused.headers["allow"] == "DELETE, GET, PUT"


@pytest.mark.parametrize("announced", [True, False])
def test_body_beyond_the_limit_is_413(arm: ResourceClient, announced: bool) -> None:
    size = MAX_BODY_BYTES + 1
    content = b" " * size if announced else (b" " * 65536 for _ in range(size // 65536 + 1))

    refused = arm.call("PUT", "certificates/large", content=content)  # type: ignore[arg-type]

    arm_error(refused, 413, "body-too-large")


def test_full_disk_is_503_and_says_so(
    arm: ResourceClient, cloud: CloudThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None

    async def full() -> None:
        raise StorageFull("/secret/path: no space", "free some")

    monkeypatch.setattr(cloud.application.dps.certificates, "list", full)

    refused = arm.call("GET", "certificates")

    arm_error(refused, 503, "storage-full")
    assert int(refused.headers["retry-after"]) > 0
    assert "secret" not in refused.text


def test_what_nobody_foresaw_is_500_without_its_cause(
    arm: ResourceClient, cloud: CloudThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None

    async def broken() -> None:
        raise RuntimeError("secret cause")

    monkeypatch.setattr(cloud.application.dps.certificates, "list", broken)

    refused = arm.call("GET", "certificates")

    arm_error(refused, 500, "internal-error")
    assert "secret cause" not in refused.text
