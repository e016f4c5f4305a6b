"""Routes of admin tokens and of hubs' shared access policies. For the owner token only."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict

from mooring.cloud.accounts.model import AccessPolicy, AdminToken, ResourceKind
from mooring.cloud.api.context import Services, owner_only

router = APIRouter(tags=["accounts"])

_TOKENS = [Depends(owner_only("the list of tokens"))]
_POLICIES = [Depends(owner_only("shared access policies"))]


class NewToken(BaseModel):
    """A token as asked for."""

    model_config = ConfigDict(extra="forbid")
    name: str


class KeyChoice(BaseModel):
    """Which key of a policy is meant."""

    model_config = ConfigDict(extra="forbid")
    key: Literal["primary", "secondary"]


@router.get("/tokens", dependencies=_TOKENS)
async def list_tokens(services: Services) -> dict[str, Any]:
    """List the admin tokens, without their secrets."""
    return {"value": [_token(token) for token in await services.accounts.list_tokens()]}


@router.post("/tokens", dependencies=_TOKENS, status_code=201)
async def make_token(body: NewToken, services: Services) -> dict[str, Any]:
    """Make a token; `token` is shown here and never again."""
    token, text = await services.accounts.make_token(body.name)
    return {**_token(token), "token": text}


@router.delete("/tokens/{token_id}", dependencies=_TOKENS, status_code=204)
async def revoke_token(token_id: str, services: Services) -> Response:
    """Revoke a token."""
    await services.accounts.revoke_token(token_id)
    return Response(status_code=204)


@router.get("/hubs/{hub_name}/policies", dependencies=_POLICIES)
async def list_hub_policies(hub_name: str, services: Services) -> dict[str, Any]:
    """List the policies of a hub, with their keys."""
    hub = services.hub.hubs.get(hub_name)
    policies = await services.accounts.list_policies(ResourceKind.HUB, hub.host_name)
    return {"value": [_policy(policy) for policy in policies]}


@router.post("/hubs/{hub_name}/policies/{name}/regenerateKey", dependencies=_POLICIES)
async def regenerate_hub_key(
    hub_name: str, name: str, body: KeyChoice, services: Services
) -> dict[str, Any]:
    """Replace a key of a hub's policy."""
    hub = services.hub.hubs.get(hub_name)
    return _policy(
        await services.accounts.regenerate_key(
            ResourceKind.HUB, hub.host_name, name, which=body.key
        )
    )


def _token(token: AdminToken) -> dict[str, Any]:
    return {
        "token_id": token.token_id,
        "name": token.name,
        "created_at": token.created_at.isoformat(),
    }


def _policy(policy: AccessPolicy) -> dict[str, Any]:
    # Azure: SharedAccessSignatureAuthorizationRule
    return {
        "keyName": policy.name,
        "primaryKey": policy.primary_key,
        "secondaryKey": policy.secondary_key,
        "rights": ", ".join(policy.rights),
    }
