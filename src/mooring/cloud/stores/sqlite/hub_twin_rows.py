"""The rows of ``hub_twin``, by functions of the writing connection.

A device has a row once its twin was first written; until then `fresh_row` stands for it, so that
a registration costs one row.
"""

# ruff: noqa: S608 - only column lists of this file are put into statements

from __future__ import annotations

import json
import sqlite3
from typing import Any, NamedTuple, cast

from mooring.cloud.etags import etag_matches
from mooring.cloud.hub.twins.store import (
    NoSuchTwin,
    ReportedWrite,
    ReportedWritten,
    TwinChanged,
    TwinWrite,
)
from mooring.cloud.stores.sqlite.rows import from_us
from mooring.protocol.azure.json_documents import JsonObject, encode_json
from mooring.protocol.azure.twins import (
    FIRST_CHANGE,
    FIRST_VERSION,
    TwinProperties,
    TwinSection,
    desired_stamp,
    encode_section,
    first_properties,
    first_tags,
    format_twin_etag,
    merge_properties,
    merge_values,
    replace_properties,
    reported_stamp,
)

ROW = (
    "version, changes, tags, desired, desired_metadata, desired_version, reported,"
    " reported_metadata, reported_version"
)
FIRST = "initial_tags, initial_desired, coalesce(twin_made_at, created_at)"
"""What a twin without a row is made of, in ``hub_device``."""

JOINED = "hub_device LEFT JOIN hub_twin USING (hub_id, device_id)"
ONE = "WHERE hub_id = ? AND device_id = ?"


class TwinRow(NamedTuple):
    """One row as it is kept, without its key."""

    version: int
    changes: int
    tags: str
    desired: str
    desired_metadata: str
    desired_version: int
    reported: str
    reported_metadata: str
    reported_version: int

    @property
    def etag(self) -> str:
        """Return the twin's etag."""
        return format_twin_etag(self.changes)

    def desired_properties(self) -> TwinProperties:
        """Return the desired properties."""
        return TwinProperties(
            parse(self.desired), parse(self.desired_metadata), self.desired_version
        )

    def reported_properties(self) -> TwinProperties:
        """Return the reported properties."""
        return TwinProperties(
            parse(self.reported), parse(self.reported_metadata), self.reported_version
        )

    def with_desired(self, desired: TwinProperties) -> TwinRow:
        """Return the row with other desired properties. Raises TwinTooLarge."""
        return self._replace(
            desired=encode_section(desired.values, TwinSection.DESIRED),
            desired_metadata=_dump(desired.metadata),
            desired_version=desired.version,
        )

    def with_reported(self, reported: TwinProperties) -> TwinRow:
        """Return the row with other reported properties. Raises TwinTooLarge."""
        return self._replace(
            reported=encode_section(reported.values, TwinSection.REPORTED),
            reported_metadata=_dump(reported.metadata),
            reported_version=reported.version,
        )


def parse(text: str | None) -> JsonObject:
    """Return the object that a stored text spells, an empty one for None."""
    return {} if text is None else cast("JsonObject", json.loads(text))


def first_sections(
    tags: str | None, desired: str | None, made_at_us: int
) -> tuple[JsonObject, TwinProperties, TwinProperties]:
    """Return tags, desired and reported properties of a twin without a row; columns `FIRST`."""
    made_at = from_us(made_at_us)
    return (
        first_tags(parse(tags)),
        first_properties(parse(desired), made_at, desired=True),
        first_properties({}, made_at, desired=False),
    )


def fresh_row(tags: str | None, desired: str | None, made_at_us: int) -> TwinRow:
    """Return what stands for a row that is not there; the arguments are columns `FIRST`."""
    first, wanted, reported = first_sections(tags, desired, made_at_us)
    return TwinRow(
        FIRST_VERSION,
        FIRST_CHANGE,
        _dump(first),
        _dump(wanted.values),
        _dump(wanted.metadata),
        wanted.version,
        _dump(reported.values),
        _dump(reported.metadata),
        reported.version,
    )


