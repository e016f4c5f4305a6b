"""Routes of admin tokens and of hubs' shared access policies. For the owner token only."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from mooring.cloud.accounts.model import AccessPolicy, AdminToken, ResourceKind
from mooring.cloud.accounts.policies import PolicyDraft, format_rights, parse_rights
from mooring.cloud.api.context import Services, owner_only

router = APIRouter(tags=["accounts"])

_TOKENS = [Depends(owner_only("the list of tokens"))]
_POLICIES = [Depends(owner_only("shared access policies"))]


class NewToken(BaseModel):
    """A token as asked for."""

    model_config = ConfigDict(extra="forbid")
    name: str


class PolicyBody(BaseModel):
    """A policy as asked for: rights as Azure lists them, ``"RegistryRead, ServiceConnect"``."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)
    rights: str
    primary_key: str | None = None
    secondary_key: str | None = None


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


@router.put("/hubs/{hub_name}/policies/{name}", dependencies=_POLICIES)
async def put_hub_policy(
    hub_name: str, name: str, body: PolicyBody, services: Services
) -> dict[str, Any]:
    """Create a policy of a hub, or change its rights; keys that are not given are kept."""
    hub = services.hub.hubs.get(hub_name)
    draft = PolicyDraft(name, parse_rights(body.rights), body.primary_key, body.secondary_key)
    return _policy(await services.accounts.put_policy(ResourceKind.HUB, hub.host_name, draft))


@router.delete("/hubs/{hub_name}/policies/{name}", dependencies=_POLICIES, status_code=204)
async def delete_hub_policy(hub_name: str, name: str, services: Services) -> Response:
    """Delete a policy of a hub: what it signed opens nothing any more."""
    hub = services.hub.hubs.get(hub_name)
    await services.accounts.delete_policy(ResourceKind.HUB, hub.host_name, name)
    return Response(status_code=204)


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
        "rights": format_rights(policy.rights),
    }
