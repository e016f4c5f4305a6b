"""Who may do what at the service API.

Azure: "Control access to IoT Hub": a shared access signature of a policy of that hub that has
the right. The cloud's own bearer tokens, of its owner and its admins, open everything.
"""

from __future__ import annotations

from mooring.cloud.accounts.errors import NoWayIn, RightMissing, SignatureRefused
from mooring.cloud.accounts.model import AccessPolicy, ResourceKind, Right
from mooring.cloud.accounts.service import AccountService
from mooring.cloud.accounts.signatures import authenticate_signature, host_of
from mooring.cloud.hub.model import Hub
from mooring.cloud.hub.settings.model import HubSettings
from mooring.protocol.azure.sas import SCHEME
from mooring.runtime.clock import Clock


def authorize(
    accounts: AccountService,
    hub: Hub,
    settings: HubSettings,
    authorization: str | None,
    *,
    host: str,
    path: str,
    right: Right,
    clock: Clock,
) -> None:
    """Return if the holder of `authorization` may do at `path` of `hub` what needs `right`.

    Args:
        accounts: Has the policies and the bearer tokens.
        hub: The hub that the request is for.
        settings: Says whether its policies open anything (Azure: ``disableLocalAuth``).
        authorization: The header, or None.
        host: The header ``Host``: a token may be for what was dialled, besides for the hub.
        path: Decoded once, segment by segment.
        right: What the operation needs.
        clock: Says when a token has ended.

    Raises:
        AccountError: 401, nothing proves who calls, or 403, the policy lacks the right.
    """
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != SCHEME.lower():
        bearer = token.strip() if scheme.lower() == "bearer" else None
        if not bearer:
            raise NoWayIn
        accounts.authenticate(bearer)
        return

    if settings.disable_local_auth:
        raise SignatureRefused(
            "local-auth-disabled",
            f"hub {hub.name!r} takes no token of a shared access policy (disableLocalAuth)",
            "Use a bearer token of this cloud, or allow policies in the hub's settings.",
        )

    def find_policy(name: str) -> AccessPolicy | None:
        return accounts.find_policy(ResourceKind.HUB, hub.host_name, name)

    policy = authenticate_signature(
        authorization or "",
        find_policy,
        path=path,
        host_names={hub.host_name.lower(), host_of(host) or hub.host_name.lower()},
        now=clock.now(),
        ignore_case=False,
    )
    if right not in policy.rights:
        raise RightMissing(policy.name, right)
