"""A global endpoint that names no host."""

from __future__ import annotations

import ipaddress
import re

from mooring.pki.lint.facts import quoted
from mooring.pki.lint.model import Breach, Field, LintContext, Rule, Severity

MAX_HOST_NAME_CHARACTERS = 253
"""RFC 1035 §2.3.4: 255 octets on the wire, two of them lengths."""

_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_HOST_AND_PORT = re.compile(
    r"(?:\[(?P<address>[^\]]*)\]|(?P<host>[^:]*))(?::(?P<port>[0-9]{1,5}))?"
)


def _applies(context: LintContext) -> bool:
    return context.endpoint is not None and bool(context.endpoint.strip())


def _examine(context: LintContext) -> Breach | None:
    assert context.endpoint is not None
    text = context.endpoint.strip()
    fault = _fault(text)
    return Breach(f"Global Endpoint: {quoted(text)} {fault}.") if fault else None


def _fault(text: str) -> str | None:
    """Return what keeps `text` from being ``host`` or ``host:port``, in words."""
    if "://" in text:
        return "begins with a scheme"
    if "/" in text:
        return "holds a path"
    if _is_address(text, version=6):
        return None
    parts = _HOST_AND_PORT.fullmatch(text)
    if parts is None:
        return "is neither a host name nor host:port"
    if parts["port"] is not None and not 1 <= int(parts["port"]) <= 65535:
        return "has a port outside 1 to 65535"
    if parts["address"] is not None:
        return None if _is_address(parts["address"], version=6) else "holds no IPv6 address"
    if len(parts["host"]) > MAX_HOST_NAME_CHARACTERS or not _HOST_NAME.fullmatch(parts["host"]):
        return "is not a host name"
    # RFC 1123 §2.1: what looks like an address must be one.
    if re.fullmatch(r"[0-9.]+", parts["host"]) and not _is_address(parts["host"], version=4):
        return "is not an IP address"
    return None


def _is_address(text: str, *, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


RULE = Rule(
    rule_id="e_endpoint_not_hostname",
    severity=Severity.ERROR,
    field=Field.GLOBAL_ENDPOINT,
    citation="RFC 1123 §2.1, RFC 1035 §2.3.4; ESF guide: Global Endpoint",
    description="The global endpoint is a host name or an address, with a port if need be.",
    remedy="Copy the Global device endpoint from the overview page of the DPS: host or host:port, "
    "without scheme and path.",
    applies=_applies,
    examine=_examine,
)
