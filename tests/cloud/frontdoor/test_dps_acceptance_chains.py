"""The acceptance list of the DPS reference (dps.md 7.5), items 6 and 7, and certificates' dates.

Over TLS: what counts is what the device presents in its handshake.
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cloud.conftest import Device, MakeDevice
from tests.cloud.frontdoor.test_dps_acceptance import POLL, REGISTER, ask
from tests.support.certificates import Credential, certify, key_of
from tests.support.cloud import CloudThread, cloud_on_thread

DISABLED = {"provisioningStatus": "disabled"}
HOUR = timedelta(hours=1)


def register(device: Device) -> dict[str, Any]:
    """Register over MQTT; return the result of the poll, or the error."""
    with device.at_dps() as raw:
        accepted = ask(raw, f"{REGISTER}1")
        body: dict[str, Any] = json.loads(accepted.payload)
        if "/202/" not in accepted.topic:
            return body
        done = ask(raw, f"{POLL}1&operationId={body['operationId']}", packet_id=3)
        return dict(json.loads(done.payload))


def enroll_group(cloud: CloudThread, ca: Credential, **members: Any) -> str:
    """Upload a verified CA and make a group of it; return the name of both."""
    name = f"ca{secrets.token_hex(4)}"
    cloud.add_ca(name, ca.pem.decode())
    cloud.add_group(name, name, **members)
    return name


@pytest.fixture
def top() -> Credential:
    return certify(f"top {secrets.token_hex(4)}", key_of("ec"), ca=True)


@pytest.fixture
def line(top: Credential) -> Credential:
    return certify(f"line {secrets.token_hex(4)}", key_of("ec#2"), top, ca=True)


# -- 6 ------------------------------------------------------------------------------------------


def test_6_disabled_individual_beats_enabled_group(
    cloud: CloudThread, make_device: MakeDevice, top: Credential
) -> None:
    name = f"gw{secrets.token_hex(4)}"
    device = make_device(name, credential=certify(name, key_of("ec#3"), top))
    group = enroll_group(cloud, top)
    before = register(device)
    cloud.enroll(name, device.pem, **DISABLED)
    after = register(device)

    assert before["status"] == "assigned"
    assert before["registrationState"]["x509"] == {"enrollmentGroupId": group}
    assert after["status"] == after["registrationState"]["status"] == "disabled"
    assert after["registrationState"]["x509"] == {}
    assert "assignedHub" not in after["registrationState"]


def test_6_disabled_group_at_intermediate_beats_enabled_group_at_root(
    cloud: CloudThread, make_device: MakeDevice, top: Credential, line: Credential
) -> None:
    name = f"gw{secrets.token_hex(4)}"
    device = make_device(name, credential=certify(name, key_of("ec#3"), line), above=(line,))
    root_group = enroll_group(cloud, top)
    before = register(device)
    line_group = enroll_group(cloud, line, **DISABLED)
    after = register(device)

    assert before["registrationState"]["x509"] == {"enrollmentGroupId": root_group}
    assert after["status"] == "disabled"
    assert after["registrationState"]["x509"] == {"enrollmentGroupId": line_group}


# -- 7 ------------------------------------------------------------------------------------------


def test_7_leaf_and_intermediate_without_root_match_a_verified_root_leaf_alone_does_not(
    cloud: CloudThread, make_device: MakeDevice, top: Credential, line: Credential
) -> None:
    name = f"gw{secrets.token_hex(4)}"
    credential = certify(name, key_of("ec#3"), line)
    whole = make_device(name, credential=credential, above=(line,))
    group = enroll_group(cloud, top)
    matched = register(whole)
    alone = register(make_device(name, credential=credential))

    assert matched["status"] == "assigned"
    assert matched["registrationState"]["x509"] == {"enrollmentGroupId": group}
    assert (alone["errorCode"], alone["message"]) == (401002, "CA certificate not found.")


# -- dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("checked", [True, False])
def test_dates_of_a_chain_count_unless_they_are_switched_off(
    tmp_path: Path, make_device: MakeDevice, top: Credential, checked: bool
) -> None:
    name = f"gw{secrets.token_hex(4)}"
    ended = certify(name, key_of("ec#3"), top, not_after=datetime.now(UTC) - HOUR)
    with cloud_on_thread(tmp_path / "state", check_chain_validity=checked) as cloud:
        device = make_device(name, credential=ended, of=cloud)
        enroll_group(cloud, top)
        result = register(device)
        if checked:
            assert result["message"] == "Invalid certificate."
        else:
            assert result["status"] == "assigned"


@pytest.mark.parametrize("checked", [True, False])
def test_dates_of_a_pinned_certificate_count_unless_they_are_switched_off(
    tmp_path: Path, make_device: MakeDevice, checked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"gw{secrets.token_hex(4)}"
    soon = certify(name, key_of("ec#3"), not_after=datetime.now(UTC) + HOUR)
    with cloud_on_thread(tmp_path / "state", check_pinned_validity=checked) as cloud:
        device = make_device(name, credential=soon, of=cloud)
        cloud.enroll(name, device.pem)
        assert register(device)["status"] == "assigned"
        monkeypatch.setattr(cloud.clock, "now", lambda: datetime.now(UTC) + 2 * HOUR)

        result = register(device)
        with device.dial() as raw:
            at_hub = raw.connect(name, device.hub_user_name)

        if checked:
            assert result["message"] == "Invalid certificate."
            assert at_hub == 5
        else:
            assert result["status"] == "assigned"
            assert at_hub == 0
