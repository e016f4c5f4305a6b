"""Custom allocation webhooks over HTTP (Azure: "Understand custom allocation policies").

One POST per registration, not repeated: a webhook may count. Nothing of a URL's query, which
holds its key, gets into messages or logs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mooring.cloud.dps.allocation_webhook import (
    AllocationAnswer,
    AllocationQuestion,
    WebhookFailed,
)
from mooring.cloud.dps.errors import InputInvalid, Overloaded, ShuttingDown
from mooring.cloud.dps.inputs import MAX_DESIRED_BYTES, MAX_TAGS_BYTES, check_initial_twin
from mooring.cloud.dps.model import IndividualEnrollment, InitialTwin
from mooring.pki.certificates import describe
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.protocol.azure.errors import PayloadMalformed
from mooring.protocol.azure.json_documents import decode_object, encode_json
from mooring.protocol.azure.json_members import Members
from mooring.transport.client_tls import ClientTls, load_client_context

if TYPE_CHECKING:
    import httpx

ANSWER_TIMEOUT_S = 5.0
"""From dialling to the last byte. Azure publishes none; the SDKs give a register request 30 s."""

MAX_CALLS = 64
"""Webhooks asked at one time: a slow one must not pile up sockets."""

MAX_WAIT_S = 5.0
"""How long a registration waits for its turn before the device is told to come again: with the
answer's time it stays well below the SDKs' 30 s."""

MAX_PAYLOAD_BYTES = 64 * 1024
"""Of the payload for the device, as it is sent (pure ASCII): an answer of DPS has 96 KB at most,
and is kept twice."""

MAX_ANSWER_BYTES = 2 * (MAX_TAGS_BYTES + MAX_DESIRED_BYTES + MAX_PAYLOAD_BYTES)
"""Of a webhook's answer: all that may be in it, with white space."""

IDLE_CONNECTION_S = 2.0
"""How long a connection is kept for the next call: long enough for a crowd of devices, too short
to be used just when the other side closes it."""

_ACTION = "See the log of the webhook, then let the device register again."


class HttpWebhook:
    """Adapter of `mooring.cloud.dps.allocation_webhook.AllocationWebhook` to HTTP.

    Certificates are verified by the system's trust. No redirect is followed, no proxy used.
    """

    def __init__(
        self,
        *,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        max_calls: int = MAX_CALLS,
        max_wait_s: float = MAX_WAIT_S,
    ) -> None:
        """Open nothing yet: most clouds have no webhook."""
        self._answer_timeout_s = answer_timeout_s
        self._max_wait_s = max_wait_s
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._slots = asyncio.Semaphore(max_calls)
        self._calls: set[asyncio.Task[AllocationAnswer]] = set()
        self._closed = False

    async def ask(self, question: AllocationQuestion) -> AllocationAnswer:
        """Ask the webhook of `question`, once. See `AllocationWebhook.ask`."""
        if self._closed:
            raise _shutting_down()
        # A task of its own: registrations begin in none (mooring.runtime.eager), and `close` ends
        # calls without ending whoever waits for them.
        call = asyncio.get_running_loop().create_task(self._ask(question))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        try:
            await asyncio.wait((call,))
        except asyncio.CancelledError:
            call.cancel()
            raise
        if call.cancelled():
            raise _shutting_down()
        return call.result()

    async def close(self) -> None:
        """Give up the calls under way and let go of connections."""
        self._closed = True
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ask(self, question: AllocationQuestion) -> AllocationAnswer:
        url = question.definition.webhook_url
        shown = masked(url)
        try:
            async with asyncio.timeout(self._max_wait_s):
                await self._slots.acquire()
        except TimeoutError:
            raise Overloaded(
                "As many allocation webhooks as may be are being asked already.",
                "Wait, then register again; see why webhooks take so long.",
                code="webhooks-busy",
                wire_message=DpsErrorCode.THROTTLED.text,
            ) from None
        try:
            client = await self._opened()
            body = encode_json(_request(question))
            async with asyncio.timeout(self._answer_timeout_s):
                status, answer = await _post(client, url, shown, body)
        except TimeoutError:
            raise WebhookFailed(
                "webhook-timeout",
                f"The allocation webhook {shown} did not answer within "
                f"{self._answer_timeout_s:g} s.",
                "Make it answer faster, or choose another allocation policy.",
            ) from None
        finally:
            self._slots.release()
        return _read(answer, status, shown)

    async def _opened(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(_open_client)
            return self._client


def masked(url: str) -> str:
    """Return `url` without what may be secret in it: user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}{'?****' if parts.query else ''}"


def _open_client() -> httpx.AsyncClient:
    # Imported late: it takes a quarter of a second, which the start of a cloud can do without.
    import httpx  # noqa: PLC0415

    logging.getLogger("httpx").addFilter(_mask_urls)
    return httpx.AsyncClient(
        verify=load_client_context(ClientTls()),
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - there is one for the whole exchange
        limits=httpx.Limits(max_connections=MAX_CALLS, keepalive_expiry=IDLE_CONNECTION_S),
        headers={
            "Content-Type": "application/json; charset=utf-8",
            "Accept": "application/json",
            # Compressed, a small answer could become a large one.
            "Accept-Encoding": "identity",
            "User-Agent": "mooring-dps",
        },
    )


def _mask_urls(record: logging.LogRecord) -> bool:
    """Hide what `masked` hides: httpx logs the URL of each request, at level info."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            masked(str(argument)) if type(argument).__name__ == "URL" else argument
            for argument in record.args
        )
    return True


