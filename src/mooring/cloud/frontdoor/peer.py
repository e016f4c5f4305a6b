"""What the HTTPS listener tells the applications behind it of the peer's TLS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mooring.pki.certificates import Certificate

TLS_EXTENSION = "mooring.tls"
"""Key in the ``extensions`` of an ASGI scope; its value is a `TlsPeer`."""


@dataclass(frozen=True, slots=True)
class TlsPeer:
    """The peer of a connection, proved to hold its certificate's key and nothing else.

    Attributes:
        presented: Its certificates, its own first, then the rest as sent; empty if it has none.
        peer_address: Its IP address.
        tls_version: ``"TLSv1.2"`` or ``"TLSv1.3"``.
        handshake_s: Seconds from the accept to the end of the TLS handshake.
    """

    presented: tuple[Certificate, ...]
    peer_address: str
    tls_version: str
    handshake_s: float


def tls_peer(scope: Mapping[str, Any]) -> TlsPeer:
    """Return the peer of the request with the ASGI `scope`, which this listener received."""
    peer: TlsPeer = scope["extensions"][TLS_EXTENSION]
    return peer
