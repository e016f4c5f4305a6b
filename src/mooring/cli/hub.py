"""`mooring hub`: hubs, how they behave, and all that is done with one."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from mooring.cli import (
    hub_certificate,
    hub_device,
    hub_group,
    hub_message,
    hub_policy,
    hub_twin,
)
from mooring.cli.calls import CloudCall, command
from mooring.cli.hub_filters import SOURCES
from mooring.cli.hub_invoke import invoke
from mooring.cli.hub_monitor import monitor
from mooring.cli.hub_query import query
from mooring.cli.hub_quotas import quotas
from mooring.cli.output import UsageError
from mooring.cli.records import path_to

app = typer.Typer(
    no_args_is_help=True,
    help="IoT hubs: devices, telemetry, twins, methods, messages, queries.",
)
app.add_typer(hub_device.app, name="device")
app.add_typer(hub_twin.app, name="twin")
app.add_typer(hub_group.app, name="group")
app.add_typer(hub_policy.app, name="policy")
app.add_typer(hub_certificate.app, name="certificate")
command(app)(quotas)
command(app)(monitor)
command(app)(query)
command(app)(invoke)
command(app)(hub_message.send)
command(app)(hub_message.queue)
command(app)(hub_message.purge)
command(app)(hub_message.feedback)

EVENTS = {name: source for name, source in SOURCES.items() if name != "telemetry"}
"""What a hub may report of itself, by the names that `monitor --source` has."""

NO_EVENTS = "none"

MAX_DIGITS = 15
"""Of a figure: far above any limit, and exact in every JSON reader."""


class Throttling(StrEnum):
    """Which limits on rates hold."""

    OFF = "off"
    AZURE = "azure"


HubName = Annotated[str, typer.Argument(help="Name of the hub.", metavar="NAME")]


@command(app)
def create(
    call: CloudCall,
    name: Annotated[str, typer.Argument(help="A name for the hub.")],
    host_name: Annotated[
        str,
        typer.Option(help="Host name that devices are sent to; it must resolve to this cloud."),
    ],
    partitions: Annotated[
        int | None, typer.Option(min=1, help="Partitions of its telemetry log.", show_default="4")
    ] = None,
) -> None:
    """Create a hub and link it to the DPS; the server certificate takes its host name in."""
    body: dict[str, Any] = {"name": name, "hostName": host_name}
    if partitions is not None:
        body["partitionCount"] = partitions
    with call.api() as api:
        found = api.post_json("hubs", body)
    call.show(found, _hub_facts)


@command(app, "list")
def list_hubs(call: CloudCall) -> None:
    """List the hubs with their host names."""
    with call.api() as api:
        found = api.get_json("hubs")["value"]
    call.show_table(
        found,
        "hubs",
        ("name", "host name", "partitions"),
        lambda row: (row["name"], row["hostName"], row.get("partitionCount")),
    )


@command(app)
def show(call: CloudCall, name: HubName) -> None:
    """Show a hub and how it behaves; connection strings: `mooring hub policy show`."""
    with call.api() as api:
        found = api.get_json(path_to("hubs", name))
        found["settings"] = api.get_json(path_to("hubs", name, "settings"))
    call.show(found, lambda hub: {**_hub_facts(hub), **_settings_facts(hub["settings"])})


@command(app)
def update(
    call: CloudCall,
    name: HubName,
    events: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help=f"What the hub reports of itself among the telemetry: {', '.join(EVENTS)}, with "
            f"commas between them, or {NO_EVENTS}.",
        ),
    ] = None,
    throttling: Annotated[
        Throttling | None, typer.Option(help="Whether Azure's limits on rates hold.")
    ] = None,
    sku: Annotated[
        str | None, typer.Option(help="Size that the limits follow, such as F1, S1 or S3.")
    ] = None,
    units: Annotated[int | None, typer.Option(help="How many units of that size.")] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option(
            "--limit",
            metavar="NAME=NUMBER",
            help="Another figure for one of Azure's limits, as `mooring hub quotas` names them; "
            "NAME=default gives Azure's back; repeatable.",
        ),
    ] = None,
    disable_local_auth: Annotated[
        bool | None,
        typer.Option(
            "--disable-local-auth/--enable-local-auth",
            help="Whether shared access policies open nothing.",
        ),
    ] = None,
    disable_device_sas: Annotated[
        bool | None,
        typer.Option(
            "--disable-device-sas/--enable-device-sas",
            help="Whether devices get in by certificate only.",
        ),
    ] = None,
    c2d_ttl: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="How long cloud-to-device messages live that do not say it, such as PT1H.",
        ),
    ] = None,
    max_delivery_count: Annotated[
        int | None,
        typer.Option(help="How often such a message is delivered until it is given up."),
    ] = None,
    feedback_ttl: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long feedback is kept.")
    ] = None,
    feedback_lock: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long who receives feedback may keep it."),
    ] = None,
    feedback_max_delivery_count: Annotated[
        int | None, typer.Option(help="How often feedback is delivered until it is given up.")
    ] = None,
) -> None:
    """Change how a hub behaves, at once; what is not named stays as it is."""
    body = _without_none(
        {
            "events": None if events is None else _events(events),
            "throttling": throttling,
            "limits": _limits(limits) if limits else None,
            "disableLocalAuth": disable_local_auth,
            "disableDeviceSAS": disable_device_sas,
            "sku": _without_none({"name": sku, "capacity": units}) or None,
            "cloudToDevice": _without_none(
                {
                    "defaultTtlAsIso8601": c2d_ttl,
                    "maxDeliveryCount": max_delivery_count,
                    "feedback": _without_none(
                        {
                            "ttlAsIso8601": feedback_ttl,
                            "lockDurationAsIso8601": feedback_lock,
                            "maxDeliveryCount": feedback_max_delivery_count,
                        }
                    )
                    or None,
                }
            )
            or None,
        }
    )
    if not body:
        raise UsageError(
            "nothing-to-change",
            "It is not said what is to be changed.",
            "Give one of the options, such as --events twin; --help lists them.",
        )
    with call.api() as api:
        found = api.request("PATCH", path_to("hubs", name, "settings"), body=body)
    call.show(found, _settings_facts)


def _events(text: str) -> list[str]:
    """Return the sources that `text` lists. Raises UsageError."""
    names = [] if text == NO_EVENTS else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in EVENTS:
            raise UsageError(
                "event-unknown",
                f"--events: {name!r} is nothing that a hub reports.",
                f"Give {', '.join(EVENTS)}, or {NO_EVENTS}.",
                field="--events",
            )
    return [EVENTS[name] for name in names]


def _limits(given: Sequence[str]) -> dict[str, int | None]:
    """Return figures by the names of limits, None for Azure's own. Raises UsageError."""
    found: dict[str, int | None] = {}
    for text in given:
        name, _, number = text.partition("=")
        is_number = number.isascii() and number.isdecimal() and len(number) <= MAX_DIGITS
        if not name or not (is_number or number == "default"):
            raise UsageError(
                "limit-malformed",
                f"--limit {text!r} is not NAME=NUMBER.",
                "Write it as --limit deviceToCloudSends=5, or =default for Azure's figure; "
                "`mooring hub quotas` has the names.",
                field="--limit",
            )
        found[name] = int(number) if is_number else None
    return found


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _hub_facts(found: dict[str, Any]) -> dict[str, object]:
    return {
        "name": found["name"],
        "host name": found["hostName"],
        "partitions": found["partitionCount"],
        "connection string": found.get("connectionString"),
    }


def _settings_facts(found: dict[str, Any]) -> dict[str, object]:
    names = {source: name for name, source in EVENTS.items()}
    messages, feedback = found["cloudToDevice"], found["cloudToDevice"]["feedback"]
    return {
        "events": ", ".join(names.get(source, source) for source in found["events"]) or NO_EVENTS,
        "throttling": found["throttling"],
        "size": f"{found['sku']['name']}, units: {found['sku']['capacity']}",
        "own limits": ", ".join(f"{name}={value}" for name, value in found["limits"].items())
        or None,
        "policies": "disabled" if found["disableLocalAuth"] else "enabled",
        "device tokens": "disabled" if found["disableDeviceSAS"] else "enabled",
        "messages to devices": f"live {messages['defaultTtlAsIso8601']}, "
        f"delivered at most {messages['maxDeliveryCount']} times",
        "feedback": f"lives {feedback['ttlAsIso8601']}, locked {feedback['lockDurationAsIso8601']},"
        f" delivered at most {feedback['maxDeliveryCount']} times",
    }
