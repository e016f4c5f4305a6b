"""Shared access policies as they are asked for, and the rules that they must keep."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mooring.cloud.accounts.errors import OwnerPolicyNeeded, PolicyMalformed
from mooring.cloud.accounts.model import (
    DEFAULT_POLICIES,
    OWNER_POLICY,
    AccessPolicy,
    ResourceKind,
    Right,
    new_policy_key,
)
from mooring.protocol.azure.errors import SasKeyMalformed, quoted
from mooring.protocol.azure.sas import decode_key

MAX_POLICIES = 64
"""Ours: policies of one DPS or hub. Azure publishes no figure; made by hand, one per user."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_RIGHTS = {right.lower(): right for right in Right}


@dataclass(frozen=True, slots=True)
class PolicyDraft:
    """A policy as asked for; a key that is None is kept, or made for a new policy."""

    name: str
    rights: tuple[Right, ...]
    primary_key: str | None = field(default=None, repr=False)
    secondary_key: str | None = field(default=None, repr=False)


def parse_rights(text: str) -> tuple[Right, ...]:
    """Return the rights in a list as Azure writes it: ``"ServiceConfig, EnrollmentRead"``.

    Raises:
        PolicyMalformed: An unknown right, or none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name.lower() not in _RIGHTS]
    if unknown or not names:
        raise PolicyMalformed(
            "policy-rights-malformed",
            f"rights: {quoted(unknown[0])} is no right" if unknown else "rights: there are none",
            f"give one or more of {', '.join(Right)}, with commas between",
            field="rights",
        )
    wanted = {_RIGHTS[name.lower()] for name in names}
    return tuple(right for right in Right if right in wanted)


def format_rights(rights: Iterable[Right]) -> str:
    """Return rights as Azure lists them."""
    return ", ".join(rights)


def settle_policies(
    kind: ResourceKind,
    resource: str,
    stored: Sequence[AccessPolicy],
    drafts: Sequence[PolicyDraft],
    now: datetime,
) -> list[AccessPolicy]:
    """Return what the policies of a DPS or hub become when `drafts` are all that it shall have.

    Raises:
        PolicyMalformed: A name, a right or a key breaks a rule, a name comes twice, or there are
            too many.
        OwnerPolicyNeeded: The policy that may do everything is missing, or has not all rights.
    """
    if len(drafts) > MAX_POLICIES:
        raise PolicyMalformed(
            "too-many-policies",
            f"policies: {len(drafts)}, more than {MAX_POLICIES}",
            "leave out those that nobody uses",
            field="policies",
        )
    known = {policy.name.lower(): policy for policy in stored}
    settled: dict[str, AccessPolicy] = {}
    for draft in drafts:
        folded = draft.name.lower()
        if folded in settled:
            raise PolicyMalformed(
                "policy-twice",
                f"keyName: policy {draft.name!r} comes twice; case does not tell names apart",
                "send each policy once",
                field="keyName",
            )
        settled[folded] = _settle(kind, resource, known.get(folded), draft, now)
    _check_owner(kind, settled)
    return sorted(settled.values(), key=lambda policy: policy.name)


def _settle(
    kind: ResourceKind,
    resource: str,
    stored: AccessPolicy | None,
    draft: PolicyDraft,
    now: datetime,
) -> AccessPolicy:
    if _NAME.fullmatch(draft.name) is None:
        raise PolicyMalformed(
            "policy-name-malformed",
            f"keyName: {quoted(draft.name)} may not name a policy",
            "use 1 to 64 letters, digits, '.', '_' and '-', the first a letter or digit",
            field="keyName",
        )
    offered = set().union(*DEFAULT_POLICIES[kind].values())
    foreign = [right for right in draft.rights if right not in offered]
    if foreign or not draft.rights:
        raise PolicyMalformed(
            "policy-rights-malformed",
            f"rights: policy {draft.name!r} "
            + (f"cannot have {foreign[0]} here" if foreign else "has none"),
            f"give one or more of {', '.join(right for right in Right if right in offered)}",
            field="rights",
        )
    return AccessPolicy(
        kind,
        resource,
        draft.name if stored is None else stored.name,
        tuple(right for right in Right if right in draft.rights),
        _key(draft, "primaryKey", draft.primary_key, stored.primary_key if stored else None),
        _key(draft, "secondaryKey", draft.secondary_key, stored.secondary_key if stored else None),
        now if stored is None else stored.created_at,
    )


def _key(draft: PolicyDraft, member: str, given: str | None, stored: str | None) -> str:
    if given is None:
        return stored or new_policy_key()
    try:
        decode_key(given)
    except SasKeyMalformed as error:
        raise PolicyMalformed(
            "policy-key-malformed",
            f"{member} of policy {draft.name!r}: {error.message}",
            "give 16 to 64 random bytes in base64, or leave the key out to have one made",
            field=member,
        ) from None
    return given


def _check_owner(kind: ResourceKind, settled: dict[str, AccessPolicy]) -> None:
    name = OWNER_POLICY[kind]
    policy = settled.get(name.lower())
    if policy is None:
        raise OwnerPolicyNeeded(
            name,
            f"policy {name!r} is missing and would be deleted, although 'mooring cloud info' "
            "hands out its connection string",
        )
    missing = [right for right in DEFAULT_POLICIES[kind][name] if right not in policy.rights]
    if missing:
        raise OwnerPolicyNeeded(
            name, f"policy {name!r} would lose the rights {format_rights(missing)}"
        )
