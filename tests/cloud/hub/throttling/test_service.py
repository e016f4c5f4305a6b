"""What a hub counts, by its size and its settings; clock and day are moved by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.clocks import StandingClock
from tests.support.cloudworld import CloudWorld
from tests.support.stores import Stores

from mooring.cloud.hub.errors import HubError, InputInvalid, LimitReached
from mooring.cloud.hub.model import AuthenticationType, DeviceAuthentication, DeviceDraft
from mooring.cloud.hub.settings.model import HubSettings, HubThrottling, Sku
from mooring.cloud.hub.throttling.documents import quotas_to_json
from mooring.cloud.hub.throttling.errors import NotInThisTier, QuotaExceeded, Throttled
from mooring.cloud.hub.throttling.limits import limits_of
from mooring.cloud.hub.throttling.model import HubLimit
from mooring.cloud.hub.throttling.service import LONGEST_WAIT_S, HubThrottle
from mooring.protocol.azure.errors import AzureError
from mooring.protocol.azure.json_members import Members

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
ON = HubThrottling.AZURE
BY_KEY = DeviceAuthentication(AuthenticationType.SAS)


def throttle(clock: StandingClock | None = None, **settings: Any) -> HubThrottle:
    return HubThrottle(HubSettings(throttling=ON, **settings), clock or StandingClock(NOON))


@pytest.mark.parametrize(
    ("sku", "units", "limit", "figure"),
    [
        # The examples of Azure's own page: two S1 units still have 100/s, nine have 108.
        (Sku.S1, 2, HubLimit.DEVICE_CONNECTIONS, 100),
        (Sku.S1, 9, HubLimit.DEVICE_CONNECTIONS, 108),
        (Sku.S1, 9, HubLimit.DEVICE_TO_CLOUD_SENDS, 108),
        (Sku.B2, 2, HubLimit.DEVICE_TO_CLOUD_SENDS, 240),
        (Sku.S3, 1, HubLimit.DEVICE_TO_CLOUD_SENDS, 6_000),
        (Sku.F1, 1, HubLimit.REGISTRY_OPERATIONS, 100),
        (Sku.S3, 2, HubLimit.REGISTRY_OPERATIONS, 10_000),
        (Sku.S1, 1, HubLimit.CLOUD_TO_DEVICE_RECEIVES, 1_000),
        (Sku.S1, 1, HubLimit.DIRECT_METHOD_KILOBYTES, 160),
        (Sku.S3, 1, HubLimit.DIRECT_METHOD_KILOBYTES, 24 * 1024),
        (Sku.S1, 3, HubLimit.TWIN_READS, 100),
        (Sku.S2, 11, HubLimit.TWIN_READS, 110),
        (Sku.S2, 1, HubLimit.TWIN_UPDATES, 50),
        (Sku.S3, 2, HubLimit.TWIN_UPDATES, 500),
        (Sku.S2, 3, HubLimit.QUERIES, 60),
        (Sku.F1, 1, HubLimit.MESSAGES_PER_DAY, 8_000),
        (Sku.S1, 2, HubLimit.MESSAGES_PER_DAY, 800_000),
        (Sku.F1, 1, HubLimit.DEVICES, 500),
        (Sku.B1, 1, HubLimit.DEVICES, 1_000_000),
    ],
)
def test_figures_follow_size_and_units(sku: Sku, units: int, limit: HubLimit, figure: int) -> None:
    assert limits_of(HubSettings(sku=sku, units=units))[limit] == figure


def test_operation_beyond_its_rate_is_refused_with_the_time_to_wait() -> None:
    clock = StandingClock(NOON)
    counted = throttle(clock)
    for _ in range(20):
        counted.admit(HubLimit.QUERIES)
    with pytest.raises(Throttled, match="hub limit of 20 within 60 s") as refused:
        counted.admit(HubLimit.QUERIES)
    assert (refused.value.http_status, refused.value.retry_after_s) == (429, 3)
    counted.admit(HubLimit.TWIN_READS)  # another rate
    clock.move(timedelta(seconds=3))
    counted.admit(HubLimit.QUERIES)
    assert (counted.usage[HubLimit.QUERIES].counted, counted.usage[HubLimit.QUERIES].refused) == (
        21,
        1,
    )


def test_nothing_is_counted_while_throttling_is_off() -> None:
    off = HubThrottle(
        HubSettings(sku=Sku.B1, limits={HubLimit.QUERIES: 1, HubLimit.MESSAGES_PER_DAY: 1}),
        StandingClock(NOON),
    )
    assert not off.is_on
    for _ in range(3):
        off.admit(HubLimit.QUERIES)
        off.admit_method(1)
        off.charge(10_000)
    assert off.messages_today == 0


def test_direct_methods_are_metered_by_4_kb() -> None:
    counted = throttle()
    for _ in range(40):
        counted.admit_method(0)
    with pytest.raises(Throttled):
        counted.admit_method(0)
    counted = throttle()
    for _ in range(20):
        counted.admit_method(4 * 1024 + 1)
    with pytest.raises(Throttled):
        counted.admit_method(1)


@pytest.mark.parametrize(("sku", "blocks"), [(Sku.S1, 1 + 1 + 2), (Sku.F1, 1 + 8 + 9)])
def test_messages_of_the_day_are_blocks_of_4_kb_or_of_half_a_kb_where_it_is_free(
    sku: Sku, blocks: int
) -> None:
    counted = throttle(sku=sku)
    counted.charge(0, 4096, 4097)
    assert counted.messages_today == blocks


def test_used_up_quota_refuses_what_is_charged_until_midnight_utc() -> None:
    clock = StandingClock(NOON)
    counted = throttle(clock, limits={HubLimit.MESSAGES_PER_DAY: 2})
    counted.charge(1, 1)
    for limit in (HubLimit.DEVICE_TO_CLOUD_SENDS, HubLimit.TWIN_READS, HubLimit.QUERIES):
        with pytest.raises(QuotaExceeded) as refused:
            counted.admit(limit)
        assert (refused.value.http_status, int(refused.value.error_code)) == (403, 403002)
    counted.admit(HubLimit.REGISTRY_OPERATIONS)
    counted.admit(HubLimit.DEVICE_CONNECTIONS)
    clock.move(timedelta(hours=11, minutes=59))
    with pytest.raises(QuotaExceeded):
        counted.check_quota()
    clock.move(timedelta(minutes=1))
    counted.admit(HubLimit.DEVICE_TO_CLOUD_SENDS)


def test_basic_tier_has_no_twins_methods_and_messages_to_devices() -> None:
    basic = throttle(sku=Sku.B2)
    for limit in (
        HubLimit.TWIN_READS,
        HubLimit.TWIN_UPDATES,
        HubLimit.CLOUD_TO_DEVICE_SENDS,
        HubLimit.CLOUD_TO_DEVICE_RECEIVES,
        HubLimit.DIRECT_METHOD_KILOBYTES,
    ):
        with pytest.raises(NotInThisTier) as refused:
            basic.admit(limit)
        assert int(refused.value.error_code) == 403010
    for limit in (HubLimit.DEVICE_TO_CLOUD_SENDS, HubLimit.REGISTRY_OPERATIONS, HubLimit.QUERIES):
        basic.admit(limit)


def test_telemetry_is_booked_in_turn_and_the_queue_ends() -> None:
    clock = StandingClock(NOON)
    counted = throttle(clock, limits={HubLimit.DEVICE_TO_CLOUD_SENDS: 5})
    assert counted.book_sends(3) == (3, 0.0)
    assert counted.book_sends(9) == (2, 0.0)  # what may pass now, and not one more
    waits = []
    while (booking := counted.book_sends(9)) is not None:
        assert booking[0] == 1
        waits.append(booking[1])
    assert waits[:2] == pytest.approx([0.2, 0.4])
    assert waits[-1] == pytest.approx(LONGEST_WAIT_S)
    usage = counted.usage[HubLimit.DEVICE_TO_CLOUD_SENDS]
    assert (usage.counted, usage.delayed, usage.refused) == (105, 100, 1)


async def test_settings_take_effect_while_the_hub_runs_and_outlive_it(
    stores: Stores, world: CloudWorld
) -> None:
    counted = world.hubs.throttling.of(world.hub)
    assert not counted.is_on

    async def change(document: dict[str, Any]) -> None:
        await world.hubs.settings.update(world.hub, Members(document))

    await change({"throttling": "azure", "limits": {"queries": 1, "devices": 3}})
    assert counted.is_on
    counted.admit(HubLimit.QUERIES)
    with pytest.raises(Throttled):
        counted.admit(HubLimit.QUERIES)
    await change({"limits": {"twinReads": 7}})
    assert counted.limits[HubLimit.QUERIES] == 1
    with pytest.raises(Throttled):  # a change of another limit gives nothing back
        counted.admit(HubLimit.QUERIES)
    again = await CloudWorld.open(stores)
    assert again.hubs.settings.of(again.hub).limits == {
        HubLimit.QUERIES: 1,
        HubLimit.DEVICES: 3,
        HubLimit.TWIN_READS: 7,
    }
    assert again.hubs.throttling.of(again.hub).is_on

    await change({"limits": {"queries": None}})
    assert counted.limits[HubLimit.QUERIES] == 20
    await change({"throttling": "off"})
    for _ in range(30):
        counted.admit(HubLimit.QUERIES)


async def test_hub_takes_no_more_devices_than_its_limit(world: CloudWorld) -> None:
    document = {"throttling": "azure", "limits": {"devices": 2}}
    await world.hubs.settings.update(world.hub, Members(document))
    for name in ("one", "two"):
        await world.hubs.devices.put(world.hub, DeviceDraft(name, BY_KEY))
    with pytest.raises(LimitReached, match="has 2 devices"):
        await world.hubs.devices.put(world.hub, DeviceDraft("three", BY_KEY))


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"limits": {"nothing": 1}}, "limits.nothing"),
        ({"limits": {"queries": 0}}, "limits.queries"),
        ({"limits": {"queries": 10**10}}, "limits.queries"),
        ({"limits": {"queries": "5"}}, "limits.queries"),
        ({"limits": [1]}, "limits"),
        ({"sku": {"name": "F1", "capacity": 2}}, "sku.capacity"),
        ({"sku": {"name": "S3", "capacity": 11}}, "sku.capacity"),
    ],
)
async def test_limits_that_cannot_be_had_are_refused_by_name(
    world: CloudWorld, document: dict[str, Any], field: str
) -> None:
    with pytest.raises((InputInvalid, AzureError)) as refused:
        await world.hubs.settings.update(world.hub, Members(document))
    assert isinstance(refused.value, HubError | AzureError)
    assert refused.value.field == field
    assert not world.hubs.settings.of(world.hub).limits


def test_consumption_is_shown_with_what_is_left() -> None:
    clock = StandingClock(NOON)
    counted = throttle(clock, limits={HubLimit.QUERIES: 1})
    counted.admit(HubLimit.QUERIES)
    counted.charge(5000)
    with pytest.raises(Throttled):
        counted.admit(HubLimit.QUERIES)
    shown: Any = quotas_to_json(counted, devices=4, now=clock.now())
    assert shown["rates"]["queries"] == {
        "limit": 1,
        "windowSeconds": 60,
        "availableNow": 0,
        "counted": 1,
        "delayed": 0,
        "refused": 1,
    }
    assert shown["messagesPerDay"] == {
        "limit": 400_000,
        "used": 2,
        "blockBytes": 4096,
        "resetsAt": "2030-01-03T00:00:00.0000000Z",
    }
    assert shown["devices"] == {"limit": 1_000_000, "used": 4}
    assert shown["overridden"] == ["queries"]
