"""Which enrollment takes a device: what it asks for, who it says it is, and the proof of it.

A device offers a certificate, in TLS, or a token. An individual enrollment says itself which of
the two it wants. Where there is none, who sends a token is looked for among the groups of
symmetric keys, and who does not among those of certificates. Nothing falls from one to the other.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime

from mooring.cloud.dps.authorities import AuthorityCache
from mooring.cloud.dps.errors import IdScopeUnknown, InputInvalid, RegistrationRefused
from mooring.cloud.dps.hubs import PinnedLeaf
from mooring.cloud.dps.inputs import check_id
from mooring.cloud.dps.matching import (
    check_common_name,
    check_pinned,
    check_references,
    find_group,
    find_path,
)
from mooring.cloud.dps.model import (
    AttestationType,
    ClientCertificates,
    EnrollmentGroup,
    IndividualEnrollment,
    ProvisioningStatus,
    RegisterCommand,
    Registration,
    SubjectRules,
    SymmetricKeys,
)
from mooring.cloud.dps.store import DpsStore, RegistrationBasis
from mooring.cloud.dps.token_matching import (
    check_keys,
    device_keys,
    find_keyed_group,
    open_token,
)
from mooring.pki.certificates import sha256_thumbprint
from mooring.pki.verifier import ChainVerifier, VerifiedPath
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.protocol.azure.errors import quoted


@dataclass(frozen=True, slots=True)
class Entitled:
    """The enrollment that takes a device, and what the device proved.

    Attributes:
        enrollment: It may be disabled.
        credentials: What the device proved itself with, and will at its hub.
        basis: What this was decided on.
        former: The registration record that the device has already.
    """

    enrollment: IndividualEnrollment | EnrollmentGroup
    credentials: PinnedLeaf | SymmetricKeys
    basis: RegistrationBasis
    former: Registration | None

    @property
    def enrollment_group_id(self) -> str | None:
        """Return the group's id, None for an individual enrollment."""
        enrollment = self.enrollment
        if isinstance(enrollment, IndividualEnrollment):
            return None
        return enrollment.enrollment_group_id

    @property
    def current_hub(self) -> str | None:
        """Return the hub that the device was assigned to so far."""
        return None if self.former is None else self.former.assigned_hub

    @property
    def is_disabled(self) -> bool:
        """Return whether the enrollment is a block."""
        return self.enrollment.terms.provisioning_status is ProvisioningStatus.DISABLED

    @property
    def attestation_type(self) -> AttestationType:
        """Return how the device proved itself."""
        if isinstance(self.credentials, SymmetricKeys):
            return AttestationType.SYMMETRIC_KEY
        return AttestationType.X509

    @property
    def thumbprint(self) -> str | None:
        """Return the SHA-256 of the certificate that was presented, None for a symmetric key."""
        credentials = self.credentials
        return None if isinstance(credentials, SymmetricKeys) else credentials.sha256_thumbprint

    @property
    def name(self) -> str:
        """Return what the enrollment is called in messages."""
        group_id = self.enrollment_group_id
        return "its individual enrollment" if group_id is None else f"enrollment group {group_id!r}"


