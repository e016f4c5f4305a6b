"""Writes docs/coverage.md: asks a running cloud for each operation, and the interop tests for who
calls it.

    python -m tests.docs.coverage_page docs/coverage.md
"""

from __future__ import annotations

import ast
import json
import secrets
import socket
import ssl
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from tests.docs.coverage_operations import (
    DEVICE,
    DEVICE_VERSION,
    RESOURCE_VERSION,
    SERVICE_VERSION,
    Operation,
)
from tests.docs.hub_operations import HUB_DEVICE, OPERATIONS
from tests.support.cloud import CloudProcess, https_port, running_cloud
from tests.support.rawmqtt import PUBACK, PUBLISH, RawMqtt

from mooring.protocol.azure.error_codes import DpsErrorCode, HubErrorCode
from mooring.protocol.azure.sas import encode_key, format_sas_token
from mooring.testing.credentials import Device

INTEROP = Path(__file__).parents[1] / "interop"
AMQP_PORT = 5671
ENTITY_NOT_FOUND = frozenset(
    {
        int(DpsErrorCode.ENROLLMENT_NOT_FOUND),
        int(DpsErrorCode.REGISTRATION_NOT_FOUND),
        int(DpsErrorCode.OPERATION_NOT_FOUND),
    }
)
"""What a served operation answers about a record that is not there."""

HEAD = """# Coverage

Every operation of Azure's Device Provisioning Service and of the service and resource APIs of IoT
Hub, what Mooring does with it, and which unmodified client calls it in `tests/interop`. This page
is written by a test that asks a running cloud
(`python -m tests.docs.coverage_page docs/coverage.md`).
"""


def exercised() -> dict[str, list[str]]:
    """Return, by operation key, the clients whose interop tests carry ``pytest.mark.exercises``."""
    clients: dict[str, set[str]] = {}
    for path in sorted(INTEROP.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "exercises"
            ):
                client, *keys = (ast.literal_eval(argument) for argument in node.args)
                for key in keys:
                    clients.setdefault(key, set()).add(client)
    return {key: sorted(names) for key, names in clients.items()}


def probe_all(cloud: CloudProcess) -> dict[str, bool]:
    """Return, by operation key, whether `cloud` serves it."""
    probe = _Probe(cloud)
    return {operation.key: probe.serves(operation) for operation in OPERATIONS}


def render(served: Mapping[str, bool], clients: Mapping[str, list[str]]) -> str:
    """Return the page."""
    lines = [HEAD]
    for surface in dict.fromkeys(operation.surface for operation in OPERATIONS):
        lines += [
            f"## {surface}\n",
            "| operation | request | Mooring | called by |",
            "|---|---|---|---|",
        ]
        for operation in OPERATIONS:
            if operation.surface == surface:
                answer = "yes" if served[operation.key] else "not implemented"
                request = operation.request.partition("?")[0].replace("nobody", "{id}")
                who = ", ".join(clients.get(operation.key, [])) or "–"
                lines.append(f"| {operation.title} | `{request}` | {answer} | {who} |")
        lines.append("")
    return "\n".join(lines)


