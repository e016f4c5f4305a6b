"""A server that answers as it is told, where a real one cannot be brought to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any, dict[str, str]]


@dataclass
class Script:
    """Answers in turn, and the requests that they answered."""

    answers: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    if_match: list[str | None] = field(default_factory=list)

    def then(self, status: int, body: Any = None, **headers: str) -> Script:
        """Answer the next request so."""
        self.answers.append((status, body, headers))
        return self


@contextmanager
def scripted(script: Script) -> Iterator[str]:
    """Serve `script`; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length)
            script.requests.append((self.command, self.path, json.loads(body) if body else None))
            script.if_match.append(self.headers.get("if-match"))
            status, document, headers = script.answers.pop(0)
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - names of http.server

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(5)
