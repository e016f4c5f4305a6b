"""The throw-away cloud without pytest: its life, enrolling, looking at what came."""

from __future__ import annotations

import json
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from azure.iot.device import X509, IoTHubDeviceClient, Message, ProvisioningDeviceClient

import mooring.testing
from mooring.pki.certificates import load_certificate, sha256_thumbprint
from mooring.pki.issuing import issue_root
from mooring.pki.names import Subject
from mooring.protocol.azure.errors import IdentifierMalformed
from mooring.protocol.azure.sas import decode_key, format_sas_token
from mooring.runtime import loopback
from mooring.testing import (
    CloudNotRunning,
    CloudNotStarted,
    Device,
    KeyedDevice,
    NotSeenInTime,
    RequestRefused,
    SettingRefused,
    ThrowAwayCloud,
    ThrowAwayCloudError,
    calls,
)


@pytest.fixture(scope="module")
def cloud() -> Iterator[ThrowAwayCloud]:
    """Run one for the tests that do not mind the others."""
    with ThrowAwayCloud(retry_after_s=2) as running:
        yield running


def _register(cloud: ThrowAwayCloud, device: Device) -> str:
    """Register by the SDK and return the device id."""
    client = ProvisioningDeviceClient.create_from_x509_certificate(
        provisioning_host=cloud.global_endpoint,
        registration_id=device.registration_id,
        id_scope=cloud.id_scope,
        x509=X509(cert_file=str(device.certificate_file), key_file=str(device.key_file)),
        server_verification_cert=cloud.ca_pem,
    )
    state = client.register().registration_state
    assert state.assigned_hub == cloud.host_name
    return str(state.device_id)


def _register_by_http(cloud: ThrowAwayCloud, device: KeyedDevice) -> None:
    """Begin a registration by the device API, which is enough for its record."""
    path = f"{cloud.id_scope}/registrations/{device.registration_id}"
    token = format_sas_token(
        path,
        decode_key(device.primary_key),
        expires_at=datetime.now(UTC) + timedelta(hours=1),
        policy="registration",
    )
    response = httpx.put(
        f"{cloud.service_url}/{path}/register?api-version=2019-03-31",
        json={"registrationId": device.registration_id},
        headers={"Authorization": token},
        verify=ssl.create_default_context(cafile=cloud.ca_file),
        trust_env=False,
    )
    assert response.status_code == 202, response.text


def _send(cloud: ThrowAwayCloud, device: Device, device_id: str, *texts: str) -> None:
    client = IoTHubDeviceClient.create_from_x509_certificate(
        x509=X509(cert_file=str(device.certificate_file), key_file=str(device.key_file)),
        hostname=cloud.host_name,
        device_id=device_id,
        server_verification_cert=cloud.ca_pem,
    )
    for text in texts:
        client.send_message(Message(text))
    client.shutdown()


def test_cloud_keeps_state_and_address_over_stop_and_kill_until_it_is_closed() -> None:
    with ThrowAwayCloud() as cloud:
        known = (cloud.address, cloud.id_scope, cloud.owner_token, cloud.ca_pem)
        state, first = cloud.state, cloud.pid
        cloud.enroll("kept")
        assert cloud.stop() == 0
        cloud.start()
        assert (second := cloud.pid) != first
        cloud.start()
        assert cloud.pid == second
        cloud.kill()
        cloud.start()
        assert (cloud.address, cloud.id_scope, cloud.owner_token, cloud.ca_pem) == known
        assert cloud.get_enrollment("kept")["registrationId"] == "kept"
        assert cloud.address in repr(cloud)
    cloud.close()
    assert not state.exists()


def test_state_folder_that_was_given_is_kept_and_closed_to_others(tmp_path: Path) -> None:
    with ThrowAwayCloud(state=tmp_path / "state") as cloud:
        device = cloud.enroll()
        assert stat.S_IMODE(device.key_file.stat().st_mode) == 0o600
    assert device.key_file.is_relative_to(tmp_path)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_cloud_that_does_not_run_says_so() -> None:
    cloud = ThrowAwayCloud()
    for ask in (
        lambda: cloud.id_scope,
        lambda: cloud.address,
        lambda: cloud.facts,
        cloud.enroll,
        cloud.stop,
    ):
        with pytest.raises(CloudNotRunning, match="start"):
            ask()
    cloud.close()


def test_machine_without_a_free_address_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback.random, "randint", lambda low, high: low)
    with loopback.lend_loopback_address(), pytest.raises(CloudNotStarted, match="8883"):
        ThrowAwayCloud().start()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"retry_after": 2}, "no setting 'retry_after'.*retry_after_s"),
        ({"retry_after_s": 99}, "retry_after_s cannot be 99"),
        ({"bind": "127.0.0.1"}, "no setting 'bind'"),
        ({"host_name": "a b"}, "host_name cannot be 'a b'.*bare name"),
        ({"mqtt_port": 8081}, "mqtt_port and admin_port are both 8081"),
    ],
)
def test_setting_that_cannot_be_is_refused_when_it_is_given(
    settings: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingRefused, match=f"(?s){said}"):
        ThrowAwayCloud(**settings)


