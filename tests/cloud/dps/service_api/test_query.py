"""Queries: what clients send is understood, page by page, and the rest is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support import authority
from tests.support.cloud import CloudThread, cloud_on_thread, https_port
from tests.support.rawhttp import RawHttp
from tests.support.rawmqtt import RawMqtt
from tests.support.service_api import ServiceClient, dps_error, service_client

from mooring.cloud.dps import enrollments, registrations
from mooring.testing.credentials import Device

SYMMETRIC = {"attestation": {"type": "symmetricKey"}}
PORT = https_port()
NAMES = [f"gw{number:02}" for number in range(7)]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudThread]:
    """Run a cloud with seven enrollments, of which some differ, and three groups."""
    with cloud_on_thread(tmp_path_factory.mktemp("cloud")) as running:
        with service_client(running) as api:
            for number, name in enumerate(NAMES):
                members = dict(SYMMETRIC)
                if number % 3 == 0:
                    members |= {"provisioningStatus": "disabled", "deviceId": f"Pump.{number}"}
                if number % 2:
                    members |= {"capabilities": {"iotEdge": True}}
                api.got("PUT", f"/enrollments/{name}", members)
            slots = {"primary": {"certificate": authority.root("quayroot").certificate_pem}}
            signing = {"type": "x509", "x509": {"signingCertificates": slots}}
            api.got("PUT", "/enrollmentGroups/keyed", SYMMETRIC)
            api.got("PUT", "/enrollmentGroups/keyed2", {**SYMMETRIC, "allocationPolicy": "hashed"})
            api.got("PUT", "/enrollmentGroups/signing", {"attestation": signing})
        yield running


def ids(documents: list[dict[str, Any]]) -> list[str]:
    """Return the ids of enrollments or groups."""
    return [
        document.get("registrationId") or document["enrollmentGroupId"] for document in documents
    ]


def register(cloud: CloudThread, device: Device) -> None:
    """Let a device register."""
    name = device.registration_id
    with RawMqtt(
        cloud.address,
        8883,
        ca_file=cloud.ca_file,
        cert_file=device.certificate_file,
        key_file=device.key_file,
    ) as raw:
        user_name = f"{cloud.id_scope}/registrations/{name}/api-version=2019-03-31"
        assert raw.connect(name, user_name) == 0
        assert raw.subscribe("$dps/registrations/res/#") == 1
        raw.publish("$dps/registrations/PUT/iotdps-register/?$rid=1", b"")
        raw.read()
        raw.read()


def ask(api: ServiceClient, text: str | None, path: str = "/enrollments/query") -> list[str]:
    """Return the ids that a query gives in one page."""
    return ids(api.got("POST", path, None if text is None else {"query": text}))


# -- what is asked ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM enrollments",
        "select * from enrollments",
        "SELECT *",
        "*",
        "",
        None,
    ],
)
def test_all_enrollments_are_given_for_every_way_to_ask_for_them(
    api: ServiceClient, text: str | None
) -> None:
    response = api.call("POST", "/enrollments/query", None if text is None else {"query": text})

    assert ids(response.json()) == NAMES
    assert response.headers["x-ms-item-type"] == "enrollment"
    assert response.headers["x-ms-max-item-count"] == "100"
    assert "x-ms-continuation" not in response.headers


def test_items_are_as_they_are_shown_alone_and_without_keys(api: ServiceClient) -> None:
    found = api.got("POST", "/enrollments/query", {"query": "SELECT *"})

    assert found[0] == api.got("GET", f"/enrollments/{NAMES[0]}")
    assert found[0]["attestation"]["symmetricKey"] == {}


def test_groups_are_asked_for_alike(api: ServiceClient) -> None:
    response = api.call(
        "POST", "/enrollmentgroups/query", {"query": "SELECT * FROM enrollmentGroups"}
    )

    assert ids(response.json()) == ["keyed", "keyed2", "signing"]
    assert response.headers["x-ms-item-type"] == "enrollmentGroup"


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("provisioningStatus = 'disabled'", ["gw00", "gw03", "gw06"]),
        ('PROVISIONINGSTATUS = "Disabled"', ["gw00", "gw03", "gw06"]),
        ("registrationId = 'GW04'", ["gw04"]),
        ("deviceId = 'Pump.3'", ["gw03"]),
        ("deviceId = 'pump.3'", []),
        ("capabilities.iotEdge = true", ["gw01", "gw03", "gw05"]),
        ("capabilities.iotEdge = true AND provisioningStatus = 'disabled'", ["gw03"]),
        ("attestation.type = 'symmetrickey'", NAMES),
        ("attestation.type = 'x509'", []),
        ("allocationPolicy = 'static'", []),
    ],
)
def test_enrollments_that_fit_are_given(
    api: ServiceClient, condition: str, names: list[str]
) -> None:
    assert ask(api, f"SELECT * FROM enrollments WHERE {condition}") == names


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("attestation.type = 'symmetricKey'", ["keyed", "keyed2"]),
        ("attestation.type = 'x509'", ["signing"]),
        ("allocationPolicy = 'HASHED'", ["keyed2"]),
        ("enrollmentGroupId = 'Signing'", ["signing"]),
        ("provisioningStatus = 'disabled'", []),
        ("capabilities.iotEdge = false", ["keyed", "keyed2", "signing"]),
    ],
)
def test_groups_that_fit_are_given(api: ServiceClient, condition: str, names: list[str]) -> None:
    assert ask(api, f"* WHERE {condition}", "/enrollmentGroups/query") == names


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT registrationId FROM enrollments", "'registrationId' at character 8"),
        ("SELECT * FROM nowhere", "'nowhere' at character 15"),
        ("SELECT * WHERE a = 'b' OR c = 'd'", "'OR' at character 24"),
        ("SELECT * WHERE etag = 'x'", "'etag' cannot be asked for here"),
        ("SELECT * WHERE enrollmentGroupId = 'x'", "cannot be asked for here"),
        ("SELECT * WHERE provisioningStatus = 'on'", "provisioningStatus is never 'on'"),
        ("SELECT * WHERE provisioningStatus = true", "provisioningStatus is a text"),
        ("SELECT * WHERE capabilities.iotEdge = 'yes'", "capabilities.iotEdge is true or false"),
    ],
)
def test_query_that_is_not_understood_is_400_with_what_and_where(
    api: ServiceClient, query: str, said: str
) -> None:
    message = dps_error(api.call("POST", "/enrollments/query", {"query": query}), 400, 400004)

    assert message.startswith("query: ")
    assert said in message


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"x-ms-max-item-count": "0"}, "x-ms-max-item-count"),
        ({"x-ms-max-item-count": "-1"}, "x-ms-max-item-count"),
        ({"x-ms-max-item-count": "many"}, "x-ms-max-item-count"),
        ({"x-ms-max-item-count": "9" * 40}, "x-ms-max-item-count"),
        ({"x-ms-continuation": "?"}, "continuation"),
    ],
)
@pytest.mark.parametrize("collection", ["enrollments", "enrollmentGroups"])
def test_header_that_is_none_is_400_and_named(
    api: ServiceClient, collection: str, headers: dict[str, str], field: str
) -> None:
    response = api.call("POST", f"/{collection}/query", {"query": "*"}, headers=headers)

    assert dps_error(response, 400, 400004).startswith(f"{field}: ")


def test_page_larger_than_the_largest_is_the_largest(api: ServiceClient) -> None:
    headers = {"x-ms-max-item-count": "1024"}  # of a sample for .NET

    response = api.call("POST", "/enrollments/query", {"query": "*"}, headers=headers)

    assert response.headers["x-ms-max-item-count"] == "1000"


# -- pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("collection", "all_ids"),
    [("enrollments", NAMES), ("enrollmentGroups", ["keyed", "keyed2", "signing"])],
)
def test_pages_follow_one_another_without_gap_or_repetition(
    api: ServiceClient, collection: str, all_ids: list[str]
) -> None:
    found: list[str] = []
    continuation: str | None = None
    while True:
        headers = {"x-ms-max-item-count": "2", "x-ms-continuation": continuation or ""}
        response = api.call("POST", f"/{collection}/query", {"query": "*"}, headers=headers)
        page = ids(response.json())
        assert len(page) <= 2
        found += page
        continuation = response.headers.get("x-ms-continuation")
        if continuation is None:
            break

    assert found == all_ids


def test_query_paging_has_its_header_names_in_lower_case_and_none_for_the_last_page(
    cloud: CloudThread, api: ServiceClient
) -> None:
    """dps.md 7.5 item 10, section 0 rule 19: what stands on the socket, byte for byte."""
    pages, asked = [], {"x_ms_max_item_count": "3"}
    with RawHttp(cloud.address, PORT, ca_file=cloud.ca_file) as raw:
        while True:
            reply = raw.request(
                "POST",
                "/enrollments/query?api-version=2019-03-31",
                b'{"query":"SELECT * FROM enrollments"}',
                authorization=api.authorization or "",
                **asked,
            )
            assert reply.status == 200
            names = [name for name, _ in reply.headers]
            assert "x-ms-item-type" in names
            assert "x-ms-max-item-count" in names
            assert reply["x-ms-item-type"] == "enrollment"
            assert all(name.islower() for name in names if name.lower().startswith("x-ms-"))
            pages.append(ids(reply.json()))
            if "x-ms-continuation" not in names:
                break
            asked["x_ms_continuation"] = reply["x-ms-continuation"]

    assert pages == [NAMES[:3], NAMES[3:6], NAMES[6:]]


def test_error_has_its_header_names_in_lower_case(cloud: CloudThread) -> None:
    with RawHttp(cloud.address, PORT, ca_file=cloud.ca_file) as raw:
        reply = raw.request("GET", "/enrollments/x?api-version=2021-10-01")

    names = [name for name, _ in reply.headers]
    assert reply.status == 401
    assert {"x-ms-request-id", "x-ms-error-code", "content-type"} <= set(names)


def test_search_for_what_hardly_fits_gives_short_pages_that_say_where_to_go_on(
    api: ServiceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many records few fit: no request walks through all of them."""
    monkeypatch.setattr(enrollments, "MAX_SCANNED", 2)
    query = {"query": "SELECT * WHERE provisioningStatus = 'disabled'"}

    pages = []
    continuation = ""
    while True:
        response = api.call(
            "POST", "/enrollments/query", query, headers={"x-ms-continuation": continuation}
        )
        pages.append(ids(response.json()))
        continuation = response.headers.get("x-ms-continuation", "")
        if not continuation:
            break

    assert pages == [["gw00"], ["gw03"], [], ["gw06"]]


