"""A connection is read again only when nothing holds it: neither the disk nor its turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mooring.cloud.frontdoor.limits import DEFAULT_LIMITS
from mooring.cloud.hub.model import TelemetryMessage
from mooring.cloud.hub.mqtt.telemetry import TelemetrySender

TWO = [TelemetryMessage("", b"1"), TelemetryMessage("", b"2")]


class Link:
    """Says whether the connection is read."""

    is_open = True
    is_read = True

    def pause(self) -> None:
        self.is_read = False

    def resume(self) -> None:
        self.is_read = True


class SlowLog:
    """Commits when it is told to."""

    is_crowded = False

    def __init__(self) -> None:
        self._waiting: list[Callable[[None], None]] = []

    def append_batch(self, source: Any, messages: Any, done: Callable[[None], None]) -> None:
        self._waiting.append(done)

    def commit(self) -> None:
        for done in self._waiting:
            done(None)
        self._waiting = []


def flow() -> tuple[TelemetrySender, Link, SlowLog]:
    link: Any = Link()
    log: Any = SlowLog()
    source: Any = None
    limits = replace(DEFAULT_LIMITS, max_uncommitted_messages=1)
    return TelemetrySender(log, source, link, limits), link, log


def test_commit_does_not_resume_what_waits_for_its_turn() -> None:
    sender, link, log = flow()
    sender.append(TWO, [], 2)
    sender.hold()
    log.commit()
    assert not link.is_read
    sender.release()
    assert link.is_read


def test_turn_does_not_resume_what_waits_for_the_disk() -> None:
    sender, link, log = flow()
    sender.hold()
    sender.append(TWO, [], 2)
    sender.release()
    assert not link.is_read
    log.commit()
    assert link.is_read
