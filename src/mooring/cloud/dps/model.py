"""What DPS knows, as frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, TypeAlias

from mooring.pki.certificates import (
    Certificate,
    CertificateInfo,
    certificate_der,
    describe,
    load_der_certificate,
    sha256_thumbprint,
)
from mooring.protocol.azure.registration_state import RegistrationStatus, RegistrationSubstatus
from mooring.runtime.attempts import AttemptRecorder


class ProvisioningStatus(StrEnum):
    """Whether an enrollment lets its devices register."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class AllocationPolicy(StrEnum):
    """How a linked hub is chosen (Azure: DPS service API, ``allocationPolicy``)."""

    HASHED = "hashed"
    GEO_LATENCY = "geoLatency"
    STATIC = "static"


class SubjectRules(StrEnum):
    """Which rules a device certificate's subject must keep."""

    AZURE = "azure"
    GUIDE = "guide"


@dataclass(frozen=True, slots=True)
class ReprovisionPolicy:
    """What a later registration may change; the default is Azure's *migrate*.

    *reset* is ``(True, False)``, *never* is ``(False, False)``.
    """

    update_hub_assignment: bool = True
    migrate_device_data: bool = True


@dataclass(frozen=True, slots=True)
class InitialTwin:
    """First content of the device's twin; JSON objects."""

    tags: Mapping[str, Any] = field(default_factory=dict)
    desired: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate at rest: its DER and the SHA-256 thumbprint it is found by."""

    der: bytes = field(repr=False)
    sha256_thumbprint: str

    @classmethod
    def of(cls, certificate: Certificate) -> StoredCertificate:
        """Return `certificate` in the form that is kept."""
        return cls(certificate_der(certificate), sha256_thumbprint(certificate))

    def load(self) -> Certificate:
        """Return the certificate itself."""
        return load_der_certificate(self.der)

    def describe(self) -> CertificateInfo:
        """Return subject, issuer, thumbprints, dates, serial number and version."""
        return describe(self.load())


@dataclass(frozen=True, slots=True)
class CaCertificate:
    """An uploaded CA certificate and the proof that its key is held.

    `verification_code` and `code_made_at` are set from *generate* until the code is used,
    replaced or the certificate is deleted; a code older than 24 h is refused. `former_codes` are
    kept only to say "that was an earlier code" to whoever signs one.
    """

    name: str
    certificate: StoredCertificate
    verified: bool
    verification_code: str | None = field(repr=False)
    code_made_at: datetime | None
    former_codes: tuple[str, ...] = field(repr=False)
    etag: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ClientCertificates:
    """Attestation of one device by its own certificate; either slot admits it."""

    primary: StoredCertificate | None
    secondary: StoredCertificate | None = None


@dataclass(frozen=True, slots=True)
class SigningCertificates:
    """Attestation of a group by the CA certificate that its devices' certificates hang from."""

    primary: StoredCertificate | None
    secondary: StoredCertificate | None = None


@dataclass(frozen=True, slots=True)
class CaReferences:
    """Attestation of a group by names of uploaded CA certificates."""

    primary: str | None
    secondary: str | None = None


@dataclass(frozen=True, slots=True)
class EnrollmentTerms:
    """What individual enrollments and groups have in common.

    `allocation_policy` None means the service's default; `hub_host_names` empty means all
    linked hubs.
    """

    provisioning_status: ProvisioningStatus = ProvisioningStatus.ENABLED
    reprovision_policy: ReprovisionPolicy = ReprovisionPolicy()
    allocation_policy: AllocationPolicy | None = None
    hub_host_names: tuple[str, ...] = ()
    initial_twin: InitialTwin | None = None
    iot_edge: bool = False


@dataclass(frozen=True, slots=True)
class IndividualEnrollment:
    """One device that may register. `device_id` None means: as the registration id."""

    registration_id: str
    attestation: ClientCertificates
    device_id: str | None
    terms: EnrollmentTerms
    etag: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class EnrollmentGroup:
    """All devices whose certificate hangs from a CA may register."""

    enrollment_group_id: str
    attestation: CaReferences | SigningCertificates
    terms: EnrollmentTerms
    etag: str
    created_at: datetime
    updated_at: datetime


class Slot(Enum):
    """What a certificate slot of a draft may say besides naming a certificate."""

    KEEP = "keep"
    """Leave the stored certificate: a client sent back what it had read, without the body."""


CertificateSlot: TypeAlias = str | bytes | Slot | None
"""PEM, base64 or DER of one certificate; KEEP; or None for an empty slot."""


@dataclass(frozen=True, slots=True)
class CertificateSlots:
    """The certificates of a draft: of a device (individual) or of a signing CA (group)."""

    primary: CertificateSlot
    secondary: CertificateSlot = None


@dataclass(frozen=True, slots=True)
class EnrollmentDraft:
    """An individual enrollment as asked for."""

    registration_id: str
    certificates: CertificateSlots
    device_id: str | None = None
    terms: EnrollmentTerms = EnrollmentTerms()


@dataclass(frozen=True, slots=True)
class GroupDraft:
    """An enrollment group as asked for."""

    enrollment_group_id: str
    attestation: CaReferences | CertificateSlots
    terms: EnrollmentTerms = EnrollmentTerms()


@dataclass(frozen=True, slots=True)
class LinkedHub:
    """A hub that DPS may assign to; `allocation_weight` 1…1000."""

    host_name: str
    allocation_weight: int = 1
    apply_allocation_policy: bool = True


@dataclass(frozen=True, slots=True)
class Registration:
    """A device that did register, with its latest outcome (one per registration id).

    `assigned_hub` and `device_id` are those of the latest assignment, kept through ``failed`` and
    ``disabled`` (a device is told of them only when ``assigned``); None when there never was one.
    `substatus` is set when assigned, `error_code` and `error_message` when failed.
    `enrollment_group_id` is None for an individual enrollment. `thumbprint` is the SHA-256 of the
    leaf that was presented.
    """

    registration_id: str
    status: RegistrationStatus
    substatus: RegistrationSubstatus | None
    assigned_hub: str | None
    device_id: str | None
    enrollment_group_id: str | None
    error_code: int | None
    error_message: str | None
    thumbprint: str
    etag: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Operation:
    """A registration as the device polls it. It is durable, and its outcome is known.

    The wire answer to the register request is ``202 assigning`` with `operation_id` all the
    same (dps.md section 0, rule 9); `registration` is for the first poll.
    """

    operation_id: str
    registration: Registration
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RegisterCommand:
    """A register request, as the front door understood it.

    `presented` is the peer's chain, leaf first; empty when it gave none. `payload` is the
    request's custom payload, any JSON. `recorder` takes the stages and, on refusal, the failure;
    the caller opened it and stores it.
    """

    id_scope: str
    registration_id: str
    presented: tuple[Certificate, ...]
    payload: Any
    api_version: str
    source_address: str
    recorder: AttemptRecorder
