"""Unmodified Azure service SDKs manage enrollments, and devices register by what they made.

The clients are separate programs (`python_service.py`, `node/service.js`) that are told a
connection string and, by the environment, whom to trust.
"""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.interop.sdks import PythonSdk, ServiceSdk, key_options, options
from tests.support import authority

from mooring.testing import ThrowAwayCloud

pytestmark = pytest.mark.interop


@pytest.fixture
def name(service_sdk: ServiceSdk) -> str:
    """Return a fresh id."""
    return f"{service_sdk.name}{secrets.token_hex(4)}"


@pytest.mark.exercises(
    "azure-iothub-provisioningserviceclient (PyPI)",
    "enrollment.put",
    "enrollment.get",
    "enrollment.delete",
)
@pytest.mark.exercises(
    "azure-iot-provisioning-service (npm)", "enrollment.put", "enrollment.get", "enrollment.delete"
)
def test_individual_enrollment_is_created_read_changed_and_deleted(
    service_sdk: ServiceSdk, cloud: ThrowAwayCloud, name: str
) -> None:
    me = {"kind": "individual", "name": name}
    pem = authority.root(name).certificate_pem
    twin = {"tags": {"site": "quay", "n": {"a": [1]}}, "desired": {"rate": 5}}

    made, read, changed, stale, again, gone, missing = service_sdk.run(
        cloud,
        ("put", {**me, "certificate": pem, **twin}),
        ("get", me),
        ("put", {**me, "read": True, "status": "disabled"}),
        ("put", {**me, "read": True, "etag": '"stale"'}),
        ("put", {**me, "certificate": pem}),
        ("delete", me),
        ("get", me),
    )

    assert made["id"] == name
    assert made["state"] == "unassigned"
    assert made["reprovision"] == [True, True]
    assert (made["tags"], made["desired"]) == (twin["tags"], twin["desired"])
    assert {**made, "event": "get"} == read
    assert made["attestation"]["type"] == "x509"
    info = made["attestation"]["x509"]["clientCertificates"]["primary"]["info"]
    assert len(info) == 8
    assert changed["status"] == "disabled"
    assert changed["etag"] != made["etag"]
    # What was sent back without the certificate kept it, twin and all.
    assert changed["attestation"] == made["attestation"]
    assert (changed["tags"], changed["desired"]) == (twin["tags"], twin["desired"])
    assert (stale["refused"], stale["errorCode"]) == (412, 412001)
    assert (again["refused"], again["errorCode"]) == (409, 409201)
    assert "If-Match" in again["message"]
    assert again["trackingId"]
    assert gone == {"event": "delete"}
    assert (missing["refused"], missing["errorCode"]) == (404, 404201)


def test_etag_that_was_read_deletes_and_an_older_one_does_not(
    service_sdk: ServiceSdk, cloud: ThrowAwayCloud, name: str
) -> None:
    me = {"kind": "individual", "name": name}
    first, second = service_sdk.run(
        cloud, ("put", me), ("put", {**me, "read": True, "status": "disabled"})
    )

    stale, gone = service_sdk.run(
        cloud,
        ("delete", {**me, "etag": first["etag"]}),
        ("delete", {**me, "etag": second["etag"]}),
    )

    assert stale["refused"] == 412
    assert gone == {"event": "delete"}


@pytest.mark.parametrize("kind", ["individual", "group"])
@pytest.mark.exercises(
    "azure-iothub-provisioningserviceclient (PyPI)", "enrollment.attestation", "group.attestation"
)
@pytest.mark.exercises(
    "azure-iot-provisioning-service (npm)", "enrollment.attestation", "group.attestation"
)
def test_symmetric_keys_are_made_hidden_shown_and_kept(
    service_sdk: ServiceSdk, cloud: ThrowAwayCloud, name: str, kind: str
) -> None:
    me = {"kind": kind, "name": name}

    made, read, _, shown = service_sdk.run(
        cloud,
        ("put", me),
        ("get", me),
        ("put", {**me, "read": True, "status": "disabled"}),
        ("attestation", me),
    )

    keys = made["attestation"]["symmetricKey"]
    assert len(base64.b64decode(keys["primaryKey"])) == 64
    assert read["attestation"] == {"type": "symmetricKey", "symmetricKey": {}}
    assert shown["attestation"] == {"type": "symmetricKey", "symmetricKey": keys}


@pytest.mark.exercises(
    "azure-iothub-provisioningserviceclient (PyPI)", "group.put", "group.get", "group.delete"
)
@pytest.mark.exercises(
    "azure-iot-provisioning-service (npm)", "group.put", "group.get", "group.delete"
)
def test_group_is_created_read_changed_and_deleted(
    service_sdk: ServiceSdk, cloud: ThrowAwayCloud, name: str
) -> None:
    me = {"kind": "group", "name": name}
    pem = authority.root(name).certificate_pem

    made, read, changed, again, gone, missing = service_sdk.run(
        cloud,
        ("put", {**me, "signing": pem}),
        ("get", me),
        ("put", {**me, "read": True, "status": "disabled"}),
        ("put", {**me, "signing": pem}),
        ("delete", me),
        ("get", me),
    )

    assert {**made, "event": "get"} == read
    info = made["attestation"]["x509"]["signingCertificates"]["primary"]["info"]
    assert info["subjectName"] == f"CN={name}, O=Quay"
    assert changed["status"] == "disabled"
    assert changed["attestation"] == made["attestation"]
    assert again["refused"] == 409
    assert gone == {"event": "delete"}
    assert missing["refused"] == 404


