"""Individual enrollments."""

from __future__ import annotations

from typing import Any

from mooring.cloud.dps.documents.attestation import AttestationBody, attestation_to_json
from mooring.cloud.dps.documents.base import check_same_id
from mooring.cloud.dps.documents.registrations import registration_to_json
from mooring.cloud.dps.documents.terms import TermsBody, terms_to_json
from mooring.cloud.dps.model import EnrollmentDraft, IndividualEnrollment, Registration


class EnrollmentBody(TermsBody):
    """An individual enrollment as a caller sends it."""

    registration_id: str | None = None
    device_id: str | None = None
    attestation: AttestationBody
    optional_device_information: dict[str, Any] | None = None

    def to_draft(self, registration_id: str) -> EnrollmentDraft:
        """Return the draft for the enrollment at path `registration_id`.

        Raises:
            InputInvalid: Another id in the body, or a member that is not allowed.
        """
        check_same_id("registrationId", self.registration_id, registration_id)
        return EnrollmentDraft(
            registration_id=registration_id,
            attestation=self.attestation.to_individual(),
            device_id=self.device_id or None,
            terms=self.to_terms(),
            optional_device_information=self.optional_device_information,
        )


def enrollment_to_json(
    enrollment: IndividualEnrollment,
    registration: Registration | None,
    *,
    with_keys: bool = False,
) -> dict[str, Any]:
    """Return an individual enrollment as Azure's service API has it.

    `registration` is the record of its device; None before the first, shown as ``unassigned``.
    Symmetric keys are shown if asked for.
    """
    document: dict[str, Any] = {"registrationId": enrollment.registration_id}
    if enrollment.device_id is not None:
        document["deviceId"] = enrollment.device_id
    document["registrationState"] = (
        {"registrationId": enrollment.registration_id, "status": "unassigned"}
        if registration is None
        else registration_to_json(registration)
    )
    document["attestation"] = attestation_to_json(enrollment.attestation, with_keys=with_keys)
    if enrollment.optional_device_information is not None:
        document["optionalDeviceInformation"] = dict(enrollment.optional_device_information)
    return document | terms_to_json(enrollment)
