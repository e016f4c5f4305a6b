"""CA certificates of hubs: what vouches for devices, and what does not (any more)."""

from __future__ import annotations

import asyncio

import pytest
from tests.support import authority
from tests.support.cloudworld import CloudWorld

from mooring.cloud.cacertificates.service import MAX_CA_CERTIFICATES, CaCertificateService
from mooring.cloud.hub.errors import (
    CertificateAlreadyExists,
    CertificateLimitReached,
    CertificateNotFound,
    ConnectRefused,
    EtagMismatch,
    InputInvalid,
    VerificationFailed,
)
from mooring.cloud.hub.model import (
    AuthenticationType,
    DeviceAuthentication,
    DeviceDraft,
)
from mooring.cloud.hub.service import HubService
from mooring.pki.plans import Issued


@pytest.fixture(scope="module")
def top() -> Issued:
    return authority.root()


@pytest.fixture
async def certificates(world: CloudWorld) -> CaCertificateService:
    await world.hubs.devices.put(
        world.hub,
        DeviceDraft("edgegw01", DeviceAuthentication(AuthenticationType.CERTIFICATE_AUTHORITY)),
    )
    return world.hubs.certificates.of(world.hub)


async def lets_in(world: CloudWorld, *chain: Issued) -> bool:
    try:
        await world.connect(*(issued.certificate for issued in chain))
    except ConnectRefused as error:
        if error.code != "ca-unknown":
            raise
        return False
    return True


async def test_a_certificate_vouches_once_possession_is_proved_and_until_it_goes(
    world: CloudWorld, certificates: CaCertificateService, top: Issued
) -> None:
    own = authority.device(top)
    assert not await lets_in(world, own)
    await certificates.add("top", top.certificate_pem)
    assert not await lets_in(world, own)
    coded = await certificates.generate_verification_code("top")
    assert coded.verification_code is not None
    proof = authority.verification(coded.verification_code, top)
    proved = await certificates.verify("top", proof.certificate_pem, if_match=coded.etag)

    assert proved.verified
    assert await lets_in(world, own)

    await certificates.delete("top", if_match=proved.etag)
    assert not await lets_in(world, own)


async def test_an_intermediate_is_an_anchor_of_its_own(
    world: CloudWorld, certificates: CaCertificateService, top: Issued
) -> None:
    line = authority.intermediate(top)
    own = authority.device(line)
    await certificates.add("line", line.certificate_pem, verified=True)

    assert await lets_in(world, own)
    assert not await lets_in(world, authority.device(top))


async def test_another_certificate_in_place_of_a_verified_one_vouches_for_nobody_yet(
    world: CloudWorld, certificates: CaCertificateService, top: Issued
) -> None:
    await certificates.add("top", top.certificate_pem, verified=True)
    other = authority.root("another")

    await certificates.put("top", other.certificate_pem, if_match="*")

    assert not await lets_in(world, authority.device(top))
    assert not await lets_in(world, authority.device(other))


async def test_certificates_are_there_after_a_restart(
    world: CloudWorld, certificates: CaCertificateService, top: Issued
) -> None:
    await certificates.add("top", top.certificate_pem, verified=True)

    world.hubs = await HubService.start(world.stores.hub, clock=world.clock)

    assert await lets_in(world, authority.device(top))


async def test_certificates_of_one_hub_vouch_at_no_other(
    world: CloudWorld, certificates: CaCertificateService, top: Issued
) -> None:
    other = await world.hubs.hubs.create("second", "second.test")
    await world.hubs.certificates.of(other).add("top", top.certificate_pem, verified=True)

    assert not await lets_in(world, authority.device(top))
    assert await certificates.list() == ()


async def test_refusals_are_the_hubs(certificates: CaCertificateService, top: Issued) -> None:
    added = await certificates.add("top", top.certificate_pem)
    with pytest.raises(InputInvalid):
        await certificates.add("a b", top.certificate_pem)
    with pytest.raises(InputInvalid):
        await certificates.add("leaf", authority.device(top).certificate_pem)
    with pytest.raises(CertificateAlreadyExists):
        await certificates.add("top", authority.root().certificate_pem)
    with pytest.raises(CertificateAlreadyExists):
        await certificates.add("other", top.certificate_pem)
    with pytest.raises(CertificateNotFound):
        await certificates.get("nobody")
    with pytest.raises(EtagMismatch):
        await certificates.delete("top", if_match="stale")
    with pytest.raises(VerificationFailed):
        await certificates.verify("top", authority.verification("0" * 48, top).certificate_pem)
    assert await certificates.list() == (added,)


async def test_twenty_five_fit(certificates: CaCertificateService) -> None:
    for number in range(MAX_CA_CERTIFICATES):
        await certificates.add(f"ca{number}", authority.root(f"root{number}").certificate_pem)

    with pytest.raises(CertificateLimitReached) as refused:
        await certificates.add("one-more", authority.root().certificate_pem)
    assert refused.value.http_status == 400


async def test_changes_at_once_leave_the_newest_in_memory(
    world: CloudWorld, certificates: CaCertificateService
) -> None:
    roots = [authority.root(f"root{number}") for number in range(8)]
    await asyncio.gather(
        *(
            certificates.add(f"ca{number}", issued.certificate_pem, verified=True)
            for number, issued in enumerate(roots)
        )
    )

    assert len(await certificates.list()) == len(roots)
    for issued in roots:
        assert await lets_in(world, authority.device(issued))
