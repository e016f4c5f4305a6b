"""Limits of the HTTPS listener, each with its unit and reason."""

from __future__ import annotations

from dataclasses import dataclass

from mooring.protocol.mqtt.limits import MAX_PACKET_BYTES

KIB = 1024


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How long and how much one HTTP connection may take.

    Attributes:
        head_s: From the first byte of a request to the end of its headers, and from the TLS
            handshake to the first request. Clients send both at once; slow links need seconds.
        request_s: From the first byte of a request to the end of its body: the largest body of
            the device API (96 KiB) over a link of 2 KiB/s.
        idle_s: How long a connection may stay open between requests. Far above the seconds that
            DPS lets a device wait between two polls, so that these share a TLS handshake.
        write_s: How long a peer may take none of an answer.
        max_url_bytes: Longest request target; the longest path of any API is under 1 KiB.
        max_head_bytes: Request target and headers, and the trailers after a chunked body.
            A SAS token stays under 1 KiB, continuation tokens too.
        max_headers: Their number. SDKs send about ten.
        max_body_bytes: What is read of a body whether an API wants it or not; above the limit
            of every API, which answers for itself.
        max_large_bodies: Bodies larger than `spared_body_bytes` that may be under way at once; one
            more is answered 503. A stranger's body is read before anyone asks who he is: these
            take 256 MiB at most.
        spared_body_bytes: What no flood of large bodies keeps out: a registration, an enrollment.
        max_pipelined: Requests that may wait behind the one being answered. No SDK pipelines.
        max_message_bytes: Largest WebSocket message: the largest MQTT packet. What arrives of a
            message is passed on at once, so this bounds what one may announce, not memory.
    """

    head_s: float = 20.0
    request_s: float = 60.0
    idle_s: float = 120.0
    write_s: float = 60.0
    max_url_bytes: int = 8 * KIB
    max_head_bytes: int = 32 * KIB
    max_headers: int = 100
    max_body_bytes: int = 2 * 1024 * KIB
    max_large_bodies: int = 128
    spared_body_bytes: int = 64 * KIB
    max_pipelined: int = 16
    max_message_bytes: int = MAX_PACKET_BYTES


DEFAULT_HTTP_LIMITS = HttpLimits()
