"""DPS's resources as JSON, spelled as Azure's service and resource APIs spell them.

Bodies are read tolerantly, as those APIs do: unknown members and nulls are ignored. What is
written can be sent back as it was read: a certificate that comes without its text keeps the
stored one.
"""

from __future__ import annotations

from email.utils import format_datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mooring.cloud.dps.errors import InputInvalid
from mooring.cloud.dps.model import (
    AllocationPolicy,
    CaCertificate,
    CaReferences,
    CertificateSlot,
    CertificateSlots,
    EnrollmentDraft,
    EnrollmentGroup,
    EnrollmentTerms,
    GroupAttestation,
    GroupDraft,
    IndividualAttestation,
    IndividualEnrollment,
    InitialTwin,
    LinkedHub,
    ProvisioningStatus,
    Registration,
    ReprovisionPolicy,
    SigningCertificates,
    Slot,
    StoredCertificate,
    SymmetricKeys,
)
from mooring.cloud.dps.wire import registration_state
from mooring.pki.certificates import CertificateInfo
from mooring.protocol.azure.registration_state import registration_state_to_json
from mooring.protocol.azure.timestamps import format_timestamp

_POLICIES = {policy.value.lower(): policy for policy in AllocationPolicy}


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)


class CertificateEntry(_Document):
    """One certificate: its text, or only what was read of a stored one."""

    certificate: str | None = None
    info: dict[str, Any] | None = None

    def to_slot(self) -> CertificateSlot:
        """Return what the entry asks for."""
        if self.certificate is not None:
            return self.certificate
        return None if self.info is None else Slot.KEEP


class CertificateEntries(_Document):
    """Primary and secondary certificate."""

    primary: CertificateEntry | None = None
    secondary: CertificateEntry | None = None

    def to_slots(self) -> CertificateSlots:
        """Return what the entries ask for."""
        return CertificateSlots(
            None if self.primary is None else self.primary.to_slot(),
            None if self.secondary is None else self.secondary.to_slot(),
        )


class CaNames(_Document):
    """Names of uploaded CA certificates."""

    primary: str | None = None
    secondary: str | None = None


class X509Body(_Document):
    """Attestation by certificate; one of the three."""

    client_certificates: CertificateEntries | None = None
    signing_certificates: CertificateEntries | None = None
    ca_references: CaNames | None = None


class AttestationBody(_Document):
    """How a device proves who it is."""

    type: str
    x509: X509Body | None = None


class CapabilitiesBody(_Document):
    """What the device is."""

    iot_edge: bool | None = None


class PropertiesBody(_Document):
    """First properties of a twin."""

    desired: dict[str, Any] | None = None


class TwinBody(_Document):
    """First content of a twin."""

    tags: dict[str, Any] | None = None
    properties: PropertiesBody | None = None


class ReprovisionBody(_Document):
    """What a later registration may change."""

    update_hub_assignment: bool = True
    migrate_device_data: bool = True


class _TermsBody(_Document):
    provisioning_status: ProvisioningStatus | None = None
    reprovision_policy: ReprovisionBody | None = None
    allocation_policy: str | None = None
    iot_hubs: list[str] | None = None
    iot_hub_host_name: str | None = None
    initial_twin: TwinBody | None = None
    capabilities: CapabilitiesBody | None = None

    def to_terms(self) -> EnrollmentTerms:
        """Return the terms that the document asks for.

        Raises:
            InputInvalid: An allocation policy that is not served.
        """
        reprovision = self.reprovision_policy
        policy = self._allocation_policy()
        hubs = tuple(self.iot_hubs or ())
        if self.iot_hub_host_name and not hubs:
            # Azure: the older spelling of a static assignment
            policy, hubs = AllocationPolicy.STATIC, (self.iot_hub_host_name,)
        return EnrollmentTerms(
            provisioning_status=self.provisioning_status or ProvisioningStatus.ENABLED,
            reprovision_policy=None
            if reprovision is None
            else ReprovisionPolicy(
                reprovision.update_hub_assignment, reprovision.migrate_device_data
            ),
            allocation_policy=policy,
            hub_host_names=hubs,
            initial_twin=_to_twin(self.initial_twin),
            iot_edge=bool(self.capabilities and self.capabilities.iot_edge),
        )

    def _allocation_policy(self) -> AllocationPolicy | None:
        if self.allocation_policy is None:
            return None
        policy = _POLICIES.get(self.allocation_policy.lower())
        if policy is None:
            raise InputInvalid(
                f"allocationPolicy: {self.allocation_policy[:40]!r} is not served",
                f"give one of {', '.join(AllocationPolicy)}",
                field="allocationPolicy",
            )
        return policy


