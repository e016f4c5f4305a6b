"""Which linked hub a device is sent to."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

from mooring.cloud.dps.model import AllocationPolicy, EnrollmentTerms, LinkedHub
from mooring.protocol.azure.identifiers import fold_registration_id as fold

DEFAULT_POLICY = AllocationPolicy.HASHED
"""Azure: a service's default, ``Hashed``."""


class NoHub(Exception):
    """No hub can take the device; `cause` and `remedy` are for a person. Azure: 400208."""

    def __init__(self, cause: str, remedy: str) -> None:
        """Hold the facts."""
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy


def choose_hub(registration_id: str, terms: EnrollmentTerms, linked: Iterable[LinkedHub]) -> str:
    """Return the host name of the hub for a device.

    `linked` are the hubs that are linked and exist. ``geoLatency`` is answered as ``hashed``:
    all hubs are here.

    Raises:
        NoHub: None is left, with the reason.
    """
    by_name = {hub.host_name.lower(): hub for hub in linked}
    named = tuple(dict.fromkeys(name.lower() for name in terms.hub_host_names))
    policy = terms.allocation_policy or DEFAULT_POLICY
    if policy is AllocationPolicy.STATIC:
        if len(named) == 1 and named[0] in by_name:
            return by_name[named[0]].host_name
        raise NoHub(
            f"The enrollment assigns to {', '.join(named) or 'no hub'}, which is not a linked hub.",
            "Link that hub, or name another in the enrollment.",
        )
    candidates = [
        hub
        for name, hub in by_name.items()
        if hub.apply_allocation_policy and (not named or name in named)
    ]
    if candidates:
        return _by_hash(registration_id, candidates).host_name
    if not by_name:
        raise NoHub(
            "No hub is linked to this provisioning service.",
            "Link a hub, then let the device register again.",
        )
    raise NoHub(
        f"None of the enrollment's hubs ({', '.join(named) or 'all'}) is linked and open to "
        "allocation.",
        "Link one of them, or name linked hubs in the enrollment.",
    )


def _by_hash(registration_id: str, hubs: list[LinkedHub]) -> LinkedHub:
    """Return the hub by weighted rendezvous hashing.

    The same device and hubs give the same hub, shares follow the weights, and a hub that comes
    or goes moves only the devices that it gets or had.
    """
    if len(hubs) == 1:
        return hubs[0]
    key = fold(registration_id)

    def score(hub: LinkedHub) -> float:
        text = f"{key}\n{hub.host_name.lower()}".encode()
        digest = hashlib.blake2b(text, digest_size=8).digest()
        # Uniform in (0, 1): never 0, whose logarithm there is not.
        share = (int.from_bytes(digest, "big") + 0.5) / 2**64
        return hub.allocation_weight / -math.log(share)

    return max(hubs, key=lambda hub: (score(hub), hub.host_name))
