"""Every operation of a hub's device and service APIs, and what its resource API has."""

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

RESOURCE_VERSION = "api-version=2023-06-30"

_RESOURCE_ROWS = (
    ("hub-resource.list", "List the hubs of a subscription", "GET {subscription}{hubs}"),
    ("hub-resource.list-group", "List the hubs of a resource group", "GET {resource_group}{hubs}"),
    ("hub-resource.get", "Get a hub", "GET {hub_id}"),
    ("hub-resource.put", "Create or change a hub: policies, settings", "PUT {hub_id}"),
    ("hub-resource.tags", "Tag a hub", "PATCH {hub_id}"),
    ("hub-resource.delete", "Delete a hub (always refused)", "DELETE {hub_id}"),
    ("hub-resource.stats", "Count a hub's devices", "GET {hub_id}/IotHubStats"),
    ("hub-resource.keys", "List shared access policies with keys", "POST {hub_id}/listkeys"),
    (
        "hub-resource.key",
        "Get a shared access policy with its keys",
        "POST {hub_id}/IotHubKeys/service/listkeys",
    ),
    ("hub-certificate.list", "List CA certificates", "GET {hub_id}/certificates"),
    ("hub-certificate.get", "Get a CA certificate", "GET {hub_id}/certificates/nobody"),
    ("hub-certificate.put", "Upload a CA certificate", "PUT {hub_id}/certificates/nobody"),
    ("hub-certificate.delete", "Delete a CA certificate", "DELETE {hub_id}/certificates/nobody"),
    (
        "hub-certificate.code",
        "Generate a verification code",
        "POST {hub_id}/certificates/nobody/generateVerificationCode",
    ),
    (
        "hub-certificate.verify",
        "Verify a CA certificate",
        "POST {hub_id}/certificates/nobody/verify",
    ),
)

HUB_RESOURCE = tuple(
    Operation(key, "Hub resource API", title, f"{request}?{RESOURCE_VERSION}", {})
    for key, title, request in _RESOURCE_ROWS
)

_DEVICE_ROWS = (
    ("hub.mqtt.telemetry", "Telemetry over MQTT", "devices/{id}/messages/events/"),
    (
        "hub.mqtt.devicebound",
        "Messages to a device over MQTT",
        "devices/{id}/messages/devicebound/#",
    ),
    ("hub.mqtt.twin", "Twin over MQTT", "$iothub/twin/GET"),
    ("hub.mqtt.methods", "Direct methods over MQTT", "$iothub/methods/POST/#"),
    ("hub.https.telemetry", "Telemetry over HTTPS", "POST /devices/nobody/messages/events"),
    (
        "hub.https.devicebound",
        "Receive a message over HTTPS",
        "GET /devices/nobody/messages/devicebound",
    ),
    (
        "hub.https.complete",
        "Complete or reject a message over HTTPS",
        "DELETE /devices/nobody/messages/devicebound/nobody",
    ),
    (
        "hub.https.abandon",
        "Abandon a message over HTTPS",
        "POST /devices/nobody/messages/devicebound/nobody/abandon",
    ),
    ("hub.x509.thumbprint", "Authentication by X.509, pinned", "mutual TLS"),
    ("hub.x509.ca", "Authentication by X.509, of a verified CA", "mutual TLS"),
    ("hub.sas", "Authentication by symmetric key", "SAS"),
)

HUB_DEVICE = tuple(
    Operation(
        key,
        "Hub device API",
        title,
        f"{request}?{VERSION}" if key.startswith("hub.https") else request,
    )
    for key, title, request in _DEVICE_ROWS
)

OPERATIONS = (*DEVICE, *SERVICE, *RESOURCE, *HUB_DEVICE, *HUB_SERVICE, *HUB_RESOURCE)

MAY_BE_MISSING = frozenset(
    {
        "device.tpm",
        "device.csr",
        "device.amqp",
        "device.amqp-ws",
        "private-link.list",
        "hub-resource.tags",
    }
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

NO_CLIENT_AT_HAND = frozenset({"device.https.lookup", "group.bulk", "hub-resource.delete"})
"""Served, and called by no SDK for Python or Node; our own tests call them."""
