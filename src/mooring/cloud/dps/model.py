"""What DPS knows, as frozen data."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, TypeAlias

from mooring.cloud.cacertificates.model import StoredCertificate
from mooring.pki.certificates import Certificate
from mooring.protocol.azure.registration_state import RegistrationStatus, RegistrationSubstatus
from mooring.runtime.attempts import AttemptRecorder

DPS_NAME = "dps"
"""Name of the provisioning service as a resource; a cloud has one."""


class ProvisioningStatus(StrEnum):
    """Whether an enrollment lets its devices register."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class AllocationPolicy(StrEnum):
    """How a linked hub is chosen (Azure: DPS service API, ``allocationPolicy``)."""

    HASHED = "hashed"
    GEO_LATENCY = "geoLatency"
    STATIC = "static"
    CUSTOM = "custom"


class AttestationType(StrEnum):
    """How devices of an enrollment prove who they are (Azure: ``attestation.type``)."""

    X509 = "x509"
    SYMMETRIC_KEY = "symmetricKey"


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
class SymmetricKeys:
    """Attestation by a shared key, base64; either key admits.

    Of an individual enrollment they are the device's own. Of a group they are the keys that each
    device's own key is derived from.
    """

    primary: str = field(repr=False)
    secondary: str = field(repr=False)


IndividualAttestation: TypeAlias = ClientCertificates | CaReferences | SymmetricKeys
GroupAttestation: TypeAlias = CaReferences | SigningCertificates | SymmetricKeys


@dataclass(frozen=True, slots=True)
class CustomAllocation:
    """The webhook that chooses the hub (Azure: ``customAllocationDefinition``).

    The query of `webhook_url` holds its secret. `api_version` selects the shape of what is sent.
    """

    webhook_url: str = field(repr=False)
    api_version: str


@dataclass(frozen=True, slots=True)
class EnrollmentTerms:
    """What individual enrollments and groups have in common.

    `reprovision_policy` None means that none was stored: *migrate*, but *never* for devices that
    speak an api-version from before re-provisioning. `allocation_policy` None means the service's
    default; `hub_host_names` empty means all linked hubs. `custom_allocation` goes with the
    policy ``custom``.
    """

    provisioning_status: ProvisioningStatus = ProvisioningStatus.ENABLED
    reprovision_policy: ReprovisionPolicy | None = None
    allocation_policy: AllocationPolicy | None = None
    hub_host_names: tuple[str, ...] = ()
    custom_allocation: CustomAllocation | None = None
    initial_twin: InitialTwin | None = None
    iot_edge: bool = False


@dataclass(frozen=True, slots=True)
class IndividualEnrollment:
    """One device that may register. `device_id` None means: as the registration id."""

    registration_id: str
    attestation: IndividualAttestation
    device_id: str | None
    terms: EnrollmentTerms
    etag: str
    created_at: datetime
    updated_at: datetime
    optional_device_information: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class EnrollmentGroup:
    """All devices may register whose certificate hangs from a CA, or key from the group's."""

    enrollment_group_id: str
    attestation: GroupAttestation
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
class SymmetricKeySlots:
    """The keys of a draft, base64; None keeps the stored key, or makes one."""

    primary: str | None = field(default=None, repr=False)
    secondary: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EnrollmentDraft:
    """An individual enrollment as asked for."""

    registration_id: str
    attestation: CertificateSlots | CaReferences | SymmetricKeySlots
    device_id: str | None = None
    terms: EnrollmentTerms = EnrollmentTerms()
    optional_device_information: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class GroupDraft:
    """An enrollment group as asked for."""

    enrollment_group_id: str
    attestation: CertificateSlots | CaReferences | SymmetricKeySlots
    terms: EnrollmentTerms = EnrollmentTerms()


@dataclass(frozen=True, slots=True)
class LinkedHub:
    """A hub that DPS may assign to; `allocation_weight` 1…1000.

    `key_name` names the hub's policy whose key linked it; None when no key was asked for, since
    whoever linked it may manage the hub anyway.
    """

    host_name: str
    allocation_weight: int = 1
    apply_allocation_policy: bool = True
    key_name: str | None = "iothubowner"


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """What is kept of the service itself.

    `allocation_policy` is the default of enrollments. `linked_hubs` are in the order of their
    host names. `tags` are for whoever manages the service. `version` grows with each change of
    these, and of the service's shared access policies.
    """

    id_scope: str
    allocation_policy: AllocationPolicy = AllocationPolicy.HASHED
    linked_hubs: tuple[LinkedHub, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    version: int = 1

    @property
    def etag(self) -> str:
        """Return the version as an entity tag without quotes, in Azure's style."""
        return base64.b64encode(self.version.to_bytes(8, "big")).decode("ascii")


@dataclass(frozen=True, slots=True)
class Registration:
    """A device that did register, with its latest outcome (one per registration id).

    `assigned_hub` and `device_id` are those of the latest assignment, kept through ``failed`` and
    ``disabled`` (a device is told of them only when ``assigned``); None when there never was one.
    `initial_hub` is the hub of the first assignment.
    `substatus` is set when assigned, `error_code` and `error_message` when failed.
    `enrollment_group_id` is None for an individual enrollment. `thumbprint` is the SHA-256 of the
    leaf that was presented, None for a symmetric key. `payload` is what the custom allocation
    webhook returned for the device.
    """

    registration_id: str
    status: RegistrationStatus
    substatus: RegistrationSubstatus | None
    assigned_hub: str | None
    device_id: str | None
    enrollment_group_id: str | None
    error_code: int | None
    error_message: str | None
    thumbprint: str | None
    etag: str
    created_at: datetime
    updated_at: datetime
    attestation_type: AttestationType = AttestationType.X509
    initial_hub: str | None = None
    payload: Mapping[str, Any] | None = None


Standing: TypeAlias = tuple[IndividualEnrollment, Registration | None]
"""An individual enrollment, and the registration record of its id if there is one."""


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

    `presented` is the peer's chain, leaf first; empty when it gave none. `sas_token` is the
    shared access signature that it gave, if any. `payload` is the request's custom payload, any
    JSON. `recorder` takes the stages and, on refusal, the failure;
    the caller opened it and stores it.
    """

    id_scope: str
    registration_id: str
    presented: tuple[Certificate, ...]
    payload: Any
    api_version: str
    source_address: str
    recorder: AttemptRecorder
    sas_token: str | None = field(default=None, repr=False)