def test_settings_around_are_for_other_clouds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORING_CLOUD_RETRY_AFTER_S", "99")
    monkeypatch.setenv("MOORING_CLOUD_BIND", "192.0.2.1")
    with ThrowAwayCloud(server_key_algorithm="rsa-2048", admin_bind=["127.0.0.1"], admin_port=0):
        pass


def test_device_registers_and_what_it_sends_is_read_back(cloud: ThrowAwayCloud) -> None:
    device = cloud.enroll("Sender-1", deviceId="pump-1")

    device_id = _register(cloud, device)
    _send(cloud, device, device_id, "one", "two")

    assert device_id == "pump-1"
    assert [event["body"] for event in cloud.telemetry("pump-1")] == ["one", "two"]
    assert cloud.registration("sender-1")["status"] == "assigned"
    pinned = cloud.get_device("pump-1")["authentication"]["x509Thumbprint"]["primaryThumbprint"]
    assert pinned == device.thumbprint
    (attempt,) = cloud.attempts("Sender-1")
    assert attempt["result"] == "succeeded"
    assert cloud.attempts("Sender-1", result="failed") == []


def test_devices_of_a_group_register(cloud: ThrowAwayCloud) -> None:
    issuer = cloud.enroll_group("plant", algorithm="rsa-2048")
    named, unnamed = issuer.device("edge07"), issuer.device(algorithm="ec-p384")

    for device in (named, unnamed):
        assert _register(cloud, device) == device.registration_id

    records = cloud.registrations("plant")
    assert {record["registrationId"] for record in records} == {"edge07", unnamed.registration_id}
    assert "PRIVATE KEY" in issuer.root_key_file.read_text()
    assert load_certificate(issuer.root_certificate_file.read_text())


