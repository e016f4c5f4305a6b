"""The device API over HTTPS: events, and receiving and settling cloud-to-device messages.

Azure: IoT Hub device API, every api-version in one shape (iothub.md 2.1). Each request proves who
sends it anew, by the certificate of its TLS connection or by a token in ``Authorization``. Such a
device never shows as connected, but its activity counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mooring.cloud.accounts.signatures import host_of
from mooring.cloud.api.answering import answer_request
from mooring.cloud.api.body_limit import BodyLimit
from mooring.cloud.api.context import CloudServices
from mooring.cloud.api.failures import FailureGuard
from mooring.cloud.api.hub_errors import (
    error_answer,
    failure_answer,
    hub_error,
    refusal_answer,
)
from mooring.cloud.api.paths import match_path, path_segments
from mooring.cloud.attempts.model import KIND_HUB_CONNECTION
from mooring.cloud.frontdoor.peer import tls_peer
from mooring.cloud.hub.device_api.events import MAX_BATCH_BODY_BYTES, is_batch, read_events
from mooring.cloud.hub.device_api.properties import headers_of
from mooring.cloud.hub.devicebound.service import Done
from mooring.cloud.hub.errors import ConnectRefused, HubNotFound
from mooring.cloud.hub.hosts import find_hub
from mooring.cloud.hub.model import AuthenticatedDevice, HubConnect
from mooring.cloud.hub.service_api.requests import check_api_version
from mooring.cloud.hub.throttling.model import HubLimit
from mooring.protocol.azure.error_codes import HubErrorCode
from mooring.protocol.azure.identifiers import check_device_id
from mooring.runtime.aside import SMALL_BODY_BYTES, run_aside
from mooring.runtime.attempts import AttemptRecorder
from mooring.runtime.ids import new_tracking_id
from mooring.storage.errors import StorageUnavailable

_EVENTS = "/devices/{deviceId}/messages/events"
_QUEUE = "/devices/{deviceId}/messages/devicebound"


@dataclass(frozen=True, slots=True)
class _DeviceRequest:
    """A request of a device that proved who it is; `lock_token` is empty if the path has none."""

    request: Request
    body: bytes
    device: AuthenticatedDevice
    lock_token: str


_Handler = Callable[[CloudServices, _DeviceRequest], Awaitable[Response]]


def create_hub_device_app(services: CloudServices) -> ASGIApp:
    """Return the application that serves devices of the hubs behind `services`."""
    return FailureGuard(
        BodyLimit(_DeviceApi(services), max_bytes=MAX_BATCH_BODY_BYTES, refuse=refusal_answer),
        fail=failure_answer,
    )


async def _send_events(services: CloudServices, asked: _DeviceRequest) -> Response:
    """Append events: 204 once they are on disk, all of them or none."""
    headers, body = asked.request.headers, asked.body
    messages = await run_aside(
        lambda: read_events(headers, body),
        is_long=is_batch(headers) and len(body) > SMALL_BODY_BYTES,
    )
    telemetry = services.hub.telemetry
    source = telemetry.source(asked.device)
    throttle = services.hub.throttling.of(asked.device.hub)
    throttle.admit(HubLimit.DEVICE_TO_CLOUD_SENDS, count=len(messages))
    await _committed(partial(telemetry.append_batch, source, messages))
    throttle.charge(*(len(message.body) + len(message.properties) for message in messages))
    return Response(status_code=204)


async def _receive(services: CloudServices, asked: _DeviceRequest) -> Response:
    """Give the device the oldest of its messages, locked for a minute; 204 if there is none."""
    hub, identity = asked.device.hub, asked.device.identity
    services.hub.throttling.of(hub).admit(HubLimit.CLOUD_TO_DEVICE_RECEIVES)
    messages = services.hub.devicebound.take(hub, identity.device_id, identity.generation_id, 1)
    if not messages:
        return Response(status_code=204)
    return Response(
        messages[0].message.body,
        media_type="application/octet-stream",
        headers=headers_of(messages[0]),
    )


async def _complete_or_reject(services: CloudServices, asked: _DeviceRequest) -> Response:
    """Settle a message: with ``reject`` in the query it is dead-lettered."""
    # The SDKs send the bare name, without a value.
    rejects = any(
        name.lower() == "reject" and value.lower() != "false"
        for name, value in asked.request.query_params.multi_items()
    )
    queue = services.hub.devicebound
    settle = queue.reject if rejects else queue.complete
    device = asked.device
    await _committed(partial(settle, device.hub, device.identity.device_id, asked.lock_token))
    return Response(status_code=204)


async def _abandon(services: CloudServices, asked: _DeviceRequest) -> Response:
    """Give a message back to its queue."""
    device, abandon = asked.device, services.hub.devicebound.abandon
    await _committed(partial(abandon, device.hub, device.identity.device_id, asked.lock_token))
    return Response(status_code=204)


ROUTES: tuple[tuple[str, str, _Handler], ...] = (
    ("POST", _EVENTS, _send_events),
    ("GET", _QUEUE, _receive),
    ("DELETE", _QUEUE + "/{lockToken}", _complete_or_reject),
    ("POST", _QUEUE + "/{lockToken}/abandon", _abandon),
)


class _DeviceApi:
    """The routes, by path and method."""

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
            fail=lambda error, request: error_answer(error, request.method, scope["path"]),
        )

    async def _answer(self, request: Request) -> Response:
        segments = path_segments(request.scope)
        found = [
            (method, handler, ids)
            for method, path, handler in ROUTES
            if (ids := match_path(path, segments)) is not None
        ]
        if not found:
            return hub_error(
                HubErrorCode.NOT_FOUND,
                "There is nothing at this path. Devices have /devices/{deviceId}/messages/events "
                "and /devices/{deviceId}/messages/devicebound.",
            )
        fitting = [(handler, ids) for method, handler, ids in found if method == request.method]
        if not fitting:
            allowed = ", ".join(sorted({method for method, _, _ in found}))
            return hub_error(
                HubErrorCode.METHOD_NOT_ALLOWED,
                f"The path does not allow {request.method}. Use {allowed}.",
                headers={"allow": allowed},
            )
        handler, ids = fitting[0]
        check_device_id(ids["deviceId"])
        check_api_version(request.query_params.getlist("api-version"))
        # Before the proof, so that nothing comes between that and the work.
        body = await request.body()
        recorder = self._new_recorder(request, ids["deviceId"])
        try:
            device = await self._authenticate(request, ids["deviceId"], recorder)
        except (ConnectRefused, StorageUnavailable) as error:
            return self._refuse(request, recorder, error)
        self._services.hub.active(device.hub, device.identity.device_id)
        asked = _DeviceRequest(request, body, device, ids.get("lockToken", ""))
        return await handler(self._services, asked)

    async def _authenticate(
        self, request: Request, device_id: str, recorder: AttemptRecorder
    ) -> AuthenticatedDevice:
        services = self._services
        host = request.headers.get("host", "")
        try:
            host_name = find_hub(services.hub.hubs, host, services.host_names()).host_name
        except HubNotFound:
            host_name = host_of(host) or ""  # refused, with what is known of hubs, below
        peer = tls_peer(request.scope)
        return await services.hub.authenticate(
            HubConnect(
                host_name=host_name,
                device_id=device_id,
                module_id=None,
                presented=peer.presented,
                password=request.headers.get("authorization"),
                source_address=peer.peer_address,
                recorder=recorder,
            )
        )

    def _new_recorder(self, request: Request, device_id: str) -> AttemptRecorder:
        peer = tls_peer(request.scope)
        recorder = AttemptRecorder(
            KIND_HUB_CONNECTION,
            clock=self._services.clock,
            source_address=peer.peer_address,
            transport="https",
            hub=request.headers.get("host", ""),
            device_id=device_id,
        )
        client = request.headers.get("user-agent")
        if client:
            recorder.context["client"] = client
        recorder.begin("tls", ago_s=peer.handshake_s)
        recorder.passed(peer.tls_version)
        return recorder

    def _refuse(
        self,
        request: Request,
        recorder: AttemptRecorder,
        error: ConnectRefused | StorageUnavailable,
    ) -> Response:
        """Record why a device was not let in; it is told no more than that: it may be anyone."""
        if not recorder.is_over:
            recorder.fail(error.code, error.message, error.remedy)
        if isinstance(error, StorageUnavailable):
            response = error_answer(error, request.method, request.scope["path"])
        else:
            code = error.error_code
            if code is HubErrorCode.UNAUTHORIZED and not (
                tls_peer(request.scope).presented or "authorization" in request.headers
            ):
                code = HubErrorCode.UNAUTHORIZED_ACCESS
            response = hub_error(code, tracking_id=new_tracking_id())
        recorder.saw("trackingId", response.headers["x-ms-request-id"])
        self._services.attempts.record(recorder.snapshot())
        return response


async def _committed(start: Callable[[Done], None]) -> None:
    """Begin what calls back after its commit, and wait for that. Raises what it says."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: BaseException | None) -> None:
        if future.done():  # the request was cancelled meanwhile
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    start(done)
    await future
