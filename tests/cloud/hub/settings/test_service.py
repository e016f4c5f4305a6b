"""Settings of hubs: changed one by one, kept, and refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.cloudworld import CloudWorld
from tests.support.stores import Stores

from mooring.cloud.hub.errors import InputInvalid
from mooring.cloud.hub.settings.documents import settings_to_json
from mooring.cloud.hub.settings.model import DEFAULT_SETTINGS, EventSource, Sku
from mooring.protocol.azure.errors import PayloadMalformed
from mooring.protocol.azure.json_members import Members


async def test_settings_change_one_by_one_and_outlive_the_process(
    stores: Stores, world: CloudWorld
) -> None:
    settings, hub = world.hubs.settings, world.hub
    assert settings.of(hub) == DEFAULT_SETTINGS
    await settings.update(hub, Members({"events": ["twinchangeevents"]}))
    await settings.update(hub, Members({"sku": {"name": "s2", "capacity": 3}}))
    changed = await settings.update(hub, Members({"disableDeviceSAS": True}))

    assert changed.events == {EventSource.TWIN_CHANGE}
    assert (changed.sku, changed.units, changed.disable_device_sas) == (Sku.S2, 3, True)
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
    ],
)
async def test_settings_that_cannot_be_had_are_refused_by_name(
    world: CloudWorld, document: dict[str, Any], field: str
) -> None:
    with pytest.raises((InputInvalid, PayloadMalformed)) as refused:
        await world.hubs.settings.update(world.hub, Members({"disableDeviceSAS": True, **document}))
    assert refused.value.field == field
    assert world.hubs.settings.of(world.hub) == DEFAULT_SETTINGS
