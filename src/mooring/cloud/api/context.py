"""What the routes reach: services, the caller, the parameters that lists share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request

from mooring.cloud.accounts.errors import OwnerOnly
from mooring.cloud.accounts.model import Principal
from mooring.cloud.accounts.service import AccountService
from mooring.cloud.attempts.service import AttemptService
from mooring.cloud.dps.device_api.begun_attempts import BegunAttempts
from mooring.cloud.dps.device_api.requests import DeviceRequests
from mooring.cloud.dps.service import DpsService
from mooring.cloud.dps.throttling import Throttling
from mooring.cloud.hub.model import Hub
from mooring.cloud.hub.service import HubService
from mooring.cloud.paging import MAX_PAGE_ITEMS
from mooring.runtime.clock import SYSTEM_CLOCK, Clock


@dataclass(frozen=True, slots=True)
class CloudServices:
    """Everything behind the HTTP APIs.

    `device_requests` serves devices, whose attempts wait in `begun_attempts` between two
    requests; `throttling` counts for all. `host_names` returns the names and addresses of this
    cloud, in lower case. `information` returns what `cloud info` shows, with keys when asked for;
    `create_hub` makes a hub (name, host name, partitions) with its policies and link; `closing`
    ends streams.
    """

    dps: DpsService
    hub: HubService
    attempts: AttemptService
    accounts: AccountService
    device_requests: DeviceRequests
    begun_attempts: BegunAttempts
    throttling: Throttling
    host_names: Callable[[], Collection[str]]
    information: Callable[[bool], Awaitable[dict[str, Any]]]
    create_hub: Callable[[str, str, int], Awaitable[Hub]]
    clock: Clock = SYSTEM_CLOCK
    closing: asyncio.Event = field(default_factory=asyncio.Event)


# Not plain functions: FastAPI would run them on threads, and look-ups belong to the loop's.
async def services_of(request: Request) -> CloudServices:
    """Return the services behind the application that serves `request`."""
    services: CloudServices = request.app.state.services
    return services


async def authenticated(
    services: Annotated[CloudServices, Depends(services_of)],
    authorization: Annotated[str | None, Header()] = None,
) -> Principal:
    """Return who calls, by the bearer token."""
    scheme, _, token = (authorization or "").partition(" ")
    return services.accounts.authenticate(token.strip() if scheme.lower() == "bearer" else None)


def owner_only(what: str) -> Callable[[Principal], Awaitable[Principal]]:
    """Return a dependency that lets only the owner token through to `what`."""

    async def check(principal: Annotated[Principal, Depends(authenticated)]) -> Principal:
        if not principal.is_owner:
            raise OwnerOnly(what)
        return principal

    return check


Services = Annotated[CloudServices, Depends(services_of)]
Caller = Annotated[Principal, Depends(authenticated)]
IfMatch = Annotated[
    str | None, Header(alias="If-Match", description="An etag, or * for any version.")
]
Limit = Annotated[
    int | None, Query(ge=1, le=MAX_PAGE_ITEMS, description="Items in the answer, at most.")
]
Continuation = Annotated[
    str | None, Query(max_length=1024, description="From the answer before, for the next page.")
]
