"""KuraPayload as JSON: what ESF sends to Azure as it is.

Members in this order: ``sentOn`` (epoch milliseconds; left out without a time), ``position``,
``metrics`` (always there), ``body`` (base64). Source: Eclipse Kura's JSON marshaller, and the
telemetry names of Eurotech's ``Diagnostic_Service;3``.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from mooring.runtime.logs import get_logger

Metric: TypeAlias = bool | int | float | str | bytes
"""A metric's value; bytes become base64 text."""

_log = get_logger("gateway.data")

_POSITION_NUMBERS = ("latitude", "longitude", "altitude", "heading", "precision", "speed")


@dataclass(frozen=True, slots=True)
class Position:
    """Where the gateway is: degrees, metres, metres per second; what is None is left out."""

    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    heading: float | None = None
    precision: float | None = None
    speed: float | None = None
    satellites: int | None = None
    timestamp: datetime | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class KuraPayload:
    """A timestamped set of named metrics with optional position and body."""

    sent_on: datetime | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    position: Position | None = None
    body: bytes | None = None


def encode_payload(payload: KuraPayload) -> bytes:
    """Return `payload` as compact UTF-8 JSON. Numbers that are not finite are dropped.

    Raises:
        TypeError: A metric is of a type that Kura has no word for; names the metric.
    """
    document: dict[str, Any] = {}
    if payload.sent_on is not None:
        document["sentOn"] = _milliseconds(payload.sent_on)
    if payload.position is not None:
        document["position"] = _position(payload.position)
    document["metrics"] = {
        name: value
        for name, metric in payload.metrics.items()
        if (value := _metric(name, metric)) is not None
    }
    if payload.body is not None:
        document["body"] = base64.b64encode(payload.body).decode("ascii")
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _metric(name: str, value: object) -> bool | int | float | str | None:
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        _log.warning("metric dropped, it is no finite number", metric=name)
        return None
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode("ascii")
    raise TypeError(f"metric {name!r} is of type {type(value).__name__}")


def _position(position: Position) -> dict[str, float | int]:
    document: dict[str, float | int] = {}
    for name in _POSITION_NUMBERS:
        number = getattr(position, name)
        if number is not None and math.isfinite(number):
            document[name] = number
    if position.satellites is not None:
        document["satellites"] = position.satellites
    if position.timestamp is not None:
        document["timestamp"] = _milliseconds(position.timestamp)
    if position.status is not None:
        document["status"] = position.status
    return document


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