async def _post(client: httpx.AsyncClient, url: str, shown: str, body: bytes) -> tuple[int, bytes]:
    """Return status and body of the answer to a POST. Raises WebhookFailed."""
    import httpx  # noqa: PLC0415 - loaded already

    status = None
    try:
        async with client.stream("POST", url, content=body) as response:
            status = response.status_code
            if not response.is_success:
                raise WebhookFailed(
                    "webhook-status",
                    f"The allocation webhook {shown} answered with HTTP status {status}.",
                    "A webhook answers 200 with a hub; another status refuses the device. "
                    + _ACTION,
                    status,
                )
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise _malformed(shown, status, "it is compressed, which was not asked for")
            answer = bytearray()
            async for chunk in response.aiter_raw():
                answer += chunk
                if len(answer) > MAX_ANSWER_BYTES:
                    raise _malformed(shown, status, f"it is longer than {MAX_ANSWER_BYTES} bytes")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise WebhookFailed(
            "webhook-unreachable",
            f"The allocation webhook {shown} could not be asked: "
            f"{str(error).replace(url, shown)[:200] or type(error).__name__}.",
            "Check the webhook's URL, that it runs, and that the system trusts its certificate.",
            status,
        ) from error
    return status, bytes(answer)


def _request(question: AllocationQuestion) -> dict[str, Any]:
    """Return the body: Azure's ``AllocationRequest``."""
    # Imported late, with the adapter's other heavy parts.
    from mooring.cloud.dps.documents import (  # noqa: PLC0415
        enrollment_to_json,
        group_to_json,
        info_to_json,
    )

    enrollment, former = question.enrollment, question.former
    if isinstance(enrollment, IndividualEnrollment):
        kind, record = "individualEnrollment", enrollment_to_json(enrollment, former)
    else:
        kind, record = "enrollmentGroup", group_to_json(enrollment)
    record["customAllocationDefinition"] = {
        "webhookUrl": masked(question.definition.webhook_url),
        "apiVersion": question.definition.api_version,
    }
    context: dict[str, Any] = {"registrationId": question.registration_id}
    if former is not None and former.assigned_hub is not None:
        context["currentIotHubHostName"] = former.assigned_hub
        context["currentDeviceId"] = former.device_id
    if question.certificate is None:
        context["symmetricKey"] = {}
    else:
        info = info_to_json(describe(question.certificate))
        context["x509"] = {"clientCertificates": {"primary": {"info": info}}}
    if question.payload is not None:
        context["payload"] = question.payload
    return {
        kind: record,
        "deviceRuntimeContext": context,
        "linkedHubs": list(question.linked_hubs),
    }


def _read(data: bytes, status: int, shown: str) -> AllocationAnswer:
    """Return what an answer says: Azure's ``AllocationResponse``. Raises WebhookFailed."""
    try:
        members = Members(decode_object(data, max_bytes=MAX_ANSWER_BYTES, field="answer"))
        host_name = members.required_text("iotHubHostName")
        twin = members.members("initialTwin")
        payload = members.mapping("payload")
        return AllocationAnswer(
            host_name,
            None if twin is None else check_initial_twin(_twin(twin)),
            None if payload is None else _small(payload),
            status,
        )
    except (PayloadMalformed, InputInvalid) as error:
        raise _malformed(shown, status, error.message) from error


def _twin(members: Members) -> InitialTwin:
    properties = members.members("properties")
    return InitialTwin(
        members.mapping("tags") or {},
        (properties and properties.mapping("desired")) or {},
    )


def _small(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    size = len(encode_json(payload))
    if size > MAX_PAYLOAD_BYTES:
        raise InputInvalid(
            f"payload has {size} bytes; at most {MAX_PAYLOAD_BYTES} are allowed.",
            "Keep it smaller.",
            field="payload",
        )
    return payload


def _malformed(shown: str, status: int, fault: str) -> WebhookFailed:
    return WebhookFailed(
        "webhook-answer-malformed",
        f"The allocation webhook {shown} answered, but not as it should: {fault.rstrip('.')}.",
        'Let it answer {"iotHubHostName": …} with one of linkedHubs, and if it wants initialTwin '
        "and payload as JSON objects.",
        status,
    )


def _shutting_down() -> ShuttingDown:
    return ShuttingDown(
        "The cloud closed while an allocation webhook was being asked.",
        "Let the device register again once the cloud is back.",
        wire_message=DpsErrorCode.SERVICE_UNAVAILABLE.text,
    )
