"""Bulk operations: several enrollments or groups in one request, each with its own outcome."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.cloud import CloudThread
from tests.support.service_api import ServiceClient, dps_error

from mooring.storage.errors import StorageFull

SYMMETRIC = {"attestation": {"type": "symmetricKey"}}
KINDS = [
    ("/enrollments", "enrollments", "registrationId"),
    ("/enrollments/", "enrollments", "registrationId"),
    ("/enrollmentGroups", "enrollmentGroups", "enrollmentGroupId"),
    ("/enrollmentgroups/", "enrollmentGroups", "enrollmentGroupId"),
]
DONE = {"isSuccessful": True, "errors": []}


def bulk(api: ServiceClient, mode: str, *items: dict[str, Any]) -> dict[str, Any]:
    """Run a bulk operation on individual enrollments."""
    return dict(api.got("POST", "/enrollments", {"mode": mode, "enrollments": list(items)}))


def individual(name: str, **members: Any) -> dict[str, Any]:
    """Return an item."""
    return {"registrationId": name, **SYMMETRIC, **members}


@pytest.mark.parametrize(("path", "member", "id_member"), KINDS)
def test_items_are_created_updated_and_deleted(
    api: ServiceClient, name: str, path: str, member: str, id_member: str
) -> None:
    names = [f"{name}{number}" for number in range(10)]

    def run(mode: str, **members: Any) -> Any:
        items = [{id_member: item, **SYMMETRIC, **members} for item in names]
        return api.got("POST", path, {"mode": mode, member: items})

    assert run("create") == DONE
    made = [api.got("GET", f"/{member}/{item}") for item in names]
    assert [document[id_member] for document in made] == names
    assert run("update", provisioningStatus="disabled") == DONE
    changed = [api.got("GET", f"/{member}/{item}") for item in names]
    assert {document["provisioningStatus"] for document in changed} == {"disabled"}
    assert run("DELETE") == DONE
    for item in names:
        dps_error(api.call("GET", f"/{member}/{item}"), 404, 404201)


def test_each_item_fails_by_itself_and_is_named(api: ServiceClient, name: str) -> None:
    api.got("PUT", f"/enrollments/{name}", SYMMETRIC)

    result = bulk(
        api,
        "create",
        individual(name),
        individual(f"{name}a"),
        {"registrationId": f"{name}b"},
        individual(f"{name}c", attestation={"type": "tpm"}),
        individual(f"{name}d", iotHubs=[5]),
        individual("no such id", deviceId="x"),
    )

    assert result["isSuccessful"] is False
    errors = {error["registrationId"]: error for error in result["errors"]}
    assert {item: error["errorCode"] for item, error in errors.items()} == {
        name: 409201,
        f"{name}b": 400004,
        f"{name}c": 400004,
        f"{name}d": 400004,
        "no such id": 400004,
    }
    assert "use the mode update, or updateIfMatchETag" in errors[name]["errorStatus"]
    assert errors[f"{name}b"]["errorStatus"].startswith("attestation: missing")
    assert errors[f"{name}c"]["errorStatus"].startswith("attestation.type: 'tpm' is not supported")
    assert errors[f"{name}d"]["errorStatus"].startswith("iotHubs.0: ")
    assert all(
        error.keys() == {"registrationId", "errorCode", "errorStatus"} for error in result["errors"]
    )
    assert api.got("GET", f"/enrollments/{name}a")


def test_update_ignores_etags_and_update_if_match_enforces_each(
    api: ServiceClient, name: str
) -> None:
    first = api.got("PUT", f"/enrollments/{name}", SYMMETRIC)
    stale = first["etag"]

    assert bulk(api, "update", individual(name, etag="anything")) == DONE
    result = bulk(
        api,
        "updateIfMatchETag",
        individual(name, etag=stale),
        individual(f"{name}x", etag=stale),
    )
    assert [(error["registrationId"], error["errorCode"]) for error in result["errors"]] == [
        (name, 412001),
        (f"{name}x", 404201),
    ]
    current = api.got("GET", f"/enrollments/{name}")
    assert bulk(api, "updateifmatchetag", {**current, "deviceId": "new"}) == DONE
    assert api.got("GET", f"/enrollments/{name}")["deviceId"] == "new"
    (missing,) = bulk(api, "updateIfMatchETag", individual(name))["errors"]
    assert missing["errorCode"] == 400004
    assert missing["errorStatus"].startswith("etag: missing")


@pytest.mark.parametrize("mode", ["update", "updateIfMatchETag", "delete"])
def test_item_that_is_not_there_is_an_error_of_its_own(
    api: ServiceClient, name: str, mode: str
) -> None:
    (error,) = bulk(api, mode, individual(name, etag="x"))["errors"]

    assert (error["registrationId"], error["errorCode"]) == (name, 404201)


def test_delete_needs_no_more_than_the_ids(api: ServiceClient, name: str) -> None:
    api.got("PUT", f"/enrollments/{name}", SYMMETRIC)

    assert bulk(api, "delete", {"registrationId": name.upper(), "attestation": None}) == DONE


def test_keys_are_kept_by_an_update_without_them(api: ServiceClient, name: str) -> None:
    path = f"/enrollments/{name}"
    keys = api.got("PUT", path, SYMMETRIC)["attestation"]["symmetricKey"]

    assert bulk(api, "update", api.got("GET", path)) == DONE

    assert api.got("POST", f"{path}/attestationmechanism")["symmetricKey"] == keys


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({}, "mode", "missing"),
        ({"mode": "upsert", "enrollments": [individual("a")]}, "mode", "'upsert' is not known"),
        ({"mode": "create"}, "enrollments", "0 items, not 1 to 10"),
        ({"mode": "create", "enrollments": []}, "enrollments", "0 items"),
        (
            {"mode": "create", "enrollments": [individual(f"n{n}") for n in range(11)]},
            "enrollments",
            "11 items, not 1 to 10",
        ),
        ({"mode": "create", "enrollments": [5]}, "enrollments.0", "must be a JSON object"),
        ({"mode": "create", "enrollments": [{}]}, "enrollments.0.registrationId", "missing"),
        (
            {"mode": "create", "enrollments": [{"registrationId": 5}]},
            "enrollments.0.registrationId",
            "no text",
        ),
        (
            {"mode": "create", "enrollments": [individual("twice"), individual("TWICE")]},
            "enrollments",
            "'twice' is there 2 times",
        ),
        ({"mode": "create", "enrollmentGroups": [{}]}, "enrollments", "0 items"),
    ],
)
def test_request_that_is_wrong_as_a_whole_is_400_and_nothing_is_done(
    api: ServiceClient, body: dict[str, Any], field: str, said: str
) -> None:
    message = dps_error(api.call("POST", "/enrollments", body), 400, 400004)

    assert message.startswith(f"{field}: ")
    assert said in message
    dps_error(api.call("GET", "/enrollments/n0"), 404, 404201)
    dps_error(api.call("GET", "/enrollments/twice"), 404, 404201)


def test_item_that_the_storage_does_not_take_is_told_and_the_others_are_done(
    api: ServiceClient, cloud: CloudThread, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None
    put = cloud.application.dps.enrollments.put

    async def sometimes(draft: Any, **options: Any) -> Any:
        if draft.registration_id.endswith("full"):
            raise StorageFull("/secret/path: the disk is full.", "Free space.")
        return await put(draft, **options)

    monkeypatch.setattr(cloud.application.dps.enrollments, "put", sometimes)

    (error,) = bulk(api, "create", individual(f"{name}full"), individual(name))["errors"]

    assert error["registrationId"] == f"{name}full"
    assert error["errorCode"] == 503001
    assert "secret" not in error["errorStatus"]
    assert "Tracking id: " in error["errorStatus"]
    assert api.got("GET", f"/enrollments/{name}")
