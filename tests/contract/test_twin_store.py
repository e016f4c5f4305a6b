"""What every adapter of `mooring.cloud.hub.twins.store.TwinStore` does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.contract.test_hub_store import device
from tests.support.stores import Stores

from mooring.cloud.hub.model import DeviceIdentity, Hub
from mooring.cloud.hub.store import HubStore, InitialTwinText, ProvisionedDevice
from mooring.cloud.hub.twins.model import Twin
from mooring.cloud.hub.twins.store import (
    NoSuchTwin,
    ReportedWrite,
    ReportedWritten,
    TwinChanged,
    TwinWrite,
)
from mooring.protocol.azure.errors import TwinTooLarge
from mooring.protocol.azure.twins import TwinProperties, desired_stamp, reported_stamp

MADE = datetime(2030, 2, 3, 4, 5, 6, 123457, tzinfo=UTC)
AT = MADE + timedelta(hours=1)
GENERATION = "638700000000000001"
INITIAL = InitialTwinText('{"site":"north"}', '{"rate":5,"old":null}')
EMPTY_DOCUMENT = {"desired": {"$version": 1}, "reported": {"$version": 1}}


@pytest.fixture
def store(stores: Stores) -> HubStore:
    return stores.hub


@pytest.fixture
async def hub(store: HubStore) -> Hub:
    return await store.create_hub("first", "localhost", 4, MADE)


async def add(
    store: HubStore,
    hub: Hub,
    identity: DeviceIdentity | None = None,
    twin: InitialTwinText = INITIAL,
) -> DeviceIdentity:
    identity = identity or device()
    await store.save_device(hub.hub_id, identity, replaces=None, twin=twin, limit=99)
    return identity


async def answer(submit: Callable[[Callable[[Any, BaseException | None], None]], None]) -> Any:
    """Submit, and return or raise what `done` gets."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(result: Any, error: BaseException | None) -> None:
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    submit(done)
    return await future


async def write(
    store: HubStore,
    hub: Hub,
    *,
    tags: dict[str, Any] | None = None,
    desired: dict[str, Any] | None = None,
    whole: bool = False,
    if_match: str | None = None,
    device_id: str = "Dev-1",
) -> Twin:
    change = TwinWrite(tags, desired, whole, if_match, AT)
    result = await answer(
        lambda done: store.submit_twin(hub.hub_id, device_id, change, done, size_bytes=9)
    )
    assert isinstance(result, Twin)
    return result


async def report(
    store: HubStore,
    hub: Hub,
    patch: dict[str, Any],
    *,
    base_version: int | None = None,
    generation_id: str = GENERATION,
) -> ReportedWritten:
    change = ReportedWrite(generation_id, patch, base_version, AT, 9)
    result = await answer(lambda done: store.submit_reported(hub.hub_id, "Dev-1", change, done))
    assert isinstance(result, ReportedWritten)
    return result


def twin_of(store: HubStore, hub: Hub, device_id: str = "Dev-1") -> Twin:
    twin = store.find_twin(hub.hub_id, device_id)
    assert twin is not None
    return twin


def document_of(store: HubStore, hub: Hub, generation_id: str = GENERATION) -> Any:
    data = store.device_document(hub.hub_id, "Dev-1", generation_id)
    return None if data is None else json.loads(data)


async def test_a_new_device_has_a_twin_of_what_it_was_created_with(
    store: HubStore, hub: Hub
) -> None:
    identity = await add(store, hub)

    first = desired_stamp(MADE, 1)
    assert twin_of(store, hub) == Twin(
        identity,
        "AAAAAAAAAAE=",
        2,
        {"site": "north"},
        TwinProperties({"rate": 5}, {**first, "rate": first}, 1),
        TwinProperties({}, reported_stamp(MADE), 1),
        None,
    )
    assert store.device_document(hub.hub_id, "Dev-1", GENERATION) == (
        b'{"desired":{"rate":5,"$version":1},"reported":{"$version":1}}'
    )


