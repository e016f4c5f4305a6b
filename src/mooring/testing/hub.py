"""A hub as a back end sees it: what a user's test does on the other side of a device."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from mooring.testing.calls import CloudCalls

RESPONSE_TIMEOUT_S = 10


class HubBackEnd:
    """One hub of a running cloud, by Azure's service API where that has the operation.

    Every method raises mooring.testing.RequestRefused when the hub refuses.
    """

    def __init__(self, calls: CloudCalls, name: str, host_name: str) -> None:
        """Speak for the back ends of hub `name`."""
        self._calls = calls
        self._host_name = host_name
        self.name = name

    def twin(self, device_id: str) -> dict[str, Any]:
        """Return a device's twin, as Azure's service API has it."""
        return dict(self._azure("GET", f"/twins/{_id(device_id)}"))

    def patch_twin(
        self,
        device_id: str,
        *,
        desired: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Merge into desired properties and tags (None deletes a name); return the twin."""
        document: dict[str, Any] = {}
        if desired is not None:
            document["properties"] = {"desired": dict(desired)}
        if tags is not None:
            document["tags"] = dict(tags)
        return dict(self._azure("PATCH", f"/twins/{_id(device_id)}", document))

    def invoke(
        self,
        device_id: str,
        method: str,
        payload: Any = None,
        *,
        timeout_s: int = RESPONSE_TIMEOUT_S,
        connect_timeout_s: int = RESPONSE_TIMEOUT_S,
    ) -> tuple[int, Any]:
        """Have a device run a direct method; return its own status and payload.

        Args:
            device_id: The device; it may still be on its way for `connect_timeout_s`.
            method: Name of the method.
            payload: Any JSON.
            timeout_s: How long the device may take to answer, 5 to 300 s.
            connect_timeout_s: How long to wait for a device that is not there, 0 to 300 s.
        """
        answer = self._azure(
            "POST",
            f"/twins/{_id(device_id)}/methods",
            {
                "methodName": method,
                "payload": payload,
                "responseTimeoutInSeconds": timeout_s,
                "connectTimeoutInSeconds": connect_timeout_s,
            },
            timeout_s=timeout_s + connect_timeout_s,
        )
        return int(answer["status"]), answer["payload"]

    def send(
        self,
        device_id: str,
        body: str | bytes,
        *,
        properties: Mapping[str, str] | None = None,
        **system_properties: str,
    ) -> None:
        """Put a cloud-to-device message into a device's queue.

        Args:
            device_id: The device, which need not be connected.
            body: The message; text is sent as UTF-8.
            properties: Application properties.
            system_properties: ``messageId``, ``correlationId``, ``contentType``,
                ``contentEncoding``, ``expiryTimeUtc``, ``ack`` and the like.
        """
        document: dict[str, Any] = {
            "properties": dict(properties or {}),
            "systemProperties": system_properties,
        }
        if isinstance(body, str):
            document["body"] = body
        else:
            document["bodyBase64"] = base64.b64encode(body).decode()
        path = f"hubs/{_id(self.name)}/devices/{_id(device_id)}/messages/devicebound"
        self._calls.admin("POST", path, document)

    def query(self, text: str) -> list[dict[str, Any]]:
        """Return all rows of a query over the twins, in IoT Hub's query language."""
        return self._calls.query(self._host_name, text)

    def update(self, **settings: Any) -> dict[str, Any]:
        """Change settings of the hub, e.g. ``throttling="azure"``; return them all."""
        return dict(self._calls.admin("PATCH", f"hubs/{_id(self.name)}/settings", settings))

    def _azure(
        self, method: str, path: str, body: Any = None, *, timeout_s: float | None = None
    ) -> Any:
        return self._calls.hub(self._host_name, method, path, body, timeout_s=timeout_s)


def _id(name: str) -> str:
    return quote(name, safe="")
