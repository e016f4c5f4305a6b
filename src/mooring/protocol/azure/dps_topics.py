"""The topics of the DPS device API over MQTT, both directions.

Requests  ``$dps/registrations/PUT/iotdps-register/?$rid={rid}`` and
          ``$dps/registrations/GET/iotdps-get-operationstatus/?$rid={rid}&operationId={op}``;
response  ``$dps/registrations/res/{status}/?$rid={rid}[&retry-after={seconds}]``.

``$rid`` is opaque: a UUID (Python, Node), a small number (C, Java, .NET) or always ``1``
(embedded C). It is echoed byte for byte, never decoded, never required to be unique.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from mooring.protocol.azure.errors import TopicMalformed, quoted

RESPONSE_FILTER = "$dps/registrations/res/#"
"""The one filter that a device may subscribe to."""

MAX_REQUEST_ID_CHARS = 128
"""Longest ``$rid`` echoed: the SDKs send up to 36 characters; it goes back into a topic."""

MAX_OPERATION_ID_CHARS = 128
"""Longest ``operationId`` read; ours have at most 64, Azure's 55."""

MAX_RETRY_AFTER_S = 86_400
"""A longer hint is taken as a day: no server means to send a device away for longer."""

_REGISTER = "$dps/registrations/PUT/iotdps-register/"
_POLL = "$dps/registrations/GET/iotdps-get-operationstatus/"
_RESPONSE = re.compile(r"\$dps/registrations/res/([1-9][0-9]{2})/\?(.*)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class RegisterRequest:
    """A device asks to be registered."""

    rid: str


@dataclass(frozen=True, slots=True)
class PollRequest:
    """A device asks how its registration `operation_id` stands."""

    rid: str
    operation_id: str


@dataclass(frozen=True, slots=True)
class DpsResponse:
    """An answer: `status` as in HTTP, `retry_after` in seconds or None."""

    status: int
    rid: str
    retry_after: int | None = None


def parse_request_topic(topic: str) -> RegisterRequest | PollRequest:
    """Return what a device asks by publishing to `topic`.

    Raises:
        TopicMalformed: Not one of the two request topics, or ``$rid`` or ``operationId`` is
            missing, empty or too long.
    """
    path, separator, query = topic.partition("?")
    if separator and path == _REGISTER:
        return RegisterRequest(_request_id(topic, _parse_query(query)))
    if separator and path == _POLL:
        parameters = _parse_query(query)
        # The Python SDK percent-encodes the operation id, the others paste it as it came.
        operation_id = unquote(parameters.get("operationid", ""))
        if not 0 < len(operation_id) <= MAX_OPERATION_ID_CHARS or not operation_id.isprintable():
            raise _malformed(topic, "has no usable operationId")
        return PollRequest(_request_id(topic, parameters), operation_id)
    raise _malformed(topic, "is not a topic of the provisioning service")


def parse_response_topic(topic: str) -> DpsResponse:
    """Return status, request id and retry hint of an answer.

    The order of the keys is not significant here, unknown keys are ignored, and a retry hint
    that is not a whole number of seconds counts as none.

    Raises:
        TopicMalformed: Not the response topic, or no ``$rid`` in it.
    """
    match = _RESPONSE.fullmatch(topic)
    if match is None:
        raise _malformed(topic, "is not an answer of the provisioning service")
    parameters = _parse_query(match[2])
    return DpsResponse(
        status=int(match[1]),
        rid=_request_id(topic, parameters),
        retry_after=_retry_after(parameters.get("retry-after")),
    )


def format_response_topic(status: int, rid: str, retry_after: int | None = None) -> str:
    """Return the topic of an answer to request `rid`.

    ``$rid`` comes first and ``retry-after`` second: .NET's pattern, Python's split on ``$`` and
    Java's search each allow no other order.

    Raises:
        ValueError: `status` is not an HTTP status, or `retry_after` is not a number of seconds
            from 0.
    """
    if not 100 <= status <= 599:
        raise ValueError(f"status {status} is not an HTTP status")
    topic = f"$dps/registrations/res/{status}/?$rid={rid}"
    if retry_after is None:
        return topic
    if retry_after < 0:
        raise ValueError(f"retry_after {retry_after} s is negative")
    return f"{topic}&retry-after={retry_after}"


def format_register_topic(rid: str) -> str:
    """Return the topic that asks for registration; `rid` goes in as it is."""
    return f"{_REGISTER}?$rid={rid}"


def format_poll_topic(rid: str, operation_id: str) -> str:
    """Return the topic that asks for the state of `operation_id`, percent-encoded here."""
    return f"{_POLL}?$rid={rid}&operationId={quote(operation_id, safe='')}"


def _parse_query(query: str) -> dict[str, str]:
    """Return raw values by lower-case decoded key; the last of equal keys wins."""
    parameters: dict[str, str] = {}
    for piece in query.split("&"):
        key, _, value = piece.partition("=")
        parameters[unquote(key).lower()] = value
    return parameters


def _request_id(topic: str, parameters: dict[str, str]) -> str:
    rid = parameters.get("$rid", "")
    if not rid:
        raise _malformed(topic, "has no $rid")
    if len(rid) > MAX_REQUEST_ID_CHARS or not rid.isprintable():
        raise _malformed(topic, f"has a $rid above {MAX_REQUEST_ID_CHARS} printable characters")
    return rid


def _retry_after(text: str | None) -> int | None:
    if text is None or not text.isascii() or not text.isdecimal():
        return None
    # Bounded before int(): thousands of digits would cost time, or raise.
    return min(int(text), MAX_RETRY_AFTER_S) if len(text) <= 9 else MAX_RETRY_AFTER_S


def _malformed(topic: str, fault: str) -> TopicMalformed:
    return TopicMalformed(
        f"topic {quoted(topic)} {fault}",
        remedy=f"Publish to {_REGISTER}?$rid=… or {_POLL}?$rid=…&operationId=…, "
        f"and listen on {RESPONSE_FILTER}.",
        field="topic",
    )
