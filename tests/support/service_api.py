"""A client of DPS's service API over TLS, as one of Azure's service SDKs would be one."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from tests.support.cloud import OwnersClient

from mooring.protocol.azure.connection_strings import parse_connection_string
from mooring.protocol.azure.sas import format_sas_token

API_VERSION = "2021-10-01"


def signed(
    resource: str,
    key: str,
    policy: str | None = "provisioningserviceowner",
    *,
    ends_in: timedelta = timedelta(hours=1),
) -> str:
    """Return a shared access signature for `resource`."""
    return format_sas_token(
        resource,
        base64.b64decode(key),
        expires_at=datetime.now(UTC) + ends_in,
        policy=policy,
    )


class ServiceClient:
    """Calls the service API of one cloud with an ``Authorization`` of its own, or none."""

    def __init__(self, client: httpx.Client, authorization: str | None) -> None:
        self.client = client
        self.authorization = authorization

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        if_match: str | None = None,
        api_version: str | None = API_VERSION,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
        authorization: str | None = None,
        parameters: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Call `path`."""
        sent = dict(headers or {})
        authorization = authorization or self.authorization
        if authorization is not None:
            sent["Authorization"] = authorization
        if if_match is not None:
            sent["If-Match"] = if_match
        return self.client.request(
            method,
            path,
            params=(parameters or {})
            | ({} if api_version is None else {"api-version": api_version}),
            headers=sent,
            **({"json": body} if content is None and body is not None else {"content": content}),
        )

    def got(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Call, expect 200, and return the document."""
        response = self.call(method, path, body, **options)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        return response.json()

    def gone(self, path: str, **options: Any) -> None:
        """Delete, and expect 204."""
        response = self.call("DELETE", path, **options)
        assert response.status_code == 204, response.text
        assert response.content == b""


@contextmanager
def service_client(
    cloud: OwnersClient, authorization: str | None = None
) -> Iterator[ServiceClient]:
    """Open a client that signs with the owner's policy, or sends `authorization`."""
    facts = cloud.facts
    if authorization is None:
        parts = parse_connection_string(facts["dps_connection_string"])
        authorization = signed(parts.host_name, parts.shared_access_key)
    context = ssl.create_default_context(cafile=str(cloud.ca_file))
    with httpx.Client(
        base_url=cloud.https_url, verify=context, trust_env=False, timeout=30.0
    ) as client:
        yield ServiceClient(client, authorization)


def dps_error(response: httpx.Response, status: int, code: int) -> str:
    """Check the shape of an error of DPS and return its message."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    document = response.json()
    info = document.pop("info", {})
    assert document.keys() == {"errorCode", "trackingId", "message", "timestampUtc"}
    assert info.keys() <= {"code", "field", "message", "remedy"}
    assert all(isinstance(part, str) and part for part in info.values())
    assert document["errorCode"] == code
    assert code // 1000 == status
    assert response.headers["x-ms-error-code"] == str(code)
    assert response.headers["x-ms-request-id"] == document["trackingId"]
    return str(document["message"])
