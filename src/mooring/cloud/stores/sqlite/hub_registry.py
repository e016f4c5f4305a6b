"""Hubs and device identities in SQLite."""

# ruff: noqa: S608 - only column lists of this file are put into statements

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mooring.cloud.hub.model import (
    AuthenticationType,
    ConnectionState,
    DeviceAuthentication,
    DeviceIdentity,
    DeviceStatus,
    Hub,
    Provisioned,
    RegistryCounts,
)
from mooring.cloud.hub.store import (
    DeviceActivity,
    InitialTwinText,
    ProvisionedDevice,
)
from mooring.cloud.preconditions import RecordExists, RecordsFull, check_replaces
from mooring.cloud.stores.sqlite.hub_devicebound import delete_devicebound
from mooring.cloud.stores.sqlite.hub_sessions import delete_session
from mooring.cloud.stores.sqlite.hub_twin_rows import copy_twin, delete_twin
from mooring.cloud.stores.sqlite.rows import (
    SqliteCommitter,
    SqliteWork,
    from_us,
    from_us_or_none,
    to_us,
    to_us_or_none,
)

_HUB = "hub_id, name, host_name, partition_count, created_at"
DEVICE_COLUMNS = (
    "device_id, generation_id, etag, status, status_reason, status_updated_at,"
    " authentication_type, primary_thumbprint, secondary_thumbprint, primary_key, secondary_key,"
    " iot_edge, connection_state, connection_state_updated_at, last_activity_at, created_at,"
    " parent_scope"
)
_INSERT = (
    f"INSERT INTO hub_device (hub_id, {DEVICE_COLUMNS}, initial_tags, initial_desired,"
    " twin_made_at, model_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ONE = "WHERE hub_id = ? AND device_id = ?"
_CREDENTIALS = (
    "SELECT authentication_type, primary_thumbprint, secondary_thumbprint, primary_key,"
    f" secondary_key, iot_edge FROM hub_device {_ONE}"
)
_IOT_EDGE = 11
"""Position of ``iot_edge`` in `DEVICE_COLUMNS`."""


class RegistryTables(SqliteCommitter):
    """The tables ``hub``, ``hub_partition`` (their rows) and ``hub_device``."""

    async def create_hub(
        self, name: str, host_name: str, partition_count: int, created_at: datetime
    ) -> Hub:
        """Create a hub and its partitions."""

        def run(connection: sqlite3.Connection) -> Hub:
            try:
                hub_id = connection.execute(
                    "INSERT INTO hub (name, name_key, host_name, host_name_key, partition_count,"
                    " created_at) VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        name,
                        name.lower(),
                        host_name,
                        host_name.lower(),
                        partition_count,
                        to_us(created_at),
                    ),
                ).lastrowid
            except sqlite3.IntegrityError as error:
                raise RecordExists from error
            assert hub_id is not None
            connection.executemany(
                "INSERT INTO hub_partition (hub_id, number) VALUES (?, ?)",
                ((hub_id, number) for number in range(partition_count)),
            )
            return Hub(hub_id, name, host_name, partition_count, created_at)

        return await self._database.write(run)

    async def list_hubs(self) -> Sequence[Hub]:
        """Return all, in the order of their creation."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"SELECT {_HUB} FROM hub ORDER BY hub_id"
            ).fetchall()
        )
        return [Hub(row[0], row[1], row[2], row[3], from_us(row[4])) for row in rows]

    async def find_device(self, hub_id: int, device_id: str) -> DeviceIdentity | None:
        """Return one, in microseconds."""
        row = self._database.read_now(
            lambda connection: connection.execute(
                f"SELECT {DEVICE_COLUMNS} FROM hub_device {_ONE}", (hub_id, device_id)
            ).fetchone()
        )
        return None if row is None else to_device(row)

    async def list_devices(
        self, hub_id: int, *, after: str | None, limit: int
    ) -> Sequence[DeviceIdentity]:
        """Return up to `limit` by id, beyond `after`."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"SELECT {DEVICE_COLUMNS} FROM hub_device WHERE hub_id = ? AND device_id > ?"
                " ORDER BY device_id LIMIT ?",
                (hub_id, after or "", limit),
            ).fetchall()
        )
        return [to_device(row) for row in rows]

    async def count_devices(self, hub_id: int) -> RegistryCounts:
        """Return how many there are, without a walk through them."""
        row = await self._database.read(
            lambda connection: connection.execute(
                "SELECT device_count, (SELECT count(*) FROM hub_device INDEXED BY"
                " hub_device_disabled WHERE hub_id = ?1 AND status = 'disabled')"
                " FROM hub WHERE hub_id = ?1",
                (hub_id,),
            ).fetchone()
        )
        return RegistryCounts(*row)

    async def save_device(
        self,
        hub_id: int,
        identity: DeviceIdentity,
        *,
        replaces: str | None,
        twin: InitialTwinText,
        limit: int,
    ) -> None:
        """Write one."""
        columns = _to_columns(identity)

        def run(connection: sqlite3.Connection) -> None:
            check_replaces(_etag(connection, hub_id, identity.device_id), replaces)
            if replaces is None:
                _count_one_more(connection, hub_id, limit)
                connection.execute(_INSERT, (hub_id, *columns, twin.tags, twin.desired, None, None))
                return
            # Connection state and activity belong to what is written lazily, the rest is new.
            connection.execute(
                "UPDATE hub_device SET etag = ?, status = ?, status_reason = ?,"
                " status_updated_at = ?, authentication_type = ?, primary_thumbprint = ?,"
                " secondary_thumbprint = ?, primary_key = ?, secondary_key = ?,"
                f" iot_edge = ?, parent_scope = ? {_ONE}",
                (*columns[2:12], identity.parent_scope, hub_id, identity.device_id),
            )

        await self._database.write(run)

    async def delete_device(self, hub_id: int, device_id: str, *, replaces: str) -> None:
        """Delete one."""

        def run(connection: sqlite3.Connection) -> None:
            check_replaces(_etag(connection, hub_id, device_id), replaces)
            _delete(connection, hub_id, device_id)

        await self._database.write(run)

    def prepare_provisioned_device(
        self, hub_id: int, device: ProvisionedDevice
    ) -> SqliteWork[Provisioned]:
        """Prepare to create a device, or to give one of that id its authentication."""
        identity = device.identity
        wanted = identity.authentication
        columns = _to_columns(identity)
        credentials = (
            wanted.type.value,
            wanted.primary_thumbprint,
            wanted.secondary_thumbprint,
            wanted.primary_key,
            wanted.secondary_key,
        )

        def run(connection: sqlite3.Connection) -> Provisioned:
            iot_edge, tags, desired = identity.iot_edge, device.twin.tags, device.twin.desired
            moved = None
            if device.migrate_from is not None:
                moved = connection.execute(
                    "SELECT iot_edge, initial_tags, initial_desired,"
                    f" coalesce(twin_made_at, created_at), model_id FROM hub_device {_ONE}",
                    (device.migrate_from, identity.device_id),
                ).fetchone()
            made_at, model_id = to_us(identity.created_at), None
            if moved is not None:
                iot_edge, tags, desired, made_at, model_id = moved
                assert device.migrate_from is not None
                copy_twin(
                    connection,
                    identity.device_id,
                    from_hub_id=device.migrate_from,
                    to_hub_id=hub_id,
                )
            row = connection.execute(_CREDENTIALS, (hub_id, identity.device_id)).fetchone()
            if row is None:
                _count_one_more(connection, hub_id, None)
                connection.execute(
                    _INSERT,
                    (
                        hub_id,
                        *columns[:_IOT_EDGE],
                        iot_edge,
                        *columns[_IOT_EDGE + 1 :],
                        tags,
                        desired,
                        made_at,
                        model_id,
                    ),
                )
                return Provisioned.CREATED
            if row != (*credentials, iot_edge):
                connection.execute(
                    "UPDATE hub_device SET authentication_type = ?, primary_thumbprint = ?,"
                    " secondary_thumbprint = ?, primary_key = ?, secondary_key = ?,"
                    f" iot_edge = ?, etag = ? {_ONE}",
                    (*credentials, iot_edge, identity.etag, hub_id, identity.device_id),
                )
            if device.reset_twin or moved is not None:
                if moved is None:
                    delete_twin(connection, hub_id, identity.device_id)
                connection.execute(
                    "UPDATE hub_device SET initial_tags = ?, initial_desired = ?,"
                    f" twin_made_at = ?, model_id = coalesce(?, model_id) {_ONE}",
                    (tags, desired, made_at, model_id, hub_id, identity.device_id),
                )
            if row[:-1] != credentials:
                return Provisioned.CREDENTIALS_CHANGED
            return Provisioned.UNCHANGED

        return SqliteWork("device", run)

    def prepare_device_removal(self, hub_id: int, device_id: str) -> SqliteWork[bool]:
        """Prepare to delete a device, if it is there; the work returns whether it was."""

        def run(connection: sqlite3.Connection) -> bool:
            return _delete(connection, hub_id, device_id)

        return SqliteWork("device removal", run)

    async def save_activity(self, seen: Mapping[tuple[int, str], DeviceActivity]) -> None:
        """Write what was seen of devices (hub id, device id); unknown devices are skipped."""
        rows = [
            (
                None if activity.connection_state is None else activity.connection_state.value,
                to_us_or_none(activity.connection_state_updated_at),
                to_us_or_none(activity.last_activity_at),
                hub_id,
                device_id,
            )
            for (hub_id, device_id), activity in seen.items()
        ]

        def run(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "UPDATE hub_device SET connection_state = coalesce(?, connection_state),"
                " connection_state_updated_at = coalesce(?, connection_state_updated_at),"
                f" last_activity_at = coalesce(?, last_activity_at) {_ONE}",
                rows,
            )

        await self._database.write(run)

    async def disconnect_all(self, at: datetime) -> None:
        """Mark every device that is still Connected as Disconnected: nobody is, at a start."""

        def run(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE hub_device SET connection_state = 'Disconnected',"
                " connection_state_updated_at = ? WHERE connection_state = 'Connected'",
                (to_us(at),),
            )

        await self._database.write(run)


