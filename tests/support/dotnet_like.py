"""A DPS client over MQTT that is as strict as Azure's for .NET, the strictest of all.

What it insists on was read in that SDK's source (provisioning/transport/mqtt): the order CONNACK,
SUBACK, PUBACK, PUBLISH with nothing in between; session present 0; the exact form of the answer's
topic; a registration state in every final answer. It also sends as that SDK does: keep-alive 0,
no body without a payload, small numbers as request ids, and no goodbye.
"""

from __future__ import annotations

import json
import re
import struct
from typing import Any, Protocol

from tests.support.rawmqtt import CONNACK, CONNECT, PUBACK, PUBLISH, SUBACK, SUBSCRIBE, Packet
from tests.support.rawmqtt import packet as to_packet
from tests.support.rawmqtt import text as to_text

_TOPIC = re.compile(r"\$dps/registrations/res/(\d+)/\?\$rid=(\d+)(?:&retry-after=(\d+))?")


class Broken(Exception):
    """The server did what makes the SDK give up."""


class Wire(Protocol):
    """What the client needs of a connection."""

    def send(self, data: bytes) -> None: ...

    def read(self) -> Packet: ...


class DotNetLikeClient:
    """Registers over `wire` in one call, or raises `Broken`."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._packet_id = 0

    def register(
        self, user_name: str, registration_id: str, payload: str | None = None
    ) -> dict[str, Any]:
        """Return the registration state of the final answer."""
        connect = to_text("MQTT") + bytes([4, 0x82, 0, 0])
        self.wire.send(
            to_packet(CONNECT, 0, connect + to_text(registration_id) + to_text(user_name))
        )
        connack = self._expect(CONNACK)
        if connack.body != b"\0\0":
            raise Broken(f"CONNACK {connack.body!r}: session present, or refused")
        subscribe = struct.pack("!H", self._next_id()) + to_text("$dps/registrations/res/#") + b"\1"
        self.wire.send(to_packet(SUBSCRIBE, 2, subscribe))
        self._expect(SUBACK)
        body = b"" if payload is None else json.dumps({"payload": payload}).encode()
        status, result = self._ask("$dps/registrations/PUT/iotdps-register/?$rid=1", 1, body)
        request_id = 1
        while status == 202 and result["status"] in {"assigning", "unassigned"}:
            request_id += 1
            topic = (
                f"$dps/registrations/GET/iotdps-get-operationstatus/?$rid={request_id}"
                f"&operationId={result['operationId']}"
            )
            status, result = self._ask(topic, request_id, b"")
        if status >= 300:
            raise Broken(f"error {status}: {result}")
        state = result.get("registrationState")
        if not isinstance(state, dict):
            raise Broken(f"no registrationState in {result}")
        return {**state, "status": result["status"]}

    def _ask(self, topic: str, request_id: int, body: bytes) -> tuple[int, dict[str, Any]]:
        packet_id = self._next_id()
        data = to_text(topic) + struct.pack("!H", packet_id) + body
        self.wire.send(to_packet(PUBLISH, 2, data))
        if self._expect(PUBACK).packet_id != packet_id:
            raise Broken("PUBACK of something else")
        answer = self._expect(PUBLISH)
        match = _TOPIC.fullmatch(answer.topic)
        if match is None or int(match[2]) != request_id:
            raise Broken(f"topic {answer.topic!r}")
        if answer.flags & 0b110:
            self.wire.send(to_packet(PUBACK, 0, struct.pack("!H", answer.packet_id)))
        try:
            result = json.loads(answer.payload.decode("ascii"))
        except ValueError as error:
            raise Broken(f"body {answer.payload!r}") from error
        if not isinstance(result, dict):
            raise Broken(f"body {result!r}")
        return int(match[1]), result

    def _expect(self, kind: int) -> Packet:
        received = self.wire.read()
        if received.kind != kind:
            raise Broken(f"packet {received.kind} where {kind} was due")
        return received

    def _next_id(self) -> int:
        self._packet_id += 1
        return self._packet_id
