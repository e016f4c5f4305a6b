"""Hubs, devices, connection state."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.cloudworld import CloudWorld

from mooring.cloud.hub.errors import (
    DeviceAlreadyExists,
    DeviceNotFound,
    EtagMismatch,
    HubAlreadyExists,
    HubError,
    HubNotFound,
    InputInvalid,
    LimitReached,
)
from mooring.cloud.hub.hubs import MAX_HUBS
from mooring.cloud.hub.model import (
    AuthenticationType,
    ConnectionState,
    DeviceAuthentication,
    DeviceDraft,
    DeviceStatus,
    Hub,
)
from mooring.cloud.hub.registry import DeviceRegistry
from mooring.cloud.hub.service import HubService

PINNED = DeviceAuthentication(AuthenticationType.SELF_SIGNED, "AB" * 32)
SAS = DeviceAuthentication(AuthenticationType.SAS)


def draft(device_id: str = "dev", authentication: DeviceAuthentication = PINNED) -> DeviceDraft:
    return DeviceDraft(device_id, authentication)


async def test_hubs_are_found_by_name_and_host_and_survive_a_restart(world: CloudWorld) -> None:
    second = await world.hubs.hubs.create("Second", "Hub2.test", partition_count=2)

    for service in (world.hubs, await HubService.start(world.stores.hub, clock=world.clock)):
        assert service.hubs.list() == (world.hub, second)
        assert service.hubs.get("SECOND") == second
        assert service.hubs.by_host_name("hub2.TEST") == second
        assert len(await service.telemetry.partitions(second)) == 2
    with pytest.raises(HubNotFound):
        world.hubs.hubs.get("third")
    with pytest.raises(HubNotFound):
        world.hubs.hubs.by_host_name("third.test")


@pytest.mark.parametrize(
    ("name", "host", "partitions", "field"),
    [
        ("", "a.test", 4, "name"),
        ("-a", "a.test", 4, "name"),
        ("a" * 51, "a.test", 4, "name"),
        ("a", "", 4, "hostName"),
        ("a", "http://a", 4, "hostName"),
        ("a", "a b", 4, "hostName"),
        ("a", "a.test", 0, "partitionCount"),
        ("a", "a.test", 33, "partitionCount"),
    ],
)
async def test_a_bad_hub_is_refused(
    world: CloudWorld, name: str, host: str, partitions: int, field: str
) -> None:
    with pytest.raises(InputInvalid) as refused:
        await world.hubs.hubs.create(name, host, partition_count=partitions)
    assert refused.value.field == field


async def test_hubs_are_distinct_and_bounded(world: CloudWorld) -> None:
    with pytest.raises(HubAlreadyExists):
        await world.hubs.hubs.create("FIRST", "other.test")
    with pytest.raises(HubAlreadyExists):
        await world.hubs.hubs.create("other", "LOCALHOST")
    for number in range(MAX_HUBS - 1):
        await world.hubs.hubs.create(f"h{number}", f"h{number}.test", partition_count=1)
    with pytest.raises(LimitReached):
        await world.hubs.hubs.create("more", "more.test")


async def test_put_follows_if_match(world: CloudWorld) -> None:
    devices, hub = world.hubs.devices, world.hub
    first = await devices.put(hub, draft())
    with pytest.raises(DeviceAlreadyExists) as exists:
        await devices.put(hub, draft())
    assert (exists.value.http_status, exists.value.error_code) == (409, 409001)
    with pytest.raises(EtagMismatch) as stale:
        await devices.put(hub, draft(), if_match='"stale"')
    assert (stale.value.http_status, stale.value.error_code) == (412, 412001)
    with pytest.raises(DeviceNotFound):
        await devices.put(hub, draft("other"), if_match='"*"')
    second = await devices.put(hub, draft(), if_match='"*"')
    third = await devices.put(hub, draft(), if_match=f'"{second.etag}"')

    assert first.generation_id == third.generation_id
    assert len({first.etag, second.etag, third.etag}) == 3
    with pytest.raises(EtagMismatch):
        await devices.delete(hub, "dev", if_match=first.etag)
    await devices.delete(hub, "dev", if_match=third.etag)
    with pytest.raises(DeviceNotFound):
        await devices.get(hub, "dev")
    with pytest.raises(DeviceNotFound):
        await devices.delete(hub, "dev")
    again = await devices.put(hub, draft())
    assert again.generation_id != first.generation_id
    assert again.generation_id.isdecimal()


async def test_missing_keys_are_made_and_kept(world: CloudWorld) -> None:
    made = (await world.hubs.devices.put(world.hub, draft(authentication=SAS))).authentication
    assert made.primary_key is not None
    assert made.primary_key != made.secondary_key
    assert len(base64.b64decode(made.primary_key)) == 64

    kept = await world.hubs.devices.put(world.hub, draft(authentication=SAS), if_match="*")
    assert kept.authentication == made
    pinned = await world.hubs.devices.put(world.hub, draft(), if_match="*")
    assert pinned.authentication.primary_key is None


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (draft("a b"), "deviceId"),
        (draft(""), "deviceId"),
        (draft("a" * 129), "deviceId"),
        (
            draft(authentication=DeviceAuthentication(AuthenticationType.SELF_SIGNED)),
            "authentication.x509Thumbprint",
        ),
        (
            draft(authentication=replace(PINNED, primary_thumbprint="XY" * 32)),
            "authentication.x509Thumbprint.primaryThumbprint",
        ),
        (
            draft(authentication=replace(PINNED, secondary_thumbprint="AB" * 31)),
            "authentication.x509Thumbprint.secondaryThumbprint",
        ),
        (
            draft(authentication=replace(SAS, primary_key="c2hvcnQ=")),
            "authentication.symmetricKey.primaryKey",
        ),
        (replace(draft(), status_reason="x" * 129), "statusReason"),
    ],
)
async def test_a_bad_device_is_refused_by_field(
    world: CloudWorld, wanted: DeviceDraft, field: str
) -> None:
    with pytest.raises(InputInvalid) as refused:
        await world.hubs.devices.put(world.hub, wanted)
    assert refused.value.field == field
    assert (await world.hubs.devices.list(world.hub)).items == ()


async def test_devices_page(world: CloudWorld) -> None:
    names = [f"dev{number}" for number in range(5)]
    for name in names:
        await world.hubs.devices.put(world.hub, draft(name))

    first = await world.hubs.devices.list(world.hub, limit=3)
    second = await world.hubs.devices.list(world.hub, limit=3, continuation=first.continuation)

    assert [item.device_id for item in (*first.items, *second.items)] == names
    assert second.continuation is None
    with pytest.raises(InputInvalid):
        await world.hubs.devices.list(world.hub, continuation="?")


async def test_a_hub_is_bounded(world: CloudWorld) -> None:
    former = world.hubs.devices
    registry = DeviceRegistry(
        world.stores.hub, former._activity, former._lifecycle, world.clock, limit_of=lambda _: 1
    )
    await registry.put(world.hub, draft("one"))
    with pytest.raises(LimitReached) as refused:
        await registry.put(world.hub, draft("two"))
    assert refused.value.error_code == 413002


async def test_listeners_are_told_what_takes_access_away(world: CloudWorld) -> None:
    told: list[tuple[Hub, str]] = []
    devices = world.hubs.devices
    devices.on_change(lambda hub, device_id: told.append((hub, device_id)))
    await devices.put(world.hub, draft())
    await devices.put(world.hub, replace(draft(), iot_edge=True), if_match="*")
    assert told == []

    await devices.put(world.hub, replace(draft(), status=DeviceStatus.DISABLED), if_match="*")
    await devices.put(world.hub, draft(authentication=SAS), if_match="*")
    await devices.delete(world.hub, "dev")

    assert told == [(world.hub, "dev")] * 3


async def test_connection_state_is_seen_at_once_and_written_later(world: CloudWorld) -> None:
    await world.hubs.devices.put(world.hub, draft())
    world.hubs.connected(world.hub, "dev")
    connected_at = world.clock.now()
    world.clock.move(timedelta(seconds=3))
    world.hubs.active(world.hub, "dev")

    seen = await world.hubs.devices.get(world.hub, "dev")
    assert seen.connection_state is ConnectionState.CONNECTED
    assert seen.connection_state_updated_at == connected_at
    assert seen.last_activity_at == world.clock.now()
    stored = await world.stores.hub.find_device(world.hub.hub_id, "dev")
    assert stored is not None
    assert stored.connection_state is ConnectionState.DISCONNECTED

    await world.hubs.housekeep()
    stored = await world.stores.hub.find_device(world.hub.hub_id, "dev")
    assert stored == seen
    assert (await world.hubs.devices.list(world.hub)).items == (seen,)
    world.hubs.disconnected(world.hub, "dev")
    await world.hubs.close()
    stored = await world.stores.hub.find_device(world.hub.hub_id, "dev")
    assert stored is not None
    assert stored.connection_state is ConnectionState.DISCONNECTED
    assert stored.last_activity_at == seen.last_activity_at


async def test_after_a_crash_nobody_is_connected(world: CloudWorld) -> None:
    await world.hubs.devices.put(world.hub, draft())
    world.hubs.connected(world.hub, "dev")
    await world.hubs.housekeep()

    again = await HubService.start(world.stores.hub, clock=world.clock)

    device = await again.devices.get(world.hub, "dev")
    assert device.connection_state is ConnectionState.DISCONNECTED


async def test_activity_that_cannot_be_written_is_kept(
    world: CloudWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mooring.storage.errors import StorageFull

    await world.hubs.devices.put(world.hub, draft())
    world.hubs.connected(world.hub, "dev")

    async def full(_seen: object) -> None:
        world.hubs.active(world.hub, "dev")
        raise StorageFull("full", "free")

    with monkeypatch.context() as patched:
        patched.setattr(world.stores.hub, "save_activity", full)
        await world.hubs.housekeep()
    seen = await world.hubs.devices.get(world.hub, "dev")
    assert seen.connection_state is ConnectionState.CONNECTED
    await world.hubs.housekeep()
    assert await world.stores.hub.find_device(world.hub.hub_id, "dev") == seen


def test_every_error_has_a_status_of_its_azure_code() -> None:
    classes = [HubError]
    for error in classes:
        classes += error.__subclasses__()
    codes = [error.code for error in classes]
    assert len(codes) == len(set(codes))
    for error in classes:
        assert error("m", "r").http_status == error.error_code // 1000