class Attestor:
    """Finds the enrollment of devices."""

    def __init__(
        self,
        store: DpsStore,
        authorities: AuthorityCache,
        *,
        id_scope: str,
        verifier: ChainVerifier,
        subject_rules: SubjectRules,
    ) -> None:
        """Answer for `id_scope`."""
        self._store = store
        self._authorities = authorities
        self._id_scope = id_scope
        self._verifier = verifier
        self._subject_rules = subject_rules

    def begin(self, command: RegisterCommand) -> PinnedLeaf | None:
        """Check what needs no enrollment; return who the certificate says the device is.

        None when it offers a token: then it depends on the enrollment whether a certificate
        counts at all.

        Stages: ``scope``, ``identity``. Raises IdScopeUnknown, InputInvalid, RegistrationRefused.
        """
        recorder = command.recorder
        recorder.begin("scope")
        if not hmac.compare_digest(command.id_scope.encode(), self._id_scope.encode()):
            raise IdScopeUnknown(
                f"The device asks for ID scope {quoted(command.id_scope)}; this service is "
                f"{self._id_scope}.",
                "Copy the ID scope of this service into the device's configuration, or point the "
                "device to the other service.",
                field="idScope",
                wire_message=DpsErrorCode.ID_SCOPE_NOT_FOUND.text,
            )
        recorder.begin("identity")
        registration_id = command.registration_id
        try:
            check_id(registration_id, field="registrationId")
        except InputInvalid as error:
            error.code = "registration-id-malformed"
            raise
        if command.sas_token:
            recorder.passed(f"{registration_id}, by token")
            return None
        if not command.presented:
            raise _unauthorized(
                "no-credentials",
                "The device offered neither a certificate in the TLS handshake nor a shared "
                "access signature.",
                "Configure the device with its certificate and private key, or with its "
                "symmetric key.",
            )
        leaf = self._identify(command)
        recorder.passed(f"CN {registration_id}")
        return leaf

    async def entitle(
        self, command: RegisterCommand, leaf: PinnedLeaf | None, now: datetime
    ) -> Entitled:
        """Find the enrollment that takes the device; `leaf` is what `begin` returned.

        Stages: ``attestation``, ``enrollment``, which stays open. Raises RegistrationRefused.
        """
        command.recorder.begin("attestation")
        enrollment, former = await self._store.find_standing(command.registration_id)
        former_etag = None if former is None else former.etag
        if enrollment is None:
            if leaf is None:
                return self._under_keyed_group(command, former, former_etag, now)
            return self._under_group(command, leaf, former, former_etag, now)
        version = None
        attestation = enrollment.attestation
        credentials: PinnedLeaf | SymmetricKeys
        if isinstance(attestation, SymmetricKeys):
            _check_offered(command, token=True)
            credentials = attestation
            slot = check_keys(
                open_token(command),
                attestation,
                owner=f"individual enrollment {enrollment.registration_id!r}",
                now=now,
            )
            detail = f"token signed with the {slot} key"
        else:
            _check_offered(command, token=False)
            credentials = leaf or self._identify(command)
            if isinstance(attestation, ClientCertificates):
                check_pinned(
                    enrollment.registration_id,
                    attestation,
                    command.presented[0],
                    credentials.sha256_thumbprint,
                    self._verifier,
                    now,
                )
                detail = f"SHA-256 {credentials.sha256_thumbprint}"
            else:
                authorities = self._authorities.current
                # What the referenced CA certificate is now decides too.
                version = authorities.version
                detail = _describe(
                    check_references(command, attestation, authorities, self._verifier, now)
                )
        command.recorder.passed(detail)
        command.recorder.begin("enrollment")
        return Entitled(
            enrollment,
            credentials,
            RegistrationBasis(enrollment.etag, version, former_etag),
            former,
        )

    def _under_group(
        self,
        command: RegisterCommand,
        leaf: PinnedLeaf,
        former: Registration | None,
        former_etag: str | None,
        now: datetime,
    ) -> Entitled:
        recorder = command.recorder
        authorities = self._authorities.current
        path = find_path(command, authorities, self._verifier, now)
        recorder.passed(_describe(path))
        recorder.begin("enrollment")
        group = find_group(command, path, authorities)
        recorder.context["enrollment_group_id"] = group.enrollment_group_id
        return Entitled(
            group,
            leaf,
            RegistrationBasis(None, authorities.version, former_etag),
            former,
        )

    def _under_keyed_group(
        self,
        command: RegisterCommand,
        former: Registration | None,
        former_etag: str | None,
        now: datetime,
    ) -> Entitled:
        recorder = command.recorder
        authorities = self._authorities.current
        token = open_token(command)
        keyed, slot = find_keyed_group(token, command.registration_id, authorities, now=now)
        recorder.passed(f"token signed with the device's {slot} key")
        recorder.begin("enrollment")
        recorder.context["enrollment_group_id"] = keyed.group.enrollment_group_id
        return Entitled(
            keyed.group,
            device_keys(keyed, command.registration_id),
            RegistrationBasis(None, authorities.version, former_etag),
            former,
        )

    def _identify(self, command: RegisterCommand) -> PinnedLeaf:
        """Return the device's certificate if it says that it is the registration id's."""
        leaf = command.presented[0]
        check_common_name(command.registration_id, leaf, self._subject_rules)
        thumbprint = sha256_thumbprint(leaf)
        command.recorder.context["thumbprint"] = thumbprint
        return PinnedLeaf(thumbprint)


def _check_offered(command: RegisterCommand, *, token: bool) -> None:
    """Refuse a device that does not offer what its individual enrollment asks for."""
    registration_id = command.registration_id
    if token and not command.sas_token:
        raise _unauthorized(
            "attestation-type-differs",
            f"Individual enrollment {registration_id!r} asks for a symmetric key; the device "
            "offered a certificate and no shared access signature.",
            "Give the enrollment the device's certificate, or configure the device with its "
            "symmetric key. An enrollment like this also blocks a device on purpose; without it, "
            "a group could take the device.",
        )
    if not token and not command.presented:
        raise _unauthorized(
            "attestation-type-differs",
            f"Individual enrollment {registration_id!r} asks for a certificate; the device "
            "offered a shared access signature and no certificate.",
            "Configure the device with its certificate and private key, or give the enrollment a "
            "symmetric key.",
        )


def _describe(path: VerifiedPath) -> str:
    return f"{len(path.certificates)} certificates, {len(path.known)} known CAs"


def _unauthorized(code: str, message: str, remedy: str) -> RegistrationRefused:
    return RegistrationRefused(
        message,
        remedy,
        field="credentials",
        code=code,
        wire_message=DpsErrorCode.UNAUTHORIZED.text,
    )
