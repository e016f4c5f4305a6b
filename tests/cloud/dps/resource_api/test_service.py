"""The provisioning service itself in the resource API, over TLS."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.cloud import CloudThread
from tests.support.resource_api import (
    GROUP,
    SERVICE,
    SUBSCRIPTION,
    ResourceClient,
    arm_error,
    resource_client,
)

from mooring.cloud.accounts.model import ResourceKind
from mooring.protocol.azure.connection_strings import parse_connection_string
from mooring.protocol.azure.sas import decode_key, format_sas_token

OWNER = "provisioningserviceowner"
OTHER_SERVICE = f"{SERVICE.removesuffix('dps')}another"


@pytest.fixture
def arm(cloud: CloudThread) -> Iterator[ResourceClient]:
    """Return a client; what it changed of the service is put back in the end."""
    with resource_client(cloud) as client:
        before = client.got("GET")
        before["properties"]["authorizationPolicies"] = client.got("POST", "listkeys")["value"]
        strings = {each["host_name"]: each["connection_string"] for each in cloud.facts["hubs"]}
        for linked in before["properties"]["iotHubs"]:
            linked["connectionString"] = strings[linked["name"]]
        del before["etag"]
        yield client
        client.got("PUT", "", before)


@pytest.fixture
def admin_token(cloud: CloudThread) -> Iterator[str]:
    with cloud.api() as api:
        made = api.post("tokens", json={"name": "arm"}).json()
        yield made["token"]
        api.delete(f"tokens/{made['token_id']}")


@pytest.fixture(scope="module")
def hub(cloud: CloudThread) -> dict[str, Any]:
    """Return a second hub: its host name, and the connection string of its owner."""
    with cloud.api() as api:
        made = api.post("hubs", json={"name": "second", "hostName": "second.test"})
        assert made.is_success, made.text
    (found,) = [each for each in cloud.facts["hubs"] if each["name"] == "second"]
    return dict(found)


def refused(
    arm: ResourceClient, status: int, code: str, target: str | None, **properties: Any
) -> dict[str, Any]:
    """Try to change properties of the service, and see that nothing was."""
    before = arm.got("GET")
    error = arm_error(arm.call("PUT", "", {"properties": properties}), status, code)
    assert error["target"] == target
    assert arm.got("GET") == before
    return error


def policies(arm: ResourceClient) -> dict[str, dict[str, str]]:
    """Return the shared access policies with their keys, by name."""
    return {policy["keyName"]: policy for policy in arm.got("POST", "listkeys")["value"]}


# -- what it is ---------------------------------------------------------------------------------


def test_service_has_azures_shape(arm: ResourceClient, cloud: CloudThread) -> None:
    response = arm.call("GET")
    found = response.json()

    assert found.keys() == {
        *("id", "name", "type", "location", "resourcegroup", "subscriptionid"),
        *("tags", "etag", "sku", "properties"),
    }
    assert (found["id"], found["name"]) == (SERVICE, "dps")
    assert found["type"] == "Microsoft.Devices/provisioningServices"
    assert (found["subscriptionid"], found["resourcegroup"]) == (SUBSCRIPTION, GROUP)
    assert found["sku"] == {"name": "S1", "tier": "Standard", "capacity": 1}
    assert response.headers["etag"] == f'"{found["etag"]}"'
    assert len(base64.b64decode(found["etag"])) == 8
    properties = found["properties"]
    assert properties["state"] == "Active"
    assert properties["provisioningState"] == "Succeeded"
    assert properties["allocationPolicy"] == "Hashed"
    assert properties["idScope"] == cloud.id_scope
    assert f"https://{properties['serviceOperationsHostName']}" == cloud.https_url
    assert properties["deviceProvisioningHostName"] == cloud.global_endpoint
    (owner,) = properties["authorizationPolicies"]
    assert owner.keys() == {"keyName", "rights"}
    first = next(each for each in properties["iotHubs"] if each["name"] == cloud.host_name)
    assert first["hostName"] == cloud.host_name
    assert first["authenticationType"] == "KeyBased"
    assert (first["allocationWeight"], first["applyAllocationPolicy"]) == (1, True)
    assert first["connectionString"] == (
        f"HostName={cloud.host_name};SharedAccessKeyName=iothubowner;SharedAccessKey=****"
    )


def test_service_is_listed_by_group_and_by_subscription(arm: ResourceClient) -> None:
    found = arm.got("GET")

    assert arm.got("GET", SERVICE.removesuffix("/dps"))["value"] == [found]
    everywhere = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Devices/provisioningServices"
    (listed,) = arm.got("GET", everywhere)["value"]
    assert listed["id"] == SERVICE.replace(GROUP, "mooring")
    assert listed["resourcegroup"] == "mooring"
    assert listed["properties"] == found["properties"]


def test_what_was_read_can_be_sent_back(arm: ResourceClient) -> None:
    found = arm.got("GET")
    keys = policies(arm)

    sent_back = arm.got("PUT", "", found)

    assert sent_back.pop("etag") != found.pop("etag")
    assert sent_back == found
    assert policies(arm) == keys


def test_another_service_can_neither_be_made_nor_read_nor_this_one_deleted(
    arm: ResourceClient,
) -> None:
    arm_error(arm.call("PUT", OTHER_SERVICE, {}), 409, "one-provisioning-service")
    arm_error(arm.call("GET", OTHER_SERVICE), 404, "resource-not-found")
    arm_error(arm.call("DELETE", OTHER_SERVICE), 404, "resource-not-found")
    arm_error(arm.call("DELETE"), 409, "service-not-deletable")
    assert arm.call("GET").status_code == 200


@pytest.mark.parametrize(
    ("name", "reason"),
    [("DPS", "AlreadyExists"), ("no spaces", "Invalid"), ("x", "Invalid"), ("quay-dps", "Invalid")],
)
def test_no_other_name_is_available(arm: ResourceClient, name: str, reason: str) -> None:
    path = (
        f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Devices"
        "/checkProvisioningServiceNameAvailability"
    )

    answer = arm.got("POST", path, {"name": name})

    assert answer.keys() == {"nameAvailable", "reason", "message"}
    assert answer["nameAvailable"] is False
    assert answer["reason"] == reason


def test_provider_is_described(arm: ResourceClient) -> None:
    assert arm.got("GET", "skus")["value"] == [{"name": "S1"}]
    operations = arm.got("GET", "/providers/Microsoft.Devices/operations")["value"]
    assert "Microsoft.Devices/provisioningServices/Read" in [each["name"] for each in operations]
    assert operations[0]["display"].keys() == {"provider", "resource", "operation"}
    arm_error(arm.call("GET", "operationresults/x"), 404, "operation-not-found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "privateLinkResources"),
        ("GET", "privateLinkResources/iotDps"),
        ("GET", "privateEndpointConnections"),
        ("GET", "privateEndpointConnections/x"),
        ("PUT", "privateEndpointConnections/x"),
        ("DELETE", "privateEndpointConnections/x"),
    ],
)
def test_private_networking_is_not_implemented(arm: ResourceClient, method: str, path: str) -> None:
    error = arm_error(arm.call(method, path), 501, "not-implemented")

    assert "IotDpsResource_" in error["message"]


# -- tags, allocation policy, etag --------------------------------------------------------------


def test_tags_are_replaced_by_patch(arm: ResourceClient) -> None:
    first = arm.got("PATCH", "", {"tags": {"site": "Quay é", "line": "a"}})
    assert first["tags"] == {"site": "Quay é", "line": "a"}

    second = arm.got("PATCH", "", {"tags": {"site": ""}}, if_match=first["etag"])

    assert second["tags"] == {"site": ""}
    assert second["etag"] != first["etag"]
    assert second["properties"] == first["properties"]
    assert arm.got("GET") == second
    stale = arm.call("PATCH", "", {"tags": {}}, if_match=first["etag"])
    arm_error(stale, 412, "etag-mismatch")
    assert arm.got("PATCH", "", {})["tags"] == {"site": ""}
    assert arm.got("PATCH", "", {"tags": {}})["tags"] == {}


@pytest.mark.parametrize(
    "tags",
    [
        {"": "x"},
        {"x" * 513: "x"},
        {"x": "x" * 257},
        {"x": 5},
        {"x": None},
        {str(number): "" for number in range(51)},
    ],
)
def test_tags_beyond_resource_managers_limits_are_refused(
    arm: ResourceClient, tags: dict[str, Any]
) -> None:
    error = arm_error(arm.call("PATCH", "", {"tags": tags}), 400, "tags-malformed")

    assert error["target"] == "tags"


@pytest.mark.parametrize("policy", ["Static", "GeoLatency", "geolatency", "hashed"])
def test_allocation_policy_is_set(arm: ResourceClient, cloud: CloudThread, policy: str) -> None:
    before = arm.got("GET")["properties"]

    after = arm.service(allocationPolicy=policy)

    assert after["allocationPolicy"].lower() == policy.lower()
    assert cloud.application is not None
    known = cloud.application.dps.configuration.current.allocation_policy
    assert known.value.lower() == policy.lower()
    assert after == {**before, "allocationPolicy": after["allocationPolicy"]}


def test_allocation_policy_that_is_none_or_custom_is_refused(arm: ResourceClient) -> None:
    field = "properties.allocationPolicy"
    refused(arm, 400, "allocation-policy-unknown", field, allocationPolicy="nearest")
    refused(arm, 400, "custom-not-default", "allocationPolicy", allocationPolicy="Custom")
    refused(arm, 400, "payload-malformed", field, allocationPolicy=5)


def test_stale_etag_in_header_or_body_is_412(arm: ResourceClient) -> None:
    first = arm.got("GET")
    second = arm.got("PATCH", "", {"tags": {"changed": "yes"}})

    arm_error(arm.call("PUT", "", first), 412, "etag-mismatch")
    stale = arm.call("PUT", "", {"tags": {}}, if_match=f'"{first["etag"]}"')
    arm_error(stale, 412, "etag-mismatch")
    assert arm.got("GET") == second
    assert arm.got("PUT", "", {**first, "tags": {}}, if_match="*")["tags"] == {}


def test_two_that_change_the_service_at_once_do_not_lose_a_write(arm: ResourceClient) -> None:
    etag = arm.got("GET")["etag"]

    def change(number: int) -> int:
        body = {"tags": {"writer": str(number)}}
        return arm.call("PUT", "", body, if_match=etag).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(change, range(8)))

    assert sorted(statuses) == [200] + [412] * 7
    assert arm.got("GET")["tags"] == {"writer": str(statuses.index(200))}


@pytest.mark.parametrize(
    ("status", "code", "target", "properties"),
    [
        (501, "not-implemented", "publicNetworkAccess", {"publicNetworkAccess": "Disabled"}),
        (501, "not-implemented", "disableLocalAuth", {"disableLocalAuth": True}),
        (
            501,
            "not-implemented",
            "ipFilterRules",
            {"ipFilterRules": [{"filterName": "x", "action": "Reject", "ipMask": "0.0.0.0/0"}]},
        ),
        (400, "payload-malformed", "iotHubs", {"iotHubs": {}}),
        (400, "payload-malformed", "iotHubs[0]", {"iotHubs": ["hub"]}),
        (400, "payload-malformed", "authorizationPolicies", {"authorizationPolicies": "all"}),
    ],
)
def test_what_is_not_offered_or_malformed_is_refused_not_ignored(
    arm: ResourceClient, status: int, code: str, target: str, properties: dict[str, Any]
) -> None:
    refused(arm, status, code, f"properties.{target}", **properties)


def test_another_sku_is_refused(arm: ResourceClient) -> None:
    error = arm_error(arm.call("PUT", "", {"sku": {"name": "B1"}}), 400, "sku-unknown")

    assert error["target"] == "sku.name"


# -- linked hubs --------------------------------------------------------------------------------


def hubs_of(properties: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in properties["iotHubs"]}


def test_hub_is_linked_by_connection_string_changed_and_left_out(
    arm: ResourceClient, cloud: CloudThread, hub: dict[str, Any]
) -> None:
    assert hubs_of(arm.service(iotHubs=[])) == {}
    entry = {
        "connectionString": hub["connection_string"],
        "location": "westeurope",
        "allocationWeight": 7,
        "applyAllocationPolicy": False,
    }

    linked = hubs_of(arm.service(iotHubs=[entry]))["second.test"]

    assert linked["allocationWeight"] == 7
    assert linked["applyAllocationPolicy"] is False
    assert linked["authenticationType"] == "KeyBased"
    assert linked["connectionString"].endswith(
        ";SharedAccessKeyName=iothubowner;SharedAccessKey=****"
    )
    assert cloud.application is not None
    (known,) = cloud.application.dps.linked_hubs.current
    assert (known.host_name, known.allocation_weight) == ("second.test", 7)

    # As Azure's tools do it: read all, change one member, send all back.
    linked["allocationWeight"] = 8
    first = {"hostName": cloud.host_name, "authenticationType": "SystemAssigned", "location": "x"}
    both = hubs_of(arm.service(iotHubs=[linked, first]))
    assert both["second.test"] == linked
    assert both[cloud.host_name]["authenticationType"] == "SystemAssigned"
    assert "connectionString" not in both[cloud.host_name]
    assert (both[cloud.host_name]["allocationWeight"], both.keys()) == (
        1,
        {"second.test", cloud.host_name},
    )
    assert hubs_of(arm.service(iotHubs=[linked])).keys() == {"second.test"}
    assert hubs_of(arm.service(allocationPolicy="Hashed")).keys() == {"second.test"}


def with_parts(text: str, **changes: str) -> dict[str, Any]:
    """Return the entry of a hub with parts of its connection string changed."""
    parts = dict(part.split("=", 1) for part in text.split(";"))
    changed = ";".join(f"{key}={value}" for key, value in {**parts, **changes}.items())
    return {"connectionString": changed}


def test_hub_that_cannot_be_linked_is_refused_and_told_why(
    arm: ResourceClient, hub: dict[str, Any]
) -> None:
    text = hub["connection_string"]
    own = {"connectionString": text}
    where = "properties.iotHubs[0].connectionString"
    other_key = base64.b64encode(secrets.token_bytes(32)).decode()
    with_service_key = with_parts(
        text, SharedAccessKeyName="service", SharedAccessKey=policy_key(arm, hub, "service")
    )
    arm.service(iotHubs=[])
    for code, target, entries in (
        ("hub-missing", where, [{"location": "x"}]),
        ("connection-string-malformed", where, [{"connectionString": "nonsense"}]),
        ("connection-string-malformed", where, [{"connectionString": "HostName=second.test"}]),
        ("policy-not-found", where, [with_parts(text, HostName="nowhere.test")]),
        ("policy-not-found", where, [with_parts(text, SharedAccessKeyName="nobody")]),
        ("policy-key-wrong", where, [with_parts(text, SharedAccessKey=other_key)]),
        ("policy-key-wrong", where, [with_parts(text, SharedAccessKey="é")]),
        ("policy-lacks-right", where, [with_service_key]),
        ("hub-key-masked", where, [with_parts(text, SharedAccessKey="****")]),
        ("hub-unknown", "hostName", [{"hostName": "nowhere.test"}]),
        (
            "hub-named-differently",
            "properties.iotHubs[0].hostName",
            [{**own, "hostName": "other.test"}],
        ),
        ("hub-twice", "iotHubs", [own, {"hostName": "SECOND.test"}]),
        ("weight-out-of-range", "allocationWeight", [{**own, "allocationWeight": 0}]),
        ("weight-out-of-range", "allocationWeight", [{**own, "allocationWeight": 1001}]),
        (
            "payload-malformed",
            "properties.iotHubs[0].allocationWeight",
            [{**own, "allocationWeight": "7"}],
        ),
    ):
        error = refused(arm, 400, code, target, iotHubs=entries)
        assert other_key not in error["message"]


def policy_key(arm: ResourceClient, hub: dict[str, Any], name: str) -> str:
    """Return the primary key of a hub's policy."""
    with arm.cloud.api() as api:
        found = api.get(f"hubs/{hub['name']}/policies").json()["value"]
    return next(str(each["primaryKey"]) for each in found if each["keyName"] == name)


