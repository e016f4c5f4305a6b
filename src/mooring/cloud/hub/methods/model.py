"""A direct method call, as data (Azure: "Understand and invoke direct methods from IoT Hub")."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

DeviceKey: TypeAlias = tuple[int, str]
"""Hub id and device id."""

MAX_PAYLOAD_BYTES = 128 * 1024
"""Azure: payload of a method, in either direction."""

MAX_METHOD_NAME_CHARS = 100
"""Longest name; Azure publishes no bound, DTDL's names and ``component*command`` stay below."""

DEFAULT_RESPONSE_TIMEOUT_S = 30
MIN_RESPONSE_TIMEOUT_S = 5
MAX_TIMEOUT_S = 300
"""Azure: both timeouts end there."""

MAX_IN_FLIGHT_PER_DEVICE = 50
"""Calls of one device without an answer; as many as messages wait for one."""


@dataclass(frozen=True, slots=True)
class MethodCall:
    """What a back end asks a device to do.

    `payload` is JSON as UTF-8, empty when none was given. `connect_timeout_s` is how long to wait
    for a device that is not there, or not listening.
    """

    name: str
    payload: bytes = field(default=b"", repr=False)
    response_timeout_s: int = DEFAULT_RESPONSE_TIMEOUT_S
    connect_timeout_s: int = 0


@dataclass(frozen=True, slots=True)
class MethodResult:
    """A device's answer: its own status, and its payload as JSON text, empty for none."""

    status: int
    payload: bytes = field(repr=False)


class MethodTarget(Protocol):
    """A live connection that has subscribed to methods."""

    @property
    def key(self) -> DeviceKey:
        """Return whose connection it is."""
        ...

    def send(self, topic: str, payload: bytes) -> bool:
        """Send at QoS 0; return False if the connection is no more."""
        ...
