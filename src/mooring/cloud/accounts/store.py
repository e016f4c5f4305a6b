"""The port behind which tokens and policies are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mooring.cloud.accounts.model import AccessPolicy, AdminToken, ResourceKind
from mooring.cloud.work import Committer, Work


class AccountStore(Committer, Protocol):
    """Keeps tokens by id and policies by kind, resource and name. Durable on return."""

    async def add_token(self, token: AdminToken, *, limit: int) -> bool:
        """Add `token` unless there are `limit` already; say whether it was added."""
        ...

    async def delete_token(self, token_id: str) -> bool:
        """Delete a token; say whether there was one."""
        ...

    async def list_tokens(self) -> list[AdminToken]:
        """Return all tokens, oldest first."""
        ...

    def get_token(self, token_id: str) -> AdminToken | None:
        """Return a token, without waiting."""
        ...

    async def add_policies(self, policies: Sequence[AccessPolicy]) -> None:
        """Add those of `policies` that are not there yet; leave the others as they are."""
        ...

    async def replace_policy(self, policy: AccessPolicy) -> bool:
        """Replace a policy; say whether there was one."""
        ...

    def prepare_policies(
        self, kind: ResourceKind, resource: str, policies: Sequence[AccessPolicy]
    ) -> Work[None]:
        """Prepare to have exactly `policies` for one DPS or hub."""
        ...

    def find_policy(self, kind: ResourceKind, resource: str, name: str) -> AccessPolicy | None:
        """Return a policy, without waiting; the case of its name does not matter."""
        ...

    async def list_policies(self, kind: ResourceKind, resource: str) -> list[AccessPolicy]:
        """Return the policies of one DPS or hub, by name."""
        ...
