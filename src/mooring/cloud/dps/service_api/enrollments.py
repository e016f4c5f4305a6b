"""Individual enrollments in the service API: ``/enrollments``."""

from __future__ import annotations

from mooring.cloud.accounts.model import Right
from mooring.cloud.dps.documents import EnrollmentBody, attestation_to_json, enrollment_to_json
from mooring.cloud.dps.errors import RegistrationNotFound
from mooring.cloud.dps.model import IndividualEnrollment, Registration
from mooring.cloud.dps.queries import ENROLLMENT_FIELDS
from mooring.cloud.dps.service_api.bulk import BulkKind, Item, run_bulk
from mooring.cloud.dps.service_api.queries import (
    page_answer,
    read_conditions,
    read_continuation_header,
    read_limit,
)
from mooring.cloud.dps.service_api.requests import (
    Operation,
    ServiceAnswer,
    ServiceRequest,
    for_version,
    read_document,
)

COLLECTION = "/enrollments"
ITEM = COLLECTION + "/{registrationId}"


async def put_enrollment(request: ServiceRequest) -> ServiceAnswer:
    """Create an individual enrollment, or with If-Match replace one."""
    draft = request.document(EnrollmentBody).to_draft(request.ids["registrationId"])
    enrollment = await request.services.dps.enrollments.put(draft, if_match=request.if_match)
    # Azure shows keys, which it may just have made, in the answer to the creation.
    return await _answer(request, enrollment, with_keys=request.if_match is None)


async def get_enrollment(request: ServiceRequest) -> ServiceAnswer:
    """Show an individual enrollment."""
    return await _answer(request, await _find(request))


async def delete_enrollment(request: ServiceRequest) -> ServiceAnswer:
    """Delete an individual enrollment and its registration record."""
    await request.services.dps.enrollments.delete(
        request.ids["registrationId"], if_match=request.if_match
    )
    return ServiceAnswer()


async def get_attestation(request: ServiceRequest) -> ServiceAnswer:
    """Show the attestation, with symmetric keys."""
    enrollment = await _find(request)
    return ServiceAnswer(attestation_to_json(enrollment.attestation, with_keys=True))


async def query_enrollments(request: ServiceRequest) -> ServiceAnswer:
    """List individual enrollments, by registration id."""
    page = await request.services.dps.enrollments.list(
        read_conditions(request, ENROLLMENT_FIELDS),
        limit=read_limit(request),
        continuation=read_continuation_header(request),
    )
    return await page_answer(
        request,
        page,
        lambda standing: for_version(enrollment_to_json(*standing), request.api_version),
        item_type="enrollment",
    )


async def run_bulk_operation(request: ServiceRequest) -> ServiceAnswer:
    """Create, replace or delete several individual enrollments."""
    enrollments = request.services.dps.enrollments

    async def put(registration_id: str, item: Item, if_match: str | None) -> object:
        draft = read_document(EnrollmentBody, item).to_draft(registration_id)
        return await enrollments.put(draft, if_match=if_match)

    kind = BulkKind("enrollments", "registrationId", put, enrollments.get, enrollments.delete)
    return await run_bulk(request, kind)


OPERATIONS = (
    Operation(
        "IndividualEnrollment_Query",
        "POST",
        COLLECTION + "/query",
        Right.ENROLLMENT_READ,
        query_enrollments,
    ),
    Operation(
        "IndividualEnrollment_RunBulkOperation",
        "POST",
        COLLECTION,
        Right.ENROLLMENT_WRITE,
        run_bulk_operation,
    ),
    Operation(
        "IndividualEnrollment_CreateOrUpdate", "PUT", ITEM, Right.ENROLLMENT_WRITE, put_enrollment
    ),
    Operation("IndividualEnrollment_Get", "GET", ITEM, Right.ENROLLMENT_READ, get_enrollment),
    Operation(
        "IndividualEnrollment_Delete", "DELETE", ITEM, Right.ENROLLMENT_WRITE, delete_enrollment
    ),
    Operation(
        "IndividualEnrollment_GetAttestationMechanism",
        "POST",
        ITEM + "/attestationmechanism",
        Right.ENROLLMENT_WRITE,  # it reveals keys
        get_attestation,
    ),
)


async def _find(request: ServiceRequest) -> IndividualEnrollment:
    return await request.services.dps.enrollments.get(request.ids["registrationId"])


async def _answer(
    request: ServiceRequest, enrollment: IndividualEnrollment, *, with_keys: bool = False
) -> ServiceAnswer:
    registration: Registration | None
    try:
        registration = await request.services.dps.registrations.get(enrollment.registration_id)
    except RegistrationNotFound:
        registration = None
    document = enrollment_to_json(enrollment, registration, with_keys=with_keys)
    return ServiceAnswer(
        for_version(document, request.api_version), {"etag": f'"{enrollment.etag}"'}
    )
