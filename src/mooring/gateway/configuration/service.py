"""The configuration of all cloud connections: create, read, apply, delete; all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mooring.gateway.configuration.checks import (
    DATA_SERVICE_TAB,
    TRANSPORT_TAB,
    Candidate,
    KeyMaterial,
    check_data_service,
    check_tab,
    check_transport,
    findings_of,
)
from mooring.gateway.configuration.factories import find_factory
from mooring.gateway.configuration.findings import Finding
from mooring.gateway.configuration.model import Snapshot, StoredConnection
from mooring.gateway.configuration.schema import TabSchema
from mooring.gateway.configuration.store import ConfigurationStore
from mooring.gateway.errors import (
    ConfigurationRefused,
    ConnectionExists,
    ConnectionUnknown,
    KeystoreEntryUnusable,
)
from mooring.gateway.keystore.entries import Keystore
from mooring.pki.keys import spki_sha256
from mooring.pki.lint import IdentityPreview, LintReport, Severity, lint_pasted
from mooring.runtime.clock import Clock
from mooring.runtime.logs import get_logger

_log = get_logger("gateway.configuration")


@dataclass(frozen=True, slots=True)
class Applied:
    """What Apply did: the connection before and after, the remarks, and the snapshot made."""

    before: StoredConnection
    after: StoredConnection
    findings: tuple[Finding, ...]
    identity: IdentityPreview | None
    snapshot: Snapshot | None


class ConfigurationService:
    """All connections' configurations, in memory and in the store."""

    def __init__(self, store: ConfigurationStore, keystore: Keystore, clock: Clock) -> None:
        """Keep values in `store` and keys in `keystore`."""
        self._store = store
        self._keystore = keystore
        self._clock = clock
        self._connections: dict[str, StoredConnection] = {}
        self._snapshot: Snapshot | None = None
        # One change at a time: each reads what it changes.
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Read what is stored, and delete keystore entries that a crash left behind."""
        self._connections = {c.pid: c for c in await self._store.load()}
        self._snapshot = await self._store.latest_snapshot()
        await self._collect()

    @property
    def snapshot(self) -> Snapshot | None:
        """Return the newest snapshot, or None before the first change."""
        return self._snapshot

    def all(self) -> list[StoredConnection]:
        """Return every connection, ordered by PID."""
        return [self._connections[pid] for pid in sorted(self._connections)]

    def find(self, pid: str) -> StoredConnection:
        """Return the connection `pid`.

        Raises:
            ConnectionUnknown: There is none.
        """
        try:
            return self._connections[pid]
        except KeyError:
            raise ConnectionUnknown.of(pid) from None

    async def create(self, factory_pid: str, pid: str) -> StoredConnection:
        """Create a connection with all values at their defaults.

        Raises:
            FactoryUnknown, PidMalformed, ConnectionExists: Nothing was created.
        """
        factory = find_factory(factory_pid)
        factory.check_pid(pid)
        async with self._lock:
            # Two PIDs that differ in case alone could not be told apart in a table.
            if pid.lower() in {known.lower() for known in self._connections}:
                raise ConnectionExists(
                    f"A cloud connection {pid!r} exists already.",
                    f"Choose another PID, such as {factory.default_pid}-2.",
                    field="pid",
                )
            connection = StoredConnection(pid, factory_pid, self._clock.now(), tabs={})
            self._snapshot = await self._store.save(connection)
            self._connections[pid] = connection
        return connection

    async def delete(self, pid: str) -> None:
        """Delete a connection with its certificate and key.

        Raises:
            ConnectionUnknown: There is none.
        """
        async with self._lock:
            self.find(pid)
            self._snapshot = await self._store.remove(pid)
            del self._connections[pid]
            await self._collect()

    async def apply(
        self, pid: str, changes: Mapping[str, Mapping[str, object]], *, dry_run: bool = False
    ) -> Applied:
        """Apply changed values, given by tab name and property id; all of them or none.

        Values not named keep what they have. A `dry_run` checks and stores nothing.

        Raises:
            ConnectionUnknown, TabUnknown: Nothing was changed.
            ConfigurationRefused: With every finding; nothing was changed.
        """
        async with self._lock:
            connection = self.find(pid)
            factory = find_factory(connection.factory_pid)
            tabs = dict(connection.tabs)
            findings: list[Finding] = []
            candidate = None
            transport = None
            for name, tab_changes in changes.items():
                tab = factory.find_tab(name, pid)
                candidate = self._check(connection, tab, tab_changes)
                tabs[tab.name] = candidate.values
                findings += candidate.findings
                if tab.name == TRANSPORT_TAB:
                    transport = candidate
            after = replace(connection, tabs=tabs)
            if any(finding.severity == "error" for finding in findings):
                raise ConfigurationRefused(findings)
            identity = None if transport is None else transport.identity
            if dry_run:
                return Applied(connection, after, tuple(findings), identity, None)
            after = await self._with_entry(connection, after, transport)
            self._snapshot = await self._store.save(after)
            self._connections[pid] = after
            await self._collect()
            _log.info("configuration applied", pid=pid, snapshot=self._snapshot.snapshot_id)
            return Applied(connection, after, tuple(findings), identity, self._snapshot)

    def examine(self, pid: str) -> LintReport | None:
        """Return the lint's report on the stored certificate and key, None before there are any.

        Raises:
            ConnectionUnknown: There is no such connection.
            KeystoreEntryUnusable: Certificate or key cannot be read.
        """
        connection = self.find(pid)
        material = self._material(connection)
        if material is None:
            return None
        values = connection.tabs.get(TRANSPORT_TAB, {})
        return lint_pasted(
            material.certificates,
            material.key,
            material.passphrase,
            now=self._clock.now(),
            strict_subject_rules=bool(values.get("strict.subject.rules", False)),
            endpoint=str(values.get("global.endpoint", "")),
            scope_id=str(values.get("scope.id", "")),
        )

    def findings(self, pid: str) -> list[Finding]:
        """Return what the lint says of a connection as it is stored; empty before there is one."""
        try:
            report = self.examine(pid)
        except KeystoreEntryUnusable as error:
            return [
                Finding(
                    "e_keystore_entry_unusable",
                    Severity.ERROR,
                    "device.private.key",
                    error.message,
                    error.remedy,
                )
            ]
        return [] if report is None else findings_of(report)

    def secrets(self, pid: str) -> dict[str, dict[str, object]]:
        """Return which secrets are set; of the key also the SHA-256 of its public half.

        Raises:
            ConnectionUnknown: There is no such connection.
        """
        try:
            report = self.examine(pid)
            material = self._material(self.find(pid))
        except KeystoreEntryUnusable:
            report = material = None
        key = None if report is None or report.key is None else report.key.key
        return {
            "device.private.key": {
                "set": material is not None,
                "public_key_sha256": None if key is None else spki_sha256(key),
            },
            "device.private.key.passphrase": {
                "set": material is not None and material.passphrase is not None
            },
        }

    def _check(
        self, connection: StoredConnection, tab: TabSchema, changes: Mapping[str, object]
    ) -> Candidate:
        candidate = check_tab(tab, connection.tabs.get(tab.name, {}), changes)
        if tab.name == DATA_SERVICE_TAB:
            return check_data_service(candidate)
        if tab.name == TRANSPORT_TAB:
            try:
                stored = self._material(connection)
            except KeystoreEntryUnusable:
                # Applying certificate and key anew is how this is mended.
                stored = None
            return check_transport(candidate, changes, stored, now=self._clock.now())
        return candidate

    async def _with_entry(
        self, before: StoredConnection, after: StoredConnection, transport: Candidate | None
    ) -> StoredConnection:
        """Write certificate and key into the keystore if they changed; return the reference."""
        if transport is None or transport.material is None:
            return after
        material = transport.material
        try:
            unchanged = before.entry_id is not None and self._material(before) == material
        except KeystoreEntryUnusable:
            unchanged = False
        if unchanged:
            return after
        entry = await asyncio.to_thread(
            self._keystore.add,
            after.pid,
            material.certificates,
            material.key,
            material.passphrase,
        )
        return replace(after, entry_id=entry.entry_id)

    def _material(self, connection: StoredConnection) -> KeyMaterial | None:
        if connection.entry_id is None:
            return None
        entry = self._keystore.find(connection.entry_id)
        return KeyMaterial(entry.read_certificates(), entry.read_key(), entry.read_passphrase())

    async def _collect(self) -> None:
        keep = {c.entry_id for c in self._connections.values() if c.entry_id is not None}
        await asyncio.to_thread(self._keystore.collect, keep)
