"""Registration records."""

from __future__ import annotations

from typing import Any

from mooring.cloud.dps.model import Registration
from mooring.cloud.dps.wire import registration_state
from mooring.protocol.azure.registration_state import registration_state_to_json


def registration_to_json(registration: Registration) -> dict[str, Any]:
    """Return a registration record: what the device was told, and by which group and leaf."""
    document = {
        **registration_state_to_json(registration_state(registration)),
        "enrollmentGroupId": registration.enrollment_group_id,
        "thumbprint": registration.thumbprint,
    }
    return {name: value for name, value in document.items() if value is not None}
