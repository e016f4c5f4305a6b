"""Who gets into a hub's service API, what each right opens, and which hub it is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.cloud import CloudThread, cloud_on_thread
from tests.support.hub_api import HubClient, hub_client, registry_error
from tests.support.sastokens import sign_token
from tests.support.service_api import signed

from mooring.cloud.accounts.model import DEFAULT_POLICIES, AccessPolicy, ResourceKind, Right
from mooring.cloud.accounts.signatures import authenticate_signature
from mooring.cloud.hub.service_api.application import OPERATIONS
from mooring.protocol.azure.connection_strings import parse_connection_string

PATH = "/devices/not-there"
KEY = "ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="  # iothub.md 7, policy `service`


@pytest.fixture
def stranger(cloud: CloudThread) -> Iterator[HubClient]:
    """Return a client that proves nothing of itself."""
    with hub_client(cloud, "") as client:
        client.authorization = None
        yield client


@pytest.fixture
def owner_key(cloud: CloudThread) -> str:
    """Return the primary key of ``iothubowner``."""
    return policy_of(cloud, "iothubowner").primary_key


def policy_of(cloud: CloudThread, name: str) -> AccessPolicy:
    """Return a policy of the first hub."""
    assert cloud.application is not None
    found = cloud.application.accounts.find_policy(ResourceKind.HUB, cloud.address, name)
    assert found is not None
    return found


def test_call_without_authorization_is_401002_and_says_how_to_get_in(stranger: HubClient) -> None:
    response = stranger.call("GET", PATH)

    assert "neither a shared access signature nor a bearer token" in registry_error(
        response, 401, "IotHubUnauthorizedAccess"
    )
    assert response.headers["www-authenticate"] == "SharedAccessSignature, Bearer"


def test_service_sas_vector_of_the_reference_opens() -> None:
    policy = AccessPolicy(
        ResourceKind.HUB,
        "hawser-hub.example.net",
        "service",
        (Right.SERVICE_CONNECT,),
        KEY,
        KEY,
        datetime(2029, 1, 1, tzinfo=UTC),
    )

    found = authenticate_signature(
        "SharedAccessSignature sr=hawser-hub.example.net"
        "&sig=Bj6wU%2B69MKTD2A9KJzlQF0VFU3ufADrW7NJirjv0JP8%3D&se=1893456000&skn=service",
        {"service": policy}.get,
        path="/twins/dock-07",
        host_names={"hawser-hub.example.net"},
        now=datetime(2029, 12, 31, tzinfo=UTC),
        ignore_case=False,
    )

    assert found is policy


@pytest.mark.parametrize("name", DEFAULT_POLICIES[ResourceKind.HUB])
@pytest.mark.parametrize("which", ["primary_key", "secondary_key"])
def test_every_operation_asks_for_its_right(
    cloud: CloudThread, stranger: HubClient, name: str, which: str
) -> None:
    policy = policy_of(cloud, name)
    token = signed(cloud.address, getattr(policy, which), name)

    for operation in OPERATIONS:
        if operation.right is None:
            continue
        path = operation.path.replace("{", "").replace("}", "")
        response = stranger.call(operation.method, path, authorization=token)
        refused = response.headers.get("iothub-errorcode") == "IotHubUnauthorizedAccess"
        assert refused is (operation.right not in policy.rights), operation
        if refused:
            assert response.status_code == 401
            assert operation.right in response.text


@pytest.mark.parametrize("resource", ["{host}", "{host}:443", "{HOST}", "{host}/", "localhost"])
def test_token_for_the_hub_or_for_what_was_dialled_opens(
    stranger: HubClient, cloud: CloudThread, owner_key: str, resource: str
) -> None:
    filled = resource.format(host=cloud.address, HOST=cloud.address.upper())
    token = signed(filled, owner_key, "iothubowner")
    headers = {"host": "LOCALHOST:8443"} if resource == "localhost" else None

    response = stranger.call("GET", PATH, authorization=token, headers=headers)

    registry_error(response, 404, "DeviceNotFound")


@pytest.mark.parametrize(
    ("below", "path", "opens"),
    [
        ("devices", "/devices/x", True),
        ("devices/x", "/devices/x", True),
        ("devices/X", "/devices/x", False),
        ("devices/x", "/devices/xy", False),
        ("devices/x", "/devices", False),
        ("devices/x%23", "/devices/x%2523", True),
        ("devices/x%23", "/devices/x%23", False),
        ("devices/x#", "/devices/x%23", True),
        ("devices/x", "/devices/x%2F..%2Fy", False),
    ],
)
def test_token_for_a_path_opens_what_is_below_it_by_whole_segments(
    stranger: HubClient, cloud: CloudThread, owner_key: str, below: str, path: str, opens: bool
) -> None:
    token = signed(f"{cloud.address}/{below}", owner_key, "iothubowner")

    response = stranger.call("GET", path, authorization=token)

    if opens:
        assert response.status_code in (200, 404)
    else:
        assert "does not cover" in registry_error(response, 401, "IotHubUnauthorized")


def test_token_in_the_spellings_of_the_sdks_opens(
    stranger: HubClient, cloud: CloudThread, owner_key: str
) -> None:
    end = int(datetime.now(UTC).timestamp()) + 60
    raw = base64.b64encode(
        hmac.new(
            base64.b64decode(owner_key), f"{cloud.address}/devices\n{end}".encode(), hashlib.sha256
        ).digest()
    ).decode()
    escaped = raw.replace("+", "%2B")
    tokens = [
        # .NET: lower-case hex; another order.
        sign_token(
            f"{cloud.address}/devices", owner_key, policy="iothubowner", lower_case_escapes=True
        ),
        # Python over AMQP: the resource raw, and a raw '/' in the signature.
        f"SharedAccessSignature sr={cloud.address}/devices&sig={escaped}&skn=iothubowner&se={end}",
    ]

    for token in tokens:
        response = stranger.call("GET", PATH, authorization=token)
        registry_error(response, 404, "DeviceNotFound")


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("expired", "token ended at"),
        ("other key", "not signed with a key of the policy 'iothubowner'"),
        ("other policy", "policy 'nobody', which is not there"),
        ("no policy", "names no shared access policy"),
        ("other host", "is for 'elsewhere.example', which does not cover"),
        ("no token", "has no sr"),
        ("bearer", "bearer token is unknown"),
    ],
)
def test_bad_token_is_401003(
    stranger: HubClient, cloud: CloudThread, owner_key: str, case: str, said: str
) -> None:
    other_key = base64.b64encode(secrets.token_bytes(32)).decode()
    tokens = {
        "expired": signed(cloud.address, owner_key, "iothubowner", ends_in=timedelta(minutes=-6)),
        "other key": signed(cloud.address, other_key, "iothubowner"),
        "other policy": signed(cloud.address, owner_key, "nobody"),
        "no policy": signed(cloud.address, owner_key, None),
        "other host": signed("elsewhere.example", owner_key, "iothubowner"),
        "no token": "SharedAccessSignature x",
        "bearer": "Bearer mtk-0.x",
    }

    response = stranger.call("GET", PATH, authorization=tokens[case])

    assert said in registry_error(response, 401, "IotHubUnauthorized")


def test_slack_of_five_minutes_is_given(
    stranger: HubClient, cloud: CloudThread, owner_key: str
) -> None:
    token = signed(cloud.address, owner_key, "iothubowner", ends_in=timedelta(minutes=-4))

    registry_error(stranger.call("GET", PATH, authorization=token), 404, "DeviceNotFound")


def test_bearer_tokens_of_owner_and_admins_open_everything(
    stranger: HubClient, cloud: CloudThread
) -> None:
    with cloud.api() as admin:
        made = admin.post("tokens", json={"name": "tool"}).json()["token"]

    for token in (cloud.owner_token, made):
        response = stranger.call("GET", PATH, authorization=f"bearer {token}")
        registry_error(response, 404, "DeviceNotFound")


def test_refused_call_is_answered_before_its_body_is_read(stranger: HubClient) -> None:
    response = stranger.call("PUT", PATH, content=b"{" * 1000)

    registry_error(response, 401, "IotHubUnauthorizedAccess")


@pytest.mark.parametrize("version", [None, "", "1", "2021-13-01"])
def test_call_without_an_api_version_is_refused(cloud: CloudThread, version: str | None) -> None:
    with hub_client(cloud) as api:
        response = api.call("GET", PATH, api_version=version)

    assert "api-version" in registry_error(response, 400, "InvalidProtocolVersion")


def test_hub_is_the_one_that_the_host_header_names(tmp_path: Path) -> None:
    with cloud_on_thread(tmp_path) as cloud, hub_client(cloud) as first:
        first.created("only-here")
        # One hub: what names this cloud is it.
        response = first.call("GET", "/devices/only-here", headers={"host": "localhost"})
        assert response.status_code == 200
        second_name = "Second.hub.test"
        with cloud.api() as admin:
            made = admin.post("hubs", json={"name": "second", "hostName": second_name})
        key = parse_connection_string(made.json()["connectionString"]).shared_access_key
        assert key is not None
        second = signed(second_name, key, "iothubowner")

        def call(host: str, authorization: str) -> tuple[int, str | None]:
            answer = first.call(
                "GET", "/devices/only-here", headers={"host": host}, authorization=authorization
            )
            return answer.status_code, answer.headers.get("iothub-errorcode")

        assert call("SECOND.hub.test:443", second) == (404, "DeviceNotFound")
        # No key of one hub opens another, whatever the token is for.
        assert call(cloud.address, second) == (401, "IotHubUnauthorized")
        for_first = signed(cloud.address, key, "iothubowner")
        assert call(cloud.address, for_first) == (401, "IotHubUnauthorized")
        owner = f"Bearer {cloud.owner_token}"
        assert call("localhost", owner) == (401, "IotHubNotFound")
        assert call("elsewhere.example", owner) == (401, "IotHubNotFound")
        assert call("[", owner) == (401, "IotHubNotFound")