class EnrollmentBody(_TermsBody):
    """An individual enrollment as a caller sends it."""

    registration_id: str | None = None
    device_id: str | None = None
    attestation: AttestationBody

    def to_draft(self, registration_id: str) -> EnrollmentDraft:
        """Return the draft for the enrollment at path `registration_id`.

        Raises:
            InputInvalid: Another id in the body, or an attestation that is not served.
        """
        _check_same("registrationId", self.registration_id, registration_id)
        x509 = _x509_of(self.attestation)
        if x509.client_certificates is None:
            raise InputInvalid(
                "attestation.x509.clientCertificates: missing",
                "give the device's own certificate as clientCertificates.primary; CA certificates "
                "belong into an enrollment group",
                field="attestation.x509.clientCertificates",
            )
        return EnrollmentDraft(
            registration_id=registration_id,
            attestation=x509.client_certificates.to_slots(),
            device_id=self.device_id or None,
            terms=self.to_terms(),
        )


class GroupBody(_TermsBody):
    """An enrollment group as a caller sends it."""

    enrollment_group_id: str | None = None
    attestation: AttestationBody

    def to_draft(self, enrollment_group_id: str) -> GroupDraft:
        """Return the draft for the group at path `enrollment_group_id`.

        Raises:
            InputInvalid: Another id in the body, or an attestation that is not served.
        """
        _check_same("enrollmentGroupId", self.enrollment_group_id, enrollment_group_id)
        x509 = _x509_of(self.attestation)
        if (x509.ca_references is None) == (x509.signing_certificates is None):
            raise InputInvalid(
                "attestation.x509: needs either caReferences or signingCertificates",
                "name an uploaded CA certificate as caReferences.primary, or give one as "
                "signingCertificates.primary",
                field="attestation.x509",
            )
        attestation: CaReferences | CertificateSlots
        if x509.ca_references is not None:
            attestation = CaReferences(
                x509.ca_references.primary or None, x509.ca_references.secondary or None
            )
        else:
            assert x509.signing_certificates is not None
            attestation = x509.signing_certificates.to_slots()
        return GroupDraft(enrollment_group_id, attestation, self.to_terms())


class CertificateProperties(_Document):
    """What may be given of a CA certificate."""

    certificate: str
    is_verified: bool = False


class CertificateUpload(_Document):
    """A CA certificate as a caller sends it."""

    properties: CertificateProperties


class VerificationUpload(_Document):
    """A verification certificate as a caller sends it."""

    certificate: str


class LinkedHubBody(_Document):
    """A linked hub as a caller sends it."""

    allocation_weight: int = Field(default=1, ge=1, le=1000)
    apply_allocation_policy: bool = True


def certificate_to_json(certificate: CaCertificate, *, with_code: bool = False) -> dict[str, Any]:
    """Return a CA certificate as Azure's resource API has it, without the ARM envelope."""
    info = certificate.certificate.describe()
    properties: dict[str, Any] = {
        "subject": info.subject_name,
        "expiry": format_datetime(info.not_after, usegmt=True),
        "thumbprint": info.sha1_thumbprint,
        "sha256Thumbprint": info.sha256_thumbprint,
        "isVerified": certificate.verified,
        "created": format_datetime(certificate.created_at, usegmt=True),
        "updated": format_datetime(certificate.updated_at, usegmt=True),
    }
    if with_code:
        properties["verificationCode"] = certificate.verification_code
    return {"name": certificate.name, "etag": certificate.etag, "properties": properties}


def enrollment_to_json(
    enrollment: IndividualEnrollment, registration: Registration | None
) -> dict[str, Any]:
    """Return an individual enrollment as Azure's service API has it.

    `registration` is the record of its device; None before the first, shown as ``unassigned``.
    """
    document: dict[str, Any] = {"registrationId": enrollment.registration_id}
    if enrollment.device_id is not None:
        document["deviceId"] = enrollment.device_id
    document["registrationState"] = (
        {"registrationId": enrollment.registration_id, "status": "unassigned"}
        if registration is None
        else registration_to_json(registration)
    )
    document["attestation"] = attestation_to_json(enrollment.attestation)
    return document | _common_to_json(enrollment)