def to_row(first_and_row: tuple[Any, ...]) -> TwinRow:
    """Return the row of a result with the columns `FIRST` and `ROW`."""
    if first_and_row[3] is None:
        return fresh_row(*first_and_row[:3])
    return TwinRow(*first_and_row[3:])


def write_twin(
    connection: sqlite3.Connection, hub_id: int, device_id: str, write: TwinWrite
) -> None:
    """Write tags and desired properties; with neither, only look whether it might be.

    Raises:
        NoSuchTwin: There is no such device.
        TwinChanged: The etag does not fit.
        TwinTooLarge: A section would outgrow its limit.
    """
    found = connection.execute(
        f"SELECT {FIRST}, {ROW} FROM {JOINED} {ONE}", (hub_id, device_id)
    ).fetchone()
    if found is None:
        raise NoSuchTwin
    row = to_row(found)
    if write.if_match is not None and not etag_matches(write.if_match, row.etag):
        raise TwinChanged
    if write.tags is None and write.desired is None:
        return
    row = row._replace(version=row.version + 1, changes=row.changes + 1)
    if write.tags is not None:
        before = {} if write.replace else parse(row.tags)
        row = row._replace(tags=encode_section(merge_values(before, write.tags), TwinSection.TAGS))
    if write.desired is not None:
        change = replace_properties if write.replace else merge_properties
        stamp = desired_stamp(write.at, row.desired_version + 1)
        row = row.with_desired(change(row.desired_properties(), write.desired, stamp))
    _keep(connection, hub_id, device_id, row, is_new=found[3] is None)


def write_reported(
    connection: sqlite3.Connection, hub_id: int, device_id: str, write: ReportedWrite
) -> ReportedWritten:
    """Merge a device's patch into its reported properties.

    Raises:
        NoSuchTwin: There is no such device, or it is of another generation.
        TwinChanged: The base version is not the current one.
        TwinTooLarge: The properties would outgrow their limit.
    """
    found = connection.execute(
        f"SELECT generation_id, {FIRST}, {ROW} FROM {JOINED} {ONE}", (hub_id, device_id)
    ).fetchone()
    if found is None or found[0] != write.generation_id:
        raise NoSuchTwin
    row = to_row(found[1:])
    if write.base_version is not None and write.base_version != row.reported_version:
        raise TwinChanged
    reported = merge_properties(row.reported_properties(), write.patch, reported_stamp(write.at))
    row = row._replace(version=row.version + 1).with_reported(reported)
    _keep(connection, hub_id, device_id, row, is_new=found[4] is None)
    return ReportedWritten(row.version, row.reported_version)


def delete_twin(connection: sqlite3.Connection, hub_id: int, device_id: str) -> None:
    """Delete the row, if there is one: the twin is fresh again, or its device is gone."""
    connection.execute(f"DELETE FROM hub_twin {ONE}", (hub_id, device_id))


def copy_twin(
    connection: sqlite3.Connection, device_id: str, *, from_hub_id: int, to_hub_id: int
) -> None:
    """Give the device of one hub the whole twin of the same device in another, versions too."""
    if from_hub_id == to_hub_id:
        return
    delete_twin(connection, to_hub_id, device_id)
    connection.execute(
        f"INSERT INTO hub_twin (hub_id, device_id, {ROW})"
        f" SELECT ?, device_id, {ROW} FROM hub_twin {ONE}",
        (to_hub_id, from_hub_id, device_id),
    )


def _keep(
    connection: sqlite3.Connection, hub_id: int, device_id: str, row: TwinRow, *, is_new: bool
) -> None:
    if is_new:
        connection.execute(
            f"INSERT INTO hub_twin ({ROW}, hub_id, device_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, hub_id, device_id),
        )
    else:
        connection.execute(
            "UPDATE hub_twin SET version = ?, changes = ?, tags = ?, desired = ?,"
            " desired_metadata = ?, desired_version = ?, reported = ?, reported_metadata = ?,"
            f" reported_version = ? {ONE}",
            (*row, hub_id, device_id),
        )


def _dump(document: JsonObject) -> str:
    return encode_json(document).decode("ascii")