# -- shared access policies ---------------------------------------------------------------------


def stored_owner(arm: ResourceClient) -> dict[str, str]:
    return dict(policies(arm)[OWNER])


def test_policy_is_made_changed_and_deleted(arm: ResourceClient, cloud: CloudThread) -> None:
    owner = stored_owner(arm)
    reader = {"keyName": "reader", "rights": "EnrollmentRead,registrationstatusread"}

    shown = arm.service(authorizationPolicies=[owner, reader])

    made = policies(arm)["reader"]
    assert made["rights"] == "EnrollmentRead, RegistrationStatusRead"
    assert shown["authorizationPolicies"][1] == {"keyName": "reader", "rights": made["rights"]}
    for key in (made["primaryKey"], made["secondaryKey"]):
        assert len(base64.b64decode(key)) == 32
    assert arm.got("POST", "keys/READER/listkeys") == made
    assert policies(arm)[OWNER] == owner

    given = base64.b64encode(secrets.token_bytes(64)).decode()
    changed = {"keyName": "Reader", "primaryKey": given, "rights": "ServiceConfig"}
    arm.service(authorizationPolicies=[owner, changed])
    after = policies(arm)["reader"]
    assert after == {**made, "primaryKey": given, "rights": "ServiceConfig"}
    assert cloud.application is not None
    accounts = cloud.application.accounts
    find = (ResourceKind.DPS, cloud.id_scope, "reader")
    known = cloud.call(accounts.find_policy, *find)
    assert known.primary_key == given

    arm.service(authorizationPolicies=[owner])
    assert policies(arm).keys() == {OWNER}
    assert cloud.call(accounts.find_policy, *find) is None
    arm_error(arm.call("POST", "keys/reader/listkeys"), 404, "policy-not-found")


