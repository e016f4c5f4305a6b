"""Which enrollment takes a device: what it asks for, who it says it is, and the proof of it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime

from mooring.cloud.dps.authorities import AuthorityCache
from mooring.cloud.dps.errors import IdScopeUnknown
from mooring.cloud.dps.matching import check_identity, check_individual, find_group, find_path
from mooring.cloud.dps.model import (
    EnrollmentTerms,
    RegisterCommand,
    Registration,
    ReprovisionPolicy,
    SubjectRules,
)
from mooring.cloud.dps.store import DpsStore, RegistrationBasis
from mooring.pki.certificates import sha256_thumbprint
from mooring.pki.verifier import ChainVerifier
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.protocol.azure.errors import quoted


@dataclass(frozen=True, slots=True)
class Entitled:
    """The enrollment that takes the device, individual (no group id) or group.

    `former` is the registration record that the device has already.
    """

    terms: EnrollmentTerms
    device_id: str | None
    enrollment_group_id: str | None
    basis: RegistrationBasis
    thumbprint: str
    former: Registration | None

    @property
    def policy(self) -> ReprovisionPolicy:
        """Return what a later registration may change."""
        return self.terms.reprovision_policy or ReprovisionPolicy()

    @property
    def name(self) -> str:
        """Return what the enrollment is called in messages."""
        if self.enrollment_group_id is not None:
            return f"enrollment group {self.enrollment_group_id!r}"
        return "its individual enrollment"


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

    def begin(self, command: RegisterCommand) -> str:
        """Check what needs no enrollment; return the SHA-256 thumbprint of the certificate.

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
        leaf = check_identity(command, self._subject_rules)
        recorder.context["thumbprint"] = thumbprint = sha256_thumbprint(leaf)
        recorder.passed(f"CN {command.registration_id}")
        return thumbprint

    async def entitle(self, command: RegisterCommand, thumbprint: str, now: datetime) -> Entitled:
        """Find the enrollment that takes the device.

        Stages: ``attestation``, ``enrollment``, which stays open. Raises RegistrationRefused.
        """
        recorder = command.recorder
        recorder.begin("attestation")
        enrollment, former = await self._store.find_standing(command.registration_id)
        former_etag = None if former is None else former.etag
        if enrollment is not None:
            check_individual(enrollment, command.presented[0], thumbprint, self._verifier, now)
            recorder.passed(f"SHA-256 {thumbprint}")
            recorder.begin("enrollment")
            return Entitled(
                enrollment.terms,
                enrollment.device_id,
                None,
                RegistrationBasis(enrollment.etag, None, former_etag),
                thumbprint,
                former,
            )
        authorities = self._authorities.current
        path = find_path(command, authorities, self._verifier, now)
        recorder.passed(f"{len(path.certificates)} certificates, {len(path.known)} known CAs")
        recorder.begin("enrollment")
        group = find_group(command, path, authorities)
        recorder.context["enrollment_group_id"] = group.enrollment_group_id
        return Entitled(
            group.terms,
            None,
            group.enrollment_group_id,
            RegistrationBasis(None, authorities.version, former_etag),
            thumbprint,
            former,
        )