def group_to_json(group: EnrollmentGroup) -> dict[str, Any]:
    """Return an enrollment group as Azure's service API has it."""
    return {
        "enrollmentGroupId": group.enrollment_group_id,
        "attestation": attestation_to_json(group.attestation),
    } | _common_to_json(group)


def attestation_to_json(attestation: IndividualAttestation | GroupAttestation) -> dict[str, Any]:
    """Return an attestation as Azure's service API shows it, without symmetric keys."""
    if isinstance(attestation, SymmetricKeys):
        return {"type": "symmetricKey", "symmetricKey": {}}
    if isinstance(attestation, CaReferences):
        names = {"primary": attestation.primary, "secondary": attestation.secondary}
        x509 = {"caReferences": {slot: name for slot, name in names.items() if name is not None}}
        return {"type": "x509", "x509": x509}
    kind = (
        "signingCertificates"
        if isinstance(attestation, SigningCertificates)
        else "clientCertificates"
    )
    entries = _entries_to_json(attestation.primary, attestation.secondary)
    return {"type": "x509", "x509": {kind: entries}}


def registration_to_json(registration: Registration) -> dict[str, Any]:
    """Return a registration record: what the device was told, and by which group."""
    return {
        **registration_state_to_json(registration_state(registration)),
        "enrollmentGroupId": registration.enrollment_group_id,
        "thumbprint": registration.thumbprint,
    }


def linked_hub_to_json(hub: LinkedHub) -> dict[str, Any]:
    """Return a linked hub as Azure's resource API has it."""
    return {
        "name": hub.host_name,
        "allocationWeight": hub.allocation_weight,
        "applyAllocationPolicy": hub.apply_allocation_policy,
    }


def _common_to_json(record: IndividualEnrollment | EnrollmentGroup) -> dict[str, Any]:
    terms = record.terms
    policy = terms.reprovision_policy or ReprovisionPolicy()
    document: dict[str, Any] = {
        "capabilities": {"iotEdge": terms.iot_edge},
        "etag": record.etag,
        "provisioningStatus": terms.provisioning_status.value,
        "reprovisionPolicy": {
            "updateHubAssignment": policy.update_hub_assignment,
            "migrateDeviceData": policy.migrate_device_data,
        },
        "createdDateTimeUtc": format_timestamp(record.created_at),
        "lastUpdatedDateTimeUtc": format_timestamp(record.updated_at),
    }
    if terms.allocation_policy is not None:
        document["allocationPolicy"] = terms.allocation_policy.value
    if terms.hub_host_names:
        document["iotHubs"] = list(terms.hub_host_names)
    if terms.initial_twin is not None:
        document["initialTwin"] = {
            "tags": dict(terms.initial_twin.tags),
            "properties": {"desired": dict(terms.initial_twin.desired)},
        }
    return document


def _entries_to_json(
    primary: StoredCertificate | None, secondary: StoredCertificate | None
) -> dict[str, Any]:
    document = {}
    if primary is not None:
        document["primary"] = {"info": info_to_json(primary.describe())}
    if secondary is not None:
        document["secondary"] = {"info": info_to_json(secondary.describe())}
    return document


def info_to_json(info: CertificateInfo) -> dict[str, Any]:
    """Return the facts of a certificate with Azure's eight members."""
    return {
        "subjectName": info.subject_name,
        "sha1Thumbprint": info.sha1_thumbprint,
        "sha256Thumbprint": info.sha256_thumbprint,
        "issuerName": info.issuer_name,
        "notBeforeUtc": format_timestamp(info.not_before),
        "notAfterUtc": format_timestamp(info.not_after),
        "serialNumber": info.serial_number,
        "version": info.version,
    }


def _to_twin(body: TwinBody | None) -> InitialTwin | None:
    if body is None:
        return None
    desired = None if body.properties is None else body.properties.desired
    return InitialTwin(tags=body.tags or {}, desired=desired or {})


def _x509_of(attestation: AttestationBody) -> X509Body:
    if attestation.type.lower() != "x509" or attestation.x509 is None:
        raise InputInvalid(
            f"attestation: type {attestation.type[:40]!r} is not served, or x509 is missing",
            "give type x509 and its certificates",
            field="attestation",
        )
    return attestation.x509


def _check_same(field: str, given: str | None, path: str) -> None:
    if given is not None and given.lower() != path.lower():
        raise InputInvalid(
            f"{field}: {given[:128]!r} in the body is not {path[:128]!r} of the path",
            "leave it out of the body, or make both the same",
            field=field,
        )
