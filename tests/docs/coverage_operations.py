"""Every operation of the DPS's three APIs and of a hub's, and how to ask a cloud whether it serves
it.

The rows follow Azure's own: the device API (MQTT, HTTPS, AMQP), the service API ("data plane") and
the resource API ("control plane", Azure Resource Manager). Those of a hub are in
`tests.docs.hub_operations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Surface = Literal[
    "Device API",
    "Service API",
    "Resource API",
    "Hub device API",
    "Hub service API",
    "Hub resource API",
]

SERVICE_VERSION = "api-version=2021-10-01"
RESOURCE_VERSION = "api-version=2022-12-12"
DEVICE_VERSION = "api-version=2021-06-01"


@dataclass(frozen=True)
class Operation:
    """One row. `request` is ``METHOD /path``; other ways have a probe of their own, by `key`.

    `body` is what makes the request whole enough to be told from one that nobody serves.
    """

    key: str
    surface: Surface
    title: str
    request: str
    body: object = None


DEVICE = (
    Operation("device.mqtt.register", "Device API", "Register over MQTT", "$dps/registrations/PUT"),
    Operation("device.mqtt.poll", "Device API", "Poll over MQTT", "$dps/registrations/GET"),
    Operation("device.ws", "Device API", "MQTT over WebSocket", "GET /$iothub/websocket"),
    Operation(
        "device.https.register",
        "Device API",
        "Register over HTTPS",
        f"PUT /{{id_scope}}/registrations/nobody/register?{DEVICE_VERSION}",
        {"registrationId": "nobody"},
    ),
    Operation(
        "device.https.status",
        "Device API",
        "Operation status over HTTPS",
        f"GET /{{id_scope}}/registrations/nobody/operations/4.0.0?{DEVICE_VERSION}",
    ),
    Operation(
        "device.https.lookup",
        "Device API",
        "Registration look-up over HTTPS",
        f"POST /{{id_scope}}/registrations/nobody?{DEVICE_VERSION}",
        {"registrationId": "nobody"},
    ),
    Operation("device.x509", "Device API", "Attestation by X.509", "mutual TLS"),
    Operation(
        "device.symmetric-key", "Device API", "Attestation by symmetric key", "SAS, own or derived"
    ),
    Operation("device.tpm", "Device API", "Attestation by TPM", "tpm in the register body"),
    Operation("device.csr", "Device API", "Certificate issuing", "csr in the register body"),
    Operation("device.amqp", "Device API", "AMQP 1.0", "port 5671"),
    Operation("device.amqp-ws", "Device API", "AMQP over WebSocket", "subprotocol AMQPWSB10"),
)

_NOBODY = {"registrationId": "nobody", "attestation": {"type": "symmetricKey"}}
_NO_GROUP = {"enrollmentGroupId": "nobody", "attestation": {"type": "symmetricKey"}}


def _collection(
    name: str, key: str, what: str, document: object, bulk_member: str
) -> tuple[Operation, ...]:
    path = f"/{name}/nobody?{SERVICE_VERSION}"
    rows = (
        ("put", f"Create or replace {what}", f"PUT {path}", document),
        ("get", f"Get {what}", f"GET {path}", None),
        ("delete", f"Delete {what}", f"DELETE {path}", None),
        (
            "attestation",
            f"Get the attestation mechanism of {what}",
            f"POST /{name}/nobody/attestationmechanism?{SERVICE_VERSION}",
            None,
        ),
        (
            "query",
            f"Query {name}",
            f"POST /{name}/query?{SERVICE_VERSION}",
            {"query": f"SELECT * FROM {name}"},
        ),
        (
            "bulk",
            f"Bulk operation on {name}",
            f"POST /{name}?{SERVICE_VERSION}",
            {"mode": "delete", bulk_member: [document]},
        ),
    )
    return tuple(
        Operation(f"{key}.{verb}", "Service API", title, request, body)
        for verb, title, request, body in rows
    )


SERVICE = (
    *_collection("enrollments", "enrollment", "an individual enrollment", _NOBODY, "enrollments"),
    *_collection("enrollmentGroups", "group", "an enrollment group", _NO_GROUP, "enrollmentGroups"),
    Operation(
        "registration.get",
        "Service API",
        "Get a registration record",
        f"GET /registrations/nobody?{SERVICE_VERSION}",
    ),
    Operation(
        "registration.delete",
        "Service API",
        "Delete a registration record",
        f"DELETE /registrations/nobody?{SERVICE_VERSION}",
    ),
    Operation(
        "registration.query",
        "Service API",
        "Query the registration records of a group",
        f"POST /registrations/nobody/query?{SERVICE_VERSION}",
    ),
)

_CERTIFICATE = f"{{resource_id}}/certificates/nobody?{RESOURCE_VERSION}"
_ACTION = f"{{resource_id}}/certificates/nobody/{{verb}}?{RESOURCE_VERSION}"
_PROVIDER = "{resource_group}/providers/Microsoft.Devices"

RESOURCE = tuple(
    Operation(key, "Resource API", title, request, body)
    for key, title, request, body in (
        (
            "certificate.list",
            "List CA certificates",
            f"GET {{resource_id}}/certificates?{RESOURCE_VERSION}",
            None,
        ),
        ("certificate.get", "Get a CA certificate", f"GET {_CERTIFICATE}", None),
        (
            "certificate.put",
            "Upload or update a CA certificate",
            f"PUT {_CERTIFICATE}",
            {"properties": {"certificate": "none"}},
        ),
        ("certificate.delete", "Delete a CA certificate", f"DELETE {_CERTIFICATE}", None),
        (
            "certificate.code",
            "Generate a verification code",
            f"POST {_ACTION.replace('{verb}', 'generateVerificationCode')}",
            None,
        ),
        (
            "certificate.verify",
            "Verify a CA certificate",
            f"POST {_ACTION.replace('{verb}', 'verify')}",
            {"certificate": "none"},
        ),
        ("service.get", "Get the service", f"GET {{resource_id}}?{RESOURCE_VERSION}", None),
        (
            "service.put",
            "Update the service: policies, linked hubs, allocation",
            f"PUT {{resource_id}}?{RESOURCE_VERSION}",
            {},
        ),
        ("service.patch", "Tag the service", f"PATCH {{resource_id}}?{RESOURCE_VERSION}", {}),
        (
            "service.list",
            "List services of a resource group",
            f"GET {_PROVIDER}/provisioningServices?{RESOURCE_VERSION}",
            None,
        ),
        (
            "service.list-all",
            "List services of a subscription",
            (
                f"GET {{subscription}}/providers/Microsoft.Devices/provisioningServices"
                f"?{RESOURCE_VERSION}"
            ),
            None,
        ),
        (
            "policy.list",
            "List shared access policies with their keys",
            f"POST {{resource_id}}/listkeys?{RESOURCE_VERSION}",
            None,
        ),
        (
            "policy.get",
            "Get a shared access policy with its keys",
            f"POST {{resource_id}}/keys/provisioningserviceowner/listkeys?{RESOURCE_VERSION}",
            None,
        ),
        ("sku.list", "List valid SKUs", f"GET {{resource_id}}/skus?{RESOURCE_VERSION}", None),
        (
            "name.check",
            "Check a service's name",
            (
                "POST {subscription}/providers/Microsoft.Devices/"
                f"checkProvisioningServiceNameAvailability?{RESOURCE_VERSION}"
            ),
            {"name": "dps"},
        ),
        (
            "operation.list",
            "List operations",
            f"GET /providers/Microsoft.Devices/operations?{RESOURCE_VERSION}",
            None,
        ),
        (
            "private-link.list",
            "Private link resources and endpoints",
            f"GET {{resource_id}}/privateLinkResources?{RESOURCE_VERSION}",
            None,
        ),
        (
            "service.delete",
            "Delete the service (always refused: a cloud has one)",
            f"DELETE {{resource_id}}?{RESOURCE_VERSION}",
            None,
        ),
    )
)
