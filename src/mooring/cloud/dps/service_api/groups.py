"""Enrollment groups in the service API: ``/enrollmentGroups``."""

from __future__ import annotations

from mooring.cloud.accounts.model import Right
from mooring.cloud.dps.documents import GroupBody, attestation_to_json, group_to_json
from mooring.cloud.dps.model import EnrollmentGroup
from mooring.cloud.dps.queries import GROUP_FIELDS
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

COLLECTION = "/enrollmentGroups"
ITEM = COLLECTION + "/{enrollmentGroupId}"


async def put_group(request: ServiceRequest) -> ServiceAnswer:
    """Create an enrollment group, or with If-Match replace one."""
    draft = request.document(GroupBody).to_draft(request.ids["enrollmentGroupId"])
    group = await request.services.dps.groups.put(draft, if_match=request.if_match)
    return _answer(request, group, with_keys=request.if_match is None)


async def get_group(request: ServiceRequest) -> ServiceAnswer:
    """Show an enrollment group."""
    return _answer(request, await _find(request))


async def delete_group(request: ServiceRequest) -> ServiceAnswer:
    """Delete an enrollment group; its registration records stay."""
    await request.services.dps.groups.delete(
        request.ids["enrollmentGroupId"], if_match=request.if_match
    )
    return ServiceAnswer()


async def get_attestation(request: ServiceRequest) -> ServiceAnswer:
    """Show the attestation, with symmetric keys."""
    group = await _find(request)
    return ServiceAnswer(attestation_to_json(group.attestation, with_keys=True))


async def query_groups(request: ServiceRequest) -> ServiceAnswer:
    """List enrollment groups, by id."""
    page = await request.services.dps.groups.list(
        read_conditions(request, GROUP_FIELDS),
        limit=read_limit(request),
        continuation=read_continuation_header(request),
    )
    return await page_answer(
        request,
        page,
        lambda group: for_version(group_to_json(group), request.api_version),
        item_type="enrollmentGroup",
    )


async def run_bulk_operation(request: ServiceRequest) -> ServiceAnswer:
    """Create, replace or delete several enrollment groups."""
    groups = request.services.dps.groups

    async def put(enrollment_group_id: str, item: Item, if_match: str | None) -> object:
        draft = read_document(GroupBody, item).to_draft(enrollment_group_id)
        return await groups.put(draft, if_match=if_match)

    kind = BulkKind("enrollmentGroups", "enrollmentGroupId", put, groups.get, groups.delete)
    return await run_bulk(request, kind)


OPERATIONS = (
    Operation(
        "EnrollmentGroup_Query",
        "POST",
        COLLECTION + "/query",
        Right.ENROLLMENT_READ,
        query_groups,
    ),
    Operation(
        "EnrollmentGroup_RunBulkOperation",
        "POST",
        COLLECTION,
        Right.ENROLLMENT_WRITE,
        run_bulk_operation,
    ),
    Operation("EnrollmentGroup_CreateOrUpdate", "PUT", ITEM, Right.ENROLLMENT_WRITE, put_group),
    Operation("EnrollmentGroup_Get", "GET", ITEM, Right.ENROLLMENT_READ, get_group),
    Operation("EnrollmentGroup_Delete", "DELETE", ITEM, Right.ENROLLMENT_WRITE, delete_group),
    Operation(
        "EnrollmentGroup_GetAttestationMechanism",
        "POST",
        ITEM + "/attestationmechanism",
        Right.ENROLLMENT_WRITE,  # it reveals keys
        get_attestation,
    ),
)


async def _find(request: ServiceRequest) -> EnrollmentGroup:
    return await request.services.dps.groups.get(request.ids["enrollmentGroupId"])


def _answer(
    request: ServiceRequest, group: EnrollmentGroup, *, with_keys: bool = False
) -> ServiceAnswer:
    document = group_to_json(group, with_keys=with_keys)
    return ServiceAnswer(for_version(document, request.api_version), {"etag": f'"{group.etag}"'})
