"""CA certificates and proof of possession."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.support import authority
from tests.support.cloudworld import CloudWorld
from tests.support.stores import Stores

from mooring.cloud.cacertificates.service import MAX_CA_CERTIFICATES
from mooring.cloud.dps.errors import (
    AlreadyExists,
    CertificateInUse,
    CertificateNotFound,
    EtagMismatch,
    InputInvalid,
    LimitReached,
    VerificationFailed,
)
from mooring.pki.plans import Issued


@pytest.fixture(scope="module")
def top() -> Issued:
    return authority.root()


async def code_of(world: CloudWorld, name: str = "top") -> str:
    coded = await world.dps.certificates.generate_verification_code(name)
    assert coded.verification_code is not None
    return coded.verification_code


async def test_add_keeps_an_unverified_certificate(world: CloudWorld, top: Issued) -> None:
    added = await world.dps.certificates.add("Top-1", top.certificate_pem)

    assert not added.verified
    assert added.verification_code is None
    assert added.certificate.describe().subject_name == "CN=quayroot, O=Quay"
    assert await world.dps.certificates.get("top-1") == added
    assert await world.dps.certificates.list() == (added,)


@pytest.mark.parametrize("name", ["", "a" * 65, "a b", "a/b", "é"])
async def test_add_with_a_bad_name_is_refused(world: CloudWorld, top: Issued, name: str) -> None:
    with pytest.raises(InputInvalid) as refused:
        await world.dps.certificates.add(name, top.certificate_pem)

    assert (refused.value.field, refused.value.code) == ("name", "certificate-name-malformed")


async def test_add_what_is_no_certificate_is_refused(world: CloudWorld) -> None:
    with pytest.raises(InputInvalid) as refused:
        await world.dps.certificates.add("top", "-----BEGIN PRIVATE KEY-----\nAAAA\n")

    assert refused.value.http_status == 400
    assert refused.value.remedy


async def test_add_an_expired_certificate_is_refused(world: CloudWorld) -> None:
    old = authority.root(now=datetime.now(UTC) - timedelta(days=200), days=100)

    with pytest.raises(InputInvalid) as refused:
        await world.dps.certificates.add("old", old.certificate_pem)

    assert (refused.value.http_status, refused.value.code) == (400, "certificate-expired")


async def test_add_a_devices_certificate_is_refused(world: CloudWorld, top: Issued) -> None:
    with pytest.raises(InputInvalid) as refused:
        await world.dps.certificates.add("leaf", authority.device(top).certificate_pem)

    assert refused.value.code == "certificate-not-ca"


async def test_add_a_taken_name_is_refused(world: CloudWorld, top: Issued) -> None:
    await world.add_ca("top", top)

    with pytest.raises(AlreadyExists) as refused:
        await world.dps.certificates.add("TOP", authority.root().certificate_pem)

    assert refused.value.field == "name"


async def test_add_the_same_certificate_twice_is_refused(world: CloudWorld, top: Issued) -> None:
    await world.add_ca("top", top)

    with pytest.raises(AlreadyExists) as refused:
        await world.dps.certificates.add("other", top.certificate_pem)

    assert refused.value.code == "certificate-already-exists"
    assert "'top'" in refused.value.message


async def test_add_beyond_the_limit_is_refused(world: CloudWorld) -> None:
    for number in range(MAX_CA_CERTIFICATES):
        await world.add_ca(f"ca{number}", authority.root(f"root{number}"))

    with pytest.raises(LimitReached):
        await world.add_ca("one-more", authority.root())


async def test_verify_with_the_right_certificate_verifies(world: CloudWorld, top: Issued) -> None:
    await world.add_ca("top", top, verified=False)
    code = await code_of(world)
    before = await world.dps.certificates.get("top")

    verified = await world.dps.certificates.verify(
        "top", authority.verification(code, top).certificate_pem, if_match=before.etag
    )

    assert verified.verified
    assert verified.verification_code is None
    assert verified.etag != before.etag
    assert await world.dps.certificates.get("top") == verified


async def wrong_name(code: str, top: Issued) -> Issued:
    return authority.verification(code[::-1], top)


async def other_ca(code: str, top: Issued) -> Issued:
    return authority.verification(code, authority.root("otherroot"))


async def same_name_other_key(code: str, top: Issued) -> Issued:
    return authority.verification(code, authority.root())


async def the_ca_itself(code: str, top: Issued) -> Issued:
    return top


async def other_case(code: str, top: Issued) -> Issued:
    return authority.verification(code.lower(), top)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (wrong_name, "common-name-not-code"),
        (other_case, "common-name-not-code"),
        (other_ca, "not-signed-by-ca"),
        (same_name_other_key, "verification-signature-wrong"),
        (the_ca_itself, "ca-certificate-given-instead"),
    ],
)
async def test_verify_with_a_wrong_certificate_changes_nothing(
    world: CloudWorld, top: Issued, make: object, code: str
) -> None:
    await world.add_ca("top", top, verified=False)
    proof = await make(await code_of(world), top)  # type: ignore[operator]  # one of the above
    before = await world.dps.certificates.get("top")

    with pytest.raises(VerificationFailed) as refused:
        await world.dps.certificates.verify("top", proof.certificate_pem)

    assert (refused.value.http_status, refused.value.code) == (400, code)
    assert await world.dps.certificates.get("top") == before


async def test_verify_without_a_code_is_refused(world: CloudWorld, top: Issued) -> None:
    await world.add_ca("top", top, verified=False)

    with pytest.raises(VerificationFailed) as refused:
        await world.dps.certificates.verify(
            "top", authority.verification("AB" * 20, top).certificate_pem
        )

    assert refused.value.code == "verification-code-missing"


async def test_verify_with_a_replaced_code_is_refused_as_such(
    world: CloudWorld, top: Issued
) -> None:
    await world.add_ca("top", top, verified=False)
    old = await code_of(world)
    await code_of(world)

    with pytest.raises(VerificationFailed) as refused:
        await world.dps.certificates.verify("top", authority.verification(old, top).certificate_pem)

    assert refused.value.code == "verification-code-outdated"


async def test_verify_a_day_later_is_refused(world: CloudWorld, top: Issued) -> None:
    await world.add_ca("top", top, verified=False)
    proof = authority.verification(await code_of(world), top)
    world.clock.move(timedelta(hours=25))

    with pytest.raises(VerificationFailed) as refused:
        await world.dps.certificates.verify("top", proof.certificate_pem)

    assert refused.value.code == "verification-code-expired"


async def test_verify_with_a_stale_etag_is_412(world: CloudWorld, top: Issued) -> None:
    await world.add_ca("top", top, verified=False)
    before = await world.dps.certificates.get("top")
    proof = authority.verification(await code_of(world), top)

    with pytest.raises(EtagMismatch) as refused:
        await world.dps.certificates.verify("top", proof.certificate_pem, if_match=before.etag)

    assert (refused.value.http_status, refused.value.error_code) == (412, 412001)
    assert not (await world.dps.certificates.get("top")).verified


async def test_verify_what_is_no_certificate_is_refused(world: CloudWorld, top: Issued) -> None:
    await world.add_ca("top", top, verified=False)
    await code_of(world)

    with pytest.raises(InputInvalid):
        await world.dps.certificates.verify("top", "nonsense")


async def test_a_waiting_code_is_there_for_24_hours(world: CloudWorld, top: Issued) -> None:
    await world.add_ca("top", top, verified=False)
    assert world.dps.certificates.waiting_code(await world.dps.certificates.get("top")) is None
    coded = await world.dps.certificates.generate_verification_code("top")

    waiting = world.dps.certificates.waiting_code(coded)

    assert waiting is not None
    assert waiting.code == coded.verification_code
    assert waiting.code not in repr(waiting)
    assert waiting.expires_at == world.clock.now() + timedelta(hours=24)
    world.clock.move(timedelta(hours=24))
    assert world.dps.certificates.waiting_code(coded) == waiting
    world.clock.move(timedelta(seconds=1))
    assert world.dps.certificates.waiting_code(coded) is None


async def test_two_that_replace_one_certificate_at_once_do_not_lose_a_write(
    world: CloudWorld, top: Issued
) -> None:
    await world.add_ca("top", top)
    etag = (await world.dps.certificates.get("top")).etag
    others = [authority.root("north"), authority.root("south")]

    outcomes = await asyncio.gather(
        *(
            world.dps.certificates.put("top", other.certificate_pem, if_match=etag)
            for other in others
        ),
        return_exceptions=True,
    )

    (lost,) = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    (won,) = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert isinstance(lost, EtagMismatch)
    assert await world.dps.certificates.get("top") == won
    assert not won.verified


async def test_generate_changes_code_and_etag_each_time(world: CloudWorld, top: Issued) -> None:
    await world.add_ca("top", top, verified=False)
    first = await world.dps.certificates.generate_verification_code("top")
    second = await world.dps.certificates.generate_verification_code("top", if_match=first.etag)

    assert first.verification_code != second.verification_code
    assert first.etag != second.etag
    assert first.verification_code not in repr(first)
    with pytest.raises(EtagMismatch):
        await world.dps.certificates.generate_verification_code("top", if_match=first.etag)


async def test_delete_a_referenced_certificate_is_409(world: CloudWorld, top: Issued) -> None:
    await world.add_ca("top", top)
    await world.add_group("plant", "TOP")

    with pytest.raises(CertificateInUse) as refused:
        await world.dps.certificates.delete("Top")

    assert refused.value.http_status == 409
    assert "'plant'" in refused.value.message
    await world.dps.groups.delete("plant")
    await world.dps.certificates.delete("Top")
    assert await world.dps.certificates.list() == ()


async def test_delete_with_a_stale_etag_is_412(world: CloudWorld, top: Issued) -> None:
    await world.add_ca("top", top)

    with pytest.raises(EtagMismatch):
        await world.dps.certificates.delete("top", if_match='"stale"')
    await world.dps.certificates.delete("top", if_match='"*"')


async def test_an_unknown_name_is_404(world: CloudWorld) -> None:
    for call in (
        world.dps.certificates.get("nobody"),
        world.dps.certificates.delete("nobody"),
        world.dps.certificates.generate_verification_code("nobody"),
        world.dps.certificates.verify("nobody", authority.root().certificate_pem),
    ):
        with pytest.raises(CertificateNotFound) as refused:
            await call
        assert refused.value.http_status == 404


async def test_certificates_and_codes_survive_a_restart(stores: Stores, top: Issued) -> None:
    first = await CloudWorld.open(stores)
    await first.add_ca("top", top, verified=False)
    coded = await first.dps.certificates.generate_verification_code("top")

    second = await CloudWorld.open(stores)

    assert await second.dps.certificates.get("top") == coded
