"""The identity's authentication type alone decides; never a fall from one to another."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote_plus

import pytest
from tests.support import authority
from tests.support.cloudworld import CloudWorld

from mooring.cloud.accounts.model import AccessPolicy, ResourceKind, Right
from mooring.cloud.hub.errors import ConnectRefused
from mooring.cloud.hub.model import (
    AuthenticationScope,
    AuthenticationType,
    DeviceAuthentication,
    DeviceDraft,
    DeviceIdentity,
    DeviceStatus,
)
from mooring.cloud.hub.service import HubService
from mooring.pki.certificates import sha1_thumbprint, sha256_thumbprint
from mooring.pki.plans import Issued
from mooring.pki.verifier import CaSet
from mooring.protocol.azure.sas import format_sas_token

KEY = base64.b64encode(b"k" * 32).decode()
OTHER_KEY = base64.b64encode(b"o" * 32).decode()


@pytest.fixture(scope="module")
def top() -> Issued:
    return authority.root()


@pytest.fixture(scope="module")
def own(top: Issued) -> Issued:
    return authority.device(top)


@pytest.fixture
async def hub_world(world: CloudWorld, top: Issued) -> CloudWorld:
    """A hub that has verified the CA `top`."""
    world.hubs = await HubService.start(
        world.stores.hub, authorities=lambda _hub: CaSet([top.certificate]), clock=world.clock
    )
    return world


async def put(
    world: CloudWorld,
    authentication: DeviceAuthentication,
    status: DeviceStatus = DeviceStatus.ENABLED,
) -> DeviceIdentity:
    return await world.hubs.devices.put(
        world.hub, DeviceDraft("edgegw01", authentication, status, "stolen")
    )


def pinned(own: Issued, secondary: str | None = None) -> DeviceAuthentication:
    return DeviceAuthentication(
        AuthenticationType.SELF_SIGNED, sha256_thumbprint(own.certificate), secondary
    )


SAS = DeviceAuthentication(AuthenticationType.SAS, primary_key=KEY, secondary_key=OTHER_KEY)
BY_CA = DeviceAuthentication(AuthenticationType.CERTIFICATE_AUTHORITY)


def token(
    world: CloudWorld,
    key: str = KEY,
    resource: str = "localhost/devices/edgegw01",
    life: timedelta = timedelta(hours=1),
) -> str:
    return format_sas_token(resource, base64.b64decode(key), expires_at=world.clock.now() + life)


async def test_a_pinned_certificate_lets_in(world: CloudWorld, own: Issued) -> None:
    identity = await put(world, pinned(own))

    device = await world.connect(own.certificate)

    assert device.identity == identity
    assert device.hub == world.hub
    assert device.credential_ends_at == own.certificate.not_valid_after_utc
    assert world.failure is None
    assert world.stages == ["hub", "identity", "attestation"]


async def test_the_host_name_of_the_hub_ignores_case(world: CloudWorld, own: Issued) -> None:
    await put(world, pinned(own))
    await world.connect(own.certificate, host_name="LOCALHOST")


@pytest.mark.parametrize("spelling", ["sha1", "colons", "secondary"])
async def test_a_thumbprint_may_be_of_either_hash_spelling_and_slot(
    world: CloudWorld, own: Issued, spelling: str
) -> None:
    sha1, sha256 = sha1_thumbprint(own.certificate), sha256_thumbprint(own.certificate)
    colons = ":".join(sha256[n : n + 2] for n in range(0, 64, 2)).lower()
    authentication = {
        "sha1": DeviceAuthentication(AuthenticationType.SELF_SIGNED, sha1),
        "colons": DeviceAuthentication(AuthenticationType.SELF_SIGNED, colons),
        "secondary": DeviceAuthentication(AuthenticationType.SELF_SIGNED, "AB" * 32, sha256),
    }[spelling]
    await put(world, authentication)

    await world.connect(own.certificate)


async def refused(world: CloudWorld, *presented: Issued, **fields: str) -> tuple[int, str]:
    with pytest.raises(ConnectRefused) as caught:
        await world.connect(*(item.certificate for item in presented), **fields)
    assert caught.value.http_status in {401, 403}
    assert caught.value.remedy
    assert world.failure is not None
    return int(caught.value.error_code), world.failure[1]


async def test_an_unknown_hub_is_refused(world: CloudWorld, own: Issued) -> None:
    assert await refused(world, own, host_name="elsewhere.test") == (401001, "unknown-hub")
    assert world.stages == ["hub"]


async def test_an_unknown_device_is_refused(world: CloudWorld, own: Issued) -> None:
    await put(world, pinned(own))
    assert await refused(world, own, device_id="EdgeGW01") == (401003, "unknown-device")
    assert world.stages == ["hub", "identity"]


async def test_a_module_is_refused(world: CloudWorld, own: Issued) -> None:
    await put(world, pinned(own))
    assert await refused(world, own, module_id="m1") == (401003, "unknown-module")


async def test_another_certificate_of_the_same_ca_is_refused_where_one_is_pinned(
    hub_world: CloudWorld, top: Issued, own: Issued
) -> None:
    await put(hub_world, pinned(own))
    assert await refused(hub_world, authority.device(top)) == (401003, "thumbprint-mismatch")


async def test_a_mismatch_names_both_thumbprints(world: CloudWorld, top: Issued) -> None:
    await put(world, pinned(top, "AB" * 20))
    other = authority.device(top)
    await refused(world, other)

    assert world.last_attempt is not None
    assert world.last_attempt.failure is not None
    for shown in (
        sha256_thumbprint(other.certificate),
        sha1_thumbprint(other.certificate),
        sha256_thumbprint(top.certificate),
        "AB" * 20,
    ):
        assert shown in world.last_attempt.failure.cause


async def test_no_certificate_is_refused(world: CloudWorld, own: Issued) -> None:
    await put(world, pinned(own))
    assert await refused(world) == (401003, "no-certificate")


async def test_a_token_is_refused_where_a_certificate_is_pinned(
    world: CloudWorld, own: Issued
) -> None:
    await put(world, pinned(own))
    assert await refused(world, password=token(world)) == (
        401003,
        "authentication-type-differs",
    )


async def test_an_expired_pinned_certificate_is_refused(world: CloudWorld, own: Issued) -> None:
    await put(world, pinned(own))
    world.clock.move(timedelta(days=51))
    assert await refused(world, own) == (401003, "certificate-expired")


async def test_a_disabled_device_is_refused_after_it_proved_who_it_is(
    world: CloudWorld, own: Issued, top: Issued
) -> None:
    await put(world, pinned(own), DeviceStatus.DISABLED)
    assert await refused(world, own) == (403012, "device-disabled")
    assert await refused(world, top) == (401003, "thumbprint-mismatch")


async def test_a_chain_to_the_hubs_ca_lets_in(
    hub_world: CloudWorld, top: Issued, own: Issued
) -> None:
    await put(hub_world, BY_CA)
    line = authority.intermediate(top)

    await hub_world.connect(own.certificate)
    device = await hub_world.connect(*authority.device(line).presented_chain)

    assert device.credential_ends_at is not None


async def test_a_chain_is_refused_without_the_ca_or_the_intermediate(
    hub_world: CloudWorld, top: Issued
) -> None:
    await put(hub_world, BY_CA)
    below = authority.device(authority.intermediate(top))
    stranger = authority.device(authority.root("strangeroot"))

    assert await refused(hub_world, below) == (401003, "ca-unknown")
    assert await refused(hub_world, stranger) == (401003, "ca-unknown")
    assert await refused(hub_world, stranger, top) == (401003, "ca-unknown")


async def test_a_hub_without_cas_takes_no_chain(world: CloudWorld, own: Issued) -> None:
    await put(world, BY_CA)
    assert await refused(world, own) == (401003, "ca-unknown")


async def test_a_chain_for_another_device_id_is_refused(hub_world: CloudWorld, top: Issued) -> None:
    await put(hub_world, BY_CA)
    for name in ("edgegw02", "EdgeGW01"):
        assert await refused(hub_world, authority.device(top, name)) == (
            401003,
            "common-name-not-device-id",
        )


async def test_the_cas_own_certificate_is_no_device(world: CloudWorld) -> None:
    top = authority.root("edgegw01")
    world.hubs = await HubService.start(
        world.stores.hub, authorities=lambda _hub: CaSet([top.certificate]), clock=world.clock
    )
    await put(world, BY_CA)
    assert await refused(world, top) == (401003, "ca-certificate-as-device")


async def test_a_token_is_refused_where_a_chain_is_asked_for(hub_world: CloudWorld) -> None:
    await put(hub_world, BY_CA)
    assert await refused(hub_world, password=token(hub_world)) == (
        401003,
        "authentication-type-differs",
    )


@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
async def test_a_token_of_either_key_lets_in_until_its_end(world: CloudWorld, key: str) -> None:
    await put(world, SAS)

    device = await world.connect(password=token(world, key))

    assert device.credential_ends_at == world.clock.now() + timedelta(hours=1)


@pytest.mark.parametrize("device_id", ["crane:1", "a+b", "a#b", "50%", "a%2Fb", "!*()'=@$,?"])
@pytest.mark.parametrize("encode", [str, quote_plus], ids=["python, node", "dotnet"])
async def test_a_token_may_have_the_device_id_encoded_before_the_whole_is(
    world: CloudWorld, device_id: str, encode: Callable[[str], str]
) -> None:
    await world.hubs.devices.put(world.hub, DeviceDraft(device_id, SAS))
    resource = f"localhost/devices/{encode(device_id)}"

    device = await world.connect(device_id=device_id, password=token(world, resource=resource))

    assert device.identity.device_id == device_id


@pytest.mark.parametrize(
    "resource",
    [
        "localhost/devices/crane%252F1",
        "localhost/devices/crane%2F1",
        "localhost%2Fdevices%2Fcrane",
        "localhost/devices/crane/1",
        "localhost/devices/cran%65%20",
        "localhost/devices/%ff",
    ],
)
async def test_an_id_that_is_encoded_opens_no_other_device(
    world: CloudWorld, resource: str
) -> None:
    await world.hubs.devices.put(world.hub, DeviceDraft("crane", SAS))

    with pytest.raises(ConnectRefused) as caught:
        await world.connect(device_id="crane", password=token(world, resource=resource))
    assert caught.value.code == "sas-resource-wrong"


async def test_a_certificate_is_refused_where_a_token_is_asked_for(
    hub_world: CloudWorld, own: Issued
) -> None:
    await put(hub_world, SAS)
    assert await refused(hub_world, own) == (401003, "authentication-type-differs")


async def test_a_wrong_token_is_refused(world: CloudWorld) -> None:
    await put(world, SAS)
    for password, code in (
        (token(world, base64.b64encode(b"x" * 32).decode()), "sas-signature-wrong"),
        (token(world, resource="localhost/devices/edgegw02"), "sas-resource-wrong"),
        (token(world, resource="elsewhere/devices/edgegw01"), "sas-resource-wrong"),
        (token(world, life=timedelta(hours=-1)), "sas-expired"),
        ("nonsense", "sas-malformed"),
        ("", "sas-malformed"),
    ):
        assert await refused(world, password=password) == (401003, code)


@pytest.fixture
async def policy_world(world: CloudWorld) -> CloudWorld:
    """A hub with the policies ``device`` and ``service``, each with two keys."""
    policies = {
        name: AccessPolicy(
            ResourceKind.HUB, "localhost", name, (right,), KEY, OTHER_KEY, world.clock.now()
        )
        for name, right in (("device", Right.DEVICE_CONNECT), ("service", Right.SERVICE_CONNECT))
    }
    world.hubs = await HubService.start(
        world.stores.hub, policies=lambda _hub, name: policies.get(name), clock=world.clock
    )
    return world


def policy_token(
    world: CloudWorld, resource: str = "localhost", key: str = KEY, name: str = "device"
) -> str:
    return format_sas_token(
        resource,
        base64.b64decode(key),
        expires_at=world.clock.now() + timedelta(hours=1),
        policy=name,
    )


@pytest.mark.parametrize("resource", ["localhost", "LOCALHOST/", "localhost/devices/edgegw01"])
@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
async def test_a_policy_with_the_right_opens_any_device_of_its_hub(
    policy_world: CloudWorld, resource: str, key: str
) -> None:
    await put(policy_world, DeviceAuthentication(AuthenticationType.SAS))

    device = await policy_world.connect(password=policy_token(policy_world, resource, key))

    assert device.scope is AuthenticationScope.HUB
    assert device.credential_ends_at == policy_world.clock.now() + timedelta(hours=1)
    source = policy_world.hubs.telemetry.source(device)
    assert json.loads(source.origin)["scope"] == "hub"


async def test_a_token_of_the_device_itself_is_of_the_scope_device(
    policy_world: CloudWorld,
) -> None:
    await put(policy_world, SAS)

    device = await policy_world.connect(password=token(policy_world, KEY))

    assert device.scope is AuthenticationScope.DEVICE
    assert "scope" not in json.loads(policy_world.hubs.telemetry.source(device).origin)


async def test_a_policy_opens_nothing_else(policy_world: CloudWorld) -> None:
    await put(policy_world, SAS)
    world = policy_world
    for password, code in (
        (policy_token(world, name="service"), "sas-policy-lacks-right"),
        (policy_token(world, name="nobody"), "sas-policy-unknown"),
        (policy_token(world, resource="localhost/devices/edgegw02"), "sas-resource-wrong"),
        (policy_token(world, resource="elsewhere"), "sas-resource-wrong"),
        (policy_token(world, key=base64.b64encode(b"x" * 32).decode()), "sas-signature-wrong"),
    ):
        assert await refused(world, password=password) == (401003, code)


async def test_a_policy_does_not_open_a_device_that_shows_a_certificate(
    policy_world: CloudWorld, own: Issued
) -> None:
    await put(policy_world, pinned(own))

    assert await refused(policy_world, password=policy_token(policy_world)) == (
        401003,
        "authentication-type-differs",
    )


async def test_a_token_that_never_ends_is_no_fault(world: CloudWorld) -> None:
    await put(world, SAS)
    signed = format_sas_token(
        "localhost/devices/edgegw01",
        base64.b64decode(KEY),
        expires_at=world.clock.now().replace(year=9999),
    )
    await world.connect(password=signed)


async def test_nothing_secret_is_in_a_device_or_a_connect_as_text(world: CloudWorld) -> None:
    identity = await put(world, SAS)
    assert KEY not in repr(identity)
    with pytest.raises(ConnectRefused) as caught:
        await world.connect(password="SharedAccessSignature sr=a&sig=c2VjcmV0&se=1")
    assert "c2VjcmV0" not in str(caught.value)
