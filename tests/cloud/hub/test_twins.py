"""Twins by the service: rules, order of what is told, what a device sees."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support.cloudworld import CloudWorld

from mooring.cloud.hub.devicebound.model import MessageDraft
from mooring.cloud.hub.errors import DeviceNotFound, EtagMismatch, HubError, InputInvalid
from mooring.cloud.hub.model import AuthenticationType, DeviceAuthentication, DeviceDraft, Hub
from mooring.cloud.hub.twins.documents import twin_to_json
from mooring.cloud.hub.twins.model import DesiredChange, TwinChange
from mooring.cloud.hub.twins.service import TwinService
from mooring.protocol.azure.timestamps import format_timestamp

PINNED = DeviceAuthentication(AuthenticationType.SELF_SIGNED, "AB" * 32)


class Dock:
    """A device of the first hub, and all that was told of its twin."""

    def __init__(self, world: CloudWorld, hub: Hub, generation_id: str) -> None:
        self.hub, self.generation_id = hub, generation_id
        self.twins: TwinService = world.hubs.twins
        self.desired: list[DesiredChange] = []
        self.changes: list[TwinChange] = []
        self.twins.on_desired_change(self.desired.append)
        self.twins.on_change(self.changes.append)

    async def report(
        self, patch: bytes, *, base_version: int | None = None, generation_id: str | None = None
    ) -> int:
        """Return the new version of the reported properties."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def done(version: int | None, error: BaseException | None) -> None:
            if version is not None:
                future.set_result(version)
            else:
                assert error is not None
                future.set_exception(error)

        self.twins.submit_reported(
            self.hub,
            "dock-07",
            generation_id or self.generation_id,
            patch,
            base_version=base_version,
            done=done,
        )
        assert not future.done()
        return await future

    def document(self) -> Any:
        """Return what the device is shown."""
        data = self.twins.device_document(self.hub, "dock-07", self.generation_id)
        assert data is not None
        return json.loads(data)


@pytest.fixture
async def dock(world: CloudWorld) -> Dock:
    hub = world.hubs.hubs.list()[0]
    identity = await world.hubs.devices.put(hub, DeviceDraft("dock-07", PINNED))
    return Dock(world, hub, identity.generation_id)


async def test_the_twin_of_the_service_api_has_azures_shape(world: CloudWorld, dock: Dock) -> None:
    now = format_timestamp(world.clock.now())
    world.hubs.connected(dock.hub, "dock-07")
    twin = await dock.twins.patch(dock.hub, "dock-07", tags={"site": "north"}, desired={"rate": 5})

    assert twin == await dock.twins.get(dock.hub, "dock-07")
    stamp = {"$lastUpdated": now, "$lastUpdatedVersion": 2}
    assert twin_to_json(twin) == {
        "deviceId": "dock-07",
        "etag": "AAAAAAAAAAI=",
        "deviceEtag": twin.identity.etag,
        "status": "enabled",
        "statusUpdateTime": "0001-01-01T00:00:00Z",
        "connectionState": "Connected",
        "lastActivityTime": now,
        "cloudToDeviceMessageCount": 0,
        "authenticationType": "selfSigned",
        "x509Thumbprint": {"primaryThumbprint": "AB" * 32, "secondaryThumbprint": None},
        "version": 3,
        "tags": {"site": "north"},
        "properties": {
            "desired": {"rate": 5, "$metadata": {**stamp, "rate": stamp}, "$version": 2},
            "reported": {"$metadata": {"$lastUpdated": now}, "$version": 1},
        },
        "capabilities": {"iotEdge": False},
    }


async def test_waiting_messages_and_model_are_shown(world: CloudWorld, dock: Dock) -> None:
    await world.hubs.devices.put(dock.hub, DeviceDraft("other", PINNED))
    await world.hubs.devicebound.send(dock.hub, "dock-07", MessageDraft(b"go"))
    dock.twins.set_model_id(dock.hub, "dock-07", dock.generation_id, "dtmi:mooring:Dock;1")
    await dock.report(b"{}")

    scanned = await dock.twins.scan(dock.hub, limit=2)
    for twin in (await dock.twins.get(dock.hub, "dock-07"), scanned[0]):
        document = twin_to_json(twin)
        assert document["cloudToDeviceMessageCount"] == 1
        assert document["modelId"] == "dtmi:mooring:Dock;1"
    assert twin_to_json(scanned[1])["cloudToDeviceMessageCount"] == 0


async def test_the_last_of_two_models_named_at_once_stays(world: CloudWorld, dock: Dock) -> None:
    for model_id in ("dtmi:mooring:Dock;1", None, None, "dtmi:mooring:Dock;2", None):
        dock.twins.set_model_id(dock.hub, "dock-07", dock.generation_id, model_id)
    await dock.report(b"{}")

    assert (await dock.twins.get(dock.hub, "dock-07")).model_id is None


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"initial_tags": {"a.b": 1}}, 400004),
        ({"initial_desired": {"$version": 1}}, 400004),
        ({"initial_tags": {f"k{number}": "x" * 4000 for number in range(3)}}, 413001),
    ],
)
async def test_a_device_is_not_created_with_what_no_twin_may_hold(
    world: CloudWorld, dock: Dock, members: dict[str, Any], code: int
) -> None:
    with pytest.raises(InputInvalid) as refused:
        await world.hubs.devices.put(dock.hub, DeviceDraft("new", PINNED, **members))
    assert refused.value.error_code == code
    with pytest.raises(DeviceNotFound):
        await dock.twins.get(dock.hub, "new")


