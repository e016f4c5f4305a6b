"""What a store answers when a record is not as its writer had read it."""

from __future__ import annotations

MAX_TRIES = 5
"""Readings of a record that others change at the same time, before giving up."""


class RecordConflict(Exception):
    """Root of the answers below; nothing was written. Services turn them into their errors."""


class RecordExists(RecordConflict):
    """The record was to be new, and there is one."""


class RecordChanged(RecordConflict):
    """The record is another version than the one to be replaced, or is gone."""


class RecordsFull(RecordConflict):
    """There are as many records as may be."""


def check_replaces(stored_etag: str | None, replaces: str | None) -> None:
    """Compare the stored record's etag (None: no record) with the one a write replaces.

    Raises:
        RecordExists: `replaces` is None and there is a record.
        RecordChanged: `replaces` is not the stored etag.
    """
    if stored_etag == replaces:
        return
    if replaces is None:
        raise RecordExists
    raise RecordChanged
