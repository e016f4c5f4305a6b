"""Which messages of a hub's telemetry are wanted, as `mooring hub monitor` is told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mooring.cli.output import UsageError

SOURCES = {
    "telemetry": "Telemetry",
    "twin": "twinChangeEvents",
    "lifecycle": "deviceLifecycleEvents",
    "connection": "deviceConnectionStateEvents",
}
"""``iothub-message-source`` by the names of the command line."""

SYSTEM_PREFIX = "$."
"""Before the name of a system property: on the wire those have a ``$.`` too."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What a message must have to be wanted; called with one, says whether it has.

    Attributes:
        device: The one device that the cloud itself can pick out; None for any.
        devices: Patterns of ids, one of which must fit; none for any device.
        properties: Name, and pattern of the value or None for any; all must fit.
        sources: One of which it must come from; none for any.
    """

    device: str | None
    devices: tuple[re.Pattern[str], ...]
    properties: tuple[tuple[str, re.Pattern[str] | None], ...]
    sources: tuple[str, ...]

    @classmethod
    def of(
        cls, devices: Sequence[str], properties: Sequence[str], sources: Sequence[str]
    ) -> EventFilter:
        """Return the filter of what was given on the command line.

        Raises:
            UsageError: A property has no name.
        """
        alone = devices[0] if len(devices) == 1 and "*" not in devices[0] else None
        return cls(
            device=alone,
            devices=() if alone is not None else tuple(map(_pattern, devices)),
            properties=tuple(map(_property, properties)),
            sources=tuple(SOURCES[source] for source in sources),
        )

    @property
    def is_servers(self) -> bool:
        """Return whether the cloud picks out all by itself."""
        return not (self.devices or self.properties or self.sources)

    def __call__(self, event: dict[str, Any]) -> bool:
        """Return whether `event` is wanted."""
        if self.device is not None and event["deviceId"] != self.device:
            return False
        if self.devices and not any(one.fullmatch(event["deviceId"]) for one in self.devices):
            return False
        if self.sources and event["annotations"]["iothub-message-source"] not in self.sources:
            return False
        return all(_has(event, name, pattern) for name, pattern in self.properties)


def _has(event: dict[str, Any], name: str, pattern: re.Pattern[str] | None) -> bool:
    of_system = name.startswith(SYSTEM_PREFIX)
    values = event["systemProperties"] if of_system else event["properties"]
    name = name.removeprefix(SYSTEM_PREFIX) if of_system else name
    if name not in values:
        return False
    return pattern is None or pattern.fullmatch(values[name] or "") is not None


def _property(text: str) -> tuple[str, re.Pattern[str] | None]:
    name, equals, value = text.partition("=")
    if not name.removeprefix(SYSTEM_PREFIX):
        raise UsageError(
            "property-malformed",
            f"--property {text!r} has no name.",
            "Write NAME=VALUE, or NAME alone for any value.",
            field="--property",
        )
    return name, _pattern(value) if equals else None


def _pattern(text: str) -> re.Pattern[str]:
    """Return what fits `text`, in which ``*`` stands for any characters."""
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)
