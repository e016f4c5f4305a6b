"""Who gets into the service API, and what each right opens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.support.cloud import CloudThread, cloud_on_thread
from tests.support.service_api import ServiceClient, dps_error, service_client, signed

from mooring.cloud.accounts.model import AccessPolicy, ResourceKind, Right, new_policy_key
from mooring.cloud.accounts.signatures import authenticate_signature
from mooring.cloud.dps.service_api.application import OPERATIONS
from mooring.protocol.azure.connection_strings import parse_connection_string
from mooring.runtime.clock import SYSTEM_CLOCK

PATH = "/enrollments/not-there"


@pytest.fixture
def stranger(cloud: CloudThread) -> Iterator[ServiceClient]:
    """Return a client that proves nothing of itself."""
    with service_client(cloud, "") as client:
        client.authorization = None
        yield client


@pytest.fixture
def owner_key(cloud: CloudThread) -> str:
    """Return the primary key of the owner's policy."""
    key = parse_connection_string(cloud.dps_connection_string).shared_access_key
    assert key is not None
    return key


def policy_of(cloud: CloudThread, *rights: Right) -> AccessPolicy:
    """Give the cloud's DPS a policy with `rights`."""
    assert cloud.application is not None
    policy = AccessPolicy(
        ResourceKind.DPS,
        cloud.id_scope,
        "-".join(["policy", *rights]),
        rights,
        new_policy_key(),
        new_policy_key(),
        SYSTEM_CLOCK.now(),
    )
    cloud.run(cloud.application.accounts._store.add_policies([policy]))
    found = cloud.application.accounts.find_policy(ResourceKind.DPS, cloud.id_scope, policy.name)
    assert found is not None
    return found


def test_call_without_authorization_is_401_and_says_how_to_get_in(stranger: ServiceClient) -> None:
    response = stranger.call("GET", PATH)

    message = dps_error(response, 401, 401002)
    assert "neither a shared access signature nor a bearer token" in message
    assert "mooring cloud info" in message
    assert response.headers["www-authenticate"] == "SharedAccessSignature, Bearer"


@pytest.mark.parametrize("resource", ["{host}", "{host}:443", "{HOST}", "localhost", "{host}/"])
def test_token_for_any_name_of_this_cloud_opens_it(
    stranger: ServiceClient, cloud: CloudThread, owner_key: str, resource: str
) -> None:
    filled = resource.format(host=cloud.address, HOST=cloud.address.upper())

    dps_error(stranger.call("GET", PATH, authorization=signed(filled, owner_key)), 404, 404201)


@pytest.mark.parametrize(
    ("below", "opens"),
    [
        ("enrollments", True),
        ("Enrollments/NOT-there", True),
        ("enrollments/not", False),
        ("enrollmentGroups", False),
        ("enrollments/not-there/attestationmechanism", False),
    ],
)
def test_token_for_a_path_opens_what_is_below_it_by_whole_segments(
    stranger: ServiceClient, cloud: CloudThread, owner_key: str, below: str, opens: bool
) -> None:
    token = signed(f"{cloud.address}/{below}", owner_key)

    response = stranger.call("GET", PATH, authorization=token)

    if opens:
        dps_error(response, 404, 404201)
    else:
        assert "does not cover" in dps_error(response, 401, 401002)


def test_secondary_key_is_as_good_as_the_primary(
    stranger: ServiceClient, cloud: CloudThread
) -> None:
    policy = policy_of(cloud, Right.ENROLLMENT_READ)

    token = signed(cloud.address, policy.secondary_key, policy.name)

    dps_error(stranger.call("GET", PATH, authorization=token), 404, 404201)


