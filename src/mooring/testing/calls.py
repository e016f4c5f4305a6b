"""The HTTP calls to a running cloud, one method each: the only file here that knows its paths."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from mooring.testing.errors import CloudNotRunning, RequestRefused

TIMEOUT_S = 30.0
"""Far above what any call takes, so that only a cloud that hangs is given up."""


class CloudCalls:
    """Calls with the rights of the owner; keeps its connections open until closed."""

    def __init__(self, api_url: str, owner_token: str) -> None:
        """Prepare calls to the admin API at `api_url`."""
        self._admin = httpx.Client(
            base_url=f"{api_url}/",
            headers={"Authorization": f"Bearer {owner_token}"},
            timeout=TIMEOUT_S,
            trust_env=False,  # a proxy has no way to a loopback address
            verify=False,  # noqa: S501 - plain HTTP on loopback; loading CAs would only take time
        )

    def close(self) -> None:
        """Close the connections."""
        self._admin.close()

    def info(self) -> dict[str, Any]:
        """Return what the cloud says of itself, with connection strings."""
        return dict(self.call("GET", "info"))

    def put_enrollment(self, registration_id: str, document: dict[str, Any]) -> dict[str, Any]:
        """Create an individual enrollment, as the service API writes it."""
        return dict(self.call("PUT", f"dps/enrollments/{_id(registration_id)}", document))

    def get_enrollment(self, registration_id: str) -> dict[str, Any]:
        """Return an individual enrollment with its registration state."""
        return dict(self.call("GET", f"dps/enrollments/{_id(registration_id)}"))

    def put_group(self, group_id: str, document: dict[str, Any]) -> dict[str, Any]:
        """Create an enrollment group, as the service API writes it."""
        return dict(self.call("PUT", f"dps/enrollmentGroups/{_id(group_id)}", document))

    def get_group(self, group_id: str) -> dict[str, Any]:
        """Return an enrollment group."""
        return dict(self.call("GET", f"dps/enrollmentGroups/{_id(group_id)}"))

    def put_certificate(
        self, name: str, certificate_pem: str, *, verified: bool = True
    ) -> dict[str, Any]:
        """Upload a CA certificate to the DPS."""
        properties = {"certificate": certificate_pem, "isVerified": verified}
        return dict(self.call("PUT", f"dps/certificates/{_id(name)}", {"properties": properties}))

    def get_registration(self, registration_id: str) -> dict[str, Any]:
        """Return a registration record."""
        return dict(self.call("GET", f"dps/registrations/{_id(registration_id)}"))

    def group_registrations(self, group_id: str) -> list[dict[str, Any]]:
        """Return the registration records of an enrollment group."""
        return list(self.call("GET", "dps/registrations", enrollmentGroupId=group_id)["value"])

    def put_device(self, hub: str, device_id: str, document: dict[str, Any]) -> dict[str, Any]:
        """Create a device identity, as the hub's service API writes it."""
        return dict(self.call("PUT", f"hubs/{_id(hub)}/devices/{_id(device_id)}", document))

    def get_device(self, hub: str, device_id: str) -> dict[str, Any]:
        """Return a device identity."""
        return dict(self.call("GET", f"hubs/{_id(hub)}/devices/{_id(device_id)}"))

    def telemetry(self, hub: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return stored telemetry, oldest first."""
        return list(self.call("GET", f"hubs/{_id(hub)}/telemetry", **parameters)["value"])

    def attempts(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return attempt records, newest first."""
        return list(self.call("GET", "attempts", **parameters)["value"])

    def call(self, method: str, path: str, body: Any = None, **parameters: Any) -> Any:
        """Call the admin API; parameters that are None are left out.

        Raises:
            RequestRefused: The cloud refused.
            CloudNotRunning: It does not answer.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        try:
            response = self._admin.request(method, path, json=body, params=given)
        except httpx.HTTPError as error:
            raise CloudNotRunning(
                f"The cloud does not answer at {self._admin.base_url}: {error}",
                "See its log, cloud.log in the state folder.",
            ) from None
        if not response.is_success:
            raise _refusal(response)
        return response.json() if response.content else None


def _refusal(response: httpx.Response) -> RequestRefused:
    try:
        error = response.json()["error"]
        return RequestRefused(
            response.status_code, error["code"], error["message"], error.get("remedy") or ""
        )
    except (ValueError, KeyError, TypeError):
        return RequestRefused(
            response.status_code, "unexplained", response.text[:400], "See the cloud's log."
        )


def _id(name: str) -> str:
    return quote(name, safe="")
