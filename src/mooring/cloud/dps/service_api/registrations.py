"""Registration records in the service API: ``/registrations``."""

from __future__ import annotations

from mooring.cloud.accounts.model import Right
from mooring.cloud.dps.documents import registration_to_json
from mooring.cloud.dps.model import Registration
from mooring.cloud.dps.queries import REGISTRATION_FIELDS
from mooring.cloud.dps.service_api.queries import (
    page_answer,
    read_conditions,
    read_continuation_header,
    read_limit,
)
from mooring.cloud.dps.service_api.requests import Operation, ServiceAnswer, ServiceRequest
from mooring.cloud.paging import Page

ITEM = "/registrations/{registrationId}"
ITEM_TYPE = "deviceRegistration"


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


async def query_registrations(request: ServiceRequest) -> ServiceAnswer:
    """List the registration records of an enrollment group, by registration id.

    Those of a group that was deleted can still be listed, so that they can be deleted too.
    """
    group_id = request.ids["enrollmentGroupId"]
    page = await _page(request, group_id)
    if not page.items and not read_continuation_header(request):
        await request.services.dps.groups.get(group_id)
    return await page_answer(request, page, registration_to_json, item_type=ITEM_TYPE)


async def query_all_registrations(request: ServiceRequest) -> ServiceAnswer:
    """List all registration records, by registration id.

    Beyond Azure, where those of individual enrollments are found one by one only, and those
    that are left of deleted groups by who remembers the groups' names.
    """
    page = await _page(request, None)
    return await page_answer(request, page, registration_to_json, item_type=ITEM_TYPE)


OPERATIONS = (
    Operation(
        "DeviceRegistrationState_Query",
        "POST",
        "/registrations/{enrollmentGroupId}/query",
        Right.REGISTRATION_STATUS_READ,
        query_registrations,
    ),
    Operation(
        "DeviceRegistrationState_QueryAll",
        "POST",
        "/registrations/query",
        Right.REGISTRATION_STATUS_READ,
        query_all_registrations,
    ),
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


async def _page(request: ServiceRequest, group_id: str | None) -> Page[Registration]:
    return await request.services.dps.registrations.list(
        read_conditions(request, REGISTRATION_FIELDS),
        enrollment_group_id=group_id,
        limit=read_limit(request),
        continuation=read_continuation_header(request),
    )
