"""The service API of IoT Hub: identities, twins, methods, queries, messages, counts.

Azure: IoT Hub service API, every api-version in one shape (iothub.md 0: none is gated). Its
judges are Azure's service SDKs and command line.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mooring.cloud.api.answering import answer_request
from mooring.cloud.api.azure_errors import BODY_MEDIA_TYPE
from mooring.cloud.api.body_limit import BodyLimit
from mooring.cloud.api.context import CloudServices
from mooring.cloud.api.failures import FailureGuard
from mooring.cloud.api.hub_errors import (
    ErrorShape,
    error_answer,
    failure_answer,
    hub_error,
    refusal_answer,
)
from mooring.cloud.api.paths import match_path, path_segments
from mooring.cloud.hub.hosts import find_hub
from mooring.cloud.hub.service_api import (
    bulk,
    deferred,
    devices,
    messages,
    methods,
    queries,
    statistics,
    twins,
)
from mooring.cloud.hub.service_api.access import authorize
from mooring.cloud.hub.service_api.requests import (
    MediaTypeUnsupported,
    Operation,
    ServiceRequest,
    check_api_version,
)
from mooring.protocol.azure.error_codes import HubErrorCode
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.json_documents import encode_json

OPERATIONS: tuple[Operation, ...] = (
    *queries.OPERATIONS,
    *devices.OPERATIONS,
    *bulk.OPERATIONS,
    *methods.OPERATIONS,
    *statistics.OPERATIONS,
    *messages.OPERATIONS,
    *twins.OPERATIONS,
    *deferred.OPERATIONS,
)
"""In the order in which they are looked for: fixed paths before variable ones."""

MEDIA_TYPE = "application/json"


def create_hub_service_app(services: CloudServices) -> ASGIApp:
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
        segments = path_segments(scope)
        found = [
            (operation, ids)
            for operation in OPERATIONS
            if (ids := match_path(operation.path, segments)) is not None
        ]
        shape = found[0][0].shape if found else ErrorShape.REGISTRY
        await answer_request(
            scope,
            receive,
            send,
            answer=lambda request: self._answer(request, segments, found),
            fail=lambda error, request: error_answer(
                error, request.method, scope["path"], shape=shape
            ),
        )

    async def _answer(
        self,
        request: Request,
        segments: Sequence[str],
        found: Sequence[tuple[Operation, dict[str, str]]],
    ) -> Response:
        if not found:
            return hub_error(
                HubErrorCode.NOT_FOUND,
                "There is nothing at this path. The service API has /devices/{deviceId}, "
                "/twins/{deviceId} and /statistics; docs/coverage.md lists all.",
            )
        fitting = [pair for pair in found if pair[0].method == request.method]
        if not fitting:
            return _wrong_method(request.method, [operation for operation, _ in found])
        operation, ids = fitting[0]
        services = self._services
        host = request.headers.get("host", "")
        hub = find_hub(services.hub.hubs, host, services.host_names())
        if operation.right is not None:
            authorize(
                services.accounts,
                hub,
                services.hub.settings.of(hub),
                request.headers.get("authorization"),
                host=host,
                # A slash within an id stays one segment: no token for a part of it opens it.
                path="/" + "/".join(segment.replace("/", "%2F") for segment in segments),
                right=operation.right,
                clock=services.clock,
            )
        check_api_version(request.query_params.getlist("api-version"))
        asked = ServiceRequest(
            services=services,
            hub=hub,
            ids=ids,
            parameters=request.query_params,
            headers=request.headers,
            body=await _read_body(request),
        )
        if operation.limit is not None:
            asked.throttle.admit(operation.limit)
        answer = await operation.handler(asked)
        if answer.status == 204:
            return Response(status_code=204, headers=dict(answer.headers))
        return Response(
            encode_json(answer.document) if answer.encoded is None else answer.encoded,
            status_code=answer.status,
            # Node parses a body only where the type says JSON.
            media_type=BODY_MEDIA_TYPE,
            headers=dict(answer.headers),
        )


def _wrong_method(method: str, operations: Sequence[Operation]) -> Response:
    allowed = ", ".join(sorted({operation.method for operation in operations}))
    return hub_error(
        HubErrorCode.METHOD_NOT_ALLOWED,
        f"The path does not allow {method}. Use {allowed}, or add the id that is missing.",
        shape=operations[0].shape,
        headers={"allow": allowed},
    )


async def _read_body(request: Request) -> bytes:
    """Return the body. Raises MediaTypeUnsupported if it says that it is not JSON."""
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