def test_registrations_of_a_group_are_read_over_all_pages(
    cloud: ThrowAwayCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = cloud.enroll_symmetric_key_group("crowd")
    for number in range(3):
        _register_by_http(cloud, issuer.device(f"one{number}"))
    monkeypatch.setattr(calls, "PAGE_ITEMS", 2)

    names = [record["registrationId"] for record in cloud.registrations("crowd")]

    assert names == ["one0", "one1", "one2"]


def test_devices_with_symmetric_keys_register(cloud: ThrowAwayCloud) -> None:
    own = cloud.enroll_symmetric_key("Keyed-1", deviceId="keyed")
    issuer = cloud.enroll_symmetric_key_group("keyedplant")
    derived = issuer.device("edge08")

    for device, key in ((own, own.primary_key), (derived, derived.secondary_key)):
        client = ProvisioningDeviceClient.create_from_symmetric_key(
            provisioning_host=cloud.global_endpoint,
            registration_id=device.registration_id,
            id_scope=cloud.id_scope,
            symmetric_key=key,
            server_verification_cert=cloud.ca_pem,
        )
        assert client.register().status == "assigned"

    assert cloud.registration("keyed-1")["deviceId"] == "keyed"
    assert [found["registrationId"] for found in cloud.registrations("keyedplant")] == ["edge08"]
    for secret in (own.primary_key, issuer.primary_key, derived.primary_key):
        assert secret not in f"{own}{issuer}{derived}"


def test_certificate_made_elsewhere_is_enrolled(cloud: ThrowAwayCloud) -> None:
    issued = issue_root(Subject(common_name="elsewhere", organization="Q"), now=datetime.now(UTC))

    device = cloud.enroll("elsewhere", issued.certificate_pem)

    assert device.thumbprint == sha256_thumbprint(issued.certificate)
    assert device.certificate_pem.startswith(issued.certificate_pem.strip())
    with pytest.raises(ThrowAwayCloudError, match="only its certificate"):
        _ = device.key_file


def test_device_of_a_root_made_elsewhere_registers(cloud: ThrowAwayCloud) -> None:
    root = issue_root(Subject(common_name="ownroot", organization="Q"), now=datetime.now(UTC))
    cloud.add_ca("own", root.certificate_pem)
    cloud.add_group("own", "own", provisioningStatus="disabled")

    assert cloud.get_group("own")["provisioningStatus"] == "disabled"


def test_device_added_to_the_hub_without_dps_sends(cloud: ThrowAwayCloud) -> None:
    device = cloud.enroll("direct")
    cloud.add_device("direct", device.thumbprint)

    _send(cloud, device, "direct", "hello")

    assert [event["body"] for event in cloud.telemetry("direct", at_least=1)] == ["hello"]


def test_enrolling_twice_is_refused_in_the_words_of_the_cloud(cloud: ThrowAwayCloud) -> None:
    cloud.enroll("twice")

    with pytest.raises(RequestRefused) as caught:
        cloud.enroll("twice")

    assert caught.value.status == 409
    assert "twice" in caught.value.message
    assert "If-Match" in str(caught.value)  # the remedy


def test_id_that_cannot_be_one_is_refused(cloud: ThrowAwayCloud) -> None:
    with pytest.raises(IdentifierMalformed, match="no spaces"):
        cloud.enroll("no spaces")
    with pytest.raises(RequestRefused) as caught:
        cloud.registration("../enrollments")
    assert caught.value.status in (400, 404)


def test_names_that_are_not_given_are_new_ones(cloud: ThrowAwayCloud) -> None:
    assert len({cloud.enroll().registration_id for _ in range(3)}) == 3


def test_telemetry_that_does_not_come_is_explained_by_what_was_tried(
    cloud: ThrowAwayCloud,
) -> None:
    device = cloud.enroll_group().device("neverthere")
    cloud.enroll("neverthere")
    # As a program of its own: the SDK leaves a thread behind when it is refused.
    options = {
        "endpoint": cloud.global_endpoint,
        "idScope": cloud.id_scope,
        "registrationId": device.registration_id,
        "certFile": str(device.certificate_file),
        "keyFile": str(device.key_file),
        "caFile": str(cloud.ca_file),
    }
    program = Path(__file__).parents[1] / "interop" / "python_device.py"
    refused = subprocess.run([sys.executable, program, json.dumps(options)], capture_output=True)
    assert b"status code 401" in refused.stdout

    with pytest.raises(NotSeenInTime) as caught:
        cloud.telemetry("neverthere", at_least=1, timeout_s=0.2)

    assert "0 of 1 messages of neverthere" in str(caught.value)
    assert "is for another certificate" in str(caught.value)


def test_connection_strings_name_the_cloud(cloud: ThrowAwayCloud) -> None:
    assert cloud.dps_connection_string.startswith(f"HostName={cloud.host_name};")
    assert cloud.hub_connection_string() == cloud.hub_connection_string("hub")
    assert "SharedAccessKeyName=iothubowner" in cloud.hub_connection_string()
    with pytest.raises(LookupError, match="'other'; there are: hub"):
        cloud.hub_connection_string("other")
    assert cloud.resource_id.endswith("/provisioningServices/dps")


def test_public_names_are_all_there() -> None:
    for name in mooring.testing.__all__:
        assert getattr(mooring.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Cloud'"):
        _ = mooring.testing.Cloud


def test_cloud_runs_where_pytest_is_not_installed() -> None:
    program = (
        "import sys; sys.modules['pytest'] = None\n"
        "from mooring.testing import ThrowAwayCloud\n"
        "with ThrowAwayCloud() as cloud: print(cloud.id_scope)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0ne")


def test_hub_is_used_as_a_back_end_does(cloud: ThrowAwayCloud) -> None:
    hub = cloud.hub()
    assert hub.name == cloud.hub("hub").name == "hub"
    cloud.add_device("back/end?".replace("/", "."), "AB" * 32)
    name = "back.end?"

    hub.patch_twin(name, desired={"rate": 5, "old": 1}, tags={"site": "north"})
    twin = hub.patch_twin(name, desired={"old": None})
    assert (twin["properties"]["desired"]["rate"], twin["tags"]) == (5, {"site": "north"})
    assert hub.twin(name)["etag"] == twin["etag"]
    assert hub.query("SELECT deviceId FROM devices WHERE tags.site = 'north'") == [
        {"deviceId": name}
    ]
    hub.send(name, "go", properties={"job": "1"}, messageId="m")
    hub.send(name, b"\xff")
    assert cloud.get_device(name)["cloudToDeviceMessageCount"] == 2
    assert hub.update(disableDeviceSAS=True)["disableDeviceSAS"] is True
    assert hub.update(disableDeviceSAS=False)["disableDeviceSAS"] is False


def test_hub_that_refuses_says_why(cloud: ThrowAwayCloud) -> None:
    with pytest.raises(RequestRefused, match="nowhere"):
        cloud.hub("nowhere")
    hub = cloud.hub()
    for call, status, code in (
        (lambda: hub.twin("nobody"), 404, "DeviceNotFound"),
        (lambda: hub.invoke("nobody", "ping", connect_timeout_s=0), 404, "DeviceNotFound"),
        (lambda: hub.query("SELECT"), 400, "ArgumentInvalid"),
    ):
        with pytest.raises(RequestRefused) as refused:
            call()
        assert (refused.value.status, refused.value.code) == (status, code)