async def test_a_twin_is_that_of_one_device_in_one_hub(store: HubStore, hub: Hub) -> None:
    await add(store, hub)
    await add(store, hub, device("dev-1"), InitialTwinText())
    other = await store.create_hub("other", "other.test", 1, MADE)
    await add(store, other, twin=InitialTwinText())
    await report(store, hub, {"fw": "1"})
    await write(store, hub, tags={"a": 1})

    for found in (twin_of(store, hub, "dev-1"), twin_of(store, other)):
        assert found.version == 2
        assert found.reported.values == found.tags == {}
    assert document_of(store, other) == EMPTY_DOCUMENT
    assert store.find_twin(hub.hub_id, "DEV-1") is None
    assert store.device_document(hub.hub_id, "DEV-1", GENERATION) is None


async def test_a_back_end_merges_and_replaces_sections(store: HubStore, hub: Hub) -> None:
    await add(store, hub)

    merged = await write(store, hub, tags={"deck": 2}, desired={"mode": {"x": 1}})
    assert merged == twin_of(store, hub)
    first, second = desired_stamp(MADE, 1), desired_stamp(AT, 2)
    assert (merged.version, merged.etag) == (3, "AAAAAAAAAAI=")
    assert merged.tags == {"site": "north", "deck": 2}
    assert merged.desired == TwinProperties(
        {"rate": 5, "mode": {"x": 1}},
        {**second, "rate": first, "mode": {**second, "x": second}},
        2,
    )

    tagged = await write(store, hub, tags={"site": None})
    assert (tagged.version, tagged.etag, tagged.desired) == (4, "AAAAAAAAAAM=", merged.desired)
    assert tagged.tags == {"deck": 2}

    whole = await write(store, hub, desired={"rate": 6, "gone": None}, whole=True)
    assert (whole.version, whole.etag, whole.tags) == (5, "AAAAAAAAAAQ=", {"deck": 2})
    third = desired_stamp(AT, 3)
    assert whole.desired == TwinProperties({"rate": 6}, {**third, "rate": third}, 3)

    nothing = await write(store, hub)
    assert nothing == whole


async def test_a_device_merges_and_its_base_version_counts(store: HubStore, hub: Hub) -> None:
    await add(store, hub, twin=InitialTwinText())

    assert await report(store, hub, {"fw": "1.4", "net": {"rssi": -61}}) == ReportedWritten(3, 2)
    assert await report(store, hub, {"net": None}, base_version=2) == ReportedWritten(4, 3)
    with pytest.raises(TwinChanged):
        await report(store, hub, {"fw": "2"}, base_version=2)
    assert await report(store, hub, {}) == ReportedWritten(5, 4)

    twin = twin_of(store, hub)
    stamp = reported_stamp(AT)
    assert twin.etag == "AAAAAAAAAAE="
    assert twin.reported == TwinProperties({"fw": "1.4"}, {**stamp, "fw": stamp}, 4)
    assert document_of(store, hub) == {
        "desired": {"$version": 1},
        "reported": {"fw": "1.4", "$version": 4},
    }


async def test_a_write_with_an_etag_that_does_not_fit_changes_nothing(
    store: HubStore, hub: Hub
) -> None:
    await add(store, hub)
    for fits in ("*", '"*"', "AAAAAAAAAAM=", 'W/"AAAAAAAAAAQ="'):
        await write(store, hub, tags={"a": 1}, if_match=fits)
    before = twin_of(store, hub)
    with pytest.raises(TwinChanged):
        await write(store, hub, tags={"a": 2}, if_match='"AAAAAAAAAAE="')
    with pytest.raises(TwinChanged):
        await write(store, hub, if_match='"AAAAAAAAAAE="')
    assert twin_of(store, hub) == before


