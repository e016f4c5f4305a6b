"""Settings of hubs: changed one by one, kept, and refused by name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.cloudworld import CloudWorld
from tests.support.stores import Stores

from mooring.cloud.hub.devicebound.model import CloudToDeviceSettings, FeedbackSettings
from mooring.cloud.hub.errors import InputInvalid
from mooring.cloud.hub.settings.documents import settings_to_json
from mooring.cloud.hub.settings.model import DEFAULT_SETTINGS, EventSource, Sku
from mooring.protocol.azure.errors import AzureError
from mooring.protocol.azure.json_members import Members


async def test_settings_change_one_by_one_and_outlive_the_process(
    stores: Stores, world: CloudWorld
) -> None:
    settings, hub = world.hubs.settings, world.hub
    assert settings.of(hub) == DEFAULT_SETTINGS
    await settings.update(hub, Members({"events": ["twinchangeevents"]}))
    await settings.update(hub, Members({"sku": {"name": "s2", "capacity": 3}}))
    await settings.update(hub, Members({"cloudToDevice": {"maxDeliveryCount": 3}}))
    ttl = {"cloudToDevice": {"feedback": {"ttlAsIso8601": "PT2M"}}}
    await settings.update(hub, Members(ttl))
    changed = await settings.update(hub, Members({"disableDeviceSAS": True}))

    assert changed.events == {EventSource.TWIN_CHANGE}
    assert (changed.sku, changed.units, changed.disable_device_sas) == (Sku.S2, 3, True)
    assert changed.cloud_to_device == CloudToDeviceSettings(
        max_delivery_count=3, feedback=FeedbackSettings(ttl=timedelta(minutes=2))
    )
    again = await CloudWorld.open(stores)
    assert again.hubs.settings.of(again.hub) == changed
    assert (await settings.update(hub, Members(settings_to_json(DEFAULT_SETTINGS)))) == (
        DEFAULT_SETTINGS
    )


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"events": ["Telemetry"]}, "events"),
        ({"events": ["nothing"]}, "events"),
        ({"throttling": "maybe"}, "throttling"),
        ({"sku": {"name": "S9"}}, "sku.name"),
        ({"sku": {"capacity": 0}}, "sku.capacity"),
        ({"disableLocalAuth": "yes"}, "disableLocalAuth"),
        ({"cloudToDevice": {"defaultTtlAsIso8601": "PT59S"}}, "cloudToDevice.defaultTtlAsIso8601"),
        ({"cloudToDevice": {"defaultTtlAsIso8601": "1 h"}}, "cloudToDevice.defaultTtlAsIso8601"),
        ({"cloudToDevice": {"maxDeliveryCount": 101}}, "cloudToDevice.maxDeliveryCount"),
        (
            {"cloudToDevice": {"feedback": {"lockDurationAsIso8601": "PT301S"}}},
            "cloudToDevice.feedback.lockDurationAsIso8601",
        ),
    ],
)
async def test_settings_that_cannot_be_had_are_refused_by_name(
    world: CloudWorld, document: dict[str, Any], field: str
) -> None:
    with pytest.raises((InputInvalid, AzureError)) as refused:
        await world.hubs.settings.update(world.hub, Members({"disableDeviceSAS": True, **document}))
    assert refused.value.field == field
    assert world.hubs.settings.of(world.hub) == DEFAULT_SETTINGS
