"""Who may do what at the service API.

Azure: "Control access to DPS": a shared access signature of a policy that has the right. The
cloud's own bearer tokens, of its owner and its admins, open everything.
"""

from __future__ import annotations

from mooring.cloud.accounts.errors import NoWayIn, RightMissing
from mooring.cloud.accounts.model import AccessPolicy, ResourceKind, Right
from mooring.cloud.accounts.signatures import authenticate_signature
from mooring.cloud.api.context import CloudServices
from mooring.protocol.azure.sas import SCHEME

CHALLENGE = f"{SCHEME}, Bearer"
"""What a 401 names as ways to get in (RFC 9110 §11.6.1)."""


def authorize(
    services: CloudServices, authorization: str | None, *, path: str, right: Right
) -> None:
    """Return if the holder of `authorization` may do at `path` what needs `right`.

    Raises:
        AccountError: 401, nothing proves who calls, or 403, the policy lacks the right.
    """
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != SCHEME.lower():
        bearer = token.strip() if scheme.lower() == "bearer" else None
        if not bearer:
            raise NoWayIn
        services.accounts.authenticate(bearer)
        return
    dps = services.dps.id_scope

    def find_policy(name: str) -> AccessPolicy | None:
        return services.accounts.find_policy(ResourceKind.DPS, dps, name)

    policy = authenticate_signature(
        authorization or "",
        find_policy,
        path=path,
        host_names=services.host_names(),
        now=services.clock.now(),
    )
    if right not in policy.rights:
        raise RightMissing(policy.name, right)
