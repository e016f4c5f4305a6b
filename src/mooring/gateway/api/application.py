"""The HTTP application: routes, guard, error shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, FastAPI

from mooring import __version__
from mooring.gateway.api.configuration import configuration_routes
from mooring.gateway.api.connections import connection_routes
from mooring.gateway.api.errors import install_error_handlers
from mooring.gateway.api.gateway import gateway_routes
from mooring.gateway.api.guard import BodyLimit, TokenGuard
from mooring.gateway.connections.service import ConnectionService
from mooring.gateway.keystore.trust import TrustStore
from mooring.runtime.clock import Clock

BASE_PATH = "/api/v1"


def build_application(
    service: ConnectionService,
    trust: TrustStore,
    *,
    token: str,
    clock: Clock,
    info: Callable[[], dict[str, Any]],
) -> FastAPI:
    """Return the application over `service` and `trust`; all but health asks for `token`."""
    application = FastAPI(
        title="Mooring gateway",
        version=__version__,
        openapi_url=f"{BASE_PATH}/openapi.json",
        # The bundled pages load scripts from the internet; gateways are often without.
        docs_url=None,
        redoc_url=None,
    )
    application.add_middleware(BodyLimit)
    install_error_handlers(application)
    health = APIRouter()

    @health.get("/health")
    async def get_health() -> dict[str, str]:
        """Say that the gateway lives; needs no token."""
        return {"status": "ok"}

    application.include_router(health, prefix=BASE_PATH)
    guard = [Depends(TokenGuard(token))]
    for router in (
        connection_routes(service, clock),
        configuration_routes(service),
        gateway_routes(service, trust, info),
    ):
        application.include_router(router, prefix=BASE_PATH, dependencies=guard)
    return application
