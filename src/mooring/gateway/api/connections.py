"""Routes of the cloud connections: list, create, connect, watch, publish, delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from mooring.gateway.api.bodies import MAX_WAIT_S, NewConnection, NewMessage
from mooring.gateway.connections.attempt_records import MAX_LISTED
from mooring.gateway.connections.connection import CloudConnection
from mooring.gateway.connections.model import ConnectionStatus
from mooring.gateway.connections.service import ConnectionService
from mooring.gateway.connections.states import ATTEMPTING, ConnectionState
from mooring.runtime.clock import Clock

Wait = Annotated[float, Query(ge=0, le=MAX_WAIT_S, description="Wait at most this long, seconds.")]
Limit = Annotated[int, Query(ge=1, le=MAX_LISTED)]


def connection_routes(service: ConnectionService, clock: Clock) -> APIRouter:
    """Return the routes over `service`."""
    router = APIRouter()

    @router.get("/connections")
    async def list_connections() -> dict[str, Any]:
        """List cloud connections with their status."""
        return {"connections": [summary(connection) for connection in service.all()]}

    @router.post("/connections", status_code=201)
    async def create_connection(body: NewConnection) -> dict[str, Any]:
        """Create a cloud connection with default values."""
        return summary(await service.create(body.factory_pid, body.pid))

    @router.get("/connections/{pid}")
    async def get_connection(pid: str) -> dict[str, Any]:
        """Return a connection: identity, status, history, counters."""
        return summary(service.find(pid), history=True)

    @router.delete("/connections/{pid}", status_code=204)
    async def delete_connection(pid: str) -> Response:
        """Disconnect and delete a connection with its certificate and key."""
        await service.delete(pid)
        return Response(status_code=204)

    @router.post("/connections/{pid}/connect")
    async def connect(pid: str, wait_s: Wait = 0) -> dict[str, Any]:
        """Connect; with `wait_s`, answer once it is connected or the first attempt has failed."""
        connection = service.find(pid)
        connection.connect()
        return (await _settled(connection, wait_s)).to_json()

    @router.post("/connections/{pid}/disconnect")
    async def disconnect(pid: str) -> dict[str, Any]:
        """Disconnect in order; the connection stays down until Connect or a restart."""
        connection = service.find(pid)
        await connection.disconnect()
        return connection.status().to_json()

    @router.get("/connections/{pid}/status")
    async def get_status(pid: str, revision: int | None = None, wait_s: Wait = 0) -> dict[str, Any]:
        """Return the status; with `revision` and `wait_s`, once it differs from that revision."""
        connection = service.find(pid)
        status = await connection.wait_until(
            lambda status: status.revision != revision, timeout_s=wait_s
        )
        return status.to_json() | identity_document(connection)

    @router.get("/connections/{pid}/attempts")
    async def list_attempts(
        pid: str, limit: Limit = 20, wire_id: str | None = None
    ) -> dict[str, Any]:
        """List attempt records, newest first; with `wire_id` those that saw it on the wire."""
        service.find(pid)
        records = await service.attempts.list(pid, limit=limit, wire_id=wire_id)
        return {"attempts": [record.to_json() for record in records]}

    @router.post("/connections/{pid}/publish")
    async def publish(pid: str, body: NewMessage) -> dict[str, Any]:
        """Publish a message; answered once the hub has acknowledged it."""
        connection = service.find(pid)
        confirmation = await connection.publish(body.to_message(clock), timeout_s=body.timeout_s)
        return {"pid": pid, "acknowledged": True, **confirmation.to_json()}

    return router


def summary(connection: CloudConnection, *, history: bool = False) -> dict[str, Any]:
    """Return what is shown of a connection."""
    status = connection.status().to_json()
    if not history:
        del status["history"]
    return {
        "pid": connection.pid,
        "factory_pid": connection.stored.factory_pid,
        "created_at": connection.stored.created_at.isoformat(),
        **status,
        **identity_document(connection),
        "messages": connection.data.counters(),
    }


def identity_document(connection: CloudConnection) -> dict[str, Any]:
    identity = connection.identity
    return {"identity": None if identity is None else identity.to_json()}


async def _settled(connection: CloudConnection, wait_s: float) -> ConnectionStatus:
    """Return the status once an attempt has ended, or at the end of the time."""
    begun = connection.status().revision

    def ended(status: ConnectionStatus) -> bool:
        if status.state is ConnectionState.CONNECTED:
            return True
        # What it says before the task has had its turn is of the attempt before.
        return status.revision != begun and status.state not in ATTEMPTING

    return await connection.wait_until(ended, timeout_s=wait_s)
