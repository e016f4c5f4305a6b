"""Refuses request bodies above a size, announced or not, before they are in memory."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mooring.cloud.api.errors import RequestRefused, error_answer

MAX_BODY_BYTES = 1024 * 1024
"""Largest request body: an enrollment with two certificates of 64 KiB and a twin, many times."""


class BodyLimit:
    """ASGI middleware that answers 413 instead of reading on."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        """Guard `app`."""
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"content-length" and (
                not value.isdigit() or len(value) > 18 or int(value) > self._max_bytes
            ):
                await self._refuse()(scope, receive, send)
                return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise RequestRefused(413, *_too_large(self._max_bytes))
            return message

        await self._app(scope, counted, send)

    def _refuse(self) -> ASGIApp:
        code, message, remedy = _too_large(self._max_bytes)
        return error_answer(413, code, message, remedy=remedy, headers={"connection": "close"})


def _too_large(max_bytes: int) -> tuple[str, str, str]:
    return (
        "body-too-large",
        f"the request body is larger than {max_bytes} bytes",
        "send a smaller body",
    )
