"""Devices that remember what the cloud has acknowledged to them."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.support.cloud import CloudProcess
from tests.support.rawmqtt import PUBACK, PUBLISH, ConnectionEnded, RawMqtt

from mooring.pki.certificates import dump_certificate, sha256_thumbprint
from mooring.pki.issuing import issue_root
from mooring.pki.keys import KeyAlgorithm, dump_key
from mooring.pki.names import Subject

RECONNECT_PAUSE_S = 0.02
WINDOW = 8
"""Messages under way at one time: several share a commit, and a kill finds some of them there."""


@dataclass(frozen=True)
class Credential:
    """A self-signed device certificate on disk."""

    common_name: str
    cert_file: Path
    key_file: Path
    certificate_pem: str
    thumbprint: str


def make_credential(folder: Path, common_name: str) -> Credential:
    """Make a certificate for `common_name` and write it with its key."""
    issued = issue_root(
        Subject(common_name=common_name, organization="Quay"),
        algorithm=KeyAlgorithm.EC_P256,
        now=datetime.now(UTC),
    )
    pem = dump_certificate(issued.certificate)
    cert_file, key_file = folder / f"{common_name}.pem", folder / f"{common_name}.key"
    cert_file.write_text(pem)
    key_file.write_bytes(dump_key(issued.key))
    thumbprint = sha256_thumbprint(issued.certificate)
    return Credential(common_name, cert_file, key_file, pem, thumbprint)


def open_mqtt(cloud: CloudProcess, credential: Credential) -> RawMqtt:
    """Open a TLS connection with the device's certificate."""
    return RawMqtt(
        cloud.address,
        8883,
        ca_file=cloud.ca_file,
        cert_file=credential.cert_file,
        key_file=credential.key_file,
    )


def connect_hub(cloud: CloudProcess, credential: Credential) -> RawMqtt:
    """Connect to the hub; raises `ConnectionEnded` when refused."""
    client = open_mqtt(cloud, credential)
    device = credential.common_name
    code = client.connect(device, f"{cloud.address}/{device}/?api-version=2021-04-12")
    if code != 0:
        client.close()
        raise ConnectionEnded(f"CONNACK {code}")
    return client


@dataclass
class Sender(threading.Thread):
    """Publishes numbered messages for as long as it may, over as many connections as it takes."""

    cloud: CloudProcess
    credential: Credential
    stop: threading.Event
    acknowledged: set[int] = field(default_factory=set)
    sent: int = 0

    def __post_init__(self) -> None:
        """Be a thread that ends with the test."""
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        """Be usable as a thread."""
        return id(self)

    def run(self) -> None:
        """Connect, publish, and come back after each kill."""
        while not self.stop.is_set():
            try:
                with connect_hub(self.cloud, self.credential) as client:
                    self._publish(client)
            except (OSError, ConnectionEnded):
                time.sleep(RECONNECT_PAUSE_S)

    def _publish(self, client: RawMqtt) -> None:
        topic = f"devices/{self.credential.common_name}/messages/events/"
        while not self.stop.is_set():
            numbers = range(self.sent, self.sent + WINDOW)
            self.sent += WINDOW
            for slot, number in enumerate(numbers):
                payload = json.dumps({"number": number}).encode()
                client.publish(topic, payload, packet_id=slot + 1)
            for _ in numbers:
                answer = client.expect(PUBACK)
                self.acknowledged.add(numbers[answer.packet_id - 1])


@dataclass
class Registrar(threading.Thread):
    """Registers one device after the other and remembers those told that they are assigned."""

    cloud: CloudProcess
    id_scope: str
    credentials: list[Credential]
    stop: threading.Event
    assigned: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Be a thread that ends with the test."""
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        """Be usable as a thread."""
        return id(self)

    def run(self) -> None:
        """Register each, again after a kill, until told to stop."""
        for credential in self.credentials:
            while not self.stop.is_set():
                try:
                    with open_mqtt(self.cloud, credential) as client:
                        self._register(client, credential.common_name)
                    break
                except (OSError, ConnectionEnded):
                    time.sleep(RECONNECT_PAUSE_S)

    def _register(self, client: RawMqtt, registration_id: str) -> None:
        user_name = f"{self.id_scope}/registrations/{registration_id}/api-version=2019-03-31"
        assert client.connect(registration_id, user_name) == 0
        assert client.subscribe("$dps/registrations/res/#") == 1
        client.publish("$dps/registrations/PUT/iotdps-register/?$rid=1", b"{}", packet_id=2)
        operation = self._answer(client)
        while operation["status"] == "assigning":
            operation_id = operation["operationId"]
            client.publish(
                "$dps/registrations/GET/iotdps-get-operationstatus/"
                f"?$rid=1&operationId={operation_id}",
                b" ",
                packet_id=3,
            )
            operation = self._answer(client)
        assert operation["status"] == "assigned", operation
        self.assigned.add(registration_id)

    @staticmethod
    def _answer(client: RawMqtt) -> dict[str, object]:
        while (packet := client.read()).kind != PUBLISH:
            assert packet.kind == PUBACK, packet
        status = packet.topic.split("/")[3]
        if status == "503":
            raise ConnectionEnded("the cloud is stopping")
        document: dict[str, object] = json.loads(packet.payload)
        assert status in ("200", "202"), (packet.topic, document)
        return document
