"""What stands before every route: the owner's token, and a limit on bodies."""

from __future__ import annotations

import hmac

from fastapi import HTTPException, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mooring.gateway.api.errors import gateway_error_answer
from mooring.gateway.errors import RequestTooLarge, TokenRefused

MAX_BODY_BYTES = 2 * 1024 * 1024
"""Size of a request's body: a trust bundle of 1 MiB with its line ends escaped in JSON fits."""


class TokenGuard:
    """A dependency that lets the owner in."""

    def __init__(self, token: str) -> None:
        """Compare with `token`."""
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, request: Request) -> None:
        """Refuse a request without the token.

        Raises:
            TokenRefused: None, or another one.
        """
        given = request.headers.get("authorization", "")
        scheme, _, credentials = given.partition(" ")
        # RFC 9110 §11.1: the scheme's name ignores case.
        normal = f"Bearer {credentials.strip()}" if scheme.lower() == "bearer" else ""
        if not hmac.compare_digest(normal.encode(), self._expected):
            raise TokenRefused(
                "The request carries no valid token." if given else "The request has no token.",
                "Send the header Authorization: Bearer TOKEN with the content of the file "
                "gateway/owner-token in the state folder.",
                field="Authorization",
            )


class BodyLimit:
    """ASGI middleware that ends a request whose body grows beyond `MAX_BODY_BYTES`."""

    def __init__(self, application: ASGIApp) -> None:
        """Stand before `application`."""
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit() or int(announced[:18]) > MAX_BODY_BYTES:
            await _refuse(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MAX_BODY_BYTES:
                # A chunked body announces no length. FastAPI passes this kind on as it is.
                raise HTTPException(413)
            return message

        await self._application(scope, counted, send)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await gateway_error_answer(_too_large())(scope, receive, send)


def _too_large() -> RequestTooLarge:
    return RequestTooLarge(
        f"The body is larger than {MAX_BODY_BYTES} bytes.", "Send less at a time."
    )
