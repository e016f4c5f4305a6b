"""Answers what no handler foresaw, once, and lets no exception out to the server's own log."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mooring.cloud.api.errors import answer_failure


class FailureGuard:
    """ASGI middleware that turns an unforeseen exception into the answer for 5xx."""

    def __init__(self, app: ASGIApp) -> None:
        """Guard `app`."""
        self._app = app

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
            answer = answer_failure(scope.get("method", ""), scope.get("path", ""), error)
            if started:
                raise  # half an answer is out: only the connection's end can tell
            await answer(scope, receive, send)
