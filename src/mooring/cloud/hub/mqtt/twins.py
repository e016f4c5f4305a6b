"""A connection's twin requests, answered in the order in which they came.

A request has no other acknowledgement than its response: 204 says that a patch is on disk, PUBACK
of QoS 1 only that the request was taken. Azure: "Communicate with your IoT hub using MQTT".
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from mooring.cloud.api.azure_errors import in_sentences
from mooring.cloud.hub.errors import DeviceNotFound, HubError
from mooring.cloud.hub.throttling.model import HubLimit
from mooring.cloud.hub.twins.model import DesiredChange
from mooring.protocol.azure.error_bodies import ErrorBody, encode_error_body
from mooring.protocol.azure.errors import HubErrorCode
from mooring.protocol.azure.hub_topics import (
    HubFilter,
    ReportedPatch,
    TwinGet,
    format_desired_patch_topic,
    format_twin_response_topic,
)
from mooring.runtime.clock import Clock
from mooring.runtime.ids import new_tracking_id
from mooring.runtime.logs import get_logger
from mooring.storage.errors import StorageError

if TYPE_CHECKING:
    from mooring.cloud.hub.mqtt.session import HubSession
    from mooring.cloud.hub.mqtt.telemetry import TelemetrySender
    from mooring.cloud.hub.twins.service import TwinService

MAX_PATCHES_UNDER_WAY = 32
"""Patches of one connection that the store works on at one time. A patch of the largest twin takes
it some 16 ms; those of other devices are not to stand in line behind a thousand of them."""

MAX_BURST_BYTES = 1024 * 1024
"""Twins sent to one connection in one turn of the event loop. One read may hold thousands of GETs,
a few bytes each; reading pauses only when the turn is over and the peer does not take the answers.
Beyond, they are told to slow down (429)."""

_log = get_logger("cloud.hub.mqtt")


class TwinExchange:
    """Twin requests of one connection. A GET sees the patches that were sent before it, no other.

    Requests that cannot be begun yet wait here, counted by the connection's flow control.
    """

    __slots__ = (
        "_burst_bytes",
        "_clock",
        "_flow",
        "_session",
        "_twins",
        "_under_way",
        "_waiting",
    )

    def __init__(
        self, twins: TwinService, session: HubSession, flow: TelemetrySender, clock: Clock
    ) -> None:
        """Answer on `session`; `flow` holds the device back while too much is under way."""
        self._twins = twins
        self._session = session
        self._flow = flow
        self._clock = clock
        self._under_way = 0
        self._waiting: deque[tuple[TwinGet | ReportedPatch, bytes]] = deque()
        self._burst_bytes = 0

    def receive(self, request: TwinGet | ReportedPatch, body: bytes) -> None:
        """Take a request."""
        self._flow.take(1, len(body))
        self._waiting.append((request, body))
        self._begin()

    def _begin(self) -> None:
        """Begin what may be begun, in order; what waits when the connection ends is dropped.

        Nothing of that was answered, and the device's next connection may have newer values.
        """
        if not self._session.is_open:
            self._waiting.clear()
        while self._waiting:
            request, body = self._waiting[0]
            most = MAX_PATCHES_UNDER_WAY if isinstance(request, ReportedPatch) else 1
            if self._under_way >= most:
                return
            self._waiting.popleft()
            if isinstance(request, ReportedPatch):
                self._patch(request, body)
            else:
                self._get(request.rid)
                self._flow.settle(1, len(body))

    def _patch(self, request: ReportedPatch, body: bytes) -> None:
        session, rid, size = self._session, request.rid, len(body)

        def done(version: int | None, error: BaseException | None) -> None:
            self._under_way -= 1
            if error is None:
                session.throttle.charge(size)
                self._answer(rid, 204, b"", version)
            else:
                self._fail(rid, error)
            self._begin()
            self._flow.settle(1, size)

        try:
            session.throttle.admit(HubLimit.TWIN_UPDATES)
            self._twins.submit_reported(
                session.hub,
                session.device_id,
                session.generation_id,
                body,
                base_version=request.base_version,
                done=done,
            )
        except (HubError, StorageError) as error:
            self._fail(rid, error)
            self._flow.settle(1, size)
        else:
            self._under_way += 1

    def _get(self, rid: str) -> None:
        session = self._session
        if session.granted_qos(HubFilter.TWIN_RESPONSES) is None or not session.is_open:
            return
        if self._burst_bytes > MAX_BURST_BYTES:
            self._fail(rid, _slow_down())
            return
        try:
            session.throttle.admit(HubLimit.TWIN_READS)
            document = self._twins.device_document(
                session.hub, session.device_id, session.generation_id
            )
        except (HubError, StorageError) as error:
            self._fail(rid, error)
            return
        if document is None:
            self._fail(rid, DeviceNotFound("The device was deleted.", "Create it again."))
            return
        if not self._burst_bytes:
            asyncio.get_running_loop().call_soon(self._end_burst)
        self._burst_bytes += len(document)
        session.throttle.charge(len(document))
        self._answer(rid, 200, document)

    def _end_burst(self) -> None:
        self._burst_bytes = 0

    def _fail(self, rid: str, error: BaseException) -> None:
        if isinstance(error, HubError):
            code, message = error.error_code, in_sentences(error.message, error.remedy)
        elif isinstance(error, StorageError):
            code = HubErrorCode.SERVICE_UNAVAILABLE
            message = in_sentences(error.message, error.remedy)
        else:
            code, message = HubErrorCode.SERVER_ERROR, HubErrorCode.SERVER_ERROR.text
        tracking_id = new_tracking_id()
        if code is HubErrorCode.SERVER_ERROR:
            _log.error("twin request failed", tracking_id=tracking_id, exc_info=error)
        body = ErrorBody(code, message, tracking_id, timestamp_utc=self._clock.now())
        self._answer(rid, code.http_status, encode_error_body(body))

    def _answer(self, rid: str, status: int, body: bytes, version: int | None = None) -> None:
        """Send a response, to a client that listens for it."""
        if self._session.granted_qos(HubFilter.TWIN_RESPONSES) is not None:
            self._session.send(format_twin_response_topic(status, rid, version=version), body)


def notify(session: HubSession, change: DesiredChange) -> None:
    """Tell a device of changed desired properties, if it listens and is still the same one."""
    if (
        session.generation_id == change.generation_id
        and session.granted_qos(HubFilter.DESIRED_PATCHES) is not None
    ):
        session.send(format_desired_patch_topic(change.version), change.body)


def _slow_down() -> HubError:
    return HubError(
        "Too many twin requests at once.",
        "Wait for the answers before you send more.",
        error_code=HubErrorCode.THROTTLED,
    )
