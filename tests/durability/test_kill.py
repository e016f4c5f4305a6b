"""What was acknowledged survives `kill -9`: telemetry and registrations, a hundred times."""

from __future__ import annotations

import json
import random
import threading
import time
from pathlib import Path

import pytest
from tests.durability.devices import Registrar, Sender, make_credential
from tests.support.cloud import CloudProcess, running_cloud

KILLS = 100
SENDERS = 3
REGISTRATIONS = 400
LONGEST_LIFE_S = 0.5


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kill_at_random_moments_loses_nothing_acknowledged(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    with running_cloud(tmp_path / "state") as cloud:
        id_scope = cloud.facts["id_scope"]
        devices = [make_credential(tmp_path, f"sender{number}") for number in range(SENDERS)]
        gateways = [make_credential(tmp_path, f"gw{number:03}") for number in range(REGISTRATIONS)]
        for device in devices:
            cloud.add_device(device.common_name, device.thumbprint)
        for gateway in gateways:
            cloud.enroll(gateway.common_name, gateway.certificate_pem)
        stop = threading.Event()
        senders = [Sender(cloud, device, stop) for device in devices]
        registrar = Registrar(cloud, id_scope, gateways, stop)
        for thread in (*senders, registrar):
            thread.start()

        for _ in range(KILLS):
            time.sleep(chance.uniform(0.02, LONGEST_LIFE_S))
            cloud.kill()
            cloud.start()
        time.sleep(LONGEST_LIFE_S)
        stop.set()
        for thread in (*senders, registrar):
            thread.join(30)
            assert not thread.is_alive()

        stored = _stored_numbers(cloud)
        for sender in senders:
            name = sender.credential.common_name
            missing = sender.acknowledged - set(stored[name])
            assert not missing, f"{name} lost {sorted(missing)[:10]} (seed {seed})"
            assert max(stored[name]) < sender.sent
        assert sum(len(sender.acknowledged) for sender in senders) > KILLS
        assert len(registrar.assigned) > KILLS / 2
        for registration_id in registrar.assigned:
            record = cloud.registration(registration_id)
            assert record["status"] == "assigned", f"seed {seed}"
            device = cloud.get(f"hubs/hub/devices/{registration_id}")
            assert device["deviceId"] == registration_id


def _stored_numbers(cloud: CloudProcess) -> dict[str, list[int]]:
    """Return the numbers in the log by device, and check that sequence numbers have no gap."""
    numbers: dict[str, list[int]] = {}
    for partition in cloud.get("hubs/hub/partitions")["value"]:
        position, where = 0, f"hubs/hub/partitions/{partition['partition']}/telemetry"
        while True:
            page = cloud.get(where, fromSequenceNumber=position, limit=1000)
            if not page["value"]:
                break
            for event in page["value"]:
                assert event["sequenceNumber"] == position
                position += 1
                body = event["body"]
                document = body if isinstance(body, dict) else json.loads(body)
                numbers.setdefault(event["deviceId"], []).append(document["number"])
    return numbers
