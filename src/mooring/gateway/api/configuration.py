"""Routes of the configuration: the factories' schema, a connection's values, Apply."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from mooring.gateway.api.bodies import NewConfiguration
from mooring.gateway.api.connections import identity_document
from mooring.gateway.configuration.factories import FACTORIES, find_factory
from mooring.gateway.configuration.service import Applied
from mooring.gateway.configuration.tabs import X509_MQTT_DATA_TRANSPORT
from mooring.gateway.connections.connection import CloudConnection
from mooring.gateway.connections.service import ConnectionService


def configuration_routes(service: ConnectionService) -> APIRouter:
    """Return the routes over `service`."""
    router = APIRouter()

    @router.get("/factories")
    async def list_factories() -> dict[str, Any]:
        """List cloud connection factories with the schema of their tabs."""
        return {"factories": [factory.to_json() for factory in FACTORIES.values()]}

    @router.get("/connections/{pid}/configuration")
    async def get_configuration(pid: str) -> dict[str, Any]:
        """Return schema, values and findings; of secrets only whether they are set."""
        return configuration_document(service, service.find(pid))

    @router.put("/connections/{pid}/configuration")
    async def put_configuration(
        pid: str, body: NewConfiguration, dry_run: bool = False
    ) -> dict[str, Any]:
        """Apply changed values: all of them, or none with every finding."""
        applied = await service.apply(pid, body.tabs, dry_run=dry_run)
        return applied_document(service, applied, dry_run=dry_run)

    return router


def configuration_document(
    service: ConnectionService, connection: CloudConnection
) -> dict[str, Any]:
    """Return a connection's tabs: definition, values, and which secrets are set."""
    stored = connection.stored
    factory = find_factory(stored.factory_pid)
    snapshot = service.configuration.snapshot
    secrets = service.configuration.secrets(stored.pid)
    tabs = []
    for tab in factory.tabs:
        document = tab.to_json(name=factory.tab_name(tab, stored.pid))
        document["values"] = tab.defaults() | dict(stored.tabs.get(tab.name, {}))
        document["secrets"] = secrets if tab.name == X509_MQTT_DATA_TRANSPORT.name else {}
        tabs.append(document)
    return {
        "pid": stored.pid,
        "factory_pid": stored.factory_pid,
        "snapshot_id": None if snapshot is None else snapshot.snapshot_id,
        "tabs": tabs,
        "findings": [f.to_json() for f in service.configuration.findings(stored.pid)],
        **identity_document(connection),
    }


def applied_document(
    service: ConnectionService, applied: Applied, *, dry_run: bool
) -> dict[str, Any]:
    """Return what Apply did."""
    snapshot = applied.snapshot or service.configuration.snapshot
    return {
        "pid": applied.after.pid,
        "applied": not dry_run,
        "snapshot_id": None if snapshot is None else snapshot.snapshot_id,
        "findings": [finding.to_json() for finding in applied.findings],
        "identity": None if applied.identity is None else applied.identity.to_json(),
    }