def _etag(connection: sqlite3.Connection, hub_id: int, device_id: str) -> str | None:
    row = connection.execute(f"SELECT etag FROM hub_device {_ONE}", (hub_id, device_id)).fetchone()
    return None if row is None else row[0]


def _count_one_more(connection: sqlite3.Connection, hub_id: int, limit: int | None) -> None:
    counted = connection.execute(
        "UPDATE hub SET device_count = device_count + 1"
        " WHERE hub_id = ? AND device_count < coalesce(?, device_count + 1)",
        (hub_id, limit),
    )
    if counted.rowcount == 0:
        raise RecordsFull


def _delete(connection: sqlite3.Connection, hub_id: int, device_id: str) -> bool:
    gone = connection.execute(f"DELETE FROM hub_device {_ONE}", (hub_id, device_id)).rowcount
    delete_session(connection, hub_id, device_id)
    delete_twin(connection, hub_id, device_id)
    delete_devicebound(connection, hub_id, device_id)
    connection.execute(
        "UPDATE hub SET device_count = device_count - ? WHERE hub_id = ?", (gone, hub_id)
    )
    return bool(gone)


def _to_columns(identity: DeviceIdentity) -> tuple[Any, ...]:
    authentication = identity.authentication
    return (
        identity.device_id,
        identity.generation_id,
        identity.etag,
        identity.status.value,
        identity.status_reason,
        to_us_or_none(identity.status_updated_at),
        authentication.type.value,
        authentication.primary_thumbprint,
        authentication.secondary_thumbprint,
        authentication.primary_key,
        authentication.secondary_key,
        identity.iot_edge,
        identity.connection_state.value,
        to_us_or_none(identity.connection_state_updated_at),
        to_us_or_none(identity.last_activity_at),
        to_us(identity.created_at),
        identity.parent_scope,
    )


def to_device(row: tuple[Any, ...]) -> DeviceIdentity:
    """Return the device of a row of `DEVICE_COLUMNS`."""
    return DeviceIdentity(
        device_id=row[0],
        generation_id=row[1],
        etag=row[2],
        status=DeviceStatus(row[3]),
        status_reason=row[4],
        status_updated_at=from_us_or_none(row[5]),
        authentication=DeviceAuthentication(
            AuthenticationType(row[6]), row[7], row[8], row[9], row[10]
        ),
        iot_edge=bool(row[11]),
        connection_state=ConnectionState(row[12]),
        connection_state_updated_at=from_us_or_none(row[13]),
        last_activity_at=from_us_or_none(row[14]),
        created_at=from_us(row[15]),
        parent_scope=row[16],
    )
