"""Shared access policies in the resource API (Azure: SharedAccessSignatureAuthorizationRule)."""

from __future__ import annotations

from collections.abc import Sequence

from mooring.cloud.accounts.errors import OwnerOnly
from mooring.cloud.accounts.model import AccessPolicy
from mooring.cloud.accounts.policies import PolicyDraft, format_rights, parse_rights
from mooring.cloud.resource_api.requests import ResourceRequest
from mooring.protocol.azure.json_documents import JsonValue
from mooring.protocol.azure.json_members import Members


def policy_to_json(policy: AccessPolicy, *, keys: bool) -> dict[str, JsonValue]:
    """Return a policy, with or without its keys."""
    document: dict[str, JsonValue] = {"keyName": policy.name}
    if keys:
        document["primaryKey"] = policy.primary_key
        document["secondaryKey"] = policy.secondary_key
    document["rights"] = format_rights(policy.rights)
    return document


def read_policies(properties: Members) -> Sequence[PolicyDraft] | None:
    """Return the policies that there shall be; None leaves them as they are.

    Raises:
        AccountError, PayloadMalformed: A value is wrong.
    """
    # An empty list of policies is what Azure's tools read and send back: never "delete all".
    policies = properties.objects("authorizationPolicies") or None
    return None if policies is None else [_read_policy(entry) for entry in policies]


def owner_only(request: ResourceRequest) -> None:
    """Return if the owner calls. Raises OwnerOnly.

    A key outlives the admin token that read it, which could then be revoked in vain.
    """
    if not request.caller.is_owner:
        raise OwnerOnly("shared access policies")


def _read_policy(entry: Members) -> PolicyDraft:
    return PolicyDraft(
        entry.text("keyName") or "",
        parse_rights(entry.text("rights") or ""),
        entry.text("primaryKey") or None,
        entry.text("secondaryKey") or None,
    )