@pytest.mark.exercises(
    "azure-iothub-provisioningserviceclient (PyPI)",
    "enrollment.query",
    "group.query",
    "enrollment.bulk",
)
@pytest.mark.exercises(
    "azure-iot-provisioning-service (npm)", "enrollment.query", "group.query", "enrollment.bulk"
)
def test_bulk_creates_and_deletes_and_queries_page_through_all(
    service_sdk: ServiceSdk, cloud: ThrowAwayCloud, name: str
) -> None:
    there = [cloud.enroll_symmetric_key_group() for _ in range(2)]
    names = sorted(f"{name}n{number}" for number in range(5))
    items = [{"name": item} for item in names]
    whole = "SELECT * FROM enrollments"

    created, repeated, enrollments, starred, none, groups, deleted = service_sdk.run(
        cloud,
        ("bulk", {"mode": "create", "items": items}),
        ("bulk", {"mode": "create", "items": items[:1]}),
        ("query", {"kind": "individual", "text": whole, "size": 2}),
        ("query", {"kind": "individual", "text": "*", "size": 100}),
        (
            "query",
            {
                "kind": "individual",
                "text": f"{whole} WHERE registrationId = '{names[3].upper()}'",
                "size": 2,
            },
        ),
        ("query", {"kind": "group", "text": "SELECT * FROM enrollmentGroups", "size": 1}),
        ("bulk", {"mode": "delete", "items": items}),
    )

    assert created == {"event": "bulk", "isSuccessful": True, "errors": []}
    assert repeated == {"event": "bulk", "isSuccessful": False, "errors": [[names[0], 409201]]}
    assert all(len(page) <= 2 for page in enrollments["pages"])
    found = [item for page in enrollments["pages"] for item in page]
    assert [item for item in found if item in names] == names
    assert len(found) == len(set(found))
    assert starred["pages"] == [found]
    assert none["pages"] == [[names[3]]]
    assert all(len(page) == 1 for page in groups["pages"])
    assert {group.group_id for group in there} <= {page[0] for page in groups["pages"]}
    assert deleted == {"event": "bulk", "isSuccessful": True, "errors": []}


def test_what_is_not_served_is_refused_in_words(
    service_sdk: ServiceSdk, cloud: ThrowAwayCloud, name: str
) -> None:
    tpm, query = service_sdk.run(
        cloud,
        ("put", {"kind": "individual", "name": name, "tpm": "AAAA"}),
        ("query", {"kind": "individual", "text": "SELECT a FROM b", "size": 1}),
    )

    assert (tpm["refused"], tpm["errorCode"]) == (400, 400004)
    assert tpm["message"].startswith("attestation.type: 'tpm' is not supported")
    assert query["refused"] == 400
    assert query["message"].startswith("query: 'a' at character 8")


@pytest.mark.exercises(
    "azure-iothub-provisioningserviceclient (PyPI)", "registration.get", "registration.delete"
)
@pytest.mark.exercises(
    "azure-iot-provisioning-service (npm)", "registration.get", "registration.delete"
)
def test_device_registers_by_the_individual_enrollment_that_was_made(
    service_sdk: ServiceSdk, cloud: ThrowAwayCloud, name: str, tmp_path: Path
) -> None:
    me = {"kind": "individual", "name": name}
    root = authority.root(name)
    service_sdk.run(cloud, ("put", {**me, "certificate": root.certificate_pem}))

    run = PythonSdk().run(cloud, options(cloud, tmp_path, root, name, messages=1))

    registered = run.event("registered")
    record, shown, gone, missing, after = service_sdk.run(
        cloud,
        ("registration", {"name": name}),
        ("get", me),
        ("delete", {"kind": "registration", "name": name}),
        ("registration", {"name": name}),
        ("get", me),
    )
    assert record["status"] == "assigned"
    assert record["assignedHub"] == registered["assignedHub"]
    assert record["deviceId"] == name
    assert datetime.fromisoformat(record["created"]) <= datetime.now(UTC)
    assert shown["state"] == "assigned"
    assert gone == {"event": "delete"}
    assert (missing["refused"], missing["errorCode"]) == (404, 404202)
    assert after["state"] == "unassigned"


@pytest.mark.exercises("azure-iothub-provisioningserviceclient (PyPI)", "registration.query")
@pytest.mark.exercises("azure-iot-provisioning-service (npm)", "registration.query")
def test_devices_register_by_the_group_that_was_made_and_are_listed_by_it(
    service_sdk: ServiceSdk, cloud: ThrowAwayCloud, name: str, tmp_path: Path
) -> None:
    root = authority.root(f"root{name}")
    cloud.add_ca(f"ca-{name}", root.certificate_pem)
    service_sdk.run(cloud, ("put", {"kind": "group", "name": f"plant-{name}", "ca": f"ca-{name}"}))
    names = [f"{name}a", f"{name}b"]

    for device in names:
        issued = authority.device(root, device)
        run = PythonSdk().run(cloud, options(cloud, tmp_path, issued, device, messages=1))
        assert run.event("registered")["deviceId"] == device

    (listed,) = service_sdk.run(cloud, ("registrations", {"group": f"plant-{name}"}))
    assert listed["ids"] == names


def test_device_registers_by_the_keys_that_the_service_made(
    service_sdk: ServiceSdk, cloud: ThrowAwayCloud, name: str
) -> None:
    made: dict[str, Any]
    (made,) = service_sdk.run(cloud, ("put", {"kind": "individual", "name": name}))
    key = made["attestation"]["symmetricKey"]["secondaryKey"]

    run = PythonSdk().run(cloud, key_options(cloud, key, name, messages=1))

    assert run.event("registered")["status"] == "assigned"
