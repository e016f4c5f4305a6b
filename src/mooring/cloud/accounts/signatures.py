"""Callers that prove themselves by a shared access signature, as Azure's service SDKs do.

Azure: "Control access to DPS", security tokens; IoT Hub has the same.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from datetime import datetime
from urllib.parse import urlsplit

from mooring.cloud.accounts.errors import SignatureRefused
from mooring.cloud.accounts.model import AccessPolicy
from mooring.protocol.azure.errors import SasExpired, SasMalformed, SasSignatureWrong, quoted
from mooring.protocol.azure.sas import (
    decode_key,
    parse_sas_token,
    resource_covers,
    verify_sas_token,
)

FindPolicy = Callable[[str], AccessPolicy | None]


def authenticate_signature(
    text: str,
    find_policy: FindPolicy,
    *,
    path: str,
    host_names: Container[str],
    now: datetime,
    ignore_case: bool = True,
) -> AccessPolicy:
    """Return the policy that signed the token `text`, which opens `path`.

    Args:
        text: The whole value of ``Authorization``.
        find_policy: Returns the policy of a name, or None.
        path: Of the request, decoded; compared by segments.
        host_names: Names and addresses of this service, in lower case. A token is for one of
            them, with or without a port, and perhaps for a path below.
        now: Aware.
        ignore_case: Whether the path is compared without regard to case: DPS does, a hub not.

    Raises:
        SignatureRefused: It opens nothing; the reason is told, and beyond the policy's name
            only to whoever holds its key.
    """
    try:
        token = parse_sas_token(text)
    except SasMalformed as error:
        raise SignatureRefused("sas-malformed", error.message, error.remedy) from None
    if token.policy is None:
        raise SignatureRefused(
            "sas-policy-missing",
            "token names no shared access policy",
            "Sign with a key of a policy, and add its name as skn.",
        )
    policy = find_policy(token.policy)
    if policy is None:
        raise SignatureRefused(
            "sas-policy-unknown",
            f"token names the shared access policy {quoted(token.policy)}, which is not there",
            "Use a policy of this service; `mooring cloud info` prints a connection string.",
        )
    keys = [decode_key(key) for key in (policy.primary_key, policy.secondary_key)]
    try:
        verify_sas_token(token, keys, now=now)
    except SasSignatureWrong:
        raise SignatureRefused(
            "sas-signature-wrong",
            f"token is not signed with a key of the policy {quoted(policy.name)}",
            "Sign with its present primary or secondary key, base64-decoded, over sr as sent, a "
            "line feed and se.",
        ) from None
    except SasExpired as error:
        raise SignatureRefused(
            "sas-expired", error.message, "Make a new token, and check the clock of its maker."
        ) from None
    authority, _, below = token.resource.partition("/")
    if host_of(authority) not in host_names or not resource_covers(
        f"/{below}", path, ignore_case=ignore_case
    ):
        raise SignatureRefused(
            "sas-resource-wrong",
            f"token is for {quoted(token.resource)}, which does not cover {quoted(path)} here",
            "Sign for the host name that is dialled, alone or with a path above this one.",
        )
    return policy


def host_of(authority: str) -> str | None:
    """Return the host of ``host``, ``host:port`` or ``[address]:port``, in lower case."""
    try:
        return urlsplit(f"//{authority}").hostname
    except ValueError:
        return None
