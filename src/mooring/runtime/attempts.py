"""Attempt records: what was tried, how far it came, why it failed and what to do.

Gateway and cloud keep the same shape, each in its own store. The ids seen on the wire
(``trackingId``, ``operationId``, ``$rid``) let either side find the other's record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from mooring.runtime.clock import SYSTEM_CLOCK, Clock
from mooring.runtime.ids import new_attempt_id

MAX_WIRE_IDS = 16
"""Wire ids kept per kind and attempt: one registration polls a handful of times."""

MAX_WIRE_ID_CHARS = 256
"""Longest wire id kept; Azure's have 36 to 80 characters, but a `$rid` is the client's choice."""

MAX_TEXT_CHARS = 1024
"""Longest cause, remedy and detail kept. Ours are shorter, but they quote what a stranger sent,
and an MQTT string has up to 65,535 bytes."""


class Stage(NamedTuple):
    """One step of an attempt. `name` is lower case (``"tls"``, ``"register"``)."""

    name: str
    started_at: datetime
    duration_ms: float
    outcome: Literal["passed", "failed"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, for a person: `code` is stable, `remedy` says what to do."""

    stage: str
    code: str
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished (or still running) attempt.

    `context` holds who and where (``registration_id``, ``source_address``, ``endpoint``, …);
    `wire_ids` the identifiers seen on the wire, by kind.
    """

    attempt_id: str
    kind: str
    started_at: datetime
    finished_at: datetime | None
    stages: tuple[Stage, ...]
    failure: Failure | None
    context: Mapping[str, str] = field(default_factory=dict)
    wire_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def result(self) -> Literal["running", "succeeded", "failed"]:
        """Return how the attempt stands."""
        if self.failure is not None:
            return "failed"
        return "running" if self.finished_at is None else "succeeded"

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-ready values; times are ISO 8601 UTC."""
        return {
            "attempt_id": self.attempt_id,
            "kind": self.kind,
            "result": self.result,
            "started_at": self.started_at.isoformat(),
            "finished_at": None if self.finished_at is None else self.finished_at.isoformat(),
            "stages": [
                {
                    "name": stage.name,
                    "started_at": stage.started_at.isoformat(),
                    "duration_ms": round(stage.duration_ms, 3),
                    "outcome": stage.outcome,
                    "detail": stage.detail,
                }
                for stage in self.stages
            ],
            "failure": None
            if self.failure is None
            else {
                "stage": self.failure.stage,
                "code": self.failure.code,
                "cause": self.failure.cause,
                "remedy": self.failure.remedy,
            },
            "context": dict(self.context),
            "wire_ids": {kind: list(ids) for kind, ids in self.wire_ids.items()},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Attempt:
        """Return the attempt that `to_json` wrote."""
        failure = document["failure"]
        finished_at = document["finished_at"]
        return cls(
            attempt_id=document["attempt_id"],
            kind=document["kind"],
            started_at=datetime.fromisoformat(document["started_at"]),
            finished_at=None if finished_at is None else datetime.fromisoformat(finished_at),
            stages=tuple(
                Stage(
                    name=stage["name"],
                    started_at=datetime.fromisoformat(stage["started_at"]),
                    duration_ms=stage["duration_ms"],
                    outcome=stage["outcome"],
                    detail=stage["detail"],
                )
                for stage in document["stages"]
            ),
            failure=None if failure is None else Failure(**failure),
            context=dict(document["context"]),
            wire_ids={kind: tuple(ids) for kind, ids in document["wire_ids"].items()},
        )


class AttemptRecorder:
    """Collects one attempt while it runs: `begin` a stage, `passed` or `fail` it, then `finish`."""

    def __init__(self, kind: str, *, clock: Clock = SYSTEM_CLOCK, **context: str) -> None:
        """Open an attempt of `kind` (``"connect"``, ``"registration"``, …)."""
        self._clock = clock
        self.attempt_id = new_attempt_id()
        self.kind = kind
        self.started_at = clock.now()
        self.context: dict[str, str] = dict(context)
        self._wire_ids: dict[str, list[str]] = {}
        self._stages: list[Stage] = []
        self._open: tuple[str, datetime, float] | None = None
        self._failure: Failure | None = None
        self._finished_at: datetime | None = None

    @property
    def current_stage(self) -> str:
        """Return the stage that runs, else the last one, else ``"start"``."""
        if self._open is not None:
            return self._open[0]
        return self._stages[-1].name if self._stages else "start"

    @property
    def is_over(self) -> bool:
        """Return whether the attempt has failed or was finished."""
        return self._finished_at is not None

    def begin(self, stage: str, *, ago_s: float = 0.0) -> None:
        """Open `stage`; one that was still open counts as passed.

        `ago_s` says how long it runs already, for a stage that is heard of at its end; the attempt
        began no later.
        """
        if self._open is not None:
            self.passed()
        started_at = self._clock.now()
        if ago_s:
            started_at -= timedelta(seconds=ago_s)
            self.started_at = min(self.started_at, started_at)
        self._open = (stage, started_at, self._clock.monotonic() - ago_s)

    def passed(self, detail: str = "") -> None:
        """Close the open stage as passed."""
        self._close("passed", detail[:MAX_TEXT_CHARS])

    def fail(self, code: str, cause: str, remedy: str, *, stage: str | None = None) -> Failure:
        """Close the open stage as failed, end the attempt and return its failure."""
        if stage is not None and stage != self.current_stage:
            self.begin(stage)
        cause, remedy = cause[:MAX_TEXT_CHARS], remedy[:MAX_TEXT_CHARS]
        self._failure = Failure(self.current_stage, code, cause, remedy)
        self._close("failed", cause)
        self._finished_at = self._clock.now()
        return self._failure

    def finish(self) -> None:
        """End the attempt as succeeded; a stage still open counts as passed."""
        if self._open is not None:
            self.passed()
        if self._finished_at is None:
            self._finished_at = self._clock.now()

    def saw(self, kind: str, wire_id: str) -> None:
        """Keep an identifier seen on the wire: a tracking id, an operation id, a request id."""
        ids = self._wire_ids.setdefault(kind, [])
        wire_id = wire_id[:MAX_WIRE_ID_CHARS]
        if wire_id not in ids and len(ids) < MAX_WIRE_IDS:
            ids.append(wire_id)

    def snapshot(self) -> Attempt:
        """Return the attempt as it stands now."""
        return Attempt(
            attempt_id=self.attempt_id,
            kind=self.kind,
            started_at=self.started_at,
            finished_at=self._finished_at,
            stages=tuple(self._stages),
            failure=self._failure,
            context=dict(self.context),
            wire_ids={kind: tuple(ids) for kind, ids in self._wire_ids.items()},
        )

    def _close(self, outcome: Literal["passed", "failed"], detail: str) -> None:
        if self._open is None:
            if outcome == "failed":
                self._stages.append(Stage("start", self._clock.now(), 0.0, outcome, detail))
            return
        name, started_at, since = self._open
        duration_ms = (self._clock.monotonic() - since) * 1000
        self._stages.append(Stage(name, started_at, duration_ms, outcome, detail))
        self._open = None
