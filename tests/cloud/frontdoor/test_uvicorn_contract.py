"""What `HttpConnection` relies on in uvicorn, which calls it internal: named here one by one.

When uvicorn is raised to another version, this file says which of it has changed. What the parts
do is tried in ``test_http_connection.py``.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections import deque
from importlib.metadata import version
from typing import Any

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

CHANGED = "uvicorn has changed: see what mooring.cloud.frontdoor.http_connection makes of it"


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """Never called."""


@pytest.fixture
def protocol() -> HttpToolsProtocol:
    """Return uvicorn's own protocol object, made as `HttpConnection` makes it."""
    config = uvicorn.Config(
        _app, ws="none", lifespan="off", interface="asgi3", proxy_headers=False, log_config=None
    )
    config.load()
    return HttpToolsProtocol(config, ServerState(), {}, _loop=asyncio.new_event_loop())


def test_uvicorn_has_the_version_that_was_read() -> None:
    assert version("uvicorn").startswith("0.54."), CHANGED


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        # overridden, and called by uvicorn, httptools or the listener
        ("connection_made", ["transport"]),
        ("connection_lost", ["exc"]),
        ("data_received", ["data"]),
        ("pause_writing", []),
        ("resume_writing", []),
        ("on_message_begin", []),
        ("on_url", ["url"]),
        ("on_header", ["name", "value"]),
        ("on_headers_complete", []),
        ("on_body", ["body"]),
        ("on_message_complete", []),
        ("on_response_complete", []),
        ("_start_asgi_task", ["cycle", "app"]),
        ("_should_upgrade", []),
        # called
        ("_get_upgrade", []),
        ("_unset_keepalive_if_required", []),
    ],
)
def test_method_that_is_overridden_or_called_has_its_parameters(
    method: str, parameters: list[str]
) -> None:
    found = inspect.signature(getattr(HttpToolsProtocol, method)).parameters

    assert list(found) == ["self", *parameters], CHANGED


def test_protocol_has_the_attributes_that_are_used(protocol: HttpToolsProtocol) -> None:
    assert isinstance(protocol.parser, httptools.HttpRequestParser), CHANGED
    assert isinstance(protocol.pipeline, deque), CHANGED
    assert protocol.connections is protocol.server_state.connections, CHANGED
    assert protocol.tasks is protocol.server_state.tasks, CHANGED
    assert protocol.server_state.default_headers == [], CHANGED
    assert protocol.server_state.total_requests == 0, CHANGED
    assert protocol.cycle is None, CHANGED
    assert protocol.loop is not None, CHANGED
    for name in ("logger", "access_log", "app_state", "flow", "transport"):
        assert hasattr(protocol, name), f"{name}: {CHANGED}"
    protocol.on_message_begin()
    assert protocol.url == b"", CHANGED
    assert protocol.headers == [], CHANGED
    assert protocol.scope["headers"] is protocol.headers, CHANGED
    assert "extensions" not in protocol.scope, CHANGED


def test_request_cycle_has_the_attributes_that_are_used() -> None:
    assert list(inspect.signature(RequestResponseCycle.__init__).parameters)[1:] == [
        "scope",
        "transport",
        "flow",
        "logger",
        "access_logger",
        "access_log",
        "default_headers",
        "message_event",
        "expect_100_continue",
        "keep_alive",
        "on_response",
    ], CHANGED
    nothing: Any = None
    cycle = RequestResponseCycle(
        *[nothing] * 4, nothing, False, [], asyncio.Event(), True, True, lambda: None
    )
    assert (cycle.disconnected, cycle.keep_alive) == (False, True), CHANGED
    assert (cycle.response_started, cycle.response_complete) == (False, False), CHANGED
    assert cycle.waiting_for_100_continue is True, CHANGED
    assert not cycle.message_event.is_set(), CHANGED


def test_queue_of_requests_grows_to_the_left() -> None:
    source = inspect.getsource(HttpToolsProtocol)

    assert "self.pipeline.appendleft((self.cycle, app))" in source, CHANGED
    assert "cycle, app = self.pipeline.pop()" in source, CHANGED


def test_transport_is_asked_for_nothing_but_what_the_look_alike_has() -> None:
    source = "".join(map(inspect.getsource, (HttpToolsProtocol, RequestResponseCycle, FlowControl)))
    asked = set(re.findall(r"(?:self\._?transport|transport)\.(\w+)\(", source))

    # set_protocol is called by uvicorn's own way to WebSocket, which is overridden
    assert asked <= {
        "write",
        "close",
        "is_closing",
        "pause_reading",
        "resume_reading",
        "get_extra_info",
        "set_protocol",
    }, CHANGED
