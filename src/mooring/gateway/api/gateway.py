"""Routes of the gateway itself: health, facts, trust store, attempts of all connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from mooring.gateway.api.bodies import NewTrust
from mooring.gateway.configuration.showing import shown
from mooring.gateway.connections.attempt_records import MAX_LISTED
from mooring.gateway.connections.service import ConnectionService
from mooring.gateway.errors import AttemptUnknown
from mooring.gateway.keystore.trust import TrustStore

Limit = Annotated[int, Query(ge=1, le=MAX_LISTED)]


def gateway_routes(
    service: ConnectionService, trust: TrustStore, info: Callable[[], dict[str, Any]]
) -> APIRouter:
    """Return the routes over `service` and `trust`; `info` gives the gateway's facts."""
    router = APIRouter()

    @router.get("/info")
    async def get_info() -> dict[str, Any]:
        """Return the gateway's facts: version, storage, configuration, connections."""
        return info()

    @router.get("/attempts")
    async def list_attempts(limit: Limit = 20, wire_id: str | None = None) -> dict[str, Any]:
        """List attempt records of all connections, newest first."""
        records = await service.attempts.list(None, limit=limit, wire_id=wire_id)
        return {"attempts": [record.to_json() for record in records]}

    @router.get("/attempts/{attempt_id}")
    async def get_attempt(attempt_id: str) -> dict[str, Any]:
        """Return one attempt record."""
        record = await service.attempts.find(attempt_id)
        if record is None:
            raise AttemptUnknown(
                f"There is no attempt record {shown(attempt_id)}.",
                "List the attempts; of those that failed alike only the newest keeps its id.",
                field="attempt_id",
            )
        return record.to_json()

    @router.get("/trust")
    async def list_trust() -> dict[str, Any]:
        """List what is trusted beside the system's authorities."""
        return {"certificates": [entry.to_json() for entry in trust.entries()]}

    @router.post("/trust", status_code=201)
    async def add_trust(body: NewTrust) -> dict[str, Any]:
        """Trust the certificates of a PEM text; connections that wait try again at once."""
        added = trust.add(body.certificate, name=body.name)
        service.trust_changed()
        return {"certificates": [entry.to_json() for entry in added]}

    @router.delete("/trust/{name}", status_code=204)
    async def remove_trust(name: str) -> Response:
        """Stop trusting an entry, by name or thumbprint; live connections stay."""
        trust.remove(name)
        return Response(status_code=204)

    return router
