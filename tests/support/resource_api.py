"""A client of the resource API over TLS, as a management tool would be one."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from tests.support.cloud import OwnersClient

API_VERSION = "2022-12-12"
SUBSCRIPTION = "91d12660-3dec-467a-be2a-213b5544ddc0"
GROUP = "quay-group"
SERVICE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    "/providers/Microsoft.Devices/provisioningServices/dps"
)


class ResourceClient:
    """Calls the resource API of one cloud as whoever holds `token`."""

    def __init__(self, cloud: OwnersClient, client: httpx.Client, token: str | None) -> None:
        self.cloud = cloud
        self.client = client
        self.token = token

    def call(
        self,
        method: str,
        path: str = "",
        body: Any = None,
        *,
        if_match: str | None = None,
        api_version: str | None = API_VERSION,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """Call `path` below the provisioning service, or from the top when it begins with /."""
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if if_match is not None:
            sent["If-Match"] = if_match
        url = path if path.startswith("/") else f"{SERVICE}/{path}".rstrip("/")
        return self.client.request(
            method,
            url,
            params={} if api_version is None else {"api-version": api_version},
            headers=sent,
            **({"json": body} if content is None else {"content": content}),
        )

    def got(self, method: str, path: str = "", body: Any = None, **options: Any) -> dict[str, Any]:
        """Call, expect success, and return the document."""
        response = self.call(method, path, body, **options)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def service(self, **properties: Any) -> dict[str, Any]:
        """Change properties of the provisioning service and return them as they are then."""
        return dict(self.got("PUT", "", {"properties": properties})["properties"])

    def linked_hubs(self) -> dict[str, dict[str, Any]]:
        """Return the linked hubs by host name, as they can be sent back."""
        return {each["name"]: each for each in self.got("GET")["properties"]["iotHubs"]}


@contextmanager
def resource_client(cloud: OwnersClient, token: str | None = None) -> Iterator[ResourceClient]:
    """Open a client with the owner token, or `token`."""
    context = ssl.create_default_context(cafile=str(cloud.ca_file))
    with httpx.Client(
        base_url=cloud.https_url, verify=context, trust_env=False, timeout=30.0
    ) as client:
        yield ResourceClient(cloud, client, cloud.owner_token if token is None else token)


def arm_error(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check the shape of an error of Resource Manager and return its parts."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    assert document.keys() == {"error"}
    error = dict(document["error"])
    assert error.keys() == {"code", "message", "target", "details", "additionalInfo"}
    assert error["code"] == code
    assert error["details"] == []
    (more,) = error["additionalInfo"]
    assert more["type"] == "MooringError"
    assert more["info"].keys() == {"message", "remedy", "trackingId"}
    assert more["info"]["remedy"]
    assert response.headers["x-ms-request-id"] == more["info"]["trackingId"]
    return error
