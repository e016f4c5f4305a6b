"""CA certificates of hubs at rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.support import authority
from tests.support.stores import Stores

from mooring.cloud.cacertificates.model import CaCertificate, StoredCertificate
from mooring.cloud.preconditions import RecordChanged, RecordExists, RecordsFull

AT = datetime(2030, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def ca(name: str, etag: str = "e1") -> CaCertificate:
    return CaCertificate(
        name,
        StoredCertificate.of(authority.root(name.lower()).certificate),
        verified=False,
        verification_code="CODE",
        code_made_at=AT,
        former_codes=("A", "B"),
        etag=etag,
        created_at=AT,
        updated_at=AT,
    )


async def hub(stores: Stores, name: str = "one") -> int:
    return (await stores.hub.create_hub(name, f"{name}.test", 1, AT)).hub_id


async def test_what_is_saved_is_loaded_by_name_and_by_hub(stores: Stores) -> None:
    one, two = await hub(stores), await hub(stores, "two")
    records = [ca("Zebra"), replace(ca("alpha"), verification_code=None, code_made_at=None)]
    for record in records:
        await stores.hub.save_hub_certificate(one, record, replaces=None, limit=9)
    await stores.hub.save_hub_certificate(two, records[0], replaces=None, limit=9)

    loaded = await stores.hub.load_hub_certificates(one)

    assert loaded.certificates == (records[1], records[0])
    assert (await stores.hub.load_hub_certificates(two)).certificates == (records[0],)
    assert (await stores.hub.load_hub_certificates(await hub(stores, "none"))).certificates == ()


async def test_each_write_raises_the_version_of_its_hub(stores: Stores) -> None:
    one, two = await hub(stores), await hub(stores, "two")
    versions = [(await stores.hub.load_hub_certificates(one)).version]
    record = ca("top")
    await stores.hub.save_hub_certificate(one, record, replaces=None, limit=9)
    versions.append((await stores.hub.load_hub_certificates(one)).version)
    await stores.hub.save_hub_certificate(
        one, replace(record, etag="e2", verified=True), replaces="e1", limit=9
    )
    versions.append((await stores.hub.load_hub_certificates(one)).version)
    await stores.hub.delete_hub_certificate(one, "TOP", replaces="e2")
    versions.append((await stores.hub.load_hub_certificates(one)).version)

    assert versions == sorted(set(versions))
    assert (await stores.hub.load_hub_certificates(two)).version == versions[0]
    assert (await stores.hub.load_hub_certificates(one)).certificates == ()


async def test_what_does_not_fit_is_refused_and_changes_nothing(stores: Stores) -> None:
    one = await hub(stores)
    record = ca("top")
    await stores.hub.save_hub_certificate(one, record, replaces=None, limit=1)
    before = await stores.hub.load_hub_certificates(one)

    async def save(changed: CaCertificate, replaces: str | None, limit: int = 9) -> None:
        await stores.hub.save_hub_certificate(one, changed, replaces=replaces, limit=limit)

    with pytest.raises(RecordExists):
        await save(replace(record, name="TOP"), None)
    with pytest.raises(RecordExists):
        await save(replace(record, name="other"), None)
    with pytest.raises(RecordsFull):
        await save(ca("more"), None, limit=1)
    with pytest.raises(RecordChanged):
        await save(record, "stale")
    with pytest.raises(RecordChanged):
        await save(ca("gone"), "e1")
    with pytest.raises(RecordChanged):
        await stores.hub.delete_hub_certificate(one, "top", replaces="stale")
    with pytest.raises(RecordChanged):
        await stores.hub.delete_hub_certificate(one, "gone", replaces="e1")
    assert await stores.hub.load_hub_certificates(one) == before
