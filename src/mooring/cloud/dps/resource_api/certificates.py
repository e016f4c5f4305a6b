"""CA certificates in the resource API: ``…/provisioningServices/dps/certificates``.

Azure: DPS resource API, operations ``DpsCertificate_*``. Query parameters ``certificate.*``,
which some clients add, say nothing that the path and the body do not, and are ignored.
"""

from __future__ import annotations

import base64
from email.utils import format_datetime

from mooring.cloud.api.errors import RequestRefused
from mooring.cloud.cacertificates.model import CaCertificate
from mooring.cloud.dps.errors import CertificateNotFound
from mooring.cloud.dps.resource_api.requests import (
    CERTIFICATE,
    SERVICE,
    Operation,
    ResourceAnswer,
    ResourceRequest,
)
from mooring.cloud.etags import ANY, bare_etag
from mooring.protocol.azure.json_documents import JsonValue
from mooring.protocol.azure.json_members import Members

CERTIFICATE_TYPE = "Microsoft.Devices/ProvisioningServices/Certificates"


async def list_certificates(request: ResourceRequest) -> ResourceAnswer:
    """List the CA certificates, by name."""
    found = await request.services.dps.certificates.list()
    return ResourceAnswer({"value": [_to_json(request, certificate) for certificate in found]})


async def get_certificate(request: ResourceRequest) -> ResourceAnswer:
    """Show a CA certificate; beyond Azure, also the code that waits for its proof."""
    return _answer(request, await request.services.dps.certificates.get(_name(request)))


async def put_certificate(request: ResourceRequest) -> ResourceAnswer:
    """Upload a CA certificate, or with If-Match replace one."""
    name = _name(request)
    text, verified = _read_upload(request.document())
    if request.if_none_match is not None:
        await _check_missing(request, name)
    certificate = await request.services.dps.certificates.put(
        name, text, verified=verified, if_match=request.if_match
    )
    return _answer(request, certificate)


async def delete_certificate(request: ResourceRequest) -> ResourceAnswer:
    """Delete a CA certificate that no enrollment refers to."""
    try:
        await request.services.dps.certificates.delete(
            _name(request), if_match=request.required_if_match()
        )
    except CertificateNotFound:
        return ResourceAnswer(status=204)
    return ResourceAnswer()


async def generate_verification_code(request: ResourceRequest) -> ResourceAnswer:
    """Make the code that the verification certificate must have as common name."""
    certificate = await request.services.dps.certificates.generate_verification_code(
        _name(request), if_match=request.required_if_match()
    )
    return _answer(request, certificate)


async def verify_certificate(request: ResourceRequest) -> ResourceAnswer:
    """Prove possession of the CA's key by a verification certificate."""
    if_match = request.required_if_match()
    text = _required(request.document(), "certificate", "the verification certificate")
    certificate = await request.services.dps.certificates.verify(
        _name(request), text, if_match=if_match
    )
    return _answer(request, certificate)


OPERATIONS = (
    Operation("DpsCertificate_List", "GET", f"{SERVICE}/certificates", list_certificates),
    Operation("DpsCertificate_Get", "GET", CERTIFICATE, get_certificate),
    Operation("DpsCertificate_CreateOrUpdate", "PUT", CERTIFICATE, put_certificate),
    Operation("DpsCertificate_Delete", "DELETE", CERTIFICATE, delete_certificate),
    Operation(
        "DpsCertificate_GenerateVerificationCode",
        "POST",
        f"{CERTIFICATE}/generateVerificationCode",
        generate_verification_code,
    ),
    Operation(
        "DpsCertificate_VerifyCertificate", "POST", f"{CERTIFICATE}/verify", verify_certificate
    ),
)


def _name(request: ResourceRequest) -> str:
    return request.path["certificateName"]


def _read_upload(document: Members) -> tuple[str, bool | None]:
    # api-versions up to 2020-03-01 have both members at the top.
    members = document.members("properties") or document
    return _required(members, "certificate", "the CA certificate"), members.boolean("isVerified")


def _required(members: Members, member: str, what: str) -> str:
    text = members.text(member)
    if not text:
        raise RequestRefused(
            400,
            "certificate-missing",
            f"{members.field(member)}: missing or empty.",
            f"Give {what}: the content of its .pem or .cer file, as it is or in base64.",
            field=members.field(member),
        )
    return text


async def _check_missing(request: ResourceRequest, name: str) -> None:
    """Keep what If-None-Match asks for: that there be none, or none of that etag."""
    assert request.if_none_match is not None
    try:
        present = await request.services.dps.certificates.get(name)
    except CertificateNotFound:
        return
    if bare_etag(request.if_none_match) in {ANY, present.etag}:
        raise RequestRefused(
            412,
            "certificate-exists",
            f"If-None-Match: there is a CA certificate {present.name!r}.",
            "Choose another name; or, to replace it, send its etag as If-Match.",
            field="If-None-Match",
        )


def _answer(request: ResourceRequest, certificate: CaCertificate) -> ResourceAnswer:
    return ResourceAnswer(_to_json(request, certificate), etag=certificate.etag)


def _to_json(request: ResourceRequest, certificate: CaCertificate) -> dict[str, JsonValue]:
    info = certificate.certificate.describe()
    properties: dict[str, JsonValue] = {
        "subject": info.subject_name,
        "expiry": format_datetime(info.not_after, usegmt=True),
        "thumbprint": info.sha1_thumbprint,
        "isVerified": certificate.verified,
        "certificate": base64.b64encode(certificate.certificate.der).decode("ascii"),
        "created": format_datetime(certificate.created_at, usegmt=True),
        "updated": format_datetime(certificate.updated_at, usegmt=True),
    }
    waiting = request.services.dps.certificates.waiting_code(certificate)
    if waiting is not None:
        properties["verificationCode"] = waiting.code
        properties["verificationCodeExpiry"] = format_datetime(waiting.expires_at, usegmt=True)
    return {
        "id": f"{request.service_id}/certificates/{certificate.name}",
        "name": certificate.name,
        "type": CERTIFICATE_TYPE,
        "etag": certificate.etag,
        "properties": properties,
    }
