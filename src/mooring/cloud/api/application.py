"""The admin API as one ASGI application."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, FastAPI

from mooring import __version__
from mooring.cloud.accounts.api import router as accounts_router
from mooring.cloud.api.body_limit import BodyLimit
from mooring.cloud.api.context import Caller, CloudServices, Services, authenticated
from mooring.cloud.api.errors import install_error_handlers
from mooring.cloud.api.failures import FailureGuard
from mooring.cloud.api.json_body import well_formed_body
from mooring.cloud.attempts.api import router as attempts_router
from mooring.cloud.facts import ADMIN_PREFIX
from mooring.cloud.hub.api import router as hub_router
from mooring.cloud.hub.consumers.api import router as consumers_router
from mooring.cloud.hub.devicebound.api import router as devicebound_router
from mooring.cloud.hub.settings.api import router as settings_router
from mooring.cloud.hub.throttling.api import router as throttling_router

_open = APIRouter(tags=["cloud"])
_closed = APIRouter(tags=["cloud"])


@_open.get("/health")
async def health() -> dict[str, str]:
    """Say that the cloud is up; needs no token."""
    return {"status": "ok"}


@_closed.get("/info")
async def info(services: Services, caller: Caller) -> dict[str, Any]:
    """Say where everything is and how it is.

    The owner token also gets the connection strings, which hold keys.
    """
    return await services.information(caller.is_owner)


def create_admin_app(services: CloudServices) -> FastAPI:
    """Return the application that serves `services` under ``/admin/v1``."""
    app = FastAPI(
        title="Mooring cloud, admin API",
        version=__version__,
        openapi_url=f"{ADMIN_PREFIX}/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere; gateways and labs are offline
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.include_router(_open, prefix=ADMIN_PREFIX)
    for router in (
        _closed,
        hub_router,
        consumers_router,
        devicebound_router,
        settings_router,
        throttling_router,
        attempts_router,
        accounts_router,
    ):
        app.include_router(
            router,
            prefix=ADMIN_PREFIX,
            dependencies=[Depends(authenticated), Depends(well_formed_body)],
        )
    install_error_handlers(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(FailureGuard)
    return app