def test_owner_policy_takes_other_keys(arm: ResourceClient, cloud: CloudThread) -> None:
    owner = stored_owner(arm)
    key = base64.b64encode(secrets.token_bytes(32)).decode()

    arm.service(authorizationPolicies=[{**owner, "primaryKey": key}])

    assert policies(arm)[OWNER] == {**owner, "primaryKey": key}
    parts = parse_connection_string(cloud.dps_connection_string)
    assert parts.shared_access_key == key


def test_owner_policy_cannot_be_lost_by_leaving_it_out(arm: ResourceClient) -> None:
    reader = {"keyName": "reader", "rights": "EnrollmentRead"}
    owner = stored_owner(arm)
    for entries in ([reader], [{**owner, "rights": "ServiceConfig"}]):
        error = refused(arm, 409, "owner-policy-needed", "policy", authorizationPolicies=entries)
        assert OWNER in error["message"]
    # What Azure shows and its tools send back: no list, which asks for nothing.
    arm.service(authorizationPolicies=[])
    assert policies(arm) == {OWNER: owner}


@pytest.mark.parametrize(
    ("entry", "code", "target"),
    [
        ({"keyName": "a b"}, "policy-name-malformed", "keyName"),
        ({"keyName": ""}, "policy-name-malformed", "keyName"),
        ({"keyName": OWNER.upper()}, "policy-twice", "keyName"),
        ({"rights": ""}, "policy-rights-malformed", "rights"),
        ({"rights": "All"}, "policy-rights-malformed", "rights"),
        ({"rights": "RegistryRead"}, "policy-rights-malformed", "rights"),
        ({"primaryKey": "!"}, "policy-key-malformed", "primaryKey"),
        ({"secondaryKey": "c2hvcnQ="}, "policy-key-malformed", "secondaryKey"),
        (
            {"rights": ["ServiceConfig"]},
            "payload-malformed",
            "properties.authorizationPolicies[1].rights",
        ),
    ],
)
def test_policy_that_is_wrong_is_refused_and_nothing_changes(
    arm: ResourceClient, entry: dict[str, Any], code: str, target: str
) -> None:
    keys = policies(arm)
    policy = {"keyName": "reader", "rights": "EnrollmentRead", **entry}

    refused(arm, 400, code, target, authorizationPolicies=[stored_owner(arm), policy], iotHubs=[])

    assert policies(arm) == keys


