"""Answers one request of a small API, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


async def answer_request(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    answer: Callable[[Request], Awaitable[Response]],
    fail: Callable[[Exception, Request], Response],
) -> None:
    """Send what `answer` returns, or what `fail` makes of its exception in the API's own shape.

    A client that is gone gets nothing.
    """
    request = Request(scope, receive)
    try:
        response = await answer(request)
    except ClientDisconnect:
        return
    except Exception as error:  # noqa: BLE001 - answered, and logged by `fail` where it is ours
        response = fail(error, request)
    await response(scope, receive, send)
