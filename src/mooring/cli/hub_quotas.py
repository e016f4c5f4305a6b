"""`mooring hub quotas`: what a hub may do in Azure's measure, and what of it is used."""

from __future__ import annotations

from typing import Any

from mooring.cli.calls import CloudCall
from mooring.cli.hub_admin import HubOption, hub_path
from mooring.cli.output import emit_json, print_facts, print_table
from mooring.cli.rendering import short_time


def quotas(call: CloudCall, hub: HubOption = None) -> None:
    """Show the limits of a hub, how much of each is used, and how often it was refused.

    They hold only while throttling is azure: `mooring hub update NAME --throttling azure`.
    """
    with call.api() as api:
        found = api.get_json(hub_path(api, hub, "quotas"))
    if call.as_json:
        emit_json(found)
        return
    print_facts(_facts(found))
    print_table(
        "limits",
        ("name", "limit", "per", "available now", "counted", "delayed", "refused"),
        [
            (
                name,
                rate["limit"],
                f"{rate['windowSeconds']} s",
                rate["availableNow"],
                rate["counted"],
                rate["delayed"],
                rate["refused"],
            )
            for name, rate in found["rates"].items()
        ],
    )


def _facts(found: dict[str, Any]) -> dict[str, object]:
    messages, devices = found["messagesPerDay"], found["devices"]
    return {
        "throttling": found["throttling"],
        "size": f"{found['sku']['name']}, units: {found['sku']['capacity']}",
        "messagesPerDay": f"{messages['used']} of {messages['limit']} used, until "
        f"{short_time(messages['resetsAt'])}",
        "devices": f"{devices['used']} of {devices['limit']}",
    }
