"""DPS's resources as JSON, spelled as Azure's service API spells them.

Bodies are read tolerantly, as those APIs do: unknown members and nulls are ignored. What is
written can be sent back as it was read: a certificate that comes without its text, or an
attestation without its keys, keeps the stored ones.
"""

from mooring.cloud.dps.documents.attestation import attestation_to_json, info_to_json
from mooring.cloud.dps.documents.enrollments import EnrollmentBody, enrollment_to_json
from mooring.cloud.dps.documents.groups import GroupBody, group_to_json
from mooring.cloud.dps.documents.registrations import registration_to_json

__all__ = [
    "EnrollmentBody",
    "GroupBody",
    "attestation_to_json",
    "enrollment_to_json",
    "group_to_json",
    "info_to_json",
    "registration_to_json",
]
