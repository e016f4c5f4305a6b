"""Owner token, admin tokens and shared access policies."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from mooring.cloud.accounts.errors import (
    PolicyKeyWrong,
    PolicyLacksRight,
    PolicyNotFound,
    TokenLimitReached,
    TokenMissing,
    TokenNameMalformed,
    TokenNotFound,
    TokenRefused,
)
from mooring.cloud.accounts.model import (
    DEFAULT_POLICIES,
    OWNER_POLICY,
    AccessPolicy,
    AdminToken,
    Principal,
    ResourceKind,
    Right,
    new_policy_key,
)
from mooring.cloud.accounts.policies import PolicyDraft, settle_policies
from mooring.cloud.accounts.store import AccountStore
from mooring.cloud.work import Work
from mooring.runtime.clock import SYSTEM_CLOCK, Clock
from mooring.runtime.statefolder import token_file

MAX_TOKENS = 100
"""Admin tokens at one time: made by hand, one per user of the API."""

MAX_NAME_CHARS = 64
MAX_TOKEN_CHARS = 200
"""Longest bearer token looked at: ours have about 65."""

_TOKEN_PREFIX = "mtk"  # noqa: S105 - a mark that secret scanners can look for, not a secret


class AccountService:
    """Says who a bearer token belongs to, and keeps the policies of DPS and hubs."""

    def __init__(
        self, store: AccountStore, *, owner_token_path: Path, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """Read the owner token at `owner_token_path`, making one (0600) if there is none."""
        self._store = store
        self._clock = clock
        self._owner_digest = _digest(token_file(owner_token_path))

    def authenticate(self, token: str | None) -> Principal:
        """Return whose `token` it is.

        Raises:
            TokenMissing: There is none.
            TokenRefused: It is unknown, mistyped or revoked.
        """
        if not token:
            raise TokenMissing
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise TokenRefused
        digest = _digest(token)
        if hmac.compare_digest(digest, self._owner_digest):
            return Principal("owner", is_owner=True)
        token_id = token.partition(".")[0]
        known = self._store.get_token(token_id)
        if known is None or not hmac.compare_digest(digest, known.digest):
            raise TokenRefused
        return Principal(known.name, is_owner=False)

    async def make_token(self, name: str) -> tuple[AdminToken, str]:
        """Make an admin token; the text is returned here and never again.

        Raises:
            TokenNameMalformed: `name` is empty, too long or not printable.
            TokenLimitReached: There are too many tokens.
        """
        name = name.strip()
        if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
            raise TokenNameMalformed(name, MAX_NAME_CHARS)
        token_id = f"{_TOKEN_PREFIX}-{secrets.token_hex(8)}"
        text = f"{token_id}.{secrets.token_urlsafe(32)}"
        token = AdminToken(token_id, name, _digest(text), self._clock.now())
        if not await self._store.add_token(token, limit=MAX_TOKENS):
            raise TokenLimitReached(MAX_TOKENS)
        return token, text

    async def list_tokens(self) -> list[AdminToken]:
        """Return the admin tokens, oldest first; the owner token is not among them."""
        return await self._store.list_tokens()

    async def revoke_token(self, token_id: str) -> None:
        """Make a token worthless from now on.

        Raises:
            TokenNotFound: There is no such token.
        """
        if not await self._store.delete_token(token_id):
            raise TokenNotFound(token_id)

    async def ensure_policies(self, kind: ResourceKind, resource: str) -> None:
        """Give a DPS or hub that has no policies its default ones, with fresh keys."""
        if await self._store.list_policies(kind, resource):
            return  # one that was deleted stays so
        now = self._clock.now()
        await self._store.add_policies(
            [
                AccessPolicy(kind, resource, name, rights, new_policy_key(), new_policy_key(), now)
                for name, rights in DEFAULT_POLICIES[kind].items()
            ]
        )

    async def list_policies(self, kind: ResourceKind, resource: str) -> list[AccessPolicy]:
        """Return the policies of one DPS or hub, by name, with their keys."""
        return await self._store.list_policies(kind, resource)

    def find_policy(self, kind: ResourceKind, resource: str, name: str) -> AccessPolicy | None:
        """Return a policy as it is now, in microseconds; None if there is none of that name.

        For each call with a shared access signature: what a removed policy or a replaced key
        has signed is refused from the next call on. The case of the name does not matter.
        """
        return self._store.find_policy(kind, resource, name)

    def get_policy(self, kind: ResourceKind, resource: str, name: str) -> AccessPolicy:
        """Return one policy with its keys.

        Raises:
            PolicyNotFound: The DPS or hub has none of this name.
        """
        policy = self._store.find_policy(kind, resource, name)
        if policy is None:
            raise PolicyNotFound(resource, name)
        return policy

    def check_policy_key(
        self, kind: ResourceKind, resource: str, name: str, key: str, *, needs: Right
    ) -> AccessPolicy:
        """Return the policy `name` if `key` (base64) is one of its keys and it carries `needs`.

        Raises:
            PolicyNotFound, PolicyKeyWrong, PolicyLacksRight: As they say.
        """
        policy = self.get_policy(kind, resource, name)
        # Both are compared whichever fits, so that time does not tell which one did.
        matches = [
            hmac.compare_digest(key.encode(), known.encode())
            for known in (policy.primary_key, policy.secondary_key)
        ]
        if not any(matches):
            raise PolicyKeyWrong(resource, policy.name)
        if needs not in policy.rights:
            raise PolicyLacksRight(policy.name, needs)
        return policy

    async def settle_policies(
        self, kind: ResourceKind, resource: str, drafts: Sequence[PolicyDraft]
    ) -> list[AccessPolicy]:
        """Return what the policies become when `drafts` are all there shall be; writes nothing.

        Raises:
            PolicyMalformed, OwnerPolicyNeeded: See `mooring.cloud.accounts.policies`.
        """
        stored = await self._store.list_policies(kind, resource)
        return settle_policies(kind, resource, stored, drafts, self._clock.now())

    async def put_policies(
        self, kind: ResourceKind, resource: str, drafts: Sequence[PolicyDraft]
    ) -> list[AccessPolicy]:
        """Have exactly the policies that `drafts` ask for, and return them.

        Raises:
            PolicyMalformed, OwnerPolicyNeeded: See `mooring.cloud.accounts.policies`.
        """
        settled = await self.settle_policies(kind, resource, drafts)
        await self._store.commit(self.prepare_policies(kind, resource, settled))
        return settled

    async def put_policy(
        self, kind: ResourceKind, resource: str, draft: PolicyDraft
    ) -> AccessPolicy:
        """Create a policy, or change rights and keys of the one of that name.

        Raises as `put_policies`.
        """
        others = await self._drafts(kind, resource, without=draft.name)
        settled = await self.put_policies(kind, resource, [*others, draft])
        return next(policy for policy in settled if policy.name.lower() == draft.name.lower())

    async def delete_policy(self, kind: ResourceKind, resource: str, name: str) -> None:
        """Delete a policy: what it signed opens nothing any more.

        Raises:
            PolicyNotFound: There is none of this name.
            OwnerPolicyNeeded: It is the one that may do everything.
        """
        self.get_policy(kind, resource, name)
        await self.put_policies(kind, resource, await self._drafts(kind, resource, without=name))

    async def _drafts(
        self, kind: ResourceKind, resource: str, *, without: str
    ) -> list[PolicyDraft]:
        return [
            PolicyDraft(policy.name, policy.rights)
            for policy in await self._store.list_policies(kind, resource)
            if policy.name.lower() != without.lower()
        ]

    def prepare_policies(
        self, kind: ResourceKind, resource: str, policies: Sequence[AccessPolicy]
    ) -> Work[None]:
        """Prepare to have exactly `policies`, as `settle_policies` returned them.

        Once it is committed, what a removed policy or key signed opens nothing any more.
        """
        return self._store.prepare_policies(kind, resource, policies)

    async def owner_connection_string(
        self, kind: ResourceKind, resource: str, host_name: str
    ) -> str:
        """Return the connection string of the policy that may do everything.

        `host_name` is where the resource is dialled.
        """
        policy = self.get_policy(kind, resource, OWNER_POLICY[kind])
        return policy.connection_string(host_name)

    async def regenerate_key(
        self,
        kind: ResourceKind,
        resource: str,
        name: str,
        *,
        which: Literal["primary", "secondary"],
    ) -> AccessPolicy:
        """Replace one of a policy's keys by a fresh one.

        Raises:
            PolicyNotFound: The DPS or hub has none of this name.
        """
        policy = self.get_policy(kind, resource, name)
        key = new_policy_key()
        changed = (
            replace(policy, primary_key=key)
            if which == "primary"
            else replace(policy, secondary_key=key)
        )
        if not await self._store.replace_policy(changed):
            raise PolicyNotFound(resource, name)
        return changed


def _digest(token: str) -> bytes:
    # A plain hash is enough: the tokens have 256 random bits, there is nothing to guess.
    return hashlib.sha256(token.encode()).digest()
