"""Admin tokens and shared access policies in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from mooring.cloud.accounts.model import AccessPolicy, AdminToken, ResourceKind, Right
from mooring.cloud.stores.sqlite.rows import SqliteCommitter, SqliteWork, from_us, to_us

_TOKEN = "SELECT token_id, name, digest, created_at FROM admin_token"  # noqa: S105 - a statement
_POLICY = (
    "SELECT kind, resource, name, rights, primary_key, secondary_key, created_at FROM access_policy"
)
_INTO_POLICY = (
    "INTO access_policy (kind, resource, name, rights, primary_key, secondary_key, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


class SqliteAccountStore(SqliteCommitter):
    """The tables ``admin_token`` and ``access_policy``."""

    async def add_token(self, token: AdminToken, *, limit: int) -> bool:
        """Add `token` unless there are `limit` already; say whether it was added."""

        def run(connection: sqlite3.Connection) -> bool:
            (count,) = connection.execute("SELECT COUNT(*) FROM admin_token").fetchone()
            if count >= limit:
                return False
            connection.execute(
                "INSERT INTO admin_token (token_id, name, digest, created_at) VALUES (?, ?, ?, ?)",
                (token.token_id, token.name, token.digest, to_us(token.created_at)),
            )
            return True

        return await self._database.write(run)

    async def delete_token(self, token_id: str) -> bool:
        """Delete a token; say whether there was one."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    "DELETE FROM admin_token WHERE token_id = ?", (token_id,)
                ).rowcount
                == 1
            )
        )

    async def list_tokens(self) -> list[AdminToken]:
        """Return all tokens, oldest first."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"{_TOKEN} ORDER BY created_at, token_id"
            ).fetchall()
        )
        return [_to_token(row) for row in rows]

    def get_token(self, token_id: str) -> AdminToken | None:
        """Return a token, without waiting."""
        row = self._database.read_now(
            lambda connection: connection.execute(
                f"{_TOKEN} WHERE token_id = ?", (token_id,)
            ).fetchone()
        )
        return None if row is None else _to_token(row)

    async def add_policies(self, policies: Sequence[AccessPolicy]) -> None:
        """Add those of `policies` that are not there yet; leave the others as they are."""
        rows = [_to_row(policy) for policy in policies]

        def run(connection: sqlite3.Connection) -> None:
            connection.executemany(f"INSERT OR IGNORE {_INTO_POLICY}", rows)

        await self._database.write(run)

    async def replace_policy(self, policy: AccessPolicy) -> bool:
        """Replace a policy; say whether there was one."""
        _, _, _, rights, primary_key, secondary_key, _ = _to_row(policy)
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    "UPDATE access_policy SET rights = ?, primary_key = ?, secondary_key = ?"
                    " WHERE kind = ? AND resource = ? AND name = ?",
                    (
                        rights,
                        primary_key,
                        secondary_key,
                        policy.kind.value,
                        policy.resource,
                        policy.name,
                    ),
                ).rowcount
                == 1
            )
        )

    def prepare_policies(
        self, kind: ResourceKind, resource: str, policies: Sequence[AccessPolicy]
    ) -> SqliteWork[None]:
        """Prepare to have exactly `policies` for one DPS or hub."""
        rows = [_to_row(policy) for policy in policies]

        def run(connection: sqlite3.Connection) -> None:
            connection.execute(
                "DELETE FROM access_policy WHERE kind = ? AND resource = ?", (kind.value, resource)
            )
            connection.executemany(f"INSERT {_INTO_POLICY}", rows)

        return SqliteWork("policies", run)

    def find_policy(self, kind: ResourceKind, resource: str, name: str) -> AccessPolicy | None:
        """Return a policy, without waiting; the case of its name does not matter."""
        row = self._database.read_now(
            lambda connection: connection.execute(
                f"{_POLICY} WHERE kind = ? AND resource = ? AND name = ? COLLATE NOCASE",
                (kind.value, resource, name),
            ).fetchone()
        )
        return None if row is None else _to_policy(row)

    async def list_policies(self, kind: ResourceKind, resource: str) -> list[AccessPolicy]:
        """Return the policies of one DPS or hub, by name."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"{_POLICY} WHERE kind = ? AND resource = ? ORDER BY name",
                (kind.value, resource),
            ).fetchall()
        )
        return [_to_policy(row) for row in rows]


def _to_token(row: Sequence[Any]) -> AdminToken:
    token_id, name, digest, created_at = row
    return AdminToken(token_id, name, digest, from_us(created_at))


def _to_row(policy: AccessPolicy) -> tuple[Any, ...]:
    return (
        policy.kind.value,
        policy.resource,
        policy.name,
        ",".join(policy.rights),
        policy.primary_key,
        policy.secondary_key,
        to_us(policy.created_at),
    )


def _to_policy(row: Sequence[Any]) -> AccessPolicy:
    kind, resource, name, rights, primary_key, secondary_key, created_at = row
    return AccessPolicy(
        ResourceKind(kind),
        resource,
        name,
        tuple(Right(right) for right in rights.split(",") if right),
        primary_key,
        secondary_key,
        from_us(created_at),
    )