# -- registration records of a group ------------------------------------------------------------


def test_records_of_a_group_are_given_without_a_body_and_page_by_page(
    api: ServiceClient, cloud: CloudThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = cloud.enroll_group()
    devices = [issuer.device() for _ in range(3)]
    names = sorted(device.registration_id for device in devices)
    for device in devices:
        register(cloud, device)
    path = f"/registrations/{issuer.group_id}/query"

    response = api.call("POST", path)

    assert [record["registrationId"] for record in response.json()] == names
    assert response.headers["x-ms-item-type"] == "deviceRegistration"
    assert response.json()[0] == api.got("GET", f"/registrations/{names[0]}")
    for text in ("SELECT * FROM enrollments", "SELECT * FROM enrollmentGroups", "*"):
        # .NET's own samples ask so
        assert len(api.got("POST", path, {"query": text})) == 3
    one = api.call("POST", path, headers={"x-ms-max-item-count": "2"})
    rest = api.call(
        "POST",
        path,
        headers={
            "x-ms-max-item-count": "2",
            "x-ms-continuation": one.headers["x-ms-continuation"],
        },
    )
    assert [len(one.json()), len(rest.json())] == [2, 1]
    assert "x-ms-continuation" not in rest.headers
    monkeypatch.setattr(registrations, "MAX_SCANNED", 1)
    fits = {"query": f"* WHERE status = 'assigned' AND registrationId = '{names[2].upper()}'"}
    assert [record["registrationId"] for record in api.got("POST", path, fits)] == [names[2]]
    monkeypatch.undo()
    assert api.got("POST", path, {"query": "* WHERE status = 'failed'"}) == []

    api.gone(f"/enrollmentGroups/{issuer.group_id}")
    assert len(api.got("POST", path)) == 3  # they stay, and can be found to be deleted
    for name in names:
        api.gone(f"/registrations/{name}")
    dps_error(api.call("POST", path), 404, 404201)


def test_records_of_a_group_without_any_are_none(api: ServiceClient) -> None:
    assert api.got("POST", "/registrations/KEYED/query") == []
    dps_error(api.call("POST", "/registrations/nobody/query"), 404, 404201)


def test_all_records_are_given_those_of_individual_enrollments_and_of_deleted_groups_too(
    api: ServiceClient, cloud: CloudThread
) -> None:
    issuer = cloud.enroll_group()
    devices = [cloud.enroll(), issuer.device()]
    for device in devices:
        register(cloud, device)
    api.gone(f"/enrollmentGroups/{issuer.group_id}")

    response = api.call("POST", "/registrations/query", {"query": "SELECT *"})

    assert response.headers["x-ms-item-type"] == "deviceRegistration"
    found = {record["registrationId"] for record in response.json()}
    assert {device.registration_id for device in devices} <= found
    page = api.call("POST", "/registrations/query", headers={"x-ms-max-item-count": "1"})
    assert len(page.json()) == 1
    assert page.headers["x-ms-continuation"]
