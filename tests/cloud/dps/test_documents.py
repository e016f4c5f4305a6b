"""Enrollments as JSON: read tolerantly, refused clearly, written so that they can be sent back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support import authority

from mooring.cloud.cacertificates.model import StoredCertificate
from mooring.cloud.dps.documents import (
    EnrollmentBody,
    GroupBody,
    attestation_to_json,
    enrollment_to_json,
    group_to_json,
    registration_to_json,
)
from mooring.cloud.dps.errors import InputInvalid
from mooring.cloud.dps.model import (
    AllocationPolicy,
    AttestationType,
    CaReferences,
    CertificateSlots,
    ClientCertificates,
    CustomAllocation,
    EnrollmentGroup,
    EnrollmentTerms,
    IndividualEnrollment,
    InitialTwin,
    ProvisioningStatus,
    Registration,
    ReprovisionPolicy,
    SigningCertificates,
    Slot,
    SymmetricKeys,
    SymmetricKeySlots,
)
from mooring.pki.certificates import dump_certificate, load_certificate
from mooring.protocol.azure.registration_state import RegistrationStatus, RegistrationSubstatus

AT = datetime(2030, 2, 3, 4, 5, 6, 123456, tzinfo=UTC)
SHOWN_AT = "2030-02-03T04:05:06.1234560Z"
KEY = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU="
X509 = {"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": "pem"}}}}
CA = {"type": "x509", "x509": {"caReferences": {"primary": "quay"}}}


def enrollment(**members: Any) -> IndividualEnrollment:
    values = {
        "registration_id": "gw01",
        "attestation": SymmetricKeys(KEY, KEY),
        "device_id": None,
        "terms": EnrollmentTerms(),
        "etag": "dGFn",
        "created_at": AT,
        "updated_at": AT,
    }
    return IndividualEnrollment(**{**values, **members})


def stored() -> StoredCertificate:
    return StoredCertificate.of(authority.root("gw01").certificate)


def pem(certificate: StoredCertificate | None) -> str:
    assert certificate is not None
    return dump_certificate(certificate.load())


def read(body: dict[str, Any]) -> Any:
    return EnrollmentBody.model_validate({"attestation": X509, **body}).to_draft("gw01")


def read_attestation(attestation: Any) -> Any:
    return EnrollmentBody.model_validate({"attestation": attestation}).to_draft("gw01").attestation


# -- read ---------------------------------------------------------------------------------------


def test_body_with_every_member_null_is_as_with_none() -> None:
    members = (
        "registrationId deviceId registrationState iotHubHostName initialTwin etag capabilities "
        "provisioningStatus reprovisionPolicy createdDateTimeUtc lastUpdatedDateTimeUtc iotHubs "
        "allocationPolicy customAllocationDefinition optionalDeviceInformation credentialPolicyName"
    )

    assert read(dict.fromkeys(members.split())) == read({})
    assert read({"capabilities": {"iotEdge": None}, "initialTwin": None}) == read({})
    assert read({"reprovisionPolicy": {"updateHubAssignment": None}}).terms == EnrollmentTerms(
        reprovision_policy=ReprovisionPolicy()
    )


def test_every_member_is_read() -> None:
    draft = read(
        {
            "registrationId": "GW01",
            "deviceId": "Pump",
            "unknown": {"a": 1},
            "capabilities": {"iotEdge": True},
            "provisioningStatus": "Disabled",
            "reprovisionPolicy": {"updateHubAssignment": True, "migrateDeviceData": False},
            "allocationPolicy": "custom",
            "iotHubs": ["a.example", "b.example"],
            "customAllocationDefinition": {
                "webhookUrl": "https://chooser.example/?code=1",
                "apiVersion": "2021-10-01",
            },
            "initialTwin": {
                "tags": {"site": "quay", "count": None},
                "properties": {"desired": {"$x": 1, "version": None}},
            },
            "optionalDeviceInformation": {"room": 7, "metadata": None},
        }
    )

    assert draft.registration_id == "gw01"
    assert draft.device_id == "Pump"
    assert draft.optional_device_information == {"room": 7, "metadata": None}
    assert draft.terms == EnrollmentTerms(
        provisioning_status=ProvisioningStatus.DISABLED,
        reprovision_policy=ReprovisionPolicy(True, False),
        allocation_policy=AllocationPolicy.CUSTOM,
        hub_host_names=("a.example", "b.example"),
        custom_allocation=CustomAllocation("https://chooser.example/?code=1", "2021-10-01"),
        initial_twin=InitialTwin({"site": "quay", "count": None}, {"$x": 1, "version": None}),
        iot_edge=True,
    )


@pytest.mark.parametrize("word", ["geoLatency", "geolatency", "GEOLATENCY"])
def test_allocation_policy_in_any_case_is_known(word: str) -> None:
    assert read({"allocationPolicy": word}).terms.allocation_policy is AllocationPolicy.GEO_LATENCY


@pytest.mark.parametrize(
    ("body", "policy", "hubs"),
    [
        ({"iotHubHostName": "a"}, AllocationPolicy.STATIC, ("a",)),
        ({"iotHubHostName": "a", "allocationPolicy": "static"}, AllocationPolicy.STATIC, ("a",)),
        # Both are sent when a client changes one of what it read; the newer spelling counts.
        ({"iotHubHostName": "a", "iotHubs": ["b"]}, None, ("b",)),
        ({"iotHubHostName": "a", "allocationPolicy": "hashed"}, AllocationPolicy.HASHED, ()),
    ],
)
def test_older_spelling_of_a_static_hub_is_read(
    body: dict[str, Any], policy: AllocationPolicy | None, hubs: tuple[str, ...]
) -> None:
    terms = read(body).terms

    assert (terms.allocation_policy, terms.hub_host_names) == (policy, hubs)


def test_webhook_left_from_another_policy_is_dropped() -> None:
    custom = {"webhookUrl": "https://x.example", "apiVersion": "2021-10-01"}

    terms = read({"allocationPolicy": "hashed", "customAllocationDefinition": custom}).terms

    assert terms.custom_allocation is None


@pytest.mark.parametrize(
    ("attestation", "slots"),
    [
        (X509, CertificateSlots("pem", None)),
        (
            {
                "type": "X509",
                "tpm": None,
                "x509": {
                    "clientCertificates": {
                        "primary": {"info": {"subjectName": "CN=gw01"}},
                        "secondary": {"certificate": "pem", "info": {}},
                    },
                    "signingCertificates": None,
                    "caReferences": None,
                },
            },
            CertificateSlots(Slot.KEEP, "pem"),
        ),
        (CA, CaReferences("quay", None)),
        ({"type": "symmetricKey"}, SymmetricKeySlots()),
        ({"type": "symmetrickey", "symmetricKey": {"primaryKey": None}}, SymmetricKeySlots()),
        (
            {"type": "symmetricKey", "symmetricKey": {"primaryKey": "a", "secondaryKey": "b"}},
            SymmetricKeySlots("a", "b"),
        ),
    ],
)
def test_attestation_is_read(attestation: dict[str, Any], slots: Any) -> None:
    assert read_attestation(attestation) == slots


@pytest.mark.parametrize(
    ("attestation", "field", "said"),
    [
        ({"type": "tpm", "tpm": {"endorsementKey": "x"}}, "attestation.type", "not supported"),
        ({"type": "none"}, "attestation.type", "not supported"),
        ({"type": "retina"}, "attestation.type", "'retina' is not supported"),
        ({}, "attestation.type", "missing"),
        ({"type": "x509"}, "attestation.x509", "no certificates"),
        ({"type": "x509", "x509": {}}, "attestation.x509", "no certificates"),
        (
            {"type": "x509", "x509": {**X509["x509"], **CA["x509"]}},
            "attestation.x509",
            "clientCertificates and caReferences",
        ),
        (
            {"type": "x509", "x509": {"signingCertificates": {}}},
            "attestation.x509.signingCertificates",
            "not for this kind",
        ),
    ],
)
def test_attestation_that_is_not_served_is_refused_by_name(
    attestation: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(InputInvalid) as caught:
        read_attestation(attestation)

    assert caught.value.field == field
    assert said in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"registrationId": "other"}, "registrationId"),
        ({"allocationPolicy": "nearest"}, "allocationPolicy"),
        ({"provisioningStatus": "maybe"}, "provisioningStatus"),
    ],
)
def test_word_that_is_not_known_is_refused_by_name(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InputInvalid) as caught:
        read(body)

    assert caught.value.field == field


def test_group_takes_what_signs_and_not_what_identifies_a_device() -> None:
    def read_group(attestation: dict[str, Any]) -> Any:
        body = GroupBody.model_validate({"enrollmentGroupId": None, "attestation": attestation})
        return body.to_draft("plant-7").attestation

    signing = {"type": "x509", "x509": {"signingCertificates": {"primary": {"certificate": "p"}}}}
    assert read_group(CA) == CaReferences("quay", None)
    assert read_group(signing) == CertificateSlots("p", None)
    assert read_group({"type": "symmetricKey"}) == SymmetricKeySlots()
    with pytest.raises(InputInvalid) as caught:
        read_group(X509)
    assert caught.value.field == "attestation.x509.clientCertificates"


# -- written ------------------------------------------------------------------------------------


def test_enrollment_is_written_as_azure_has_it() -> None:
    document = enrollment_to_json(enrollment(), None)

    assert document == {
        "registrationId": "gw01",
        "registrationState": {"registrationId": "gw01", "status": "unassigned"},
        "attestation": {"type": "symmetricKey", "symmetricKey": {}},
        "capabilities": {"iotEdge": False},
        "etag": '"dGFn"',
        "provisioningStatus": "enabled",
        "reprovisionPolicy": {"updateHubAssignment": True, "migrateDeviceData": True},
        "createdDateTimeUtc": SHOWN_AT,
        "lastUpdatedDateTimeUtc": SHOWN_AT,
    }


def test_keys_are_written_only_when_asked_for() -> None:
    keys = {"primaryKey": KEY, "secondaryKey": KEY}

    shown = enrollment_to_json(enrollment(), None, with_keys=True)["attestation"]

    assert shown == {"type": "symmetricKey", "symmetricKey": keys}
    assert KEY not in str(enrollment_to_json(enrollment(), None))
    assert KEY not in str(attestation_to_json(SymmetricKeys(KEY, KEY)))


def test_certificate_is_written_with_its_text_and_the_eight_members_of_its_info() -> None:
    certificate = stored()

    document = enrollment_to_json(enrollment(attestation=ClientCertificates(certificate)), None)

    x509 = document["attestation"]["x509"]
    assert x509.keys() == {"clientCertificates"}
    assert x509["clientCertificates"].keys() == {"primary"}
    assert x509["clientCertificates"]["primary"].keys() == {"certificate", "info"}
    text = x509["clientCertificates"]["primary"]["certificate"]
    assert StoredCertificate.of(load_certificate(text)) == certificate
    info = x509["clientCertificates"]["primary"]["info"]
    assert info["sha256Thumbprint"] == certificate.sha256_thumbprint
    assert info.keys() == {
        "subjectName",
        "sha1Thumbprint",
        "sha256Thumbprint",
        "issuerName",
        "notBeforeUtc",
        "notAfterUtc",
        "serialNumber",
        "version",
    }


def test_what_is_written_and_sent_back_is_the_same_enrollment() -> None:
    terms = EnrollmentTerms(
        provisioning_status=ProvisioningStatus.DISABLED,
        reprovision_policy=ReprovisionPolicy(False, False),
        allocation_policy=AllocationPolicy.CUSTOM,
        hub_host_names=("a.example",),
        custom_allocation=CustomAllocation("https://x.example/?code=1", "2021-10-01"),
        initial_twin=InitialTwin({"a": {"b": [1, None]}}, {"c": 1}),
        iot_edge=True,
    )
    certificates = ClientCertificates(stored(), stored())
    record = enrollment(
        attestation=certificates,
        terms=terms,
        device_id="Pump",
        optional_device_information={"a": 1},
    )

    draft = EnrollmentBody.model_validate(enrollment_to_json(record, None)).to_draft("gw01")

    assert draft.terms == terms
    assert draft.device_id == "Pump"
    assert draft.optional_device_information == {"a": 1}
    assert draft.attestation == CertificateSlots(
        pem(certificates.primary), pem(certificates.secondary)
    )


SIGNING = stored()


@pytest.mark.parametrize(
    ("attestation", "written", "read_back"),
    [
        (
            CaReferences("quay", "quay2"),
            {"type": "x509", "x509": {"caReferences": {"primary": "quay", "secondary": "quay2"}}},
            CaReferences("quay", "quay2"),
        ),
        (
            SymmetricKeys(KEY, KEY),
            {"type": "symmetricKey", "symmetricKey": {}},
            SymmetricKeySlots(),
        ),
        (SigningCertificates(None, SIGNING), None, CertificateSlots(None, pem(SIGNING))),
    ],
)
def test_group_is_written_and_read_back(attestation: Any, written: Any, read_back: Any) -> None:
    document = group_to_json(
        EnrollmentGroup("plant-7", attestation, EnrollmentTerms(), "dGFn", AT, AT)
    )

    assert written is None or document["attestation"] == written
    assert document["enrollmentGroupId"] == "plant-7"
    assert GroupBody.model_validate(document).to_draft("PLANT-7").attestation == read_back


def test_registration_is_written_as_the_device_was_told() -> None:
    registration = Registration(
        registration_id="gw01",
        status=RegistrationStatus.ASSIGNED,
        substatus=RegistrationSubstatus.INITIAL_ASSIGNMENT,
        assigned_hub="hub.example",
        device_id="gw01",
        enrollment_group_id=None,
        error_code=None,
        error_message=None,
        thumbprint="AB",
        etag="dGFn",
        created_at=AT,
        updated_at=AT,
        attestation_type=AttestationType.X509,
    )

    document = registration_to_json(registration)

    assert document == {
        "x509": {},
        "registrationId": "gw01",
        "createdDateTimeUtc": SHOWN_AT,
        "assignedHub": "hub.example",
        "deviceId": "gw01",
        "status": "assigned",
        "substatus": "initialAssignment",
        "lastUpdatedDateTimeUtc": SHOWN_AT,
        "etag": "dGFn",
        "thumbprint": "AB",
    }
    assert enrollment_to_json(enrollment(), registration)["registrationState"] == document