async def test_a_write_that_would_outgrow_a_section_changes_nothing(
    store: HubStore, hub: Hub
) -> None:
    await add(store, hub)
    large = {f"k{number}": "x" * 4000 for number in range(8)}
    await report(store, hub, large)
    await write(store, hub, desired=large, tags={"k": "x" * 4000})
    before = twin_of(store, hub)

    more = {"more": "x" * 4000}
    with pytest.raises(TwinTooLarge):
        await report(store, hub, more)
    with pytest.raises(TwinTooLarge):
        await write(store, hub, tags={"fits": 1}, desired=more)
    with pytest.raises(TwinTooLarge):
        await write(store, hub, tags={**more, "again": "x" * 4000}, desired={"fits": 1})
    assert twin_of(store, hub) == before
    await report(store, hub, {**more, "k0": None})


async def test_a_patch_of_an_older_generation_changes_nothing(store: HubStore, hub: Hub) -> None:
    await add(store, hub, twin=InitialTwinText())
    await report(store, hub, {"fw": "1"})
    await write(store, hub, tags={"a": 1})
    await store.delete_device(hub.hub_id, "Dev-1", replaces="e1")
    for attempt in (report(store, hub, {}), write(store, hub, tags={})):
        with pytest.raises(NoSuchTwin):
            await attempt

    await add(store, hub, replace(device(), generation_id="639"), InitialTwinText())

    with pytest.raises(NoSuchTwin):
        await report(store, hub, {"fw": "2"})
    assert document_of(store, hub) is None
    assert document_of(store, hub, "639") == EMPTY_DOCUMENT
    assert twin_of(store, hub).version == 2
    assert twin_of(store, hub).tags == {}


async def test_a_provisioned_removal_deletes_the_twin_too(store: HubStore, hub: Hub) -> None:
    await add(store, hub)
    await report(store, hub, {"fw": "1"})
    await store.commit(store.prepare_device_removal(hub.hub_id, "Dev-1"))
    await add(store, hub, twin=InitialTwinText())
    assert document_of(store, hub) == EMPTY_DOCUMENT


async def test_changed_credentials_leave_the_twin_alone(store: HubStore, hub: Hub) -> None:
    await add(store, hub)
    await report(store, hub, {"fw": "1"})
    before = twin_of(store, hub)
    changed = replace(device(etag="e2"), status_reason="other")
    await store.save_device(hub.hub_id, changed, replaces="e1", twin=InitialTwinText(), limit=9)
    assert twin_of(store, hub) == replace(before, identity=changed)


def provision(hub: Hub, store: HubStore, *, reset: bool, migrate_from: Hub | None = None) -> Any:
    identity = replace(device(etag="e9"), generation_id="640", created_at=AT)
    wanted = ProvisionedDevice(
        identity,
        InitialTwinText('{"new":1}', '{"speed":2}'),
        reset,
        None if migrate_from is None else migrate_from.hub_id,
    )
    return store.prepare_provisioned_device(hub.hub_id, wanted)


async def test_provisioning_a_device_again_keeps_its_twin_or_makes_it_fresh(
    store: HubStore, hub: Hub
) -> None:
    await add(store, hub)
    await report(store, hub, {"fw": "1"})
    before = twin_of(store, hub)

    await store.commit(provision(hub, store, reset=False))
    assert twin_of(store, hub).reported == before.reported

    await store.commit(provision(hub, store, reset=True))
    fresh = twin_of(store, hub)
    stamp = desired_stamp(AT, 1)
    assert (fresh.version, fresh.etag, fresh.tags) == (2, "AAAAAAAAAAE=", {"new": 1})
    assert fresh.desired == TwinProperties({"speed": 2}, {**stamp, "speed": stamp}, 1)
    assert fresh.reported == TwinProperties({}, reported_stamp(AT), 1)


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("known_there", [True, False])
async def test_a_device_that_moves_takes_its_whole_twin_along(
    store: HubStore, hub: Hub, *, written: bool, known_there: bool
) -> None:
    other = await store.create_hub("other", "other.test", 1, MADE)
    await add(store, hub)
    if written:
        await report(store, hub, {"fw": "1"})
        await write(store, hub, tags={"deck": 2}, desired={"rate": 7})
    await answer(
        lambda done: store.submit_model_id(hub.hub_id, "Dev-1", GENERATION, "dtmi:x;1", done)
    )
    before = twin_of(store, hub)
    if known_there:
        await add(store, other, device(etag="there"))
        await report(store, other, {"stale": True})

    await store.commit(
        provision(other, store, reset=False, migrate_from=hub),
        store.prepare_device_removal(hub.hub_id, "Dev-1"),
    )

    after = twin_of(store, other)
    assert replace(after, identity=before.identity) == before
    assert store.find_twin(hub.hub_id, "Dev-1") is None


