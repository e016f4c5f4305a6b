"""Which tokens a hub takes is a setting: ``disableLocalAuth`` and ``disableDeviceSAS``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cloud.conftest import Device, MakeDevice
from tests.support.cloud import CloudThread
from tests.support.hub_api import HubClient, hub_client, registry_error
from tests.support.rawmqtt import CONNACK, packet, text
from tests.support.service_api import signed


@pytest.fixture
def api(cloud: CloudThread) -> Iterator[HubClient]:
    """Return a client with the rights of ``iothubowner``; settings are put back after it."""
    with hub_client(cloud) as client:
        yield client
    update(cloud, disableLocalAuth=False, disableDeviceSAS=False)


def update(cloud: CloudThread, **settings: bool) -> None:
    with cloud.api() as admin:
        assert admin.patch("hubs/hub/settings", json=settings).status_code == 200


def connects(device: Device, token: str) -> bool:
    """Return whether the device gets in with `token`."""
    with device.dial() as raw:
        body = text("MQTT") + bytes([4, 0xC2, 0, 60]) + text(device.name)
        raw.send(packet(1, 0, body + text(device.hub_user_name) + text(token)))
        return raw.expect(CONNACK).body == b"\0\0"


def test_tokens_of_devices_and_of_policies_are_disabled_apart(
    cloud: CloudThread, api: HubClient, make_device: MakeDevice
) -> None:
    device = make_device(certificate=False)
    key = api.created(device.name)["authentication"]["symmetricKey"]["primaryKey"]
    own = signed(f"{cloud.address}/devices/{device.name}", key, None)
    policy = api.authorization
    assert policy is not None
    assert connects(device, own)
    assert connects(device, policy)

    update(cloud, disableDeviceSAS=True)
    assert not connects(device, own)
    assert device.hub_attempts()[0]["failure"]["code"] == "device-sas-disabled"
    assert connects(device, policy)

    update(cloud, disableDeviceSAS=False, disableLocalAuth=True)
    assert connects(device, own)
    assert not connects(device, policy)
    assert device.hub_attempts()[0]["failure"]["code"] == "local-auth-disabled"
    refused = registry_error(api.call("GET", "/devices"), 401, "IotHubUnauthorized")
    assert "disableLocalAuth" in refused
    with hub_client(cloud, f"Bearer {cloud.owner_token}") as owner:
        assert owner.call("GET", "/devices").status_code == 200
