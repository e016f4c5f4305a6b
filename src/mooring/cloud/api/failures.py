"""Answers what no handler foresaw, once, and lets no exception out to the server's own log."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mooring.cloud.api.errors import answer_failure

Fail = Callable[[str, str, Exception], ASGIApp]
"""Takes method, path and what failed; returns the answer in the shape of an API."""


class FailureGuard:
    """ASGI middleware that turns an unforeseen exception into the answer for 5xx."""

    def __init__(self, app: ASGIApp, fail: Fail = answer_failure) -> None:
        """Guard `app`; `fail` makes the answers."""
        self._app = app
        self._fail = fail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            answer = self._fail(scope.get("method", ""), scope.get("path", ""), error)
            if started:
                raise  # half an answer is out: only the connection's end can tell
            await answer(scope, receive, send)
