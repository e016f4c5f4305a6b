"""A client of a hub's service API over TLS, as one of Azure's service SDKs would be one."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from tests.support.cloud import OwnersClient
from tests.support.service_api import ServiceClient, signed

from mooring.protocol.azure.connection_strings import parse_connection_string

API_VERSION = "2021-04-12"


class HubClient(ServiceClient):
    """Calls the service API of one hub with an ``Authorization`` of its own, or none."""

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """Call `path`, which is sent as it is written."""
        return super().call(method, path, body, **{"api_version": API_VERSION, **options})

    def created(self, device_id: str, **members: Any) -> dict[str, Any]:
        """Create a device identity."""
        document: dict[str, Any] = self.got("PUT", f"/devices/{device_id}", members)
        return document


@contextmanager
def hub_client(
    cloud: OwnersClient, authorization: str | None = None, *, hub: int = 0
) -> Iterator[HubClient]:
    """Open a client that signs with ``iothubowner``, or sends `authorization`."""
    if authorization is None:
        parts = parse_connection_string(cloud.facts["hubs"][hub]["connection_string"])
        assert parts.shared_access_key is not None
        authorization = signed(parts.host_name, parts.shared_access_key, "iothubowner")
    context = ssl.create_default_context(cafile=str(cloud.ca_file))
    with httpx.Client(
        base_url=cloud.https_url, verify=context, trust_env=False, timeout=30.0
    ) as client:
        yield HubClient(client, authorization)


def registry_error(response: httpx.Response, status: int, name: str) -> str:
    """Check an error in the shape of the registry (iothub.md 3.9), and return its text."""
    document = _checked(response, status, name)
    assert document["ExceptionMessage"].startswith(
        f"Tracking ID:{response.headers['x-ms-request-id']}-TimeStamp:"
    )
    first, text = document["Message"].split(";", 1)
    assert first == f"ErrorCode:{name}"
    return str(text)


def twin_error(response: httpx.Response, status: int, name: str, code: int) -> str:
    """Check an error in the shape of twins and methods, and return its text."""
    document = _checked(response, status, name)
    assert document["ExceptionMessage"] == ""
    inner = json.loads(document["Message"])
    assert inner["errorCode"] == code
    assert code // 1000 == status
    assert inner["trackingId"].startswith(response.headers["x-ms-request-id"])
    return str(inner["message"])


def _checked(response: httpx.Response, status: int, name: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["iothub-errorcode"] == name
    document: dict[str, Any] = response.json()
    assert document.keys() == {"Message", "ExceptionMessage"}
    return document
