"""The service API of DPS: enrollments, enrollment groups, registration records.

Azure: DPS service API, every api-version from 2018-04-01 on in one shape. Its judges are Azure's
service SDKs and command line.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mooring.cloud.api.answering import answer_request
from mooring.cloud.api.azure_errors import (
    BODY_MEDIA_TYPE,
    azure_error,
    failure_answer,
    refusal_answer,
)
from mooring.cloud.api.body_limit import BodyLimit
from mooring.cloud.api.context import CloudServices
from mooring.cloud.api.failures import FailureGuard
from mooring.cloud.api.paths import match_path
from mooring.cloud.dps.errors import InputInvalid
from mooring.cloud.dps.service_api import enrollments, groups, registrations
from mooring.cloud.dps.service_api.access import CHALLENGE, authorize
from mooring.cloud.dps.service_api.errors import error_code_of, parts_of, words_of
from mooring.cloud.dps.service_api.requests import (
    MediaTypeUnsupported,
    Operation,
    ServiceRequest,
)
from mooring.protocol.azure.api_versions import is_api_version
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.json_documents import encode_json

OPERATIONS: tuple[Operation, ...] = (
    *enrollments.OPERATIONS,
    *groups.OPERATIONS,
    *registrations.OPERATIONS,
)
"""All that Azure's specification has, and ``POST /registrations/query``."""

OLDEST_API_VERSION = "2018-04-01"
"""The oldest that a client known to be in use sends (Azure's C SDK)."""

MEDIA_TYPE = "application/json"


def create_service_app(services: CloudServices) -> ASGIApp:
    """Return the application that serves `services` under the paths of `OPERATIONS`."""
    return FailureGuard(
        BodyLimit(_ServiceApi(services), refuse=refusal_answer), fail=failure_answer
    )


class _ServiceApi:
    """The operations, by path and method."""

    def __init__(self, services: CloudServices) -> None:
        """Serve `services`."""
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await answer_request(
            scope,
            receive,
            send,
            answer=self._answer,
            fail=lambda error, request: _error_response(error, request.method, scope["path"]),
        )

    async def _answer(self, request: Request) -> Response:
        path: str = request.scope["path"]
        found = [
            (operation, ids)
            for operation in OPERATIONS
            if (ids := match_path(operation.path, path.split("/")[1:])) is not None
        ]
        if not found:
            return azure_error(
                DpsErrorCode.NOT_FOUND,
                "There is nothing at this path. The service API has /enrollments/{registrationId}, "
                "/enrollmentGroups/{enrollmentGroupId} and /registrations/{registrationId}.",
            )
        fitting = [pair for pair in found if pair[0].method == request.method]
        if not fitting:
            return _wrong_method(request.method, [operation for operation, _ in found])
        operation, ids = fitting[0]
        authorize(
            self._services,
            request.headers.get("authorization"),
            path=path,
            right=operation.right,
        )
        self._services.throttling.admit_service_operation()
        answer = await operation.handler(
            ServiceRequest(
                services=self._services,
                ids=ids,
                headers=request.headers,
                api_version=_api_version(request.query_params.getlist("api-version")),
                body=await _read_body(request),
            )
        )
        if answer.document is None:
            return Response(status_code=204, headers=dict(answer.headers))
        return Response(
            encode_json(answer.document),
            media_type=BODY_MEDIA_TYPE,
            headers=dict(answer.headers),
        )


def _error_response(error: Exception, method: str, path: str) -> Response:
    """Return the answer to what went wrong; at 5xx the cause is logged and not told."""
    code = error_code_of(error)
    if code is None:
        return failure_answer(method, path, error)
    headers = {}
    if code is DpsErrorCode.UNAUTHORIZED:
        headers["www-authenticate"] = CHALLENGE
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["retry-after"] = str(retry_after_s)
    return azure_error(code, words_of(error), info=parts_of(error), headers=headers)


def _wrong_method(method: str, operations: Sequence[Operation]) -> Response:
    allowed = ", ".join(sorted({operation.method for operation in operations}))
    return azure_error(
        DpsErrorCode.METHOD_NOT_ALLOWED,
        f"The path does not allow {method}. Use {allowed}, or add the id that is missing.",
        headers={"allow": allowed},
    )


def _api_version(given: Sequence[str]) -> str:
    """Return the api-version. Raises InputInvalid."""
    remedy = "Send a date from 2018-04-01 on, perhaps with -preview: ?api-version=2021-10-01."
    if not given:
        raise InputInvalid(
            "api-version: missing.", remedy, field="api-version", code="api-version-missing"
        )
    version = given[-1]
    if not is_api_version(version) or version < OLDEST_API_VERSION:
        raise InputInvalid(
            f"api-version: {quoted(version)} is not a version of this API.",
            remedy,
            field="api-version",
            code="api-version-unknown",
        )
    return version


async def _read_body(request: Request) -> bytes:
    """Return the body. Raises InputInvalid if it says that it is something else than JSON."""
    body = await request.body()
    given = request.headers.get("content-type")
    # A type may be missing, or named without a body: some clients do.
    if body.strip() and given and given.partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise MediaTypeUnsupported(
            f"Content-Type: {quoted(given)} is not JSON.",
            f"Send the body as {MEDIA_TYPE}.",
            field="Content-Type",
        )
    return body
