"""Limits as settings spell them, and the consumption that the admin API shows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from mooring.cloud.hub.errors import InputInvalid
from mooring.cloud.hub.throttling.limits import block_bytes
from mooring.cloud.hub.throttling.model import MAX_LIMIT, WINDOWS_S, HubLimit
from mooring.cloud.hub.throttling.service import HubThrottle
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.json_documents import JsonValue
from mooring.protocol.azure.json_members import Members
from mooring.protocol.azure.timestamps import format_timestamp


def read_limits(document: Members, former: Mapping[HubLimit, int]) -> Mapping[HubLimit, int]:
    """Return `former` with what ``limits`` of `document` names; null gives one back to Azure.

    Raises:
        InputInvalid, AzureError: A name is not known, or a figure cannot be had.
    """
    named = document.mapping("limits")
    if named is None:
        return former
    found = dict(former)
    members = Members(named, document.field("limits"))
    for name in named:
        field = members.field(name)
        try:
            limit = HubLimit(name)
        except ValueError:
            raise InputInvalid(
                f"{field}: {quoted(name)} is no limit.", f"Name {', '.join(HubLimit)}.", field=field
            ) from None
        figure = members.integer(name)
        if figure is None:
            found.pop(limit, None)
        elif 1 <= figure <= MAX_LIMIT:
            found[limit] = figure
        else:
            raise InputInvalid(
                f"{field}: {figure} is not between 1 and {MAX_LIMIT}.",
                "Give a whole number in that range, or null for Azure's own figure.",
                field=field,
            )
    return found


def limits_to_json(limits: Mapping[HubLimit, int]) -> dict[str, JsonValue]:
    """Return the limits that settings name, in the order of Azure's table."""
    return {limit.value: limits[limit] for limit in HubLimit if limit in limits}


def quotas_to_json(throttle: HubThrottle, *, devices: int, now: datetime) -> dict[str, JsonValue]:
    """Return what a hub may do, and what of it is used; without throttling all is at rest."""
    settings = throttle.settings
    rates: dict[str, JsonValue] = {}
    for limit, window_s in WINDOWS_S.items():
        usage = throttle.usage[limit]
        rates[limit.value] = {
            "limit": throttle.limits[limit],
            "windowSeconds": window_s,
            "availableNow": int(throttle.available(limit)),
            "counted": usage.counted,
            "delayed": usage.delayed,
            "refused": usage.refused,
        }
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "throttling": settings.throttling.value,
        "sku": {"name": settings.sku.value, "capacity": settings.units},
        "rates": rates,
        HubLimit.MESSAGES_PER_DAY.value: {
            "limit": throttle.limits[HubLimit.MESSAGES_PER_DAY],
            "used": throttle.messages_today,
            "blockBytes": block_bytes(settings.sku),
            "resetsAt": format_timestamp(midnight),
        },
        HubLimit.DEVICES.value: {"limit": throttle.limits[HubLimit.DEVICES], "used": devices},
        "overridden": [limit.value for limit in HubLimit if limit in settings.limits],
    }