async def test_a_device_is_told_of_each_desired_change_as_it_was_sent(dock: Dock) -> None:
    await dock.twins.patch(dock.hub, "dock-07", desired={"rate": 7, "old": None})
    await dock.twins.patch(dock.hub, "dock-07", tags={"a": 1})
    await dock.twins.patch(dock.hub, "dock-07", tags={"a": 2}, desired={})
    await dock.twins.replace(dock.hub, "dock-07", desired={"mode": {"x": None, "y": 1}})
    await dock.twins.replace(dock.hub, "dock-07", tags={})
    await dock.twins.replace(dock.hub, "dock-07", desired={})

    assert [(change.version, change.body) for change in dock.desired] == [
        (2, b'{"rate":7,"old":null,"$version":2}'),
        (3, b'{"mode":{"y":1},"$version":3}'),
        (4, b'{"$version":4}'),
    ]
    assert {change.generation_id for change in dock.desired} == {dock.generation_id}
    assert dock.document()["desired"] == {"$version": 4}


async def test_desired_changes_are_told_in_order_and_before_the_caller_goes_on(
    dock: Dock,
) -> None:
    async def change(number: int) -> None:
        twin = await dock.twins.patch(dock.hub, "dock-07", desired={"n": number})
        assert dock.desired[-1].version >= twin.desired.version

    await asyncio.gather(*(change(number) for number in range(50)))

    assert [told.version for told in dock.desired] == list(range(2, 52))
    assert [told.version for told in dock.changes] == list(range(3, 53))


async def test_twin_change_events_tell_what_changed(world: CloudWorld, dock: Dock) -> None:
    now = format_timestamp(world.clock.now())
    await dock.twins.patch(dock.hub, "dock-07", tags={"a": 1}, desired={"rate": {"x": None}})
    await dock.report(b'{"fw":"1.4","old":null}')
    replaced = await dock.twins.replace(dock.hub, "dock-07", tags={"b": 2})
    await dock.twins.patch(dock.hub, "dock-07")

    updated, reported, whole = dock.changes
    stamp = {"$lastUpdated": now, "$lastUpdatedVersion": 2}
    assert updated.operation == "updateTwin"
    assert updated.body == {
        "version": 3,
        "tags": {"a": 1},
        "properties": {
            "desired": {
                "rate": {"x": None},
                "$metadata": {**stamp, "rate": {**stamp, "x": stamp}},
                "$version": 2,
            }
        },
    }
    seen = {"$lastUpdated": now}
    assert reported.operation == "updateTwin"
    assert reported.body == {
        "version": 4,
        "properties": {
            "reported": {
                "fw": "1.4",
                "old": None,
                "$metadata": {**seen, "fw": seen, "old": seen},
                "$version": 2,
            }
        },
    }
    assert whole.operation == "replaceTwin"
    document = twin_to_json(replaced)
    assert whole.body == {
        key: document[key] for key in ("deviceId", "etag", "version", "tags", "properties")
    }


async def test_a_device_sees_the_patch_that_was_acknowledged(dock: Dock) -> None:
    assert await dock.report(b'{"fw":"1.4","net":{"rssi":-61}}') == 2
    assert await dock.report(b'{"net":null}') == 3
    assert dock.document() == {"desired": {"$version": 1}, "reported": {"fw": "1.4", "$version": 3}}


@pytest.mark.parametrize(
    ("patch", "code"), [(b"{", 400004), (b'{"bad.key":1}', 400004), (b'{"$version":3}', 400004)]
)
async def test_a_bad_patch_is_refused_at_once(dock: Dock, patch: bytes, code: int) -> None:
    with pytest.raises(InputInvalid) as refused:
        await dock.report(patch)
    assert refused.value.error_code == code
    assert refused.value.remedy
    assert dock.changes == []


async def test_a_twin_that_would_outgrow_its_limit_is_refused(dock: Dock) -> None:
    text = json.dumps({f"k{number}": "x" * 4000 for number in range(8)}).encode()
    assert await dock.report(text) == 2
    more = b'{"more":"%b"}' % (b"x" * 4000)
    for attempt in (
        dock.report(more),
        dock.report(text.replace(b"k7", b"m7").replace(b"}", b"," + more[1:])),
        dock.twins.patch(dock.hub, "dock-07", tags=json.loads(text)),
    ):
        with pytest.raises(InputInvalid) as refused:
            await attempt
        assert refused.value.error_code == 413001
    assert dock.document()["reported"]["$version"] == 2


async def test_versions_and_generations_that_do_not_fit_are_refused(
    world: CloudWorld, dock: Dock
) -> None:
    with pytest.raises(EtagMismatch):
        await dock.report(b"{}", base_version=2)
    with pytest.raises(EtagMismatch):
        await dock.twins.patch(dock.hub, "dock-07", tags={"a": 1}, if_match='"AAAAAAAAAAc="')
    with pytest.raises(DeviceNotFound):
        await dock.report(b"{}", generation_id="1")
    for attempt in (
        dock.twins.get(dock.hub, "Dock-07"),
        dock.twins.patch(dock.hub, "Dock-07", tags={"a": 1}),
    ):
        with pytest.raises(DeviceNotFound):
            await attempt
    assert dock.changes == dock.desired == []


async def test_a_listener_that_fails_harms_nobody(dock: Dock) -> None:
    def fail(_: object) -> None:
        raise HubError("no", "no")

    dock.twins.on_change(fail)
    dock.twins.on_desired_change(fail)
    assert (await dock.twins.patch(dock.hub, "dock-07", desired={"a": 1})).version == 3
    assert await dock.report(b"{}") == 2
