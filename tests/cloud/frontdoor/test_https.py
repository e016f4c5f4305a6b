"""The HTTPS listener of a running cloud: what every client meets before any API."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

import httpx
import pytest
from tests.support.cloud import CloudThread


@pytest.fixture
def client(cloud: CloudThread) -> Iterator[httpx.Client]:
    """Return a client that trusts the cloud."""
    context = ssl.create_default_context(cafile=str(cloud.ca_file))
    with httpx.Client(base_url=cloud.https_url, verify=context, trust_env=False) as client:
        yield client


def test_path_that_is_nobodys_answers_404_in_the_error_shape_of_dps(client: httpx.Client) -> None:
    response = client.get("/nowhere", params={"api-version": "2021-10-01"})

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    body = response.json()
    assert body.keys() == {"errorCode", "trackingId", "message", "timestampUtc"}
    assert body["errorCode"] == 404000
    assert response.headers["x-ms-error-code"] == "404000"
    assert response.headers["x-ms-request-id"] == body["trackingId"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", body["timestampUtc"])
    assert response.headers["date"].endswith(" GMT")
    assert "server" not in response.headers


def test_body_that_is_too_large_answers_413_and_closes(client: httpx.Client) -> None:
    response = client.post("/enrollments", content=b"x" * (1024 * 1024 + 1))

    assert response.status_code == 413
    assert response.json()["errorCode"] == 413001
    assert response.headers["connection"] == "close"


def test_server_certificate_that_is_renewed_is_shown_to_the_next_connection(
    cloud: CloudThread, client: httpx.Client
) -> None:
    assert client.get("/").status_code == 404
    assert cloud.application is not None
    cloud.call(cloud.application.identity.add_host_name, "renewed.example")

    context = ssl.create_default_context(cafile=str(cloud.ca_file))
    with httpx.Client(verify=context, trust_env=False) as later:
        response = later.get(f"{cloud.https_url}/", extensions={"sni_hostname": "renewed.example"})

    assert response.status_code == 404
    assert client.get("/").status_code == 404  # the connection that stood is not disturbed


def test_client_that_does_not_trust_the_server_is_recorded(cloud: CloudThread) -> None:
    context = ssl.create_default_context()
    with (
        httpx.Client(verify=context, trust_env=False) as stranger,
        pytest.raises(httpx.ConnectError),
    ):
        stranger.get(cloud.https_url)

    found = cloud.attempts(kind="unknown", limit=100)
    failures = [record["failure"] for record in found if record["failure"]["stage"] == "tls"]
    assert failures
    assert failures[0]["code"] == "tls-handshake-failed"
    assert "server CA" in failures[0]["remedy"]


def test_information_counts_connections_and_requests(
    cloud: CloudThread, client: httpx.Client
) -> None:
    before = cloud.facts["connections"]["https_requests"]
    client.get("/")
    client.get("/")

    counted = cloud.facts["connections"]
    assert counted["https_requests"] == before + 2
    assert counted["https_open"] == 1
