"""Twins survive `kill -9`: no acknowledged patch is lost, and no version ever goes back."""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.durability.devices import RECONNECT_PAUSE_S, Credential, connect_hub, make_credential
from tests.support.cloud import CloudProcess, running_cloud
from tests.support.hub_api import HubClient, hub_client
from tests.support.rawmqtt import PUBLISH, ConnectionEnded, Packet, RawMqtt

KILLS = 40
DEVICES = 3
LONGEST_LIFE_S = 0.5
WINDOW = 8
KEYS = 100
"""Keys that a device reports in turn: each patch leaves a trace besides the last number."""


@dataclass
class Reporter(threading.Thread):
    """Reports numbers, a window of patches at a time; reads its twin after each connect."""

    cloud: CloudProcess
    credential: Credential
    stop: threading.Event
    sent: int = 0
    acknowledged: int = -1
    traces: dict[str, int] = field(default_factory=dict)
    """The newest acknowledged number of each key; a kill takes some that were not."""
    version: int = 1
    """The newest of the reported properties that the hub told."""
    desired_version: int = 1
    notified: int = 0
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Be a thread that ends with the test."""
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        """Be usable as a thread."""
        return id(self)

    def run(self) -> None:
        """Connect, read, report, and come back after each kill."""
        while not self.stop.is_set():
            try:
                with connect_hub(self.cloud, self.credential) as client:
                    client.subscribe("$iothub/twin/res/#", packet_id=1)
                    self._read(client)
                    client.subscribe("$iothub/twin/PATCH/properties/desired/#", packet_id=2)
                    while not self.stop.is_set():
                        self._report(client)
            except (OSError, ConnectionEnded):
                time.sleep(RECONNECT_PAUSE_S)

    def _read(self, client: RawMqtt) -> None:
        client.publish("$iothub/twin/GET/?$rid=g", b"", packet_id=None)
        twin = json.loads(self._answer(client).payload)
        self.check(twin["reported"], twin["desired"])

    def check(self, reported: dict[str, Any], desired: dict[str, Any]) -> None:
        """Compare a twin with all that was acknowledged or told before."""
        if reported["$version"] < self.version or desired["$version"] < self.desired_version:
            self.faults.append(f"versions went back: {reported}, {desired}, {self}")
        if reported.get("last", -1) < self.acknowledged:
            self.faults.append(f"lost {self.acknowledged}: {reported}")
        for key, number in self.traces.items():
            if reported.get(key, -1) < number:
                self.faults.append(f"lost {number} of {self.acknowledged}: {reported}")
        self.version = reported["$version"]
        self.desired_version = desired["$version"]

    def _report(self, client: RawMqtt) -> None:
        numbers = range(self.sent, self.sent + WINDOW)
        self.sent += WINDOW
        for number in numbers:
            body = json.dumps({"last": number, f"k{number % KEYS}": number}).encode()
            client.publish(
                f"$iothub/twin/PATCH/properties/reported/?$rid={number}", body, packet_id=None
            )
        for number in numbers:
            topic = self._answer(client).topic
            head, _, version = topic.partition("&$version=")
            assert head == f"$iothub/twin/res/204/?$rid={number}", topic
            if int(version) <= self.version:
                self.faults.append(f"{topic} after version {self.version}")
            self.version, self.acknowledged = int(version), number
            self.traces[f"k{number % KEYS}"] = number

    def _answer(self, client: RawMqtt) -> Packet:
        """Return the next response; notifications come between."""
        while True:
            message = client.expect(PUBLISH)
            if message.topic.startswith("$iothub/twin/res/"):
                return message
            version = json.loads(message.payload)["$version"]
            if version <= self.desired_version:
                self.faults.append(f"told of {version} after {self.desired_version}")
            self.desired_version = version
            self.notified += 1


@dataclass
class BackEnd(threading.Thread):
    """Changes the devices' tags and desired properties in turn."""

    api: HubClient
    device_ids: list[str]
    stop: threading.Event
    acknowledged: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Be a thread that ends with the test."""
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        """Be usable as a thread."""
        return id(self)

    def run(self) -> None:
        """Write, again after each kill."""
        number = 0
        while not self.stop.is_set():
            number += 1
            device_id = self.device_ids[number % len(self.device_ids)]
            change = {"tags": {"n": number}, "properties": {"desired": {"n": number}}}
            try:
                response = self.api.call("PATCH", f"/twins/{device_id}", change)
            except httpx.TransportError:
                time.sleep(RECONNECT_PAUSE_S)
                continue
            assert response.status_code == 200, response.text
            self.acknowledged[device_id] = number


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kill_at_random_moments_loses_no_acknowledged_patch(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    with running_cloud(tmp_path / "state") as cloud, hub_client(cloud) as api:
        devices = [make_credential(tmp_path, f"dock{number}") for number in range(DEVICES)]
        for device in devices:
            cloud.add_device(device.common_name, device.thumbprint)
        stop = threading.Event()
        reporters = [Reporter(cloud, device, stop) for device in devices]
        back_end = BackEnd(api, [device.common_name for device in devices], stop)
        for thread in (*reporters, back_end):
            thread.start()

        for _ in range(KILLS):
            time.sleep(chance.uniform(0.02, LONGEST_LIFE_S))
            cloud.kill()
            cloud.start()
        time.sleep(LONGEST_LIFE_S)
        stop.set()
        for thread in (*reporters, back_end):
            thread.join(30)
            assert not thread.is_alive()

        for reporter in reporters:
            device_id = reporter.credential.common_name
            twin = api.got("GET", f"/twins/{device_id}")
            reporter.check(twin["properties"]["reported"], twin["properties"]["desired"])
            assert not reporter.faults, f"{device_id} (seed {seed}): {reporter.faults[:1]}"
            assert twin["tags"]["n"] >= back_end.acknowledged[device_id], f"seed {seed}"
            assert twin["properties"]["desired"]["n"] >= back_end.acknowledged[device_id]
        assert sum(reporter.acknowledged for reporter in reporters) > KILLS * WINDOW
        assert sum(reporter.notified for reporter in reporters) > KILLS
