"""Every operation of a hub's service API."""

from __future__ import annotations

from tests.docs.coverage_operations import DEVICE, RESOURCE, SERVICE, Operation

VERSION = "api-version=2021-04-12"

_METHOD = {"methodName": "ping", "responseTimeoutInSeconds": 5}
_ROWS: tuple[tuple[str, str, str, object], ...] = (
    ("device.put", "Create or replace a device identity", "PUT /devices/nobody", {}),
    ("device.get", "Get a device identity", "GET /devices/nobody", None),
    ("device.list", "List device identities", "GET /devices", None),
    ("device.bulk", "Bulk operation on device identities", "POST /devices", [{"id": "nobody"}]),
    ("twin.get", "Get a twin", "GET /twins/nobody", None),
    ("twin.patch", "Merge into a twin", "PATCH /twins/nobody", {"tags": {"a": 1}}),
    ("twin.put", "Replace parts of a twin", "PUT /twins/nobody", {"tags": {}}),
    ("method.invoke", "Invoke a direct method", "POST /twins/nobody/methods", _METHOD),
    ("query", "Query twins", "POST /devices/query", {"query": "SELECT * FROM devices"}),
    ("message.purge", "Purge the messages of a device", "DELETE /devices/nobody/commands", None),
    ("feedback.get", "Receive feedback", "GET /messages/serviceBound/feedback", None),
    (
        "feedback.complete",
        "Complete feedback",
        "DELETE /messages/serviceBound/feedback/nobody",
        None,
    ),
    (
        "feedback.abandon",
        "Abandon feedback",
        "POST /messages/serviceBound/feedback/nobody/abandon",
        None,
    ),
    ("statistics.devices", "Count device identities", "GET /statistics/devices", None),
    ("statistics.service", "Count connected devices", "GET /statistics/service", None),
    ("device.delete", "Delete a device identity", "DELETE /devices/nobody", None),
    ("module.list", "Modules and their twins", "GET /devices/nobody/modules", None),
    (
        "edge.apply",
        "Apply a configuration to an edge device",
        "POST /devices/nobody/applyConfigurationContent",
        {},
    ),
    ("configuration.list", "Configurations", "GET /configurations", None),
    ("job.query", "Scheduled jobs", "GET /jobs/v2/query", None),
    ("job.list", "Import and export jobs", "GET /jobs", None),
    ("upload", "File upload", "POST /devices/nobody/files", {"blobName": "a"}),
    ("digital-twin.get", "Digital twins", "GET /digitaltwins/nobody", None),
)

HUB_SERVICE = tuple(
    Operation(f"hub.{key}", "Hub service API", title, f"{request}?{VERSION}", body)
    for key, title, request, body in _ROWS
)

OPERATIONS = (*DEVICE, *SERVICE, *RESOURCE, *HUB_SERVICE)

MAY_BE_MISSING = frozenset(
    {"device.tpm", "device.csr", "device.amqp", "device.amqp-ws", "private-link.list"}
    | {
        f"hub.{key}"
        for key in (
            "configuration.list",
            "digital-twin.get",
            "edge.apply",
            "job.list",
            "job.query",
            "module.list",
            "upload",
        )
    }
)
"""What may answer "not implemented"; everything else must be served."""

NO_CLIENT_AT_HAND = frozenset(
    {"device.https.lookup", "group.bulk"}
    | {
        f"hub.{key}"
        for key in (
            "feedback.abandon",
            "feedback.complete",
            "feedback.get",
            "message.purge",
            "method.invoke",
        )
    }
)
"""Served, and called by no SDK for Python or Node; our own tests call them."""
