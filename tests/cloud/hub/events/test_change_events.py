"""Events of devices that come and go, and of twins that change (iothub.md 5.1)."""

from __future__ import annotations

import json
from typing import Any

from tests.support import authority
from tests.support.cloudworld import CloudWorld

from mooring.cloud.hub.model import AuthenticationType, DeviceAuthentication, DeviceDraft
from mooring.protocol.azure.json_members import Members
from mooring.protocol.azure.property_bag import parse_property_bag

SAS = DeviceAuthentication(AuthenticationType.SAS)


async def told(world: CloudWorld) -> list[tuple[str, str, dict[str, Any]]]:
    """Return source, operation and body of what the hub reported of itself."""
    await world.hubs.telemetry.drain()
    found = await world.hubs.telemetry.read_all(world.hub)
    return [
        (
            event.origin["source"],
            str(parse_property_bag(event.properties).application["opType"]),
            json.loads(event.body),
        )
        for event in found
    ]


async def report(world: CloudWorld, *sources: str) -> None:
    await world.hubs.settings.update(world.hub, Members({"events": list(sources)}))


async def test_device_that_comes_and_goes_is_reported_with_its_twin(world: CloudWorld) -> None:
    await report(world, "deviceLifecycleEvents")
    draft = DeviceDraft("gw1", SAS, initial_tags={"site": "north"})
    await world.hubs.devices.put(world.hub, draft)
    await world.hubs.devices.put(world.hub, draft, if_match="*")  # no news
    await world.hubs.twins.patch(world.hub, "gw1", desired={"rate": 5})
    await world.hubs.devices.delete(world.hub, "gw1")

    (made_source, made, twin), (gone_source, gone, last) = await told(world)
    assert {made_source, gone_source} == {"deviceLifecycleEvents"}
    assert (made, gone) == ("createDeviceIdentity", "deleteDeviceIdentity")
    assert (twin["deviceId"], twin["etag"], twin["version"]) == ("gw1", "AAAAAAAAAAE=", 2)
    assert twin["tags"] == {"site": "north"}
    assert twin["properties"]["reported"]["$version"] == 1
    assert last["properties"]["desired"]["rate"] == 5
    assert last["version"] == 3


async def test_device_that_dps_makes_is_reported_once(world: CloudWorld) -> None:
    await report(world, "deviceLifecycleEvents")
    leaf = authority.root("edgegw01")
    await world.enroll(leaf)
    await world.register(leaf.certificate)
    await world.register(leaf.certificate)

    assert [(operation, body["deviceId"]) for _, operation, body in await told(world)] == [
        ("createDeviceIdentity", "edgegw01")
    ]


async def test_change_of_a_twin_is_reported_with_what_changed(world: CloudWorld) -> None:
    await world.hubs.devices.put(world.hub, DeviceDraft("gw1", SAS))
    await world.hubs.twins.patch(world.hub, "gw1", tags={"quiet": 1})
    await report(world, "twinChangeEvents")
    await world.hubs.twins.patch(world.hub, "gw1", desired={"rate": 7})
    await world.hubs.twins.replace(world.hub, "gw1", tags={"a": 1})

    (_, updated, patch), (source, replaced, whole) = await told(world)
    assert source == "twinChangeEvents"
    assert (updated, replaced) == ("updateTwin", "replaceTwin")
    assert patch["version"] == 4
    assert "tags" not in patch
    assert patch["properties"]["desired"]["rate"] == 7
    assert patch["properties"]["desired"]["$version"] == 2
    assert whole["deviceId"] == "gw1"
    assert whole["tags"] == {"a": 1}


async def test_device_is_not_kept_from_anything_by_events_that_nobody_wants(
    world: CloudWorld,
) -> None:
    await world.hubs.devices.put(world.hub, DeviceDraft("gw1", SAS))
    await world.hubs.twins.patch(world.hub, "gw1", tags={"a": 1})
    await world.hubs.devices.delete(world.hub, "gw1")

    assert await told(world) == []
