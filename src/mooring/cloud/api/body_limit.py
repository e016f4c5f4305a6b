"""Refuses request bodies above a size, announced or not, before they are in memory."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mooring.cloud.api.errors import RequestRefused, answer_refusal

Refuse = Callable[[RequestRefused], ASGIApp]
"""Takes a refusal; returns the answer in the shape of an API."""

MAX_BODY_BYTES = 1024 * 1024
"""Largest request body: an enrollment with two certificates of 64 KiB and a twin, many times."""


class BodyLimit:
    """ASGI middleware that answers 413 instead of reading on."""

    def __init__(
        self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES, refuse: Refuse = answer_refusal
    ) -> None:
        """Guard `app`; `refuse` makes the answers."""
        self._app = app
        self._max_bytes = max_bytes
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"content-length" and (
                not value.isdigit() or len(value) > 18 or int(value) > self._max_bytes
            ):
                await self._refuse(self._too_large())(scope, receive, send)
                return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._too_large()
            return message

        await self._app(scope, counted, send)

    def _too_large(self) -> RequestRefused:
        return RequestRefused(
            413,
            "body-too-large",
            f"the request body is larger than {self._max_bytes} bytes",
            "send a smaller body",
            headers={"connection": "close"},
        )
