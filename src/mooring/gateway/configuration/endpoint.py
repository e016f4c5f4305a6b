"""The Global Endpoint as people paste it: host, or host and port, with what surrounds them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from mooring.gateway.configuration.showing import shown

DEFAULT_MQTT_PORT = 8883
"""MQTT over TLS; the only port on which DPS and hubs of Azure answer it."""

MAX_HOST_LENGTH = 253
"""Characters of a host name. RFC 1035 §2.3.4."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where DPS listens. `port` is None where none was given; `dial_port` is what is dialled."""

    host: str
    port: int | None = None

    @property
    def dial_port(self) -> int:
        """Return the TCP port to connect to."""
        return DEFAULT_MQTT_PORT if self.port is None else self.port

    def __str__(self) -> str:
        """Return ``host`` or ``host:port``, an IPv6 address in brackets before a port."""
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str) -> tuple[Endpoint, list[str]]:
    """Return the endpoint in `text`, and what was taken away from it, as sentences.

    Scheme, path, trailing slash and white space are stripped; a port is kept.

    Raises:
        ValueError: No host name or address is left, or the port is none; the message says what.
    """
    notes: list[str] = []
    rest = "".join(text.split())
    if rest != text:
        notes.append("White space was removed.")
    if scheme := _SCHEME.match(rest):
        rest = rest[scheme.end() :]
        notes.append(
            f"The scheme {shown(scheme[0])} was removed: the gateway speaks MQTT over TLS."
        )
    rest, slash, path = rest.partition("/")
    if slash:
        notes.append(f"The path {shown(slash + path)} was removed: only the host name is used.")
    host, port = _split_port(rest)
    if host.endswith("."):
        # The absolute form resolves, but no certificate names it.
        host = host[:-1]
        notes.append("The final dot was removed.")
    _check_host(host)
    return Endpoint(host, port), notes


def _split_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, bracket, tail = text[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise ValueError("a bracket of the IPv6 address is missing or misplaced")
        port_text = tail[1:] if tail else None
    elif text.count(":") > 1:
        return text, None
    else:
        host, colon, port_text = text.partition(":")
        if not colon:
            port_text = None
    if port_text is None:
        return host, None
    if not (port_text.isascii() and port_text.isdigit() and 1 <= int(port_text[:6]) <= 65535):
        raise ValueError(f"{shown(port_text)} is no port (1 to 65535)")
    return host, int(port_text)


def _check_host(host: str) -> None:
    if not host:
        raise ValueError("no host name is left")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return
    if len(host) > MAX_HOST_LENGTH:
        raise ValueError(f"a host name has at most {MAX_HOST_LENGTH} characters")
    for label in host.split("."):
        if not _LABEL.fullmatch(label):
            raise ValueError(
                f"{shown(label)} is no part of a host name (letters, digits, inner hyphens)"
                if label
                else "a part of the host name between two dots is empty"
            )