def test_token_made_with_lower_case_escapes_opens(
    stranger: ServiceClient, cloud: CloudThread, owner_key: str
) -> None:
    token = signed(f"{cloud.address}/enrollments", owner_key)
    lower = base64.b64decode(owner_key)
    resource = quote(f"{cloud.address}/enrollments", safe="").replace("%2F", "%2f")
    end = int(SYSTEM_CLOCK.now().timestamp()) + 60
    signature = base64.b64encode(
        hmac.new(lower, f"{resource}\n{end}".encode(), hashlib.sha256).digest()
    ).decode()
    by_hand = (
        f"SharedAccessSignature sr={resource}&sig={quote(signature, safe='')}"
        f"&se={end}&skn=provisioningserviceowner"
    )

    for authorization in (token, by_hand, by_hand.replace("SharedAccess", "sharedaccess", 1)):
        dps_error(stranger.call("GET", PATH, authorization=authorization), 404, 404201)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("expired", "token ended at"),
        ("other key", "not signed with a key of the policy 'provisioningserviceowner'"),
        ("other policy", "policy 'nobody', which is not there"),
        ("no policy", "names no shared access policy"),
        ("other host", "is for 'elsewhere.example', which does not cover"),
        ("no end", "has no se"),
        ("no token", "has no sr"),
    ],
)
def test_token_that_opens_nothing_is_401_and_says_why(
    stranger: ServiceClient, cloud: CloudThread, owner_key: str, case: str, said: str
) -> None:
    host = cloud.address
    good = signed(host, owner_key)
    tokens = {
        "expired": signed(host, owner_key, ends_in=timedelta(minutes=-6)),
        "other key": signed(host, new_policy_key()),
        "other policy": signed(host, owner_key, "nobody"),
        "no policy": signed(host, owner_key, None),
        "other host": signed("elsewhere.example", owner_key),
        "no end": good.replace("&se=", "&xx="),
        "no token": "SharedAccessSignature",
    }

    response = stranger.call("GET", PATH, authorization=tokens[case])

    message = dps_error(response, 401, 401002)
    assert said in message
    assert message.startswith("Authorization: ")
    assert owner_key not in message


def test_reason_beyond_the_signature_is_told_to_no_guesser(
    stranger: ServiceClient, cloud: CloudThread
) -> None:
    """Whoever has not the key learns neither that a token has expired nor what it should open."""
    forged = signed("elsewhere.example", new_policy_key(), ends_in=timedelta(days=-1))

    message = dps_error(stranger.call("GET", PATH, authorization=forged), 401, 401002)

    assert "not signed" in message
    assert "ended" not in message
    assert "cover" not in message


@pytest.mark.parametrize("kind", ["owner", "admin"])
def test_bearer_token_of_the_cloud_opens_everything(
    stranger: ServiceClient, cloud: CloudThread, kind: str
) -> None:
    token = cloud.owner_token
    if kind == "admin":
        with cloud.api() as admin:
            token = admin.post("tokens", json={"name": "ci"}).json()["token"]

    response = stranger.call("DELETE", PATH, authorization=f"bearer {token}")

    dps_error(response, 404, 404201)
    wrong = stranger.call("DELETE", PATH, authorization=f"Bearer {token}x")
    assert "unknown or revoked" in dps_error(wrong, 401, 401002)


OPENED_BY = {
    Right.ENROLLMENT_READ: {
        ("GET", "/enrollments/x"),
        ("GET", "/enrollmentGroups/x"),
        ("POST", "/enrollments/query"),
        ("POST", "/enrollmentGroups/query"),
    },
    Right.ENROLLMENT_WRITE: {
        ("PUT", "/enrollments/x"),
        ("DELETE", "/enrollments/x"),
        ("POST", "/enrollments"),
        ("POST", "/enrollmentGroups"),
        ("POST", "/enrollments/x/attestationmechanism"),
        ("PUT", "/enrollmentGroups/x"),
        ("DELETE", "/enrollmentGroups/x"),
        ("POST", "/enrollmentGroups/x/attestationmechanism"),
    },
    Right.REGISTRATION_STATUS_READ: {
        ("GET", "/registrations/x"),
        ("POST", "/registrations/query"),
        ("POST", "/registrations/x/query"),
    },
    Right.REGISTRATION_STATUS_WRITE: {("DELETE", "/registrations/x")},
    Right.SERVICE_CONFIG: set(),
    Right.DEVICE_CONNECT: set(),
}


