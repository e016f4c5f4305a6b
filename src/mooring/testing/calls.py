"""The HTTP calls to a running cloud, one method each: the only file here that knows its paths.

Azure's own DPS service API and resource API where they have the operation, the admin API for the
rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from mooring.testing.errors import CloudNotRunning, RequestRefused
from mooring.transport.client_tls import ClientTls, load_client_context

TIMEOUT_S = 30.0
"""Far above what any call takes, so that only a cloud that hangs is given up."""

SERVICE_API_VERSION = "2021-10-01"
RESOURCE_API_VERSION = "2022-12-12"
HUB_API_VERSION = "2021-04-12"

PAGE_SIZE = "x-ms-max-item-count"
PAGE_ITEMS = 1000
"""The most that the service API gives in one answer."""

CONTINUATION = "x-ms-continuation"
"""Header of the next page, in the answer and in the request for it."""


class CloudCalls:
    """Calls with the rights of the owner."""

    def __init__(self, facts: Mapping[str, Any], owner_token: str, ca_file: Path) -> None:
        """Prepare calls to the cloud that wrote down `facts`."""
        self._resource_id = str(facts["resource_id"])
        authorization = {"Authorization": f"Bearer {owner_token}"}
        self._admin = httpx.Client(
            base_url=f"{facts['api_url']}/",
            headers=authorization,
            timeout=TIMEOUT_S,
            trust_env=False,  # a proxy has no way to a loopback address
            verify=False,  # noqa: S501 - plain HTTP on loopback; loading CAs would only take time
        )
        self._azure = httpx.Client(
            # By address, as its host name may be one that nobody here can resolve.
            base_url=f"https://{facts['addresses'][0]}:{facts['ports']['https']}",
            headers=authorization,
            timeout=TIMEOUT_S,
            trust_env=False,
            verify=load_client_context(ClientTls(trust_system=False, trust_files=(ca_file,))),
            # What stays open would be counted among the connections of the devices under test.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def close(self) -> None:
        """Close what is open."""
        self._admin.close()
        self._azure.close()

    def info(self) -> dict[str, Any]:
        """Return what the cloud says of itself, with connection strings."""
        return dict(self.admin("GET", "info"))

    # -- the DPS -----------------------------------------------------------------------------

    def put_enrollment(self, registration_id: str, document: dict[str, Any]) -> dict[str, Any]:
        """Create an individual enrollment."""
        return dict(self._service("PUT", f"/enrollments/{_id(registration_id)}", document))

    def get_enrollment(self, registration_id: str) -> dict[str, Any]:
        """Return an individual enrollment with its registration state."""
        return dict(self._service("GET", f"/enrollments/{_id(registration_id)}"))

    def put_group(self, group_id: str, document: dict[str, Any]) -> dict[str, Any]:
        """Create an enrollment group."""
        return dict(self._service("PUT", f"/enrollmentGroups/{_id(group_id)}", document))

    def get_group(self, group_id: str) -> dict[str, Any]:
        """Return an enrollment group."""
        return dict(self._service("GET", f"/enrollmentGroups/{_id(group_id)}"))

    def get_registration(self, registration_id: str) -> dict[str, Any]:
        """Return a registration record."""
        return dict(self._service("GET", f"/registrations/{_id(registration_id)}"))

    def group_registrations(self, group_id: str) -> list[dict[str, Any]]:
        """Return the registration records of an enrollment group."""
        return self._pages(
            f"/registrations/{_id(group_id)}/query",
            parameters={"api-version": SERVICE_API_VERSION},
        )

    def put_certificate(
        self, name: str, certificate_pem: str, *, verified: bool = True
    ) -> dict[str, Any]:
        """Upload a CA certificate."""
        document = {"properties": {"certificate": certificate_pem, "isVerified": verified}}
        response = self._send(
            self._azure,
            "PUT",
            f"{self._resource_id}/certificates/{_id(name)}",
            document,
            parameters={"api-version": RESOURCE_API_VERSION},
        )
        return dict(response.json())

    # -- the hubs, and what is Mooring's own -------------------------------------------------

    def put_device(self, hub: str, device_id: str, document: dict[str, Any]) -> dict[str, Any]:
        """Create a device identity."""
        return dict(self.admin("PUT", f"hubs/{_id(hub)}/devices/{_id(device_id)}", document))

    def get_device(self, hub: str, device_id: str) -> dict[str, Any]:
        """Return a device identity."""
        return dict(self.admin("GET", f"hubs/{_id(hub)}/devices/{_id(device_id)}"))

    def hub(
        self,
        host_name: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        timeout_s: float | None = None,
    ) -> Any:
        """Call the service API of the hub of that host name.

        `timeout_s` is how long the hub itself may wait.
        """
        return self._send(
            self._azure,
            method,
            path,
            body,
            parameters={"api-version": HUB_API_VERSION},
            headers={"Host": host_name},
            timeout_s=TIMEOUT_S + (timeout_s or 0.0),
        ).json()

    def query(self, host_name: str, text: str) -> list[dict[str, Any]]:
        """Return all rows of a query over the twins of a hub."""
        return self._pages(
            "/devices/query",
            {"query": text},
            parameters={"api-version": HUB_API_VERSION},
            headers={"Host": host_name},
        )

    def telemetry(self, hub: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return stored telemetry, oldest first."""
        return list(self.admin("GET", f"hubs/{_id(hub)}/telemetry", **parameters)["value"])

    def attempts(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return attempt records, newest first."""
        return list(self.admin("GET", "attempts", **parameters)["value"])

    def admin(self, method: str, path: str, body: Any = None, **parameters: Any) -> Any:
        """Call the admin API; parameters that are None are left out.

        Raises:
            RequestRefused: The cloud refused.
            CloudNotRunning: It does not answer.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        response = self._send(self._admin, method, path, body, parameters=given)
        return response.json() if response.content else None

    def _service(self, method: str, path: str, body: Any = None) -> Any:
        return self._send(
            self._azure, method, path, body, parameters={"api-version": SERVICE_API_VERSION}
        ).json()

    def _pages(
        self,
        path: str,
        body: Any = None,
        *,
        parameters: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """Return the rows of all pages of a query."""
        found: list[dict[str, Any]] = []
        continuation: str | None = ""
        while continuation is not None:
            page = {PAGE_SIZE: str(PAGE_ITEMS)}
            if continuation:
                page[CONTINUATION] = continuation
            response = self._send(
                self._azure,
                "POST",
                path,
                body,
                parameters=parameters,
                headers={**(headers or {}), **page},
            )
            found += response.json()
            continuation = response.headers.get(CONTINUATION)
        return found

    def _send(
        self,
        client: httpx.Client,
        method: str,
        path: str,
        body: Any = None,
        *,
        parameters: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> httpx.Response:
        try:
            response = client.request(
                method, path, json=body, params=parameters, headers=headers, timeout=timeout_s
            )
        except httpx.HTTPError as error:
            raise CloudNotRunning(
                f"The cloud does not answer at {client.base_url}: {error}",
                "See its log, cloud.log in the state folder.",
            ) from None
        if not response.is_success:
            raise _refusal(response)
        return response


def _refusal(response: httpx.Response) -> RequestRefused:
    """Return the refusal in the words of whichever API it is from."""
    status = response.status_code
    try:
        document = response.json()
        if "errorCode" in document:
            return RequestRefused(status, str(document["errorCode"]), document["message"], "")
        if "iothub-errorcode" in response.headers:
            code, text = response.headers["iothub-errorcode"], str(document["Message"])
            if text.startswith("{"):  # twins and methods: JSON in the text
                text = str(json.loads(text)["message"])
            return RequestRefused(status, code, text.removeprefix(f"ErrorCode:{code};"), "")
        error = document["error"]
        return RequestRefused(status, error["code"], error["message"], error.get("remedy") or "")
    except (ValueError, KeyError, TypeError):
        return RequestRefused(status, "unexplained", response.text[:400], "See the cloud's log.")


def _id(name: str) -> str:
    return quote(name, safe="")
