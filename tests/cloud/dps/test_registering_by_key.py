"""Attestation by symmetric key: a token decides, signed with a device's own or a derived key."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from tests.support import authority
from tests.support.cloudworld import CloudWorld
from tests.support.stores import Stores

from mooring.cloud.dps import token_matching
from mooring.cloud.dps.errors import RegistrationRefused
from mooring.cloud.dps.model import (
    AttestationType,
    EnrollmentDraft,
    EnrollmentTerms,
    ProvisioningStatus,
    SymmetricKeys,
    SymmetricKeySlots,
)
from mooring.cloud.hub.errors import ConnectRefused
from mooring.cloud.hub.model import AuthenticationType
from mooring.protocol.azure.registration_state import RegistrationStatus
from mooring.protocol.azure.sas import decode_key, derive_device_key, encode_key

DISABLED = EnrollmentTerms(provisioning_status=ProvisioningStatus.DISABLED)
KEY, OTHER_KEY = secrets.token_bytes(64), secrets.token_bytes(32)

# dps.md 7.4, computed apart from this code.
HAWSER_SCOPE = "0ne00HAWSER"
HAWSER_GROUP_KEY = (
    "npDhi6DS8MepY1sH0fIkcqWl/EXNcTv0spB03NR354Z1yrPB0muAkiKhPV7ATKPefLEMowA1pENi+gcBRqXvUw=="
)
HAWSER_DEVICE_KEY = "4mW3AT8EwPeV0Ux10pbtgsFKQq8idw7GE3Kuh9ZDtaM="
UPPER_ESCAPES = (
    "SharedAccessSignature sr=0ne00HAWSER%2Fregistrations%2Fgw-0007"
    "&sig=rqVskk4efxZno887p6ESDEhKDE3BRZVZjq1eaw3jnkE%3D&se=1900000000"
)
LOWER_ESCAPES = (
    "SharedAccessSignature sr=0ne00HAWSER%2fregistrations%2fgw-0007"
    "&sig=z%2FdMus3G4WcVcy7zbTyJJu%2FiTUF1%2FUPfOn1DzAGaWrE%3D&se=1900000000"
)
ANY_ORDER = (
    "SharedAccessSignature skn=registration&se=1900000000"
    "&sig=rqVskk4efxZno887p6ESDEhKDE3BRZVZjq1eaw3jnkE%3D"
    "&sr=0ne00HAWSER%2Fregistrations%2Fgw-0007"
)


async def refused(
    world: CloudWorld, sas_token: str, registration_id: str = "edgegw01"
) -> tuple[str, str]:
    """Return stage and code of the refusal, whose words on the wire tell nothing."""
    with pytest.raises(RegistrationRefused) as caught:
        await world.register(registration_id=registration_id, sas_token=sas_token)
    assert (caught.value.http_status, caught.value.error_code) == (401, 401002)
    assert caught.value.wire_message == "Unauthorized"
    assert world.failure is not None
    assert not (await world.dps.registrations.list()).items
    return world.failure


# -- individual enrollments ---------------------------------------------------------------------


@pytest.mark.parametrize("slot", ["primary", "secondary"])
async def test_register_with_either_key_is_assigned_and_the_hub_takes_the_keys(
    world: CloudWorld, slot: str
) -> None:
    keys = await world.enroll_keys()
    key = getattr(keys, slot)

    operation = await world.register(sas_token=world.token(key))

    registration = operation.registration
    assert registration.status is RegistrationStatus.ASSIGNED
    assert registration.attestation_type is AttestationType.SYMMETRIC_KEY
    assert registration.thumbprint is None
    assert registration.enrollment_group_id is None
    assert await world.dps.registrations.get("edgegw01") == registration
    device = await world.hubs.devices.get(world.hub, "edgegw01")
    assert device.authentication.type is AuthenticationType.SAS
    assert device.authentication.primary_key == keys.primary
    assert device.authentication.secondary_key == keys.secondary
    password = world.token(key, resource="localhost/devices/edgegw01")
    assert (await world.connect(password=password)).identity == device
    assert world.last_attempt is not None
    assert key not in repr(world.last_attempt)


async def test_attempts_say_which_key_signed(world: CloudWorld) -> None:
    keys = await world.enroll_keys()

    await world.register(sas_token=world.token(keys.secondary))

    assert world.last_attempt is not None
    details = {stage.name: stage.detail for stage in world.last_attempt.stages}
    assert details["attestation"] == "token signed with the secondary key"


async def test_register_with_another_key_is_refused(world: CloudWorld) -> None:
    await world.enroll_keys()

    assert await refused(world, world.token(KEY)) == ("attestation", "sas-signature-wrong")


async def test_register_with_a_token_that_ended_is_refused_after_the_clock_skew(
    world: CloudWorld,
) -> None:
    keys = await world.enroll_keys()
    late = world.token(keys.primary, lifetime=timedelta(minutes=-4))
    too_late = world.token(keys.primary, lifetime=timedelta(minutes=-6))

    assert await refused(world, too_late) == ("attestation", "sas-expired")
    assert (await world.register(sas_token=late)).registration.status is RegistrationStatus.ASSIGNED


async def test_a_stranger_does_not_learn_that_a_token_has_ended(world: CloudWorld) -> None:
    await world.enroll_keys()

    ended = world.token(KEY, lifetime=timedelta(days=-1))

    assert await refused(world, ended) == ("attestation", "sas-signature-wrong")


@pytest.mark.parametrize(
    "resource",
    [
        "0ne00000000/registrations/edgegw01",
        "{scope}/registrations/edgegw02",
        "{scope}/registrations",
        "{scope}/registrations/edgegw01/x",
        "{scope}",
        "localhost",
    ],
)
async def test_register_with_a_token_for_something_else_is_refused(
    world: CloudWorld, resource: str
) -> None:
    keys = await world.enroll_keys()
    token = world.token(keys.primary, resource=resource.format(scope=world.dps.id_scope))

    assert await refused(world, token) == ("attestation", "sas-resource-wrong")


@pytest.mark.parametrize(
    "token",
    [
        "letmein",
        "SharedAccessSignature sr=a&sig=b",
        "Bearer abc",
        "SharedAccessSignature " + "s" * 9999,
    ],
)
async def test_register_with_what_is_no_token_is_refused(world: CloudWorld, token: str) -> None:
    await world.enroll_keys()

    assert await refused(world, token) == ("attestation", "sas-malformed")
    assert world.last_attempt is not None
    assert token not in repr(world.last_attempt)


async def test_register_in_another_spelling_with_its_own_key_is_the_same_device(
    world: CloudWorld,
) -> None:
    keys = await world.enroll_keys()
    await world.register(sas_token=world.token(keys.primary))

    operation = await world.register(
        registration_id="EdgeGW01", sas_token=world.token(keys.primary, "edgegw01")
    )

    assert operation.registration.registration_id == "edgegw01"
    assert operation.registration.device_id == "edgegw01"


async def test_a_disabled_enrollment_of_keys_is_recorded_as_disabled(world: CloudWorld) -> None:
    keys = await world.enroll_keys(terms=DISABLED)

    assert await refused(world, world.token(KEY)) == ("attestation", "sas-signature-wrong")
    operation = await world.register(sas_token=world.token(keys.primary))

    assert operation.registration.status is RegistrationStatus.DISABLED
    assert world.failure == ("enrollment", "enrollment-disabled")
    assert not (await world.hubs.devices.list(world.hub)).items


async def test_new_keys_reach_the_hub_with_the_next_registration(world: CloudWorld) -> None:
    old = await world.enroll_keys()
    await world.register(sas_token=world.token(old.primary))
    renewed = await world.dps.enrollments.put(
        EnrollmentDraft("edgegw01", SymmetricKeySlots(encode_key(KEY), old.primary)),
        if_match="*",
    )

    await world.register(sas_token=world.token(KEY))

    assert isinstance(renewed.attestation, SymmetricKeys)
    device = await world.hubs.devices.get(world.hub, "edgegw01")
    assert device.authentication.primary_key == encode_key(KEY)
    assert device.authentication.secondary_key == old.primary
    with pytest.raises(ConnectRefused):
        await world.connect(
            password=world.token(old.secondary, resource="localhost/devices/edgegw01")
        )


# -- groups ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [UPPER_ESCAPES, LOWER_ESCAPES, ANY_ORDER])
async def test_register_with_the_reference_tokens_is_assigned_by_the_group(
    stores: Stores, token: str
) -> None:
    await stores.dps.open_service(HAWSER_SCOPE)
    world = await CloudWorld.open(stores)
    await world.add_keyed_group("plant-7", OTHER_KEY, decode_key(HAWSER_GROUP_KEY))

    operation = await world.register(registration_id="gw-0007", sas_token=token)

    registration = operation.registration
    assert registration.status is RegistrationStatus.ASSIGNED
    assert registration.enrollment_group_id == "plant-7"
    assert registration.attestation_type is AttestationType.SYMMETRIC_KEY
    device = await world.hubs.devices.get(world.hub, "gw-0007")
    assert device.authentication.type is AuthenticationType.SAS
    assert device.authentication.secondary_key == HAWSER_DEVICE_KEY
    assert device.authentication.primary_key == encode_key(derive_device_key(OTHER_KEY, "gw-0007"))


async def test_register_with_the_groups_own_key_is_refused_in_plain_words(
    world: CloudWorld,
) -> None:
    keys = await world.add_keyed_group("plant")

    for key in (keys.primary, keys.secondary):
        assert await refused(world, world.token(key)) == ("attestation", "group-key-used")
    assert world.last_attempt is not None
    failure = world.last_attempt.failure
    assert failure is not None
    assert "enrollment group 'plant' itself" in failure.cause


async def test_register_with_a_key_derived_for_another_device_is_refused(
    world: CloudWorld,
) -> None:
    keys = await world.add_keyed_group("plant")
    key = derive_device_key(decode_key(keys.primary), "edgegw02")

    assert await refused(world, world.token(key)) == ("attestation", "sas-signature-wrong")


async def test_a_derived_key_is_for_one_spelling_of_the_id(world: CloudWorld) -> None:
    keys = await world.add_keyed_group("plant")
    lower = derive_device_key(decode_key(keys.primary), "edgegw01")

    assert await refused(world, world.token(lower, "EdgeGW01"), "EdgeGW01") == (
        "attestation",
        "device-key-of-another-spelling",
    )
    own = derive_device_key(decode_key(keys.primary), "EdgeGW01")
    operation = await world.register(
        registration_id="EdgeGW01", sas_token=world.token(own, "EdgeGW01")
    )
    assert operation.registration.device_id == "EdgeGW01"


async def test_the_group_that_signed_decides_among_a_hundred(world: CloudWorld) -> None:
    keys = {f"group{n:02}": await world.add_keyed_group(f"group{n:02}") for n in range(100)}
    key = derive_device_key(decode_key(keys["group99"].secondary), "edgegw01")

    operation = await world.register(sas_token=world.token(key))

    assert operation.registration.enrollment_group_id == "group99"


async def test_every_key_of_every_group_is_compared_whichever_fits(
    world: CloudWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0

    def count(*arguments: object) -> bool:
        nonlocal compared
        compared += 1
        return real(*arguments)  # type: ignore[arg-type]

    real = token_matching.is_signed_by
    keys = [await world.add_keyed_group(f"group{number}") for number in range(3)]
    monkeypatch.setattr(token_matching, "is_signed_by", count)

    for first in keys:
        compared = 0
        key = derive_device_key(decode_key(first.primary), "edgegw01")
        await world.register(sas_token=world.token(key))
        assert compared == 6


async def test_of_two_groups_with_one_key_the_disabled_one_decides(world: CloudWorld) -> None:
    await world.add_keyed_group("a-enabled", KEY)
    await world.add_keyed_group("b-disabled", OTHER_KEY, KEY, terms=DISABLED)
    key = derive_device_key(KEY, "edgegw01")

    operation = await world.register(sas_token=world.token(key))

    assert operation.registration.status is RegistrationStatus.DISABLED
    assert operation.registration.enrollment_group_id == "b-disabled"
    assert world.failure == ("enrollment", "group-disabled")


async def test_a_groups_token_that_ended_is_refused(world: CloudWorld) -> None:
    await world.add_keyed_group("plant", KEY)
    key = derive_device_key(KEY, "edgegw01")

    token = world.token(key, lifetime=timedelta(hours=-1))

    assert await refused(world, token) == ("attestation", "sas-expired")


async def test_a_token_with_no_group_of_keys_is_refused(world: CloudWorld) -> None:
    top = authority.root()
    await world.add_ca("top", top)
    await world.add_group("plant", "top")

    assert await refused(world, world.token(KEY)) == ("attestation", "no-enrollment")


async def test_a_deleted_group_takes_nobody(world: CloudWorld) -> None:
    await world.add_keyed_group("plant", KEY)
    await world.dps.groups.delete("plant")

    key = derive_device_key(KEY, "edgegw01")
    assert await refused(world, world.token(key)) == ("attestation", "no-enrollment")


async def test_keyed_groups_survive_a_restart(world: CloudWorld) -> None:
    await world.add_keyed_group("plant", KEY)
    again = await CloudWorld.open(world.stores)

    operation = await again.register(sas_token=again.token(derive_device_key(KEY, "edgegw01")))

    assert operation.registration.enrollment_group_id == "plant"


async def test_look_up_by_key(world: CloudWorld) -> None:
    await world.add_keyed_group("plant", KEY)
    token = world.token(derive_device_key(KEY, "edgegw01"))
    registered = (await world.register(sas_token=token)).registration

    assert await world.look_up(sas_token=token) == registered
    with pytest.raises(RegistrationRefused):
        await world.look_up(sas_token=world.token(KEY))


# -- one kind never does for the other ------------------------------------------------------------


async def test_an_enrollment_of_keys_refuses_a_certificate_although_a_group_would_take_it(
    world: CloudWorld,
) -> None:
    top = authority.root()
    leaf = authority.device(top)
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    await world.enroll_keys()

    with pytest.raises(RegistrationRefused) as caught:
        await world.register(*leaf.presented_chain)

    assert (caught.value.error_code, caught.value.wire_message) == (401002, "Unauthorized")
    assert world.failure == ("attestation", "attestation-type-differs")


async def test_a_disabled_enrollment_of_keys_blocks_a_device_with_a_certificate(
    world: CloudWorld,
) -> None:
    top = authority.root()
    leaf = authority.device(top)
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    await world.enroll_keys(terms=DISABLED)

    with pytest.raises(RegistrationRefused):
        await world.register(*leaf.presented_chain)

    assert world.failure == ("attestation", "attestation-type-differs")
    assert not (await world.hubs.devices.list(world.hub)).items


async def test_an_enrollment_of_a_certificate_refuses_a_token_although_a_group_would_take_it(
    world: CloudWorld,
) -> None:
    await world.enroll(authority.root("edgegw01"))
    await world.add_keyed_group("plant", KEY)

    token = world.token(derive_device_key(KEY, "edgegw01"))

    assert await refused(world, token) == ("attestation", "attestation-type-differs")


async def test_who_offers_both_is_judged_by_what_the_enrollment_asks_for(
    world: CloudWorld,
) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)
    keys = await world.enroll_keys(registration_id="edgegw02")

    by_certificate = await world.register(own.certificate, sas_token="anything")
    by_key = await world.register(
        own.certificate,  # of another common name, which does not matter here
        registration_id="edgegw02",
        sas_token=world.token(keys.primary, "edgegw02"),
    )

    assert by_certificate.registration.attestation_type is AttestationType.X509
    assert by_key.registration.attestation_type is AttestationType.SYMMETRIC_KEY
    assert by_key.registration.thumbprint is None


async def test_the_common_name_counts_for_a_certificate_that_comes_with_a_token(
    world: CloudWorld,
) -> None:
    own = authority.root("edgegw02")
    await world.enroll(own)

    with pytest.raises(RegistrationRefused):
        await world.register(own.certificate, sas_token="anything")

    assert world.failure == ("attestation", "common-name-not-registration-id")


async def test_without_an_individual_enrollment_a_token_is_not_helped_by_a_certificate(
    world: CloudWorld,
) -> None:
    top = authority.root()
    leaf = authority.device(top)
    await world.add_ca("top", top)
    await world.add_group("plant", "top")
    await world.add_keyed_group("keyed", KEY)

    with pytest.raises(RegistrationRefused):
        await world.register(*leaf.presented_chain, sas_token=world.token(OTHER_KEY))

    assert world.failure == ("attestation", "sas-signature-wrong")


async def test_a_group_of_keys_takes_no_certificate(world: CloudWorld) -> None:
    await world.add_keyed_group("keyed", KEY)

    with pytest.raises(RegistrationRefused):
        await world.register(*authority.device(authority.root()).presented_chain)

    assert world.failure == ("attestation", "no-enrollment")


async def test_from_certificate_to_key_the_hub_follows(world: CloudWorld) -> None:
    own = authority.root("edgegw01")
    await world.enroll(own)
    await world.register(own.certificate)
    await world.dps.enrollments.put(
        EnrollmentDraft("edgegw01", SymmetricKeySlots(encode_key(KEY))), if_match="*"
    )

    await world.register(sas_token=world.token(KEY))

    device = await world.hubs.devices.get(world.hub, "edgegw01")
    assert device.authentication.type is AuthenticationType.SAS
    assert device.authentication.primary_thumbprint is None
    with pytest.raises(ConnectRefused):
        await world.connect(own.certificate)
