"""Which requests become a WebSocket that carries MQTT, and what the others are told."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from mooring.cloud.frontdoor.http_refusals import HttpRefusal
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.transport.server_websocket import opening_answer

# Azure's SDKs: the first for Python, Node and C; "/" for .NET; "/mqtt" for Java (dps.md 0, 16).
PATHS = ("/$iothub/websocket", "/", "/mqtt")

SUBPROTOCOL = "mqtt"
"""[MQTT-6.0.0-3]. The C SDK sends ``MQTT``, and wants its own spelling back."""

VERSION = b"13"  # RFC 6455 §4.1
KEY_BYTES = 16  # RFC 6455 §4.1

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class UpgradeRefused:
    """Why a WebSocket is not opened; `code` goes into the attempt record."""

    code: str
    cause: str
    remedy: str
    error: DpsErrorCode = DpsErrorCode.BAD_REQUEST
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def answer(self) -> HttpRefusal:
        """Return the answer to the request."""
        return HttpRefusal(self.error, f"{self.cause}; {self.remedy}.", dict(self.headers))


AMQP = UpgradeRefused(
    "amqp-not-implemented",
    "AMQP over WebSocket is not implemented",
    "use MQTT, on port 8883 or over WebSocket",
    DpsErrorCode.NOT_IMPLEMENTED,
)


def judge_upgrade(
    method: str, path: str, http_version: str, headers: Headers
) -> bytes | UpgradeRefused:
    """Return the answer that opens the WebSocket (status 101), or why it is refused.

    Args:
        method: Of the request, e.g. ``"GET"``.
        path: Decoded, without the query string, which may hold anything: the Python SDK sends
            ``iothub-no-client-cert=true`` where it has no certificate.
        http_version: ``"1.1"``.
        headers: Names in lower case.
    """
    offered = _tokens(headers, b"sec-websocket-protocol")
    chosen = next((token for token in offered if token.lower() == SUBPROTOCOL), None)
    if chosen is None and any(token.lower().startswith("amqp") for token in offered):
        return AMQP
    if path not in PATHS:
        return UpgradeRefused(
            "websocket-path-unknown",
            "there is no WebSocket at this path",
            f"MQTT over WebSocket is at {', '.join(PATHS)}",
            DpsErrorCode.NOT_FOUND,
        )
    if chosen is None:
        return UpgradeRefused(
            "websocket-subprotocol-missing",
            f"the WebSocket is not for MQTT: it offers {', '.join(offered) or 'no subprotocol'}",
            "offer it in the header Sec-WebSocket-Protocol: mqtt",
        )
    fault = _handshake_fault(method, http_version, headers)
    if fault is not None:
        return fault
    return opening_answer(_value(headers, b"sec-websocket-key"), chosen)


def _handshake_fault(method: str, http_version: str, headers: Headers) -> UpgradeRefused | None:
    """Return what is wrong with an opening handshake (RFC 6455 §4.2.1)."""
    if _value(headers, b"sec-websocket-version") != VERSION:
        return UpgradeRefused(
            "websocket-version-unknown",
            "the version of WebSocket is not 13",
            "send the header Sec-WebSocket-Version: 13",
            DpsErrorCode.UPGRADE_REQUIRED,
            (("sec-websocket-version", VERSION.decode()), ("upgrade", "websocket")),
        )
    if method != "GET" or http_version != "1.1":
        return _malformed(f"it is a {method} request of HTTP/{http_version}", "use GET of HTTP/1.1")
    try:
        nonce = base64.b64decode(_value(headers, b"sec-websocket-key"), validate=True)
    except (binascii.Error, ValueError):
        nonce = b""
    if len(nonce) != KEY_BYTES:
        return _malformed(
            "Sec-WebSocket-Key is not 16 bytes in base64", "send one such key in this header"
        )
    return None


def _malformed(cause: str, remedy: str) -> UpgradeRefused:
    return UpgradeRefused(
        "websocket-handshake-malformed", f"the WebSocket cannot be opened: {cause}", remedy
    )


def _value(headers: Headers, name: bytes) -> bytes:
    """Return the header's only value; empty if it is missing or there are several."""
    values = [value.strip() for key, value in headers if key == name]
    return values[0] if len(values) == 1 else b""


def _tokens(headers: Headers, name: bytes) -> list[str]:
    return [
        token
        for key, value in headers
        if key == name
        for part in value.decode("latin-1").split(",")
        if (token := part.strip())
    ]
