"""CA certificates in the resource API, of the provisioning service and of hubs alike.

Azure: operations ``DpsCertificate_*`` and ``Certificates_*``. Query parameters ``certificate.*``,
which some clients add, say nothing that the path and the body do not, and are ignored.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import format_datetime

from mooring.cloud.api.errors import RequestRefused
from mooring.cloud.cacertificates.model import CaCertificate
from mooring.cloud.cacertificates.service import CaCertificateService
from mooring.cloud.etags import ANY, bare_etag
from mooring.cloud.resource_api.requests import Operation, ResourceAnswer, ResourceRequest
from mooring.protocol.azure.json_documents import JsonValue
from mooring.protocol.azure.json_members import Members


@dataclass(frozen=True, slots=True)
class CertificateResource:
    """Where certificates are, and whose.

    Attributes:
        prefix: Of the operations' names in Azure's specification.
        owner: Path of the resource that has them.
        type_name: Their ``type``.
        owner_id: Returns the owner's resource id, as a caller addresses it.
        of: Returns the service that keeps them.
        not_found: What that raises when there is none of a name.
        created_status: HTTP status for a certificate that is new.
    """

    prefix: str
    owner: str
    type_name: str
    owner_id: Callable[[ResourceRequest], str]
    of: Callable[[ResourceRequest], CaCertificateService]
    not_found: type[Exception]
    created_status: int = 200


def certificate_operations(resource: CertificateResource) -> tuple[Operation, ...]:
    """Return the operations on the certificates of `resource`."""
    served = _Certificates(resource)
    prefix, item = resource.prefix, resource.owner + "/certificates/{certificateName}"
    return (
        Operation(f"{prefix}_List", "GET", f"{resource.owner}/certificates", served.list),
        Operation(f"{prefix}_Get", "GET", item, served.get),
        Operation(f"{prefix}_CreateOrUpdate", "PUT", item, served.put),
        Operation(f"{prefix}_Delete", "DELETE", item, served.delete),
        Operation(
            f"{prefix}_GenerateVerificationCode",
            "POST",
            f"{item}/generateVerificationCode",
            served.generate_verification_code,
        ),
        Operation(f"{prefix}_VerifyCertificate", "POST", f"{item}/verify", served.verify),
    )


class _Certificates:
    """The handlers."""

    def __init__(self, resource: CertificateResource) -> None:
        self._resource = resource

    async def list(self, request: ResourceRequest) -> ResourceAnswer:
        """List the CA certificates, by name."""
        found = await self._resource.of(request).list()
        return ResourceAnswer(
            {"value": [self._to_json(request, certificate) for certificate in found]}
        )

    async def get(self, request: ResourceRequest) -> ResourceAnswer:
        """Show a CA certificate; beyond Azure, also the code that waits for its proof."""
        return self._answer(request, await self._resource.of(request).get(_name(request)))

    async def put(self, request: ResourceRequest) -> ResourceAnswer:
        """Upload a CA certificate, or with If-Match replace one."""
        name = _name(request)
        text, verified = _read_upload(request.document())
        if request.if_none_match is not None:
            await self._check_missing(request, name)
        certificate = await self._resource.of(request).put(
            name, text, verified=verified, if_match=request.if_match
        )
        is_new = certificate.created_at == certificate.updated_at
        return self._answer(
            request, certificate, status=self._resource.created_status if is_new else 200
        )

    async def delete(self, request: ResourceRequest) -> ResourceAnswer:
        """Delete a CA certificate that nothing refers to."""
        try:
            await self._resource.of(request).delete(
                _name(request), if_match=request.required_if_match()
            )
        except self._resource.not_found:
            return ResourceAnswer(status=204)
        return ResourceAnswer()

    async def generate_verification_code(self, request: ResourceRequest) -> ResourceAnswer:
        """Make the code that the verification certificate must have as common name."""
        certificate = await self._resource.of(request).generate_verification_code(
            _name(request), if_match=request.required_if_match()
        )
        return self._answer(request, certificate)

    async def verify(self, request: ResourceRequest) -> ResourceAnswer:
        """Prove possession of the CA's key by a verification certificate."""
        if_match = request.required_if_match()
        text = _required(request.document(), "certificate", "the verification certificate")
        certificate = await self._resource.of(request).verify(
            _name(request), text, if_match=if_match
        )
        return self._answer(request, certificate)

    async def _check_missing(self, request: ResourceRequest, name: str) -> None:
        """Keep what If-None-Match asks for: that there be none, or none of that etag."""
        assert request.if_none_match is not None
        try:
            present = await self._resource.of(request).get(name)
        except self._resource.not_found:
            return
        if bare_etag(request.if_none_match) in {ANY, present.etag}:
            raise RequestRefused(
                412,
                "certificate-exists",
                f"If-None-Match: there is a CA certificate {present.name!r}.",
                "Choose another name; or, to replace it, send its etag as If-Match.",
                field="If-None-Match",
            )

    def _answer(
        self, request: ResourceRequest, certificate: CaCertificate, *, status: int = 200
    ) -> ResourceAnswer:
        return ResourceAnswer(self._to_json(request, certificate), status, etag=certificate.etag)

    def _to_json(
        self, request: ResourceRequest, certificate: CaCertificate
    ) -> dict[str, JsonValue]:
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
        waiting = self._resource.of(request).waiting_code(certificate)
        if waiting is not None:
            properties["verificationCode"] = waiting.code
            properties["verificationCodeExpiry"] = format_datetime(waiting.expires_at, usegmt=True)
        return {
            "id": f"{self._resource.owner_id(request)}/certificates/{certificate.name}",
            "name": certificate.name,
            "type": self._resource.type_name,
            "etag": certificate.etag,
            "properties": properties,
        }


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
