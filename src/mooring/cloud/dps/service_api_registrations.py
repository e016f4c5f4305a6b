"""Registration records in the service API: ``/registrations``."""

from __future__ import annotations

from mooring.cloud.accounts.model import Right
from mooring.cloud.dps.documents import registration_to_json
from mooring.cloud.dps.service_api_requests import Operation, ServiceAnswer, ServiceRequest

ITEM = "/registrations/{registrationId}"


async def get_registration(request: ServiceRequest) -> ServiceAnswer:
    """Show a registration record."""
    registration = await request.services.dps.registrations.get(request.ids["registrationId"])
    return ServiceAnswer(registration_to_json(registration), {"etag": f'"{registration.etag}"'})


async def delete_registration(request: ServiceRequest) -> ServiceAnswer:
    """Delete a registration record; enrollment and hub device stay."""
    await request.services.dps.registrations.delete(
        request.ids["registrationId"], if_match=request.if_match
    )
    return ServiceAnswer()


OPERATIONS = (
    Operation(
        "DeviceRegistrationState_Get",
        "GET",
        ITEM,
        Right.REGISTRATION_STATUS_READ,
        get_registration,
    ),
    Operation(
        "DeviceRegistrationState_Delete",
        "DELETE",
        ITEM,
        Right.REGISTRATION_STATUS_WRITE,
        delete_registration,
    ),
)