class _Probe:
    def __init__(self, cloud: CloudProcess) -> None:
        self.cloud = cloud
        facts = cloud.facts
        resource_id = str(facts["resource_id"])
        self.names = {
            "id_scope": cloud.id_scope,
            "resource_id": resource_id,
            "resource_group": resource_id.partition("/providers/")[0],
            "subscription": resource_id.partition("/resourceGroups/")[0],
            "hubs": "/providers/Microsoft.Devices/IotHubs",
            "hub_id": resource_id.partition("provisioningServices")[0] + "IotHubs/hub",
        }
        self.trust = ssl.create_default_context(cafile=str(cloud.ca_file))

    def serves(self, operation: Operation) -> bool:
        """Return whether the cloud serves `operation`."""
        if operation in DEVICE and not operation.key.startswith("device.https"):
            by_key = getattr(
                self, operation.key.partition(".")[2].replace("-", "_").replace(".", "_")
            )
            return bool(by_key())
        if operation in HUB_DEVICE and not operation.key.startswith("hub.https"):
            return bool(getattr(self, operation.key.replace(".", "_"))())
        method, _, path = operation.request.partition(" ")
        return self._is_served(self._request(method, self._filled(path), operation.body))

    # -- the device API ------------------------------------------------------------------------

    def mqtt_register(self) -> bool:
        """Register over MQTT."""
        device = self.cloud.enroll()
        with self._connected(device) as client:
            return b'"assigning"' in client.request(
                "$dps/registrations/PUT/iotdps-register/?$rid=1", b""
            )

    def mqtt_poll(self) -> bool:
        """Register and collect the result."""
        device = self.cloud.enroll()
        with self._connected(device) as client:
            answer = json.loads(
                client.request("$dps/registrations/PUT/iotdps-register/?$rid=1", b"")
            )
            topic = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId="
            return b'"assigned"' in client.request(topic + answer["operationId"], b" ")

    def ws(self) -> bool:
        """Ask for the upgrade."""
        return self._upgrade("mqtt") == 101

    def amqp_ws(self) -> bool:
        """Ask for the upgrade to AMQP."""
        return self._upgrade("AMQPWSB10") == 101

    def amqp(self) -> bool:
        """Dial AMQP's port."""
        with socket.socket() as dialled:
            return dialled.connect_ex((self.cloud.address, AMQP_PORT)) == 0

    def x509(self) -> bool:
        """Register by certificate."""
        return self.mqtt_poll()

    def symmetric_key(self) -> bool:
        """Register with a token, over HTTPS."""
        return self._register("coverage3", {}).status_code == 202

    def tpm(self) -> bool:
        """Register with TPM keys."""
        return self._register("coverage4", {"tpm": {"endorsementKey": "AAAA"}}).status_code == 202

    def csr(self) -> bool:
        """Register with a certificate signing request."""
        return self._register("coverage5", {"csr": "AAAA"}).status_code == 202

    @contextmanager
    def _connected(self, device: Device) -> Iterator[_Client]:
        with RawMqtt(
            self.cloud.address,
            8883,
            ca_file=self.cloud.ca_file,
            cert_file=device.certificate_file,
            key_file=device.key_file,
        ) as raw:
            name = device.registration_id
            user_name = f"{self.cloud.id_scope}/registrations/{name}/api-version=2019-03-31"
            assert raw.connect(name, user_name) == 0
            raw.subscribe("$dps/registrations/res/#")
            yield _Client(raw)

    def _upgrade(self, subprotocol: str) -> int:
        """Return the HTTP status of a WebSocket upgrade."""
        request = (
            f"GET /$iothub/websocket HTTP/1.1\r\nHost: {self.cloud.address}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
        )
        with (
            socket.create_connection((self.cloud.address, https_port()), timeout=20) as raw,
            self.trust.wrap_socket(raw, server_hostname=self.cloud.address) as secured,
        ):
            secured.sendall(request.encode())
            return int(secured.recv(4096).split()[1])

    def _register(self, name: str, members: dict[str, Any]) -> httpx.Response:
        """Register by symmetric key over HTTPS."""
        key = secrets.token_bytes(32)
        keys = {"primaryKey": encode_key(key), "secondaryKey": encode_key(key)}
        self._request(
            "PUT",
            f"/enrollments/{name}?{SERVICE_VERSION}",
            {"attestation": {"type": "symmetricKey", "symmetricKey": keys}},
        )
        resource = f"{self.cloud.id_scope}/registrations/{name}"
        token = format_sas_token(
            resource, key, expires_at=datetime.now(UTC) + timedelta(hours=1), policy="registration"
        )
        return self._request(
            "PUT", f"/{resource}/register?{DEVICE_VERSION}", members, authorization=token
        )

    # -- the hub's device API ------------------------------------------------------------------

    def hub_mqtt_telemetry(self) -> bool:
        """Send telemetry."""
        with self._at_hub("coverage6") as raw:
            raw.publish("devices/coverage6/messages/events/", b"{}")
            return raw.expect(PUBACK).kind == PUBACK

    def hub_mqtt_devicebound(self) -> bool:
        """Subscribe to messages."""
        with self._at_hub("coverage6") as raw:
            return raw.subscribe("devices/coverage6/messages/devicebound/#") == 1

    def hub_mqtt_twin(self) -> bool:
        """Read the twin."""
        with self._at_hub("coverage6") as raw:
            raw.subscribe("$iothub/twin/res/#")
            raw.publish("$iothub/twin/GET/?$rid=1", b"", packet_id=None)
            return raw.expect(PUBLISH).topic.startswith("$iothub/twin/res/200/")

    def hub_mqtt_methods(self) -> bool:
        """Subscribe to methods."""
        with self._at_hub("coverage6") as raw:
            return raw.subscribe("$iothub/methods/POST/#") == 1

    def hub_x509_thumbprint(self) -> bool:
        """Connect by a pinned certificate."""
        device = self.cloud.enroll("coverage7")
        self.cloud.add_device("coverage7", device.thumbprint)
        return self._connects(device)

    def hub_x509_ca(self) -> bool:
        """Connect by a certificate that a verified CA has signed."""
        issuer = self.cloud.enroll_group("coverage8")
        device = issuer.device("coverage8")
        hub = f"{self.names['resource_group']}/providers/Microsoft.Devices/IotHubs/hub"
        certificate = {"certificate": issuer.root_certificate_file.read_text(), "isVerified": True}
        path = f"{hub}/certificates/coverage8?{RESOURCE_VERSION}"
        self._request("PUT", path, {"properties": certificate})
        path = f"/devices/coverage8?{SERVICE_VERSION}"
        self._request("PUT", path, {"authentication": {"type": "certificateAuthority"}})
        return self._connects(device)

    def _connects(self, device: Device) -> bool:
        with RawMqtt(
            self.cloud.address,
            8883,
            ca_file=self.cloud.ca_file,
            cert_file=device.certificate_file,
            key_file=device.key_file,
        ) as raw:
            name = device.registration_id
            return raw.connect(name, self._hub_user_name(name)) == 0

    def hub_sas(self) -> bool:
        """Connect by a token."""
        with self._at_hub("coverage6"):
            return True

    @contextmanager
    def _at_hub(self, name: str) -> Iterator[RawMqtt]:
        key = secrets.token_bytes(32)
        keys = {"primaryKey": encode_key(key), "secondaryKey": encode_key(key)}
        path = f"/devices/{name}?{SERVICE_VERSION}"
        self._request("DELETE", path, None)
        self._request("PUT", path, {"authentication": {"symmetricKey": keys}})
        token = format_sas_token(
            f"{self.cloud.host_name}/devices/{name}",
            key,
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        )
        with RawMqtt(self.cloud.address, 8883, ca_file=self.cloud.ca_file) as raw:
            assert raw.connect(name, self._hub_user_name(name), password=token) == 0
            yield raw

    def _hub_user_name(self, name: str) -> str:
        return f"{self.cloud.host_name}/{name}/?api-version=2021-04-12"

    # -- HTTP ----------------------------------------------------------------------------------

    def _request(
        self, method: str, path: str, body: object, *, authorization: str | None = None
    ) -> httpx.Response:
        with httpx.Client(
            base_url=self.cloud.https_url, verify=self.trust, trust_env=False, timeout=30
        ) as client:
            return client.request(
                method,
                path,
                json=body,
                headers={
                    "Authorization": authorization or f"Bearer {self.cloud.owner_token}",
                    "If-Match": "*" if method == "DELETE" else "",
                },
            )

    def _filled(self, path: str) -> str:
        for name, value in self.names.items():
            path = path.replace(f"{{{name}}}", value)
        return path

    @staticmethod
    def _is_served(response: httpx.Response) -> bool:
        """Tell an operation's own answer, be it a refusal, from that of a path nobody serves."""
        if response.status_code in {405, 501}:
            return False
        if response.status_code != 404:
            return True
        if "iothub-errorcode" in response.headers:
            return response.headers["iothub-errorcode"] != HubErrorCode.NOT_FOUND.wire_name
        document = response.json()
        if "error" in document:  # Resource Manager's shape
            return str(document["error"]["code"]) != "not-found"
        return int(document["errorCode"]) in ENTITY_NOT_FOUND


class _Client:
    """A device's MQTT connection to DPS."""

    def __init__(self, raw: RawMqtt) -> None:
        self._raw = raw

    def request(self, topic: str, payload: bytes) -> bytes:
        """Publish a request and return the body of its answer."""
        self._raw.publish(topic, payload)
        self._raw.expect(PUBACK)
        return self._raw.expect(PUBLISH).payload


def main(target: str) -> None:
    """Write the page to `target`."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_cloud(Path(folder)) as cloud,
    ):
        page = render(probe_all(cloud), exercised())
    Path(target).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
