"""A full disk: nothing is acknowledged, the state is named, and it recovers without a restart."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Generator
from pathlib import Path

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

        acknowledged = _publish_until_refused(cloud, sender)

        assert len(acknowledged) > 3
        storage = cloud.facts["storage"]
        assert storage["state"] == "full"
        assert storage["reason"]
        assert storage["remedy"]
        with open_mqtt(cloud, sender) as client:
            assert client.connect("sender", f"{cloud.address}/sender/?api-version=2021-04-12") == 3
        assert _register_status(cloud, gateway, id_scope) == "503"
        assert cloud.get("dps/registrations")["value"] == []
        stored = {event["body"]["number"] for event in cloud.telemetry(limit=1000)}
        assert acknowledged <= stored

        (small_disk / "ballast").unlink()

        deadline = time.monotonic() + RECOVERY_S
        while cloud.facts["storage"]["state"] != "ok":
            assert time.monotonic() < deadline, cloud.facts["storage"]
            time.sleep(0.1)
        with connect_hub(cloud, sender) as client:
            _publish(client, 9_999)
        registrar = Registrar(cloud, id_scope, [gateway], threading.Event())
        registrar.run()
        assert registrar.assigned == {"gw1"}
        assert cloud.pid == pid
        stored = {event["body"]["number"] for event in cloud.telemetry(limit=1000)}
        assert acknowledged | {9_999} <= stored


def _publish(client: RawMqtt, number: int) -> None:
    body = json.dumps({"number": number, "filling": "x" * PAYLOAD_BYTES}).encode()
    topic = "devices/sender/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8"
    client.publish(topic, body, packet_id=number % 60_000 + 1)
    assert client.expect(PUBACK).packet_id == number % 60_000 + 1


def _publish_until_refused(cloud: CloudProcess, sender: Credential) -> set[int]:
    """Publish until the cloud ends the connection; return what it acknowledged."""
    acknowledged: set[int] = set()
    with connect_hub(cloud, sender) as client:
        for number in range(5_000):
            try:
                _publish(client, number)
            except (OSError, ConnectionEnded):
                return acknowledged
            acknowledged.add(number)
    raise AssertionError("the disk never filled")


def _register_status(cloud: CloudProcess, gateway: Credential, id_scope: str) -> str:
    """Return the status in the topic that answers a register request."""
    name = gateway.common_name
    with open_mqtt(cloud, gateway) as client:
        assert client.connect(name, f"{id_scope}/registrations/{name}/api-version=2019-03-31") == 0
        assert client.subscribe("$dps/registrations/res/#") == 1
        client.publish("$dps/registrations/PUT/iotdps-register/?$rid=1", b"{}", packet_id=2)
        while (packet := client.read()).kind != PUBLISH:
            pass
        return packet.topic.split("/")[3]