def test_every_operation_needs_a_right_that_is_tested() -> None:
    tested = {
        (method, path.replace("/x", "/{}"), right)
        for right, operations in OPENED_BY.items()
        for method, path in operations
    }

    assert tested == {
        (operation.method, re.sub(r"{[^}]+}", "{}", operation.path), operation.right)
        for operation in OPERATIONS
    }


@pytest.mark.parametrize("right", OPENED_BY)
def test_right_opens_its_operations_and_no_other(
    stranger: ServiceClient, cloud: CloudThread, right: Right
) -> None:
    policy = policy_of(cloud, right)
    token = signed(cloud.address, policy.primary_key, policy.name)

    for needed, operations in OPENED_BY.items():
        for method, path in operations:
            response = stranger.call(method, path, authorization=token)
            if needed is right:
                assert response.status_code in {200, 400, 404}, (method, path, response.text)
            else:
                message = dps_error(response, 403, 403002)
                assert f"lacks the right {needed}" in message
                assert policy.name in message


def test_replaced_key_and_removed_policy_are_worthless_at_once(
    stranger: ServiceClient, cloud: CloudThread
) -> None:
    policy = policy_of(cloud, Right.ENROLLMENT_READ, Right.ENROLLMENT_WRITE)
    token = signed(cloud.address, policy.primary_key, policy.name)
    dps_error(stranger.call("GET", PATH, authorization=token), 404, 404201)

    assert cloud.application is not None
    changed = cloud.run(
        cloud.application.accounts.regenerate_key(
            ResourceKind.DPS, cloud.id_scope, policy.name, which="primary"
        )
    )

    dps_error(stranger.call("GET", PATH, authorization=token), 401, 401002)
    fresh = signed(cloud.address, changed.primary_key, policy.name)
    dps_error(stranger.call("GET", PATH, authorization=fresh), 404, 404201)


def test_key_of_a_hub_opens_no_provisioning_service(
    stranger: ServiceClient, cloud: CloudThread
) -> None:
    parts = parse_connection_string(cloud.hub_connection_string())
    assert parts.shared_access_key is not None
    token = signed(cloud.address, parts.shared_access_key, parts.shared_access_key_name)

    assert "not there" in dps_error(stranger.call("GET", PATH, authorization=token), 401, 401002)


def test_published_vector_of_a_service_token_is_taken() -> None:
    # dps.md 7.4: computed apart from this code
    key = "aafokEIaxrDtNBA65dC4on09rWofEesEvL4LtOy+2ok="
    policy = AccessPolicy(
        ResourceKind.DPS,
        "0ne00000001",
        "owner",
        (Right.ENROLLMENT_READ,),
        key,
        new_policy_key(),
        SYSTEM_CLOCK.now(),
    )
    token = (
        "SharedAccessSignature sr=dps.hawser.test"
        "&sig=P0tNHogikrOsQByLFWYyoL%2B%2BhyRHvMxVHHZJ3orY0SI%3D&se=1900000000&skn=owner"
    )

    found = authenticate_signature(
        token,
        {"owner": policy}.get,
        path="/enrollments/x",
        host_names={"dps.hawser.test"},
        now=datetime(2030, 1, 1, tzinfo=UTC),
    )

    assert found is policy
    assert key not in repr(found)


def test_connection_string_names_the_port_that_is_not_443(tmp_path: Path) -> None:
    with cloud_on_thread(tmp_path, https_port=0) as cloud:
        assert cloud.application is not None
        authority = f"{cloud.address}:{cloud.application.https_port}"

        parts = parse_connection_string(cloud.dps_connection_string)

        assert parts.host_name == authority
        with service_client(cloud) as api:  # signs for that name, port and all
            dps_error(api.call("GET", PATH), 404, 404201)
