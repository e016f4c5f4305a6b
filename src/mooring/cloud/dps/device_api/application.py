"""The device API of DPS over HTTPS: register, operation status, registration look-up.

Azure: DPS device API, ``/{idScope}/registrations/{registrationId}``, every api-version in one
shape. Each request proves who sends it anew, by the certificate of its TLS connection or by a
token in ``Authorization``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from mooring.cloud.api.azure_errors import BODY_MEDIA_TYPE, azure_error, failure_answer
from mooring.cloud.api.failures import FailureGuard
from mooring.cloud.attempts.model import KIND_LOOKUP, KIND_REGISTRATION
from mooring.cloud.attempts.service import AttemptService
from mooring.cloud.dps.device_api.answers import DeviceRequestRefused
from mooring.cloud.dps.device_api.begun_attempts import BegunAttempts
from mooring.cloud.dps.device_api.requests import DeviceAnswer, DeviceCaller, DeviceRequests
from mooring.cloud.frontdoor.peer import TlsPeer, tls_peer
from mooring.pki.certificates import sha256_thumbprint
from mooring.protocol.azure.api_versions import OLDEST_DPS_API_VERSION, is_dps_api_version
from mooring.protocol.azure.dps_payloads import MAX_DPS_BODY_BYTES
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.protocol.azure.errors import BodyTooLarge, quoted
from mooring.protocol.azure.sas import SCHEME
from mooring.runtime.attempts import AttemptRecorder

MEDIA_TYPE = "application/json"
API_VERSION = "api-version"

_REGISTRATION = "/{id_scope}/registrations/{registration_id}"

_Work = Callable[[DeviceCaller, bytes, AttemptRecorder], Awaitable[DeviceAnswer]]


def create_device_app(
    requests: DeviceRequests,
    attempts: AttemptService,
    begun: BegunAttempts,
) -> FastAPI:
    """Return the application that takes `requests` from devices.

    Every try is recorded in `attempts`: a registration with its polls as one, which waits in
    `begun` meanwhile.
    """
    api = _DeviceApi(requests, attempts, begun)
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.add_api_route(f"{_REGISTRATION}/register", api.register, methods=["PUT"])
    app.add_api_route(f"{_REGISTRATION}/operations/{{operation_id}}", api.poll, methods=["GET"])
    app.add_api_route(_REGISTRATION, api.look_up, methods=["POST"])
    app.add_exception_handler(HTTPException, api.answer_no_route)
    # Inside FastAPI's own guard, which would answer in a shape that no client knows.
    app.add_middleware(FailureGuard, fail=failure_answer)
    return app


class _DeviceApi:
    """The routes."""

    def __init__(
        self,
        requests: DeviceRequests,
        attempts: AttemptService,
        begun: BegunAttempts,
    ) -> None:
        """Serve what `create_device_app` was given."""
        self._requests = requests
        self._attempts = attempts
        self._begun = begun

    async def register(self, request: Request) -> Response:
        """Register a device: 202 with the operation to poll, whatever comes of it."""
        recorder = self._new_recorder(KIND_REGISTRATION, request)
        answer = await self._serve(request, recorder, "register", self._requests.register)
        if answer.operation_id is not None and not recorder.is_over:
            self._begun.keep(answer.operation_id, recorder)
        else:
            self._attempts.record(recorder.snapshot())
        return _respond(request, answer)

    async def poll(self, request: Request) -> Response:
        """Tell how an operation stands: 202 while it runs, 200 with its outcome."""
        operation_id: str = request.path_params["operation_id"]
        recorder = self._new_recorder(KIND_REGISTRATION, request)

        async def work(
            caller: DeviceCaller, _body: bytes, recorder: AttemptRecorder
        ) -> DeviceAnswer:
            return await self._requests.poll(
                caller, operation_id, recorder, begun=lambda: self._begun.find(operation_id)
            )

        # Node sends a body with it; what is in it is nobody's business.
        answer = await self._serve(request, recorder, "poll", work, takes_body=False)
        self._begun.settle(operation_id)
        if not answer.is_accepted and recorder.is_over:
            self._attempts.record(recorder.snapshot())
        return _respond(request, answer)

    async def look_up(self, request: Request) -> Response:
        """Tell a device what its registration record says."""
        recorder = self._new_recorder(KIND_LOOKUP, request)
        answer = await self._serve(request, recorder, "lookup", self._requests.look_up)
        self._attempts.record(recorder.snapshot())
        return _respond(request, answer)

    async def answer_no_route(self, request: Request, error: Exception) -> Response:
        """Answer what has no route in the shape of the API's errors."""
        assert isinstance(error, HTTPException)
        if error.status_code == DpsErrorCode.METHOD_NOT_ALLOWED.http_status:
            allowed = (error.headers or {}).get("Allow", "")
            return azure_error(
                DpsErrorCode.METHOD_NOT_ALLOWED,
                f"The path does not allow {request.method}; use {allowed}.",
                headers=error.headers,
            )
        return azure_error(
            DpsErrorCode.NOT_FOUND,
            "There is nothing at this path. Devices register with PUT …/register, poll with GET "
            "…/operations/{operationId}, and look up with POST, all under "
            "/{idScope}/registrations/{registrationId}.",
        )

    async def _serve(
        self,
        request: Request,
        recorder: AttemptRecorder,
        stage: str,
        work: _Work,
        *,
        takes_body: bool = True,
    ) -> DeviceAnswer:
        """Do `work` for the request's caller; what HTTP itself gets wrong fails in `stage`."""
        peer = tls_peer(request.scope)
        recorder.begin("tls", ago_s=peer.handshake_s)
        recorder.passed(peer.tls_version)
        recorder.begin(stage)
        try:
            api_version = _api_version(request)
            body = await _read_body(request) if takes_body else b""
        except ClientDisconnect:
            recorder.fail(
                "gone-before-body",
                "the client went away before its request was whole",
                "see the device's own log; its network may be slow",
            )
            return DeviceAnswer(DpsErrorCode.BAD_REQUEST.http_status, b"")  # to nobody
        except BodyTooLarge as error:
            request.state.is_unread = True
            return self._requests.refuse(error, recorder)
        except DeviceRequestRefused as error:
            return self._requests.refuse(error, recorder)
        return await work(_caller(request, peer, api_version), body, recorder)

    def _new_recorder(self, kind: str, request: Request) -> AttemptRecorder:
        peer = tls_peer(request.scope)
        recorder = AttemptRecorder(
            kind,
            clock=self._requests.clock,
            source_address=peer.peer_address,
            transport="https",
            registration_id=request.path_params["registration_id"],
            id_scope=request.path_params["id_scope"],
        )
        if peer.presented:
            recorder.context["thumbprint"] = sha256_thumbprint(peer.presented[0])
        # The C SDK's header has no dash.
        client = request.headers.get("user-agent") or request.headers.get("useragent")
        if client:
            recorder.context["client"] = client
        return recorder


