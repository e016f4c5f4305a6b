"""The gateway against a real cloud of ours, which runs as a process of its own.

Two programs that meet only on the wire: nothing of the cloud is imported here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.cloud import CloudProcess, cloud, running_cloud  # noqa: F401 - a fixture
from tests.support.gateways import (
    PID,
    Device,
    Gateway,
    root,
    self_signed,
    signed_by,
)
from tests.support.resource_api import resource_client

from mooring.gateway.transports import faults
from mooring.pki.certificates import dump_certificate, sha256_thumbprint
from mooring.pki.issuing import issue_verification
from mooring.pki.keys import KeyAlgorithm
from mooring.runtime.clock import SYSTEM_CLOCK

RETRY_AFTER_S = 3.0


async def prepare(
    gateway: Gateway, server: CloudProcess, device: Device, *, pid: str = PID, **values: Any
) -> None:
    """Create and configure the connection for `server`."""
    facts = server.facts
    await gateway.trust(server.ca_file.read_text())
    await gateway.create(pid)
    await gateway.apply(
        device,
        pid=pid,
        **({"endpoint": facts["global_endpoint"], "scope__id": facts["id_scope"]} | values),
        data={"connect.retry-interval": 1, "connect.retry-interval.max": 2},
    )


async def connected(gateway: Gateway, *, pid: str = PID) -> dict[str, Any]:
    """Connect, expect success, and return the status."""
    status = await gateway.connect(pid=pid)
    assert status["state"] == "CONNECTED", status
    return status


async def failed(gateway: Gateway) -> tuple[str, str, str]:
    """Connect, expect failure, and return state, stage and code; cause and remedy are there."""
    status = await gateway.connect()
    assert status["cause"]
    assert status["remedy"]
    (attempt,) = await gateway.attempts()
    assert attempt["failure"] == {
        "stage": status["failed_stage"],
        "code": status["code"],
        "cause": status["cause"],
        "remedy": status["remedy"],
    }
    return status["state"], status["failed_stage"], status["code"]


def verify(server: CloudProcess, name: str, authority: Any) -> None:
    """Prove possession of a CA as the guide does, by code and verification certificate."""
    where = f"certificates/{name}"
    with resource_client(server) as arm:
        given = arm.got("POST", f"{where}/generateVerificationCode", if_match="*")
        issued = issue_verification(
            given["properties"]["verificationCode"],
            authority,
            now=SYSTEM_CLOCK.now(),
            algorithm=KeyAlgorithm.EC_P256,
        )
        body = {"certificate": dump_certificate(issued.certificate)}
        verified = arm.got("POST", f"{where}/verify", body, if_match=given["etag"])
    assert verified["properties"]["isVerified"] is True


async def test_individual_way_when_enrolled_connects_and_telemetry_is_read_back(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
) -> None:
    device = self_signed("ind1")
    cloud.enroll("ind1", device.certificate_pem)
    await prepare(gateway, cloud, device)

    status = await connected(gateway)

    assert status["link"]["device_id"] == "ind1"
    (attempt,) = await gateway.attempts()
    # One register request and one poll: nothing is waited for but what DPS orders.
    assert len(attempt["wire_ids"]["request_id"]) == 2
    polling = next(s for s in attempt["stages"] if s["name"] == "provisioning.polling")
    assert polling["duration_ms"] >= RETRY_AFTER_S * 1000
    # Either side finds the other's record by the operation id.
    (operation_id,) = attempt["wire_ids"]["operation_id"]
    assert cloud.attempts(wire_id=operation_id)[0]["context"]["registration_id"] == "ind1"

    await gateway.publish(json={"depth": 7.5}, message_id="m-1", properties={"dock": "7"})
    (message,) = cloud.telemetry("ind1")
    assert (message["deviceId"], message["body"]) == ("ind1", {"depth": 7.5})
    assert message["properties"] == {"dock": "7"}
    assert message["systemProperties"]["message-id"] == "m-1"


async def test_group_way_when_the_ca_is_verified_connects_side_by_side(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
) -> None:
    authority = root("quayroot1")
    cloud.add_ca("quayroot1", dump_certificate(authority.certificate), verified=False)
    verify(cloud, "quayroot1", authority)
    cloud.add_group("plant-1", "quayroot1")
    devices = {PID: "grp1", "AzureDpsX509-2": "grp2"}
    for pid, name in devices.items():
        await prepare(gateway, cloud, signed_by(authority, name), pid=pid)

    for pid, name in devices.items():
        assert (await connected(gateway, pid=pid))["link"]["device_id"] == name
        await gateway.publish(pid=pid, metrics={"temperature": 21})
    for name in devices.values():
        (message,) = cloud.telemetry(name)
        assert message["body"]["metrics"] == {"temperature": 21}
    info = await gateway.call("GET", "info")
    assert info["connections"] == {"configured": 2, "connected": 2}


async def test_disconnect_and_connect_when_assigned_needs_dps_no_more(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
) -> None:
    device = self_signed("ind2")
    cloud.enroll("ind2", device.certificate_pem)
    await prepare(gateway, cloud, device)
    await connected(gateway)
    await gateway.call("POST", f"connections/{PID}/disconnect")

    await connected(gateway)

    newest = (await gateway.attempts())[0]
    assert [stage["name"] for stage in newest["stages"]] == [
        "linting",
        *[f"connecting.{s}" for s in ("dns", "tcp", "tls", "mqtt")],
    ]
    registrations = cloud.attempts(registration_id="ind2", kind="registration")
    assert sum(record["count"] for record in registrations) == 1


async def test_device_metrics_when_switched_on_arrive_as_kura_payload(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
) -> None:
    device = self_signed("ind3")
    cloud.enroll("ind3", device.certificate_pem)
    await prepare(gateway, cloud, device)
    await connected(gateway)
    values = {"metrics.publisher.enabled": True, "metrics.publisher.interval": 1}
    await gateway.call("PUT", f"connections/{PID}/configuration", {"tabs": {PID: values}})

    async def two_arrived() -> list[dict[str, Any]]:
        while len(found := cloud.telemetry("ind3")) < 2:
            # The stay of the link is part of the test: Apply must not have cut it.
            status = await gateway.call("GET", f"connections/{PID}/status?wait_s=0.2&revision=-1")
            assert status["state"] == "CONNECTED"
        return found

    document = (await two_arrived())[0]["body"]
    assert set(document) == {"sentOn", "metrics"}
    assert 0 <= document["metrics"]["diag_cpu_util"] <= 100
    assert document["metrics"]["diag_sys_uptime"] > 0


async def test_restart_of_the_cloud_when_connected_reconnects_without_dps(
    gateway: Gateway, tmp_path: Path
) -> None:
    with running_cloud(tmp_path / "cloud") as server:
        device = self_signed("ind4")
        server.enroll("ind4", device.certificate_pem)
        await prepare(gateway, server, device)
        first = (await connected(gateway))["link"]["connected_at"]

        # The gateway runs on this loop, so nothing here may block it.
        await asyncio.to_thread(server.stop)
        await gateway.until("BACKOFF")
        await asyncio.to_thread(server.start)
        status = await gateway.until("CONNECTED", timeout_s=60)

        assert status["link"]["connected_at"] > first
        await gateway.publish(text="back", message_id="after")
        assert [m["systemProperties"]["message-id"] for m in server.telemetry()] == ["after"]
        records = server.attempts(registration_id="ind4", kind="registration")
        assert sum(record["count"] for record in records) == 1


async def test_connect_when_the_device_was_deleted_in_the_hub_registers_anew(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
) -> None:
    device = self_signed("ind5")
    cloud.enroll("ind5", device.certificate_pem)
    await prepare(gateway, cloud, device)
    await connected(gateway)
    await gateway.call("POST", f"connections/{PID}/disconnect")
    with cloud.api() as api:
        answer = api.delete("hubs/hub/devices/ind5", headers={"If-Match": '"*"'})
        assert answer.status_code in (200, 204), answer.text

    await connected(gateway)

    again, refused, first = await gateway.attempts()
    assert (again["result"], first["result"]) == ("succeeded", "succeeded")
    assert refused["failure"]["code"] == "connack-not-authorized"


async def test_take_over_when_another_client_has_the_same_identity_is_named(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
) -> None:
    device = self_signed("twin1")
    cloud.enroll("twin1", device.certificate_pem)
    other = "AzureDpsX509-2"
    for pid in (PID, other):
        await prepare(gateway, cloud, device, pid=pid)
        await gateway.connect(pid=pid)

    status: dict[str, Any] = {}
    while status.get("code") != "taken-over":
        # Each throws the other out; whichever falls twice knows why.
        for pid in (PID, other):
            status = await gateway.until("BACKOFF", pid=pid, timeout_s=60)
            if status["code"] == "taken-over":
                break
    assert "another client" in status["cause"]
    assert "common name" in status["remedy"]


async def test_unknown_certificate_is_refused_by_dps_and_recorded_on_both_sides(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faults, "REFUSED_RETRY_S", 0.5)
    device = self_signed("stranger1")
    await prepare(gateway, cloud, device)
    assert await failed(gateway) == (
        "BACKOFF",
        "provisioning.register",
        "certificate-not-enrolled",
    )
    (attempt,) = await gateway.attempts()
    (tracking_id,) = attempt["wire_ids"]["tracking_id"]
    assert tracking_id in attempt["failure"]["cause"]
    theirs = cloud.attempts(wire_id=tracking_id)[0]
    assert theirs["context"]["thumbprint"] == sha256_thumbprint(device.certificate)
    # An operator mends it at the cloud; the gateway comes up without being touched.
    cloud.enroll("stranger1", device.certificate_pem)
    await gateway.until("CONNECTED", timeout_s=60)


async def test_other_certificate_than_enrolled_is_refused(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
) -> None:
    cloud.enroll("swap1", self_signed("swap1").certificate_pem)
    await prepare(gateway, cloud, self_signed("swap1"))
    assert await failed(gateway) == ("BACKOFF", "provisioning.register", "certificate-refused")


async def test_unverified_ca_is_refused(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
) -> None:
    authority = root("quayroot2")
    cloud.add_ca("quayroot2", dump_certificate(authority.certificate), verified=False)
    cloud.add_group("plant-2", "quayroot2")
    await prepare(gateway, cloud, signed_by(authority, "grp3"))
    assert await failed(gateway) == (
        "BACKOFF",
        "provisioning.register",
        "certificate-not-enrolled",
    )


async def test_disabled_enrollment_is_named(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
) -> None:
    device = self_signed("off1")
    cloud.enroll("off1", device.certificate_pem, provisioningStatus="disabled")
    await prepare(gateway, cloud, device)
    assert await failed(gateway) == ("BACKOFF", "provisioning.polling", "enrollment-disabled")


async def test_wrong_scope_fails_until_the_configuration_changes(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
) -> None:
    device = self_signed("scope1")
    cloud.enroll("scope1", device.certificate_pem)
    await prepare(gateway, cloud, device, scope__id="0ne00WRONG1")
    assert await failed(gateway) == (
        "FAILED_PERMANENT",
        "provisioning.register",
        "id-scope-unknown",
    )
    await gateway.apply(scope__id=cloud.facts["id_scope"])
    await gateway.until("CONNECTED")


async def test_untrusted_server_is_refused_until_it_is_trusted(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
) -> None:
    device = self_signed("trust1")
    cloud.enroll("trust1", device.certificate_pem)
    await prepare(gateway, cloud, device)
    await gateway.call("DELETE", "trust/server", status=204)
    # A long wait, which the change of trust has to cut short.
    await gateway.apply(data={"connect.retry-interval": 3600, "connect.retry-interval.max": 3600})
    assert await failed(gateway) == ("BACKOFF", "provisioning.tls", "server-not-trusted")
    await gateway.trust(cloud.ca_file.read_text())
    await gateway.until("CONNECTED")


async def test_keys_and_passphrases_appear_nowhere_but_in_the_keystore(
    gateway: Gateway,
    cloud: CloudProcess,  # noqa: F811 - the fixture
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    device = self_signed("secret1")
    cloud.enroll("secret1", device.certificate_pem)
    answers: list[str] = []

    async def keep(response: httpx.Response) -> None:
        await response.aread()
        answers.append(response.text)

    gateway.client.event_hooks["response"].append(keep)
    await prepare(gateway, cloud, device)
    # One that is refused, too: what is wrong must not be repeated.
    await gateway.apply(device__private__key=device.key_pem[:-60], status=400)
    await gateway.apply(device__private__key=7, status=400)
    await connected(gateway)
    await gateway.publish(text="x")
    for path in ("", "/configuration", "/status", "/attempts"):
        await gateway.call("GET", f"connections/{PID}{path}")
    await gateway.client.put(
        f"connections/{PID}/configuration", content='{"tabs": {"x": "' + device.key_pem
    )
    await gateway.application.close()

    # The first two lines hold the private number; the last ends in the public half.
    secret_lines = device.key_pem.splitlines()[1:3]
    output = "".join(capfd.readouterr())
    holders = set()
    for name, content in _files(tmp_path / "state", cloud.state):
        if any(line.encode() in content for line in secret_lines):
            holders.add(name)
    assert holders == {"private-key.pem"}
    for text in (output, *answers):
        assert not any(line in text for line in secret_lines)
    assert len(answers) > 8


def _files(*folders: Path) -> Iterator[tuple[str, bytes]]:
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file():
                yield file.name, file.read_bytes()
