"""The gateway against a real cloud of ours, which runs as a process of its own."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from mooring.pki.certificates import dump_certificate
from tests.support.cloud import CloudProcess, cloud  # noqa: F401 - a fixture
from tests.support.gateways import (
    PID,
    Gateway,
    root,
    self_signed,
    signed_by,
)

RETRY_AFTER_S = 3
MARGIN_S = 1


async def prepare(gateway: Gateway, server: CloudProcess, device: Any, **values: Any) -> None:
    """Create and configure the connection for `server`."""
    facts = server.facts
    await gateway.trust(server.ca_file.read_text())
    await gateway.create()
    await gateway.apply(
        device,
        endpoint=facts["global_endpoint"],
        **({"scope__id": facts["id_scope"]} | values),
        data={"connect.retry-interval": 1, "connect.retry-interval.max": 2},
    )


def stage_seconds(attempt: dict[str, Any]) -> float:
    """Return how long an attempt took by its stages."""
    return sum(float(stage["duration_ms"]) for stage in attempt["stages"]) / 1000


async def test_individual_way_when_enrolled_connects_within_retry_after_and_a_second(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
) -> None:
    device = self_signed("ind1")
    cloud.enroll("ind1", device.certificate_pem)
    await prepare(gateway, cloud, device)

    status = await gateway.connect()

    assert (status["state"], status["cause"]) == ("CONNECTED", None)
    (attempt,) = await gateway.attempts()
    assert stage_seconds(attempt) < RETRY_AFTER_S + MARGIN_S
    await gateway.publish(json={"depth": 7.5}, message_id="ind1-1", properties={"dock": "7"})
    (message,) = [m for m in cloud.telemetry(device_id="ind1")]
    assert message["device_id"] == "ind1"


async def test_group_way_when_ca_is_verified_connects_and_reads_telemetry_back(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
) -> None:
    authority = root("quayroot1")
    cloud.add_ca("quayroot1", dump_certificate(authority.certificate))
    cloud.add_group("plant-1", "quayroot1")
    await prepare(gateway, cloud, signed_by(authority, "grp1"))

    status = await gateway.connect()
    assert (status["state"], status["cause"]) == ("CONNECTED", None)
    await gateway.publish(json={"depth": 7.5}, message_id="grp1-1")
    (message,) = [m for m in cloud.telemetry(device_id="grp1")]
    print(json.dumps(message))
