"""Manages a hub with azure-iot-hub from PyPI.

The same contract as ``node/hub.js``: one JSON document as argument with a connection string and
steps, one JSON line per step on standard output. A step that the hub refuses has the status in
``refused``. Trust in the server comes from REQUESTS_CA_BUNDLE.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from azure.iot.hub import IoTHubHttpRuntimeManager, IoTHubRegistryManager
from azure.iot.hub.models import (
    CloudToDeviceMethod,
    ExportImportDevice,
    QuerySpecification,
    Twin,
    TwinProperties,
)
from msrest.exceptions import HttpOperationError


class Steps:
    """What a step may be; each returns what is told of it."""

    def __init__(self, connection_string: str) -> None:
        self.registry = IoTHubRegistryManager.from_connection_string(connection_string)
        self.runtime = IoTHubHttpRuntimeManager.from_connection_string(connection_string)

    def create(self, name: str, **wanted: Any) -> dict[str, Any]:
        """Create a device."""
        return self._put("create", name, wanted)

    def update(self, name: str, **wanted: Any) -> dict[str, Any]:
        """Replace a device, by an etag or whatever it is by now."""
        return self._put("update", name, wanted, wanted.pop("etag", None))

    def get(self, name: str) -> dict[str, Any]:
        """Read a device."""
        return _told(self.registry.get_device(name))

    def delete(self, name: str, etag: str | None = None) -> dict[str, Any]:
        """Delete a device."""
        self.registry.delete_device(name, etag)
        return {}

    def list(self) -> dict[str, Any]:
        """List the devices."""
        return {"ids": [device.device_id for device in self.registry.get_devices(1000)]}

    def statistics(self) -> dict[str, Any]:
        """Count the devices."""
        counts = self.registry.get_device_registry_statistics()
        return {
            "total": counts.total_device_count,
            "enabled": counts.enabled_device_count,
            "disabled": counts.disabled_device_count,
        }

    def connections(self) -> dict[str, Any]:
        """Count the connected devices."""
        return {"connected": self.registry.get_service_statistics().connected_device_count}

    def query(self, text: str, size: int | None = None, twins: bool = False) -> dict[str, Any]:
        """Ask for all pages of a query."""
        pages: list[Any] = []
        continuation = None
        while True:
            found = self.registry.query_iot_hub(QuerySpecification(query=text), continuation, size)
            pages.append(
                [[row.device_id, row.version] if twins else _members(row) for row in found.items]
            )
            continuation = found.continuation_token
            if not continuation:
                return {"type": found.type, "pages": pages}

    def bulk(self, mode: str, items: list[dict[str, Any]]) -> dict[str, Any]:
        """Do the same with several devices."""
        devices = [
            ExportImportDevice(
                id=item["name"], import_mode=mode, e_tag=item.get("etag"), status=item.get("status")
            )
            for item in items
        ]
        result = self.registry.bulk_create_or_update_devices(devices)
        return {
            "isSuccessful": result.is_successful,
            "errors": [[error.device_id, error.error_code] for error in result.errors],
        }

    def twin(self, name: str) -> dict[str, Any]:
        """Read a twin."""
        return _told_twin(self.registry.get_twin(name))

    def patch_twin(self, name: str, etag: str | None = None, **wanted: Any) -> dict[str, Any]:
        """Merge tags and desired properties into a twin."""
        return _told_twin(self.registry.update_twin(name, _twin(wanted), etag))

    def replace_twin(self, name: str, etag: str | None = None, **wanted: Any) -> dict[str, Any]:
        """Replace tags and desired properties of a twin."""
        return _told_twin(self.registry.replace_twin(name, _twin(wanted), etag))

    def invoke(self, name: str, method: str, payload: Any) -> dict[str, Any]:
        """Call a direct method."""
        call = CloudToDeviceMethod(
            method_name=method,
            payload=payload,
            response_timeout_in_seconds=20,
            connect_timeout_in_seconds=10,
        )
        result = self.registry.invoke_device_method(name, call)
        return {"status": result.status, "payload": result.payload}

    def purge(self, name: str) -> dict[str, Any]:
        """Delete the messages of a device."""
        messages = self.runtime.protocol.cloud_to_device_messages
        result = messages.purge_cloud_to_device_message_queue(name)
        return {"purged": result.total_messages_purged, "id": result.device_id}

    def feedback(self, settle: str) -> dict[str, Any]:
        """Receive feedback and ``complete`` or ``abandon`` it."""
        # The convenience method drops the answer, and the lock token with it.
        messages = self.runtime.protocol.cloud_to_device_messages
        response = messages.receive_feedback_notification(raw=True).response
        if response.status_code == 204:
            return {"records": []}
        lock_token = response.headers["ETag"].strip('"')
        getattr(self.runtime, f"{settle}_feedback_notification")(lock_token)
        records = [
            [record["originalMessageId"], record["statusCode"], record["deviceId"]]
            for record in response.json()
        ]
        return {"records": records}

    def _put(
        self, method: str, name: str, wanted: dict[str, Any], *etag: str | None
    ) -> dict[str, Any]:
        first = (name, *etag)
        status = wanted.get("status", "enabled")
        kind = wanted.get("kind", "sas")
        more = {
            "iot_edge": wanted.get("edge", False),
            "device_scope": wanted.get("scope"),
        }
        if kind == "sas":
            call = getattr(self.registry, f"{method}_device_with_sas")
            return _told(call(*first, wanted.get("key"), wanted.get("key"), status, **more))
        if kind == "selfSigned":
            call = getattr(self.registry, f"{method}_device_with_x509")
            thumbprint = wanted["thumbprint"]
            return _told(call(*first, thumbprint, thumbprint, status, **more))
        call = getattr(self.registry, f"{method}_device_with_certificate_authority")
        return _told(call(*first, status, **more))


def _members(row: Any) -> dict[str, Any]:
    """Return a row; the client takes all for twins, and what no twin has for more of one."""
    named = {"deviceId": row.device_id, "status": row.status}
    return row.additional_properties | {n: value for n, value in named.items() if value is not None}


def _told(device: Any) -> dict[str, Any]:
    authentication = device.authentication
    return {
        "id": device.device_id,
        "generation": device.generation_id,
        "etag": device.etag,
        "status": device.status,
        "connection": device.connection_state,
        "type": authentication.type,
        "key": authentication.symmetric_key.primary_key,
        "thumbprint": authentication.x509_thumbprint.primary_thumbprint,
        "edge": device.capabilities.iot_edge,
        "scope": device.device_scope,
        "parents": device.parent_scopes,
    }


def _twin(wanted: dict[str, Any]) -> Twin:
    properties = TwinProperties(desired=wanted.get("desired"))
    return Twin(tags=wanted.get("tags"), properties=properties)


def _told_twin(twin: Twin) -> dict[str, Any]:
    def values(section: dict[str, Any]) -> dict[str, Any]:
        assert "$lastUpdated" in section["$metadata"]
        return {key: value for key, value in section.items() if key != "$metadata"}

    return {
        "id": twin.device_id,
        "etag": twin.etag,
        "version": twin.version,
        "tags": twin.tags,
        "desired": values(twin.properties.desired),
        "reported": values(twin.properties.reported),
    }


def main(options: dict[str, Any]) -> None:
    """Do the steps one after the other."""
    steps = Steps(options["connectionString"])
    for name, arguments in options["steps"]:
        try:
            facts = getattr(steps, name)(**arguments)
        except HttpOperationError as error:
            facts = {
                "refused": error.response.status_code,
                "errorCode": error.response.headers["iothub-errorcode"],
            }
        print(json.dumps({"event": name, **facts}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
