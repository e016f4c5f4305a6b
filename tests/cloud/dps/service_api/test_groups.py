"""Enrollment groups: as individual enrollments, for all under a CA or a key."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.support import authority
from tests.support.cloud import CloudThread
from tests.support.service_api import ServiceClient, dps_error

SYMMETRIC = {"attestation": {"type": "symmetricKey"}}


def signing(name: str) -> dict[str, Any]:
    """Return a group's body with a CA certificate of its own."""
    slots = {"primary": {"certificate": authority.root(name).certificate_pem}}
    return {"attestation": {"type": "x509", "x509": {"signingCertificates": slots}}}


@pytest.mark.parametrize("collection", ["enrollmentGroups", "enrollmentgroups", "ENROLLMENTGROUPS"])
def test_group_is_created_read_replaced_and_deleted_in_any_case_of_the_path(
    api: ServiceClient, name: str, collection: str
) -> None:
    path = f"/{collection}/{name}"
    made = api.got("PUT", path, {"enrollmentGroupId": name, **signing(name)})

    assert made["enrollmentGroupId"] == name
    assert "registrationState" not in made
    info = made["attestation"]["x509"]["signingCertificates"]["primary"]["info"]
    assert info["subjectName"] == f"CN={name}, O=Quay"
    assert api.got("GET", path) == made
    dps_error(api.call("PUT", path, made), 409, 409201)
    dps_error(api.call("PUT", path, made, if_match="old"), 412, 412001)
    made["provisioningStatus"] = "disabled"
    changed = api.got("PUT", path, made, if_match=made["etag"])
    assert changed["provisioningStatus"] == "disabled"
    assert changed["attestation"] == made["attestation"]
    assert api.got("POST", f"{path}/attestationmechanism") == made["attestation"]
    dps_error(api.call("DELETE", path, if_match=made["etag"]), 412, 412001)
    api.gone(path, if_match=changed["etag"])
    dps_error(api.call("GET", path), 404, 404201)


def test_group_of_an_uploaded_ca_refers_to_it_by_name(
    api: ServiceClient, cloud: CloudThread, name: str
) -> None:
    cloud.add_ca(f"ca-{name}", authority.root(f"root{name}").certificate_pem)
    attestation = {"type": "x509", "x509": {"caReferences": {"primary": f"ca-{name}"}}}

    made = api.got("PUT", f"/enrollmentGroups/{name}", {"attestation": attestation})

    assert made["attestation"] == attestation


def test_keys_of_a_group_are_made_hidden_shown_and_kept(api: ServiceClient, name: str) -> None:
    path = f"/enrollmentGroups/{name}"
    made = api.got("PUT", path, SYMMETRIC)
    keys = made["attestation"]["symmetricKey"]

    assert len(base64.b64decode(keys["primaryKey"])) == 64
    read = api.got("GET", path)
    assert read["attestation"] == {"type": "symmetricKey", "symmetricKey": {}}
    assert api.got("PUT", path, read, if_match="*")["attestation"] == read["attestation"]
    shown = api.got("POST", f"/enrollmentgroups/{name}/attestationmechanism")
    assert shown == {"type": "symmetricKey", "symmetricKey": keys}


@pytest.mark.parametrize(
    ("x509", "field"),
    [
        ({}, "attestation.x509"),
        (
            {"clientCertificates": {"primary": {"certificate": "x"}}},
            "attestation.x509.clientCertificates",
        ),
        ({"caReferences": {"primary": "nonesuch"}}, "attestation.x509.caReferences"),
        ({"caReferences": {"primary": None}}, "attestation.x509.caReferences"),
        (
            {"caReferences": {"primary": "a"}, "signingCertificates": {}},
            "attestation.x509",
        ),
    ],
)
def test_attestation_that_no_group_can_have_is_400_and_named(
    api: ServiceClient, name: str, x509: Any, field: str
) -> None:
    body = {"attestation": {"type": "x509", "x509": x509}}

    message = dps_error(api.call("PUT", f"/enrollmentGroups/{name}", body), 400, 400004)

    assert message.startswith(f"{field}: ")


def test_certificate_that_is_no_ca_signs_for_no_group(api: ServiceClient, name: str) -> None:
    device = authority.device(authority.root("quayroot"), name)
    slots = {"primary": {"certificate": device.certificate_pem}}
    body = {"attestation": {"type": "x509", "x509": {"signingCertificates": slots}}}

    message = dps_error(api.call("PUT", f"/enrollmentGroups/{name}", body), 400, 400004)

    assert message.startswith("attestation.x509.signingCertificates.primary: ")
    assert "cannot issue certificates" in message
