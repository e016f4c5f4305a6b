"""Several clients change one record at one time, and no write is lost."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from tests.support.cloudworld import CloudWorld
from tests.support.stores import Stores

from mooring.cloud.dps.errors import AlreadyExists, EtagMismatch, NotFound, Overloaded
from mooring.cloud.dps.model import (
    EnrollmentDraft,
    EnrollmentGroup,
    EnrollmentTerms,
    GroupDraft,
    IndividualEnrollment,
    InitialTwin,
    SymmetricKeys,
    SymmetricKeySlots,
)
from mooring.cloud.dps.service import DpsService
from mooring.protocol.azure.sas import encode_key

CLIENTS = 24
CHANGES_EACH = 5


def counted(number: int) -> EnrollmentTerms:
    return EnrollmentTerms(initial_twin=InitialTwin({"count": number}, {}))


def count_of(record: IndividualEnrollment | EnrollmentGroup) -> int:
    assert record.terms.initial_twin is not None
    return int(record.terms.initial_twin.tags["count"])


async def put_enrollment(
    dps: DpsService, number: int, if_match: str | None
) -> IndividualEnrollment:
    draft = EnrollmentDraft("edgegw01", SymmetricKeySlots(), terms=counted(number))
    return await dps.enrollments.put(draft, if_match=if_match)


async def put_group(dps: DpsService, number: int, if_match: str | None) -> EnrollmentGroup:
    draft = GroupDraft("edgegw01", SymmetricKeySlots(), counted(number))
    return await dps.groups.put(draft, if_match=if_match)


async def get_enrollment(dps: DpsService) -> IndividualEnrollment:
    return await dps.enrollments.get("edgegw01")


async def get_group(dps: DpsService) -> EnrollmentGroup:
    return await dps.groups.get("edgegw01")


@dataclass
class Kind:
    """How a kind of record is read and written."""

    get: Callable[[DpsService], Awaitable[IndividualEnrollment | EnrollmentGroup]]
    put: Callable[[DpsService, int, str | None], Awaitable[IndividualEnrollment | EnrollmentGroup]]


@dataclass
class Tally:
    """What the clients saw."""

    etags: list[str] = field(default_factory=list)
    refused: int = 0


KINDS = [
    pytest.param(Kind(get_enrollment, put_enrollment), id="enrollment"),
    pytest.param(Kind(get_group, put_group), id="group"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nodes", [1, 2])
async def test_each_read_change_and_write_with_its_etag_counts_once(
    stores: Stores, kind: Kind, nodes: int
) -> None:
    worlds = [await CloudWorld.open(stores) for _ in range(nodes)]
    await kind.put(worlds[0].dps, 0, None)
    if nodes > 1:
        # A node that has not heard of the record yet is none of this test's matter.
        worlds[1] = await CloudWorld.open(stores)
    tally = Tally()

    async def client(dps: DpsService) -> None:
        for _ in range(CHANGES_EACH):
            while True:
                record = await kind.get(dps)
                await asyncio.sleep(0)  # as a client on the network: others come in between
                try:
                    written = await kind.put(dps, count_of(record) + 1, record.etag)
                except EtagMismatch:
                    tally.refused += 1
                    continue
                tally.etags.append(written.etag)
                break

    await asyncio.gather(*(client(worlds[number % nodes].dps) for number in range(CLIENTS)))

    # Opened now: a node knows its groups from memory, and hears of another's last write later.
    reader = await CloudWorld.open(stores)
    assert count_of(await kind.get(reader.dps)) == CLIENTS * CHANGES_EACH
    assert len(set(tally.etags)) == CLIENTS * CHANGES_EACH
    assert tally.refused > 0


@pytest.mark.parametrize("kind", KINDS)
async def test_of_many_that_create_one_wins_and_the_rest_is_told(
    world: CloudWorld, kind: Kind
) -> None:
    results = await asyncio.gather(
        *(kind.put(world.dps, number, None) for number in range(CLIENTS)), return_exceptions=True
    )

    (won,) = [result for result in results if not isinstance(result, AlreadyExists)]
    assert await kind.get(world.dps) == won


@pytest.mark.parametrize("kind", KINDS)
async def test_with_a_star_the_last_write_stays_and_nobody_hears_of_etags(
    world: CloudWorld, kind: Kind
) -> None:
    await kind.put(world.dps, 0, None)

    results = await asyncio.gather(
        *(kind.put(world.dps, number, "*") for number in range(1, CLIENTS)), return_exceptions=True
    )

    refused = [result for result in results if isinstance(result, BaseException)]
    written = [result for result in results if not isinstance(result, BaseException)]
    assert {type(error) for error in refused} <= {Overloaded}
    assert await kind.get(world.dps) in written


async def test_of_a_change_and_a_deletion_of_one_version_one_wins(world: CloudWorld) -> None:
    for _ in range(10):
        first = await put_enrollment(world.dps, 0, None)
        changed, deleted = await asyncio.gather(
            put_enrollment(world.dps, 1, first.etag),
            world.dps.enrollments.delete("edgegw01", if_match=first.etag),
            return_exceptions=True,
        )
        if isinstance(changed, BaseException):
            assert isinstance(changed, EtagMismatch)
            assert deleted is None
            with pytest.raises(NotFound):
                await get_enrollment(world.dps)
        else:
            assert isinstance(deleted, EtagMismatch)
            assert await get_enrollment(world.dps) == changed
            await world.dps.enrollments.delete("edgegw01")


async def test_keys_that_change_while_devices_register_end_up_at_the_hub(
    world: CloudWorld,
) -> None:
    keys = [secrets.token_bytes(32) for _ in range(8)]
    await world.enroll_keys(keys[0], keys[0])

    async def change() -> None:
        for key in keys[1:]:
            slots = SymmetricKeySlots(encode_key(key), encode_key(key))
            await world.dps.enrollments.put(EnrollmentDraft("edgegw01", slots), if_match="*")
            await asyncio.sleep(0)

    async def device(key: bytes) -> None:
        command = world.command((), "edgegw01", None, sas_token=world.token(key))
        await world.dps.register(command)

    await asyncio.gather(
        change(), *(device(key) for key in keys for _ in range(3)), return_exceptions=True
    )
    await device(keys[-1])

    enrolled = (await get_enrollment(world.dps)).attestation
    assert isinstance(enrolled, SymmetricKeys)
    hub = world.hubs.hubs.by_host_name(
        str((await world.dps.registrations.get("edgegw01")).assigned_hub)
    )
    device_ = await world.hubs.devices.get(hub, "edgegw01")
    assert device_.authentication.primary_key == enrolled.primary == encode_key(keys[-1])
    listed = await world.dps.registrations.list()
    assert len(listed.items) == 1
