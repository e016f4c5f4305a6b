"""Individual enrollments: created, read, replaced, deleted, with etags as Azure has them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.cloud.conftest import Device, MakeDevice
from tests.support import authority
from tests.support.cloud import CloudThread
from tests.support.service_api import ServiceClient, dps_error, service_client

from mooring.pki.certificates import certificate_der

MakeBody = Callable[..., dict[str, Any]]
SYMMETRIC = {"attestation": {"type": "symmetricKey"}}
KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


def slot(document: dict[str, Any], name: str = "primary") -> dict[str, Any]:
    """Return what a document says of a client certificate."""
    return dict(document["attestation"]["x509"]["clientCertificates"][name]["info"])


# -- created and read ---------------------------------------------------------------------------


def test_enrollment_is_created_read_and_deleted(
    api: ServiceClient, name: str, x509_body: MakeBody
) -> None:
    made = api.got("PUT", f"/enrollments/{name}", x509_body(name, deviceId="Pump.1"))

    assert made["registrationId"] == name
    assert made["deviceId"] == "Pump.1"
    assert made["registrationState"] == {"registrationId": name, "status": "unassigned"}
    assert made["etag"].startswith('"')
    assert made["createdDateTimeUtc"] == made["lastUpdatedDateTimeUtc"]
    assert slot(made)["subjectName"] == f"CN={name}, O=Quay"
    response = api.call("GET", f"/enrollments/{name.upper()}")
    assert response.json() == made
    assert response.headers["etag"] == made["etag"]
    api.gone(f"/enrollments/{name}")
    dps_error(api.call("GET", f"/enrollments/{name}"), 404, 404201)
    dps_error(api.call("DELETE", f"/enrollments/{name}"), 404, 404201)


@pytest.mark.parametrize(
    "api_version",
    ["2018-04-01", "2018-09-01-preview", "2019-03-31", "2021-10-01", "2026-04-01", "2099-12-31"],
)
def test_every_api_version_has_one_shape(
    api: ServiceClient, name: str, x509_body: MakeBody, api_version: str
) -> None:
    made = api.got("PUT", f"/enrollments/{name}", x509_body(name), api_version=api_version)

    assert api.got("GET", f"/enrollments/{name}") == made


@pytest.mark.parametrize("form", ["pem", "crlf", "body", "der", "pem in base64"])
def test_certificate_is_taken_in_every_form_that_tools_send(
    api: ServiceClient, name: str, form: str
) -> None:
    root = authority.root(name)
    pem = root.certificate_pem
    forms = {
        "pem": pem,
        "crlf": pem.replace("\n", "\r\n") + " \r\n",
        "body": "\r\n".join(pem.splitlines()[1:-1]),
        "der": base64.b64encode(certificate_der(root.certificate)).decode(),
        "pem in base64": base64.b64encode(pem.encode()).decode(),
    }
    certificates = {"primary": {"certificate": forms[form]}}
    attestation = {"type": "x509", "x509": {"clientCertificates": certificates}}

    made = api.got("PUT", f"/enrollments/{name}", {"attestation": attestation})

    assert slot(made)["subjectName"] == f"CN={name}, O=Quay"


def test_id_with_every_allowed_character_is_the_same_escaped_and_raw(
    api: ServiceClient, name: str, x509_body: MakeBody
) -> None:
    spelled = f"A-b._:{name}"
    body = {**x509_body(name), "registrationId": spelled}
    made = api.got("PUT", f"/enrollments/A-b._%3A{name}", body)

    assert made["registrationId"] == spelled
    assert api.got("GET", f"/enrollments/{spelled}") == made
    assert api.got("GET", f"/enrollments/{spelled.lower()}") == made


@pytest.mark.parametrize("query", ["query", "attestationmechanism"])
def test_id_that_is_also_a_word_of_the_paths_is_an_id(
    api: ServiceClient, x509_body: MakeBody, query: str
) -> None:
    made = api.got("PUT", f"/enrollments/{query}", x509_body(query))

    assert api.got("GET", f"/enrollments/{query}") == made
    api.gone(f"/enrollments/{query}")


def test_state_of_the_device_is_in_its_enrollment(api: ServiceClient, enrolled: Device) -> None:
    before = api.got("GET", f"/enrollments/{enrolled.name}")["registrationState"]
    with enrolled.at_dps() as raw:
        raw.publish("$dps/registrations/PUT/iotdps-register/?$rid=1", b"")
        raw.read()
        raw.read()

    after = api.got("GET", f"/enrollments/{enrolled.name}")["registrationState"]

    assert before["status"] == "unassigned"
    assert after["status"] == "assigned"
    assert after == api.got("GET", f"/registrations/{enrolled.name}")


def test_individual_enrollment_may_refer_to_an_uploaded_ca(
    api: ServiceClient, cloud: CloudThread, name: str
) -> None:
    cloud.add_ca(f"ca-{name}", authority.root(f"root{name}").certificate_pem)
    x509 = {"caReferences": {"primary": f"ca-{name}"}}

    made = api.got("PUT", f"/enrollments/{name}", {"attestation": {"type": "x509", "x509": x509}})

    assert made["attestation"] == {"type": "x509", "x509": x509}


def test_optional_device_information_and_twin_are_given_back_as_they_came(
    api: ServiceClient, name: str, x509_body: MakeBody
) -> None:
    free = {"key": "wert \u00e4", "count": None, "metadata": None, "version": None, "a": {"b": [1]}}
    members = {
        "optionalDeviceInformation": free,
        "initialTwin": {"tags": free, "properties": {"desired": free}},
    }

    made = api.got("PUT", f"/enrollments/{name}", x509_body(name, **members))

    for member, value in members.items():
        assert made[member] == value
    assert api.got("GET", f"/enrollments/{name}") == made
    assert api.call("GET", f"/enrollments/{name}").content.isascii()


# -- symmetric keys -----------------------------------------------------------------------------


def test_keys_are_made_and_shown_in_the_answer_to_the_creation_only(
    api: ServiceClient, name: str
) -> None:
    path = f"/enrollments/{name}"
    keys = api.got("PUT", path, SYMMETRIC)["attestation"]["symmetricKey"]

    assert keys.keys() == {"primaryKey", "secondaryKey"}
    assert len(base64.b64decode(keys["primaryKey"])) == 64
    assert keys["primaryKey"] != keys["secondaryKey"]
    read = api.got("GET", path)
    assert read["attestation"] == {"type": "symmetricKey", "symmetricKey": {}}
    shown = api.got("POST", f"{path}/attestationmechanism")
    assert shown == {"type": "symmetricKey", "symmetricKey": keys}


def test_what_was_read_without_keys_and_is_sent_back_keeps_them(
    api: ServiceClient, name: str
) -> None:
    path = f"/enrollments/{name}"
    keys = api.got("PUT", path, SYMMETRIC)["attestation"]["symmetricKey"]
    read = api.got("GET", path)

    changed = api.got("PUT", path, {**read, "provisioningStatus": "disabled"}, if_match="*")

    assert changed["attestation"] == read["attestation"]
    assert api.got("POST", f"{path}/attestationmechanism")["symmetricKey"] == keys


def test_keys_that_are_given_are_taken(api: ServiceClient, name: str) -> None:
    path = f"/enrollments/{name}"
    keys = {"primaryKey": KEY, "secondaryKey": KEY}
    body = {"attestation": {"type": "symmetricKey", "symmetricKey": keys}}

    assert api.got("PUT", path, body)["attestation"]["symmetricKey"] == keys
    bad = {"attestation": {"type": "symmetricKey", "symmetricKey": {"primaryKey": "short"}}}
    message = dps_error(api.call("PUT", path, bad, if_match="*"), 400, 400004)
    assert message.startswith("attestation.symmetricKey.primaryKey")
    assert "short" not in message.partition(" ")[2]


def test_attestation_mechanism_of_a_certificate_is_its_info(
    api: ServiceClient, name: str, x509_body: MakeBody
) -> None:
    made = api.got("PUT", f"/enrollments/{name}", x509_body(name))

    shown = api.got("POST", f"/enrollments/{name.upper()}/attestationMechanism")

    assert shown == made["attestation"]
    dps_error(api.call("POST", "/enrollments/nobody/attestationmechanism"), 404, 404201)


# -- replaced -----------------------------------------------------------------------------------


def test_re_put_of_an_enrollment_without_if_match_is_409_with_star_200_and_stale_412(
    api: ServiceClient, name: str, x509_body: MakeBody
) -> None:
    """dps.md 7.5 item 9."""
    path, body = f"/enrollments/{name}", x509_body(name)
    made = api.got("PUT", path, body)

    assert "If-Match" in dps_error(api.call("PUT", path, body), 409, 409201)
    starred = api.got("PUT", path, body, if_match="*")
    assert starred["etag"] != made["etag"]
    assert starred["createdDateTimeUtc"] == made["createdDateTimeUtc"]
    for stale in (made["etag"], made["etag"].strip('"'), f"W/{made['etag']}"):
        dps_error(api.call("PUT", path, body, if_match=stale), 412, 412001)
    assert api.got("GET", path) == starred


@pytest.mark.parametrize("spell", ["{}", '"{}"', "W/{}", 'W/"{}"', '""{}""'])
def test_current_etag_is_taken_in_every_spelling(
    api: ServiceClient, name: str, x509_body: MakeBody, spell: str
) -> None:
    path, body = f"/enrollments/{name}", x509_body(name)
    bare = api.got("PUT", path, body)["etag"].strip('"')

    bare = api.got("PUT", path, body, if_match=spell.format(bare))["etag"].strip('"')

    api.gone(path, if_match=spell.format(bare))


def test_if_match_on_an_enrollment_that_is_not_there_is_412(
    api: ServiceClient, name: str, x509_body: MakeBody
) -> None:
    for if_match in ("*", '"*"', "abc"):
        response = api.call("PUT", f"/enrollments/{name}", x509_body(name), if_match=if_match)
        dps_error(response, 412, 412001)
    dps_error(api.call("GET", f"/enrollments/{name}"), 404, 404201)


def test_delete_with_a_stale_etag_is_412_and_without_one_unconditional(
    api: ServiceClient, name: str, x509_body: MakeBody
) -> None:
    path = f"/enrollments/{name}"
    made = api.got("PUT", path, x509_body(name))
    api.got("PUT", path, made, if_match=made["etag"])

    dps_error(api.call("DELETE", path, if_match=made["etag"]), 412, 412001)
    api.gone(path)


def test_what_was_read_and_is_sent_back_keeps_the_certificates(
    api: ServiceClient, name: str, x509_body: MakeBody
) -> None:
    path = f"/enrollments/{name}"
    body = x509_body(name)
    certificates = body["attestation"]["x509"]["clientCertificates"]
    certificates["secondary"] = {"certificate": authority.root("spare").certificate_pem}
    made = api.got("PUT", path, body)

    changed = api.got("PUT", path, {**made, "deviceId": "new"}, if_match=made["etag"])

    assert changed["deviceId"] == "new"
    assert changed["attestation"] == made["attestation"]
    read = api.got("GET", path)
    del read["attestation"]["x509"]["clientCertificates"]["primary"]
    rolled = api.got("PUT", path, read, if_match="*")
    assert slot(rolled, "secondary") == slot(made, "secondary")
    assert "primary" not in rolled["attestation"]["x509"]["clientCertificates"]


def test_two_clients_that_change_one_enrollment_at_once_lose_no_write(
    cloud: CloudThread, name: str, x509_body: MakeBody
) -> None:
    """Each reads, adds one to a tag and writes with the etag it read, until it succeeds."""
    path, turns, clients = f"/enrollments/{name}", 15, 3

    def count(_: int) -> int:
        refused = 0
        with service_client(cloud) as mine:
            for _ in range(turns):
                while True:
                    read = mine.got("GET", path)
                    read["initialTwin"]["tags"]["count"] += 1
                    response = mine.call("PUT", path, read, if_match=read["etag"])
                    if response.status_code == 200:
                        break
                    dps_error(response, 412, 412001)
                    refused += 1
        return refused

    with service_client(cloud) as api:
        api.got("PUT", path, x509_body(name, initialTwin={"tags": {"count": 0}}))
        with ThreadPoolExecutor(clients) as pool:
            refused = sum(pool.map(count, range(clients)))

        assert api.got("GET", path)["initialTwin"]["tags"]["count"] == turns * clients
    assert refused > 0  # they did meet


def test_older_api_version_is_shown_a_static_hub_by_its_older_name(
    api: ServiceClient, name: str, x509_body: MakeBody
) -> None:
    """A client that knows no ``iotHubs`` would else take the hub away when it writes."""
    path, old = f"/enrollments/{name}", "2018-04-01"
    body = x509_body(name, iotHubHostName="hub.example")

    made = api.got("PUT", path, body, api_version=old)

    assert made["iotHubHostName"] == "hub.example"
    assert (made["allocationPolicy"], made["iotHubs"]) == ("static", ["hub.example"])
    assert "iotHubHostName" not in api.got("GET", path)


# -- refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "attestation"),
        ({"attestation": None}, "attestation"),
        ({"attestation": 5}, "attestation"),
        ({"attestation": {"type": ["x509"]}}, "attestation.type"),
        ({"attestation": {"type": "tpm", "tpm": {"endorsementKey": "x"}}}, "attestation.type"),
        ({"attestation": {"type": "none"}}, "attestation.type"),
        ({"attestation": {"type": "x509"}}, "attestation.x509"),
        ({**SYMMETRIC, "registrationId": "another"}, "registrationId"),
        ({**SYMMETRIC, "deviceId": "no spaces"}, "deviceId"),
        ({**SYMMETRIC, "provisioningStatus": "on"}, "provisioningStatus"),
        ({**SYMMETRIC, "allocationPolicy": "nearest"}, "allocationPolicy"),
        ({**SYMMETRIC, "allocationPolicy": "static"}, "iotHubs"),
        ({**SYMMETRIC, "allocationPolicy": "custom"}, "customAllocationDefinition"),
        *(
            (
                {
                    **SYMMETRIC,
                    "allocationPolicy": "custom",
                    "customAllocationDefinition": {"webhookUrl": url, "apiVersion": "2021-10-01"},
                },
                "customAllocationDefinition.webhookUrl",
            )
            for url in ("ftp://x", "http://a b/", "http://x/\r\nX: y", "http://x/\ty", " http://x/")
        ),
        (
            {"attestation": {"type": "x509", "x509": {"caReferences": {"secondary": "a b"}}}},
            "attestation.x509.caReferences.secondary",
        ),
        ({**SYMMETRIC, "iotHubs": ["a", 5]}, "iotHubs.1"),
        ({**SYMMETRIC, "initialTwin": {"tags": []}}, "initialTwin.tags"),
        ({**SYMMETRIC, "initialTwin": {"tags": {"a": "x" * 9000}}}, "initialTwin.tags"),
        ({**SYMMETRIC, "capabilities": {"iotEdge": "maybe"}}, "capabilities.iotEdge"),
        ({**SYMMETRIC, "reprovisionPolicy": True}, "reprovisionPolicy"),
        ({**SYMMETRIC, "optionalDeviceInformation": "x"}, "optionalDeviceInformation"),
    ],
)
def test_bad_member_is_400_and_named_first(
    api: ServiceClient, name: str, body: dict[str, Any], field: str
) -> None:
    message = dps_error(api.call("PUT", f"/enrollments/{name}", body), 400, 400004)

    assert message.replace(" ", ": ", 1).startswith(f"{field}:")
    dps_error(api.call("GET", f"/enrollments/{name}"), 404, 404201)


def test_id_that_is_none_is_400(api: ServiceClient, x509_body: MakeBody) -> None:
    for bad in ("no%20space", "x" * 129, "dot.", "%C3%A4"):
        message = dps_error(api.call("PUT", f"/enrollments/{bad}", SYMMETRIC), 400, 400004)
        assert message.startswith("registrationId ")


def test_certificate_that_is_none_is_400_and_named(api: ServiceClient, name: str) -> None:
    x509 = {"clientCertificates": {"primary": {"certificate": "not a certificate"}}}
    body = {"attestation": {"type": "x509", "x509": x509}}

    message = dps_error(api.call("PUT", f"/enrollments/{name}", body), 400, 400004)

    assert message.startswith("attestation.x509.clientCertificates.primary: ")


def test_certificate_of_which_only_info_comes_must_be_stored(
    api: ServiceClient, name: str, make_device: MakeDevice
) -> None:
    x509 = {"clientCertificates": {"primary": {"info": {"subjectName": "CN=x"}}}}
    body = {"attestation": {"type": "x509", "x509": x509}}

    message = dps_error(api.call("PUT", f"/enrollments/{name}", body), 400, 400004)

    assert "none is stored" in message
