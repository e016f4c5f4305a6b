"""What the cloud keeps of a device's tries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias

from mooring.runtime.attempts import MAX_WIRE_IDS, Attempt

MAX_RECORDS = 10_000
"""Records kept in all (design section 1.2): some 20 MB at worst."""

MAX_RECORDS_PER_ADDRESS = 100
"""Records kept per source address, so that one stranger cannot push the others out."""

MAX_CONTEXT_CHARS = 256
"""Longest context value kept: a registration id has 128, a cause some more."""

KIND_REGISTRATION = "registration"
"""A DPS connection, from TLS to the result of the registration."""

KIND_LOOKUP = "registration-lookup"
"""A device that asked DPS for its registration record, without registering."""

KIND_HUB_CONNECTION = "hub-connection"
"""A hub connection, from TLS to CONNACK."""

KIND_HUB_SESSION = "hub-session"
"""What ended an accepted hub connection, unless the device did: silence, a breach, take-over."""

KIND_UNKNOWN = "unknown"
"""A connection that ended before it said what it wanted: failed handshake, malformed CONNECT."""

Kind: TypeAlias = Literal["registration", "hub-connection", "hub-session", "unknown"]
"""The kinds above."""

Result: TypeAlias = Literal["succeeded", "failed"]


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt, or several identical ones counted.

    `latest` is the newest of them, whole; its wire ids are those of all, newest last, bounded.
    """

    identity: bytes
    latest: Attempt
    count: int
    first_at: datetime
    last_at: datetime

    @property
    def source_address(self) -> str:
        """Return whence the attempt came, an IP address."""
        return self.latest.context.get("source_address", "")

    def joined(self, newer: AttemptRecord) -> AttemptRecord:
        """Return this record with the identical, `newer` one counted in."""
        ids = self.latest.wire_ids
        return AttemptRecord(
            identity=self.identity,
            latest=replace(newer.latest, wire_ids=joined_wire_ids(ids, newer.latest.wire_ids))
            if ids
            else newer.latest,
            count=self.count + newer.count,
            first_at=self.first_at,
            last_at=newer.last_at,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-ready values: the newest attempt and how many there were."""
        return {
            **self.latest.to_json(),
            "count": self.count,
            "first_at": self.first_at.isoformat(),
            "last_at": self.last_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class AttemptFilter:
    """Which records to list; None means any. Ids and thumbprints compare case-insensitively."""

    registration_id: str | None = None
    device_id: str | None = None
    thumbprint: str | None = None
    kind: Kind | None = None
    result: Result | None = None
    source_address: str | None = None
    wire_id: str | None = None

    def matches(self, record: AttemptRecord) -> bool:
        """Return whether `record` is wanted; the store's list judges the same way."""
        latest = record.latest
        context = latest.context
        return (
            (self.kind is None or self.kind == latest.kind)
            and (self.result is None or self.result == latest.result)
            and (self.device_id is None or self.device_id == context.get("device_id"))
            and (self.source_address is None or self.source_address == record.source_address)
            and _same(self.registration_id, context.get("registration_id"))
            and _same(self.thumbprint, context.get("thumbprint"))
            and (
                self.wire_id is None or any(self.wire_id in ids for ids in latest.wire_ids.values())
            )
        )


def record_of(attempt: Attempt) -> AttemptRecord:
    """Return the record of one finished attempt."""
    if any(not value or len(value) > MAX_CONTEXT_CHARS for value in attempt.context.values()):
        context = {k: v[:MAX_CONTEXT_CHARS] for k, v in attempt.context.items() if v}
        attempt = replace(attempt, context=context)
    return AttemptRecord(
        identity=identity_of(attempt),
        latest=attempt,
        count=1,
        first_at=attempt.started_at,
        last_at=attempt.finished_at or attempt.started_at,
    )


def identity_of(attempt: Attempt) -> bytes:
    """Return what two attempts share when they are the same try repeated, as a digest.

    Who (registration or device id, hub, thumbprint, source address), what, and how it ended
    (failing stage and code, or success).
    """
    context = attempt.context
    failure = attempt.failure
    parts = (
        attempt.kind,
        context.get("registration_id", "").lower(),
        context.get("device_id", ""),
        context.get("hub", "").lower(),
        context.get("thumbprint", ""),
        context.get("source_address", ""),
        "succeeded" if failure is None else f"{failure.stage}/{failure.code}",
    )
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).digest()


def _same(wanted: str | None, found: str | None) -> bool:
    """Compare without regard to case; both kinds of value are ASCII."""
    return wanted is None or (found is not None and wanted.lower() == found.lower())


def joined_wire_ids(
    older: Mapping[str, Sequence[str]], newer: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Return the ids of both by kind, each once, the newest last, within the bound."""
    return {
        kind: tuple(dict.fromkeys((*older.get(kind, ()), *newer.get(kind, ()))))[-MAX_WIRE_IDS:]
        for kind in {**older, **newer}
    }
