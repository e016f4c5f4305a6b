"""What a later registration changes: which hub, whose data, and what the device is told of it."""

from __future__ import annotations

from dataclasses import dataclass

from mooring.cloud.dps.allocation import Allocation
from mooring.cloud.dps.attesting import Entitled
from mooring.cloud.dps.hubs import DeviceAssignment
from mooring.cloud.dps.model import EnrollmentTerms, IndividualEnrollment, ReprovisionPolicy
from mooring.protocol.azure.registration_state import RegistrationSubstatus

MIGRATE = ReprovisionPolicy()
NEVER = ReprovisionPolicy(update_hub_assignment=False, migrate_device_data=False)

LAST_VERSION_WITHOUT = "2018-04-01"
"""Azure: devices of this api-version and earlier ones are not re-provisioned unless a policy is
stored ("IoT Hub Device reprovisioning concepts", backwards compatibility)."""


def policy_for(terms: EnrollmentTerms, api_version: str) -> ReprovisionPolicy:
    """Return what a later registration by a device that speaks `api_version` may change."""
    if terms.reprovision_policy is not None:
        return terms.reprovision_policy
    # Dates compare as text; what follows the date ("-preview") does not count.
    return NEVER if api_version[: len(LAST_VERSION_WITHOUT)] <= LAST_VERSION_WITHOUT else MIGRATE


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a device goes.

    `leaves` is the hub that it is to be removed from.
    """

    host_name: str
    device: DeviceAssignment
    substatus: RegistrationSubstatus
    leaves: str | None


def assign(
    registration_id: str,
    entitled: Entitled,
    policy: ReprovisionPolicy,
    allocation: Allocation,
    *,
    former_hub_exists: bool,
) -> Assignment:
    """Return what is to be done at the hubs for `allocation`.

    Migrated data come from the former hub, at the commit; without that hub there are none, and
    the device begins with its initial twin. A twin that a webhook returned takes the place of
    the enrollment's, and of migrated data. On the same hub only *reset* touches the twin.
    """
    former = entitled.former
    enrollment = entitled.enrollment
    before = entitled.current_hub
    moved = before is not None and before.lower() != allocation.host_name.lower()
    resets = policy.update_hub_assignment and not policy.migrate_device_data
    migrates = moved and former_hub_exists and not resets and allocation.initial_twin is None
    if not moved:
        substatus = RegistrationSubstatus.INITIAL_ASSIGNMENT
    elif former is not None and former.initial_hub == allocation.host_name:
        substatus = RegistrationSubstatus.REPROVISIONED_TO_INITIAL_ASSIGNMENT
    elif migrates:
        substatus = RegistrationSubstatus.DEVICE_DATA_MIGRATED
    else:
        substatus = RegistrationSubstatus.DEVICE_DATA_RESET
    wanted_id = enrollment.device_id if isinstance(enrollment, IndividualEnrollment) else None
    return Assignment(
        allocation.host_name,
        DeviceAssignment(
            # Azure: another device id in the enrollment counts once the record is deleted.
            device_id=(former and former.device_id) or wanted_id or registration_id,
            credentials=entitled.credentials,
            initial_twin=allocation.initial_twin or enrollment.terms.initial_twin,
            # Azure: on the same hub, the policy "reset" is a factory reset.
            reset_twin=before is not None and (resets or (moved and not migrates)),
            iot_edge=enrollment.terms.iot_edge,
            migrate_from=before if migrates else None,
        ),
        substatus,
        before if moved and former_hub_exists else None,
    )
