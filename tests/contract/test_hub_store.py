"""What every adapter of `mooring.cloud.hub.store.HubStore` does, but for telemetry."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.stores import Stores

from mooring.cloud.hub.model import (
    AuthenticationType,
    ConnectionState,
    DeviceAuthentication,
    DeviceIdentity,
    DeviceStatus,
    Hub,
    Provisioned,
)
from mooring.cloud.hub.store import (
    DeviceActivity,
    HubStore,
    InitialTwinText,
    ProvisionedDevice,
)
from mooring.cloud.preconditions import RecordChanged, RecordExists, RecordsFull

NOW = datetime(2030, 2, 3, 4, 5, 6, 123457, tzinfo=UTC)
LATER = NOW + timedelta(seconds=7, microseconds=1)
NO_TWIN = InitialTwinText()
SAS = DeviceAuthentication(
    AuthenticationType.SAS, primary_key="a2V5a2V5a2V5a2V5", secondary_key="eHh4eHh4eHh4eHh4"
)
PINNED = DeviceAuthentication(AuthenticationType.SELF_SIGNED, "AA" * 32, "AA" * 32)


@pytest.fixture
def store(stores: Stores) -> HubStore:
    return stores.hub


@pytest.fixture
async def hub(store: HubStore) -> Hub:
    return await store.create_hub("First", "Localhost", 4, NOW)


def device(device_id: str = "Dev-1", etag: str = "e1") -> DeviceIdentity:
    return DeviceIdentity(
        device_id,
        "638700000000000001",
        etag,
        DeviceStatus.DISABLED,
        "stolen",
        LATER,
        SAS,
        True,
        ConnectionState.DISCONNECTED,
        None,
        None,
        NOW,
    )


async def save(
    store: HubStore, hub: Hub, item: DeviceIdentity, replaces: str | None = None, limit: int = 9
) -> None:
    await store.save_device(hub.hub_id, item, replaces=replaces, twin=NO_TWIN, limit=limit)


async def test_hubs_come_back_in_order_with_their_partitions(store: HubStore, hub: Hub) -> None:
    second = await store.create_hub("second", "b.test", 2, LATER)

    assert await store.list_hubs() == [hub, second]
    assert len(await store.log_ids(hub.hub_id)) == 4
    assert len(await store.log_ids(second.hub_id)) == 2
    assert not set(await store.log_ids(hub.hub_id)) & set(await store.log_ids(second.hub_id))


@pytest.mark.parametrize(("name", "host"), [("FIRST", "x.test"), ("other", "LOCALHOST")])
async def test_a_taken_name_or_host_is_refused(
    store: HubStore, hub: Hub, name: str, host: str
) -> None:
    with pytest.raises(RecordExists):
        await store.create_hub(name, host, 4, NOW)


async def test_devices_come_back_whole_and_case_counts(store: HubStore, hub: Hub) -> None:
    await save(store, hub, device())
    await save(store, hub, device("dev-1", "e2"))

    assert await store.find_device(hub.hub_id, "Dev-1") == device()
    assert await store.find_device(hub.hub_id, "DEV-1") is None
    assert await store.find_device(hub.hub_id + 1, "Dev-1") is None
    everything = await store.list_devices(hub.hub_id, after=None, limit=9)
    assert everything == [device(), device("dev-1", "e2")]
    assert await store.list_devices(hub.hub_id, after="Dev-1", limit=9) == everything[1:]
    assert await store.list_devices(hub.hub_id, after=None, limit=1) == everything[:1]


async def test_a_device_is_replaced_by_its_etag_only(store: HubStore, hub: Hub) -> None:
    await save(store, hub, device(), limit=1)
    with pytest.raises(RecordExists):
        await save(store, hub, device(etag="e2"))
    with pytest.raises(RecordsFull):
        await save(store, hub, device("other"), limit=1)
    with pytest.raises(RecordChanged):
        await save(store, hub, device(etag="e2"), "e0")
    enabled = replace(device(etag="e2"), status=DeviceStatus.ENABLED, authentication=PINNED)
    await save(store, hub, enabled, "e1", limit=1)
    assert await store.find_device(hub.hub_id, "Dev-1") == enabled
    with pytest.raises(RecordChanged):
        await store.delete_device(hub.hub_id, "Dev-1", replaces="e1")
    await store.delete_device(hub.hub_id, "Dev-1", replaces="e2")
    with pytest.raises(RecordChanged):
        await store.delete_device(hub.hub_id, "Dev-1", replaces="e2")
    await save(store, hub, device("other"), limit=1)


async def test_a_pinned_device_is_made_when_there_is_none(store: HubStore, hub: Hub) -> None:
    wanted = replace(device(), authentication=PINNED, status=DeviceStatus.ENABLED)

    results = await store.commit(
        store.prepare_provisioned_device(hub.hub_id, ProvisionedDevice(wanted, NO_TWIN, False))
    )

    assert results == (Provisioned.CREATED,)
    assert await store.find_device(hub.hub_id, "Dev-1") == wanted


async def test_a_pinned_device_takes_over_one_of_its_id(store: HubStore, hub: Hub) -> None:
    await save(store, hub, device())
    wanted = replace(
        device(etag="e2"),
        authentication=PINNED,
        status=DeviceStatus.ENABLED,
        generation_id="639",
        iot_edge=False,
    )
    work = store.prepare_provisioned_device(hub.hub_id, ProvisionedDevice(wanted, NO_TWIN, True))
    assert await store.commit(work) == (Provisioned.CREDENTIALS_CHANGED,)

    expected = replace(device(etag="e2"), authentication=PINNED, iot_edge=False)
    assert await store.find_device(hub.hub_id, "Dev-1") == expected
    again = replace(wanted, etag="e3")
    results = await store.commit(
        store.prepare_provisioned_device(hub.hub_id, ProvisionedDevice(again, NO_TWIN, False))
    )
    assert results == (Provisioned.UNCHANGED,)
    assert await store.find_device(hub.hub_id, "Dev-1") == expected


async def test_new_keys_and_another_kind_of_credentials_are_told(store: HubStore, hub: Hub) -> None:
    def keyed(primary: str, etag: str) -> ProvisionedDevice:
        keys = DeviceAuthentication(
            AuthenticationType.SAS, primary_key=primary, secondary_key="a2V5Mg=="
        )
        return ProvisionedDevice(
            replace(device(etag=etag), authentication=keys), NO_TWIN, reset_twin=False
        )

    pinned = ProvisionedDevice(replace(device(), authentication=PINNED), NO_TWIN, False)
    edge = replace(keyed("b3RoZXI=", "e5").identity, iot_edge=False)
    told = [
        (await store.commit(store.prepare_provisioned_device(hub.hub_id, wanted)))[0]
        for wanted in (
            pinned,
            keyed("a2V5", "e2"),
            keyed("a2V5", "e3"),
            keyed("b3RoZXI=", "e4"),
            ProvisionedDevice(edge, NO_TWIN, False),
        )
    ]

    changed, unchanged = Provisioned.CREDENTIALS_CHANGED, Provisioned.UNCHANGED
    assert told == [Provisioned.CREATED, changed, unchanged, changed, unchanged]


async def test_a_device_that_moves_takes_twin_and_capabilities_along(
    stores: Stores, hub: Hub
) -> None:
    store = stores.hub
    other = await store.create_hub("other", "other.test", 1, NOW)
    given = InitialTwinText('{"rack":7}', '{"speed":1}')
    await store.save_device(
        hub.hub_id, replace(device(), iot_edge=True), replaces=None, twin=given, limit=9
    )
    stale = replace(device(), iot_edge=False)
    wanted = replace(device(etag="e2"), authentication=PINNED, iot_edge=False)
    move = ProvisionedDevice(wanted, InitialTwinText("{}", "{}"), False, hub.hub_id)

    for already_there in (False, True):
        if already_there:
            await store.delete_device(other.hub_id, "Dev-1", replaces="e2")
            await save(store, other, stale)
            await save(store, hub, replace(device(), iot_edge=True))
        results = await store.commit(
            store.prepare_provisioned_device(other.hub_id, move),
            store.prepare_device_removal(hub.hub_id, "Dev-1"),
        )
        outcome = Provisioned.CREDENTIALS_CHANGED if already_there else Provisioned.CREATED
        assert results == (outcome, True)
        found = await store.find_device(other.hub_id, "Dev-1")
        assert found is not None
        assert found.iot_edge
        assert found.authentication == PINNED
        assert stores.initial_twin(other.hub_id, "Dev-1") == (
            ('{"rack":7}', '{"speed":1}') if not already_there else (None, None)
        )
        assert await store.find_device(hub.hub_id, "Dev-1") is None

    # Nothing is there to come along any more: the given twin counts.
    await store.delete_device(other.hub_id, "Dev-1", replaces="e2")
    await store.commit(store.prepare_provisioned_device(other.hub_id, move))
    assert stores.initial_twin(other.hub_id, "Dev-1") == ("{}", "{}")


async def test_a_prepared_removal_takes_what_is_there(store: HubStore, hub: Hub) -> None:
    await save(store, hub, device(), limit=1)
    for there in (True, False):
        results = await store.commit(store.prepare_device_removal(hub.hub_id, "Dev-1"))
        assert results == (there,)
    assert await store.find_device(hub.hub_id, "Dev-1") is None
    await save(store, hub, device("other"), limit=1)
    with pytest.raises(RecordsFull):
        await save(store, hub, device("another"), limit=1)


async def test_activity_is_written_where_it_is_known(store: HubStore, hub: Hub) -> None:
    await save(store, hub, device())
    await store.save_activity(
        {
            (hub.hub_id, "Dev-1"): DeviceActivity(ConnectionState.CONNECTED, NOW, NOW),
            (hub.hub_id, "nobody"): DeviceActivity(ConnectionState.CONNECTED, NOW, NOW),
        }
    )
    await store.save_activity({(hub.hub_id, "Dev-1"): DeviceActivity(None, None, LATER)})

    found = await store.find_device(hub.hub_id, "Dev-1")
    assert found is not None
    assert found.connection_state is ConnectionState.CONNECTED
    assert found.connection_state_updated_at == NOW
    assert found.last_activity_at == LATER
    assert found.etag == "e1"
    await store.disconnect_all(LATER)
    found = await store.find_device(hub.hub_id, "Dev-1")
    assert found is not None
    assert found.connection_state is ConnectionState.DISCONNECTED
    assert found.connection_state_updated_at == LATER
    assert found.last_activity_at == LATER
