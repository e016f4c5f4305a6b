"""What a device is subscribed to, as one small number: there are few things to subscribe to.

Two bits for each `HubFilter`: 0 not subscribed, else the granted QoS plus 1. So tens of thousands
of idle devices cost nothing for it, and it is kept on disk as it is.
"""

from __future__ import annotations

from mooring.protocol.azure.hub_topics import HubFilter

NONE = 0
"""Subscribed to nothing."""

# The positions are on disk: new filters go to the end.
_SHIFTS = {
    HubFilter.DEVICEBOUND: 0,
    HubFilter.METHODS: 2,
    HubFilter.TWIN_RESPONSES: 4,
    HubFilter.DESIRED_PATCHES: 6,
    HubFilter.INPUTS: 8,
}
_MASK = 0b11


def granted_qos(subscriptions: int, wanted: HubFilter) -> int | None:
    """Return the QoS at which `wanted` is subscribed to, None if it is not."""
    code = subscriptions >> _SHIFTS[wanted] & _MASK
    return code - 1 if code else None


def with_filter(subscriptions: int, added: HubFilter, qos: int) -> int:
    """Return `subscriptions` and `added` at `qos` (0 or 1), which replaces its former QoS."""
    return without_filter(subscriptions, added) | (qos + 1) << _SHIFTS[added]


def without_filter(subscriptions: int, removed: HubFilter) -> int:
    """Return `subscriptions` without `removed`."""
    return subscriptions & ~(_MASK << _SHIFTS[removed])


def common(added: int, subscriptions: int) -> int:
    """Return those of `subscriptions` that are in `added`, whatever the QoS there."""
    for wanted in HubFilter:
        if granted_qos(added, wanted) is None:
            subscriptions = without_filter(subscriptions, wanted)
    return subscriptions
