"""A full disk: nothing is acknowledged, the state is named, and it recovers without a restart."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.durability.devices import (
    Credential,
    Registrar,
    connect_hub,
    make_credential,
    open_mqtt,
)
from tests.support.cloud import CloudProcess, running_cloud
from tests.support.rawmqtt import PUBACK, PUBLISH, ConnectionEnded, RawMqtt

SIZE_MIB = 24
BALLAST_MIB = 16
PAYLOAD_BYTES = 32_000
RECOVERY_S = 20.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """Mount a disk of a few mebibytes."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root: run the tests as root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_full_disk_acknowledges_nothing_is_named_and_recovers(
    small_disk: Path, tmp_path: Path
) -> None:
    (small_disk / "ballast").write_bytes(bytes(BALLAST_MIB << 20))
    with running_cloud(small_disk / "state") as cloud:
        sender = make_credential(tmp_path, "sender")
        gateway = make_credential(tmp_path, "gw1")
        cloud.add_device(sender.common_name, sender.thumbprint)
        cloud.enroll(gateway.common_name, gateway.certificate_pem)
        id_scope = cloud.facts["id_scope"]
        pid = cloud.pid

        acknowledged = _publish_until_refused(cloud, sender, 0, PAYLOAD_BYTES)
        assert len(acknowledged) > 3
        # What is left takes small records still; now it takes none.
        while more := _publish_until_refused(cloud, sender, max(acknowledged) + 1, 1):
            acknowledged |= more
        storage = cloud.facts["storage"]
        assert storage["state"] == "full"
        assert storage["reason"]
        assert storage["remedy"]
        with open_mqtt(cloud, sender) as client:
            assert client.connect("sender", f"{cloud.address}/sender/?api-version=2021-04-12") == 3
        assert _register_status(cloud, gateway, id_scope) == "503"
        assert cloud.get_enrollment("gw1")["registrationState"]["status"] == "unassigned"
        stored = {event["body"]["number"] for event in _stored_events(cloud)}
        assert acknowledged <= stored

        (small_disk / "ballast").unlink()

        deadline = time.monotonic() + RECOVERY_S
        while cloud.facts["storage"]["state"] != "ok":
            assert time.monotonic() < deadline, cloud.facts["storage"]
            time.sleep(0.1)
        with connect_hub(cloud, sender) as client:
            _publish(client, 59_999, PAYLOAD_BYTES)
        registrar = Registrar(cloud, id_scope, [gateway], threading.Event())
        registrar.run()
        assert registrar.assigned == {"gw1"}
        assert cloud.pid == pid
        stored = {event["body"]["number"] for event in _stored_events(cloud)}
        assert acknowledged | {59_999} <= stored


def _stored_events(cloud: CloudProcess) -> Iterator[dict[str, Any]]:
    for partition in cloud.get("hubs/hub/partitions")["value"]:
        position, where = 0, f"hubs/hub/partitions/{partition['partition']}/telemetry"
        while page := cloud.get(where, fromSequenceNumber=position, limit=1000)["value"]:
            yield from page
            position = page[-1]["sequenceNumber"] + 1


def _publish(client: RawMqtt, number: int, filling: int) -> None:
    body = json.dumps({"number": number, "filling": "x" * filling}).encode()
    topic = "devices/sender/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8"
    client.publish(topic, body, packet_id=number % 60_000 + 1)
    assert client.expect(PUBACK).packet_id == number % 60_000 + 1


def _publish_until_refused(
    cloud: CloudProcess, sender: Credential, first: int, filling: int
) -> set[int]:
    """Publish until the cloud ends the connection; return what it acknowledged."""
    acknowledged: set[int] = set()
    try:
        with connect_hub(cloud, sender) as client:
            for number in range(first, first + 20_000):
                _publish(client, number, filling)
                acknowledged.add(number)
    except (OSError, ConnectionEnded):
        return acknowledged
    raise AssertionError("the disk never filled")


def _register_status(cloud: CloudProcess, gateway: Credential, id_scope: str) -> str:
    """Register and poll; return the first status that is not 202."""
    name = gateway.common_name
    topic = "$dps/registrations/PUT/iotdps-register/?$rid=1"
    with open_mqtt(cloud, gateway) as client:
        assert client.connect(name, f"{id_scope}/registrations/{name}/api-version=2019-03-31") == 0
        assert client.subscribe("$dps/registrations/res/#") == 1
        for packet_id in range(2, 100):
            client.publish(topic, b"{}", packet_id=packet_id)
            while (packet := client.read()).kind != PUBLISH:
                pass
            status = packet.topic.split("/")[3]
            if status != "202":
                return status
            operation_id = json.loads(packet.payload)["operationId"]
            topic = (
                "$dps/registrations/GET/iotdps-get-operationstatus/"
                f"?$rid=1&operationId={operation_id}"
            )
            time.sleep(0.05)
    raise AssertionError("still assigning")