async def test_a_twin_is_written_in_one_commit_with_its_device(store: HubStore, hub: Hub) -> None:
    change = TwinWrite({"a": 1}, {"b": 2}, False, None, AT)
    works = (
        provision(hub, store, reset=False),
        store.prepare_twin(hub.hub_id, "Dev-1", change),
    )
    _, twin = await store.commit(*works)
    assert twin == twin_of(store, hub)
    assert twin.tags == {"new": 1, "a": 1}

    unfit = replace(change, if_match="AAAAAAAAAAE=")
    with pytest.raises(TwinChanged):
        await store.commit(
            store.prepare_device_removal(hub.hub_id, "other"),
            provision(hub, store, reset=True),
            store.prepare_twin(hub.hub_id, "Dev-1", replace(unfit, if_match="AAAAAAAAAAc=")),
        )
    assert twin_of(store, hub) == twin


async def test_the_model_is_that_of_the_last_connection(store: HubStore, hub: Hub) -> None:
    await add(store, hub)
    for model_id in ("dtmi:mooring:Dock;1", "dtmi:mooring:Dock;2", None):
        for generation_id, named in ((GENERATION, model_id), ("older", "dtmi:old;1")):
            await answer(
                lambda done, generation_id=generation_id, named=named: store.submit_model_id(  # type: ignore[misc]
                    hub.hub_id, "Dev-1", generation_id, named, done
                )
            )
        twin = twin_of(store, hub)
        assert twin.model_id == model_id
        assert twin.version == 2


async def test_twins_are_scanned_by_device_id(store: HubStore, hub: Hub) -> None:
    for number in range(5):
        await add(store, hub, device(f"d{number}"))
    other = await store.create_hub("other", "other.test", 1, MADE)
    await add(store, other, device("d9"))
    await write(store, hub, tags={"number": 3}, device_id="d3")

    whole = await store.scan_twins(hub.hub_id, after=None, limit=9)
    assert [twin.identity.device_id for twin in whole] == ["d0", "d1", "d2", "d3", "d4"]
    assert whole[3] == twin_of(store, hub, "d3")
    assert whole[4] == twin_of(store, hub, "d4")
    assert list(await store.scan_twins(hub.hub_id, after="d1", limit=2)) == list(whole[2:4])


async def test_patches_submitted_together_build_on_one_another(store: HubStore, hub: Hub) -> None:
    await add(store, hub, twin=InitialTwinText())
    answers: list[tuple[int, int]] = []
    finished = asyncio.Event()

    def done(number: int, result: ReportedWritten | None, error: BaseException | None) -> None:
        assert error is None
        assert result is not None
        answers.append((number, result.reported_version))
        # What was answered is seen by the next look-up.
        assert document_of(store, hub)["reported"]["$version"] >= result.reported_version
        if len(answers) == 200:
            finished.set()

    for number in range(200):
        patch = ReportedWrite(GENERATION, {f"k{number}": number}, None, AT, 9)
        store.submit_reported(
            hub.hub_id,
            "Dev-1",
            patch,
            lambda result, error, number=number: done(number, result, error),  # type: ignore[misc]
        )
    await finished.wait()

    assert answers == [(number, number + 2) for number in range(200)]
    assert len(twin_of(store, hub).reported.values) == 200
