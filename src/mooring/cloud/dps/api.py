"""Routes of DPS: CA certificates, enrollments, groups, registration records."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from mooring.cloud.api.context import CloudServices, Continuation, IfMatch, Limit, Services
from mooring.cloud.dps.documents import (
    CertificateUpload,
    EnrollmentBody,
    GroupBody,
    VerificationUpload,
    certificate_to_json,
    enrollment_to_json,
    group_to_json,
    registration_to_json,
)
from mooring.cloud.dps.errors import RegistrationNotFound
from mooring.cloud.dps.model import IndividualEnrollment
from mooring.cloud.etags import bare_etag

router = APIRouter(prefix="/dps", tags=["dps"])


@router.get("/certificates")
async def list_certificates(services: Services) -> dict[str, Any]:
    """List the CA certificates, by name."""
    certificates = await services.dps.certificates.list()
    return {"value": [certificate_to_json(certificate) for certificate in certificates]}


@router.put("/certificates/{name}")
async def add_certificate(
    name: str, body: CertificateUpload, services: Services, response: Response
) -> dict[str, Any]:
    """Upload a CA certificate; it proves nothing until it is verified."""
    certificate = await services.dps.certificates.add(
        name, body.properties.certificate, verified=body.properties.is_verified
    )
    return _with_etag(response, certificate_to_json(certificate))


@router.get("/certificates/{name}")
async def get_certificate(name: str, services: Services, response: Response) -> dict[str, Any]:
    """Show a CA certificate."""
    return _with_etag(response, certificate_to_json(await services.dps.certificates.get(name)))


@router.delete("/certificates/{name}", status_code=204)
async def delete_certificate(name: str, services: Services, if_match: IfMatch = None) -> Response:
    """Delete a CA certificate that no group refers to."""
    await services.dps.certificates.delete(name, if_match=if_match)
    return Response(status_code=204)


@router.post("/certificates/{name}/generateVerificationCode")
async def generate_verification_code(
    name: str, services: Services, response: Response, if_match: IfMatch = None
) -> dict[str, Any]:
    """Make the code that the verification certificate must have as common name."""
    certificate = await services.dps.certificates.generate_verification_code(
        name, if_match=if_match
    )
    return _with_etag(response, certificate_to_json(certificate, with_code=True))


@router.post("/certificates/{name}/verify")
async def verify_certificate(
    name: str,
    body: VerificationUpload,
    services: Services,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Prove possession of the CA's key by a verification certificate."""
    certificate = await services.dps.certificates.verify(name, body.certificate, if_match=if_match)
    return _with_etag(response, certificate_to_json(certificate))


@router.get("/enrollments")
async def list_enrollments(
    services: Services, limit: Limit = None, continuation: Continuation = None
) -> dict[str, Any]:
    """List individual enrollments, by registration id."""
    page = await services.dps.enrollments.list(limit=limit, continuation=continuation)
    return {
        "value": [enrollment_to_json(*item) for item in page.items],
        "continuation": page.continuation,
    }


@router.put("/enrollments/{registration_id}")
async def put_enrollment(
    registration_id: str,
    body: EnrollmentBody,
    services: Services,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Create an individual enrollment, or with If-Match replace one."""
    enrollment = await services.dps.enrollments.put(
        body.to_draft(registration_id), if_match=if_match
    )
    return _with_etag(response, await _enrollment(services, enrollment))


@router.get("/enrollments/{registration_id}")
async def get_enrollment(
    registration_id: str, services: Services, response: Response
) -> dict[str, Any]:
    """Show an individual enrollment."""
    enrollment = await services.dps.enrollments.get(registration_id)
    return _with_etag(response, await _enrollment(services, enrollment))


@router.delete("/enrollments/{registration_id}", status_code=204)
async def delete_enrollment(
    registration_id: str, services: Services, if_match: IfMatch = None
) -> Response:
    """Delete an individual enrollment and its registration record."""
    await services.dps.enrollments.delete(registration_id, if_match=if_match)
    return Response(status_code=204)


@router.get("/enrollmentGroups")
async def list_groups(
    services: Services, limit: Limit = None, continuation: Continuation = None
) -> dict[str, Any]:
    """List enrollment groups, by id."""
    page = await services.dps.groups.list(limit=limit, continuation=continuation)
    return {
        "value": [group_to_json(item) for item in page.items],
        "continuation": page.continuation,
    }


@router.put("/enrollmentGroups/{group_id}")
async def put_group(
    group_id: str,
    body: GroupBody,
    services: Services,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Create an enrollment group, or with If-Match replace one."""
    group = await services.dps.groups.put(body.to_draft(group_id), if_match=if_match)
    return _with_etag(response, group_to_json(group))


@router.get("/enrollmentGroups/{group_id}")
async def get_group(group_id: str, services: Services, response: Response) -> dict[str, Any]:
    """Show an enrollment group."""
    return _with_etag(response, group_to_json(await services.dps.groups.get(group_id)))


@router.delete("/enrollmentGroups/{group_id}", status_code=204)
async def delete_group(group_id: str, services: Services, if_match: IfMatch = None) -> Response:
    """Delete an enrollment group; its registration records stay."""
    await services.dps.groups.delete(group_id, if_match=if_match)
    return Response(status_code=204)


@router.get("/registrations")
async def list_registrations(
    services: Services,
    enrollment_group_id: Annotated[
        str | None, Query(alias="enrollmentGroupId", max_length=128)
    ] = None,
    limit: Limit = None,
    continuation: Continuation = None,
) -> dict[str, Any]:
    """List registration records, by registration id; of one group, or all."""
    page = await services.dps.registrations.list(
        enrollment_group_id=enrollment_group_id, limit=limit, continuation=continuation
    )
    return {
        "value": [registration_to_json(item) for item in page.items],
        "continuation": page.continuation,
    }


@router.get("/registrations/{registration_id}")
async def get_registration(
    registration_id: str, services: Services, response: Response
) -> dict[str, Any]:
    """Show a registration record."""
    registration = await services.dps.registrations.get(registration_id)
    return _with_etag(response, registration_to_json(registration))


@router.delete("/registrations/{registration_id}", status_code=204)
async def delete_registration(
    registration_id: str, services: Services, if_match: IfMatch = None
) -> Response:
    """Delete a registration record; enrollment and hub device stay."""
    await services.dps.registrations.delete(registration_id, if_match=if_match)
    return Response(status_code=204)


async def _enrollment(services: CloudServices, enrollment: IndividualEnrollment) -> dict[str, Any]:
    try:
        registration = await services.dps.registrations.get(enrollment.registration_id)
    except RegistrationNotFound:
        registration = None
    return enrollment_to_json(enrollment, registration)


def _with_etag(response: Response, document: dict[str, Any]) -> dict[str, Any]:
    response.headers["etag"] = f'"{bare_etag(document["etag"])}"'
    return document
