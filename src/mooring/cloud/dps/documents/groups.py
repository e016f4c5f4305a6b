"""Enrollment groups."""

from __future__ import annotations

from typing import Any

from mooring.cloud.dps.documents.attestation import AttestationBody, attestation_to_json
from mooring.cloud.dps.documents.base import check_same_id
from mooring.cloud.dps.documents.terms import TermsBody, terms_to_json
from mooring.cloud.dps.model import EnrollmentGroup, GroupDraft


class GroupBody(TermsBody):
    """An enrollment group as a caller sends it."""

    enrollment_group_id: str | None = None
    attestation: AttestationBody

    def to_draft(self, enrollment_group_id: str) -> GroupDraft:
        """Return the draft for the group at path `enrollment_group_id`.

        Raises:
            InputInvalid: Another id in the body, or a member that is not allowed.
        """
        check_same_id("enrollmentGroupId", self.enrollment_group_id, enrollment_group_id)
        return GroupDraft(enrollment_group_id, self.attestation.to_group(), self.to_terms())


def group_to_json(group: EnrollmentGroup, *, with_keys: bool = False) -> dict[str, Any]:
    """Return an enrollment group as Azure's service API has it; keys are shown if asked for."""
    return {
        "enrollmentGroupId": group.enrollment_group_id,
        "attestation": attestation_to_json(group.attestation, with_keys=with_keys),
    } | terms_to_json(group)
