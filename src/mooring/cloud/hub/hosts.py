"""Which hub an HTTPS request is for, by its Host header."""

from __future__ import annotations

from collections.abc import Container

from mooring.cloud.accounts.signatures import host_of
from mooring.cloud.hub.errors import HubNotFound
from mooring.cloud.hub.hubs import HubRegistry
from mooring.cloud.hub.model import Hub
from mooring.protocol.azure.errors import quoted


def find_hub(hubs: HubRegistry, host: str, own_names: Container[str]) -> Hub:
    """Return the hub that a request with the header ``Host: {host}`` is for.

    The name is compared without its port and without regard to case. Where it names no hub but
    this cloud (`own_names`, in lower case), and there is one hub only, it is that one: a lab
    often dials an address.

    Raises:
        HubNotFound: No hub goes by that name.
    """
    name = host_of(host) or ""
    if hubs.has_host_name(name):
        return hubs.by_host_name(name)
    known = hubs.list()
    if name in own_names:
        if len(known) == 1:
            return known[0]
        if known:
            raise HubNotFound(
                f"{quoted(name)} is this cloud, which has {len(known)} hubs; it does not say "
                "which is meant.",
                f"Dial the host name of one: {', '.join(hub.host_name for hub in known)}.",
                field="host",
            )
    return hubs.by_host_name(name)  # which says what names there are