def test_what_a_removed_policy_or_key_signed_opens_nothing_from_then_on(
    arm: ResourceClient, cloud: CloudThread
) -> None:
    owner = stored_owner(arm)
    reader = {"keyName": "reader", "rights": "EnrollmentRead"}
    arm.service(authorizationPolicies=[owner, reader])
    made = policies(arm)["reader"]
    signed = {
        which: format_sas_token(
            cloud.host_name,
            decode_key(made[f"{which}Key"]),
            expires_at=datetime.now(UTC) + timedelta(hours=1),
            policy="reader",
        )
        for which in ("primary", "secondary")
    }

    def status(which: str) -> int:
        headers = {"Authorization": signed[which]}
        return arm.call("GET", "/enrollments/nobody", headers=headers).status_code

    assert (status("primary"), status("secondary")) == (404, 404)  # let in, nothing there
    other_key = base64.b64encode(secrets.token_bytes(32)).decode()
    arm.service(authorizationPolicies=[owner, {**reader, "primaryKey": other_key}])
    assert (status("primary"), status("secondary")) == (401, 404)
    arm.service(authorizationPolicies=[owner, {**reader, "rights": "RegistrationStatusRead"}])
    assert status("secondary") == 403
    arm.service(authorizationPolicies=[owner])
    assert (status("primary"), status("secondary")) == (401, 401)


def test_policies_are_the_owners_alone(
    arm: ResourceClient, cloud: CloudThread, admin_token: str
) -> None:
    with resource_client(cloud, admin_token) as admin:
        arm_error(admin.call("POST", "listkeys"), 403, "owner-only")
        arm_error(admin.call("POST", f"keys/{OWNER}/listkeys"), 403, "owner-only")
        entries = [
            {"keyName": OWNER, "rights": stored_owner(arm)["rights"]},
            {"keyName": "mine", "rights": "ServiceConfig"},
        ]
        body = {"tags": {"by": "admin"}, "properties": {"authorizationPolicies": entries}}
        arm_error(admin.call("PUT", "", body), 403, "owner-only")
        assert policies(arm).keys() == {OWNER}
        assert admin.got("GET")["tags"] == {}
        # The rest is open, even with the policies as they were read.
        found = admin.got("GET")
        assert admin.got("PUT", "", {**found, "tags": {"by": "admin"}})["tags"] == {"by": "admin"}