def _caller(request: Request, peer: TlsPeer, api_version: str) -> DeviceCaller:
    return DeviceCaller(
        id_scope=request.path_params["id_scope"],
        registration_id=request.path_params["registration_id"],
        api_version=api_version,
        presented=peer.presented,
        source_address=peer.peer_address,
        sas_token=request.headers.get("authorization"),
    )


def _api_version(request: Request) -> str:
    """Return the api-version; further parameters, such as ``forceRegistration``, are ignored."""
    found = [
        value for name, value in request.query_params.multi_items() if name.lower() == API_VERSION
    ]
    if not found:
        raise DeviceRequestRefused(
            DpsErrorCode.ARGUMENT_INVALID,
            "api-version-missing",
            f"{API_VERSION} is missing: add ?{API_VERSION}=2021-06-01 to the URL",
            "send the api-version that the device's software was made for",
        )
    if not is_dps_api_version(found[-1]):
        raise DeviceRequestRefused(
            DpsErrorCode.ARGUMENT_INVALID,
            "api-version-malformed",
            f"{API_VERSION} {quoted(found[-1])} is not a version of this API: send a date from "
            f"{OLDEST_DPS_API_VERSION} on, such as 2021-06-01",
            "send the api-version that the device's software was made for",
        )
    return found[-1]


async def _read_body(request: Request) -> bytes:
    """Return the body.

    Raises:
        BodyTooLarge: It is too large; the rest of it was not read.
        DeviceRequestRefused: It says that it is something else than JSON.
        ClientDisconnect: The client is gone.
    """
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or len(announced) > 18 or int(announced) > MAX_DPS_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_DPS_BODY_BYTES:
            raise _too_large()
    media_type = request.headers.get("content-type")
    # .NET names a type without sending a body, embedded clients send a body without a type.
    if body.strip() and media_type and _essence(media_type) != MEDIA_TYPE:
        raise DeviceRequestRefused(
            DpsErrorCode.MEDIA_TYPE_UNSUPPORTED,
            "media-type-unsupported",
            f"Content-Type {quoted(media_type)} is not JSON: send {MEDIA_TYPE}",
            f"send the body as {MEDIA_TYPE}",
        )
    return bytes(body)


def _essence(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(
        f"body has more than {MAX_DPS_BODY_BYTES} bytes, which is the most that is allowed",
        remedy="Send a smaller document.",
        field="body",
    )


def _respond(request: Request, answer: DeviceAnswer) -> Response:
    headers: dict[str, str] = {}
    if answer.retry_after_s is not None:
        headers["retry-after"] = str(answer.retry_after_s)
    if answer.status == 202 and answer.operation_id is not None:
        headers["location"] = _location(request, answer.operation_id)
    if getattr(request.state, "is_unread", False):
        headers["connection"] = "close"  # rather than read on
    if answer.error_code is not None:
        headers["x-ms-request-id"] = answer.tracking_id or ""
        headers["x-ms-error-code"] = str(answer.error_code)
        if answer.status == DpsErrorCode.UNAUTHORIZED.http_status:
            headers["www-authenticate"] = SCHEME  # RFC 9110 §11.6.1
    return Response(
        answer.body, status_code=answer.status, media_type=BODY_MEDIA_TYPE, headers=headers
    )


def _location(request: Request, operation_id: str) -> str:
    """Return where to poll, at the host that the device dialled."""
    id_scope, registration_id = (
        quote(request.path_params[name], safe="") for name in ("id_scope", "registration_id")
    )
    host = request.headers.get("host")
    origin = f"https://{host}" if host else ""  # HTTP/1.0 may name none
    return (
        f"{origin}/{id_scope}/registrations/{registration_id}"
        f"/operations/{operation_id}?{API_VERSION}={_api_version(request)}"
    )
