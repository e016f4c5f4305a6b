"""The resource API: Azure Resource Manager's paths and shapes for what this cloud has.

Azure's management SDKs and command lines are its judges. Whoever holds the owner token or an
admin token gets in; any subscription, any resource group and any api-version are taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from mooring.cloud.api.body_limit import BodyLimit
from mooring.cloud.api.context import CloudServices
from mooring.cloud.api.errors import RequestRefused
from mooring.cloud.resource_api.errors import answer_error
from mooring.cloud.resource_api.requests import Operation, ResourceRequest
from mooring.protocol.azure.api_versions import is_api_version
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.json_documents import encode_json


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """What can be done with resources of one kind.

    `check_name` gets the variable parts of a path before a handler does, unless the operation
    has `any_name`; it raises RequestRefused where they name no resource of this cloud.
    """

    operations: Sequence[Operation]
    check_name: Callable[[Mapping[str, str]], None]


def create_resource_app(services: CloudServices, *kinds: ResourceKind) -> ASGIApp:
    """Return the application that serves `kinds` under ``/subscriptions`` and ``/providers``."""
    routes = []
    for kind in kinds:
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in kind.operations:
            by_path.setdefault(operation.path, {})[operation.method] = operation
        routes += [
            _AnyCaseRoute(path, _Endpoint(services, found, kind.check_name))
            for path, found in by_path.items()
        ]
    router = Router(
        routes,
        redirect_slashes=False,
        default=_not_found,
    )
    return BodyLimit(router, refuse=_refuse)


class _AnyCaseRoute(Route):
    """A path whose fixed parts may be spelled in any case, as Resource Manager has it."""

    def __init__(self, path: str, endpoint: ASGIApp) -> None:
        super().__init__(path, endpoint)
        self.path_regex = re.compile(self.path_regex.pattern, re.IGNORECASE)


class _Endpoint:
    """Everything at one path, by method."""

    def __init__(
        self,
        services: CloudServices,
        operations: Mapping[str, Operation],
        check_name: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._services = services
        self._operations = operations
        self._check_name = check_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - logged, and answered in the API's own shape
            response = _error_response(error, request.method, scope["path"])
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        caller = self._services.accounts.authenticate(
            token.strip() if scheme.lower() == "bearer" else None
        )
        _check_api_version(request.query_params.getlist("api-version"))
        operation = self._operations.get(request.method)
        if operation is None:
            raise RequestRefused(
                405,
                "method-not-allowed",
                f"The path does not allow {request.method}.",
                f"Use {' or '.join(sorted(self._operations))}.",
                headers={"allow": ", ".join(sorted(self._operations))},
            )
        if not operation.any_name:
            self._check_name(request.path_params)
        if operation.handler is None:
            raise RequestRefused(
                501,
                "not-implemented",
                f"This cloud does not offer the operation {operation.name}.",
                "See the table of operations in docs/coverage.md.",
            )
        answer = await operation.handler(
            ResourceRequest(
                services=self._services,
                caller=caller,
                path=request.path_params,
                body=await request.body(),
                if_match=request.headers.get("if-match"),
                if_none_match=request.headers.get("if-none-match"),
            )
        )
        return Response(
            None if answer.document is None else encode_json(answer.document),
            status_code=answer.status,
            media_type=None if answer.document is None else "application/json",
            headers={} if answer.etag is None else {"etag": f'"{answer.etag}"'},
        )


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    error = RequestRefused(
        404,
        "not-found",
        "There is nothing at this path.",
        "What this cloud has is at /subscriptions/{subscription}/resourceGroups/{group}"
        "/providers/Microsoft.Devices, in provisioningServices and IotHubs.",
    )
    response = _error_response(error, scope["method"], scope["path"])
    await response(scope, receive, send)


def _refuse(error: RequestRefused) -> ASGIApp:
    return _error_response(error, "", "")


def _error_response(error: Exception, method: str, path: str) -> Response:
    answer = answer_error(error, method, path)
    return Response(
        encode_json(answer.document),
        status_code=answer.status,
        media_type="application/json",
        headers=answer.headers,
    )


def _check_api_version(given: Iterable[str]) -> None:
    versions = list(given)
    if not versions:
        raise RequestRefused(
            400,
            "api-version-missing",
            "api-version: the query parameter is missing.",
            "Add ?api-version=2022-12-12, or another version of that shape.",
            field="api-version",
        )
    for version in versions:
        if not is_api_version(version):
            raise RequestRefused(
                400,
                "api-version-malformed",
                f"api-version: {quoted(version)} is no api-version.",
                "Give a date, maybe with -preview: 2022-12-12.",
                field="api-version",
            )
