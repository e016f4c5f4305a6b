"""`mooring hub`: hubs, device identities, telemetry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from mooring.cli import hub_policy
from mooring.cli.api import ApiClient
from mooring.cli.calls import CloudCall, command
from mooring.cli.hub_query import query
from mooring.cli.output import CommandError, console, emit_json
from mooring.cli.records import IfMatchOption, LimitOption, list_pages, path_to
from mooring.cli.rendering import read_text, short_time

app = typer.Typer(no_args_is_help=True, help="IoT hubs: their devices and telemetry.")
device = typer.Typer(no_args_is_help=True, help="Device identities in a hub's registry.")
app.add_typer(device, name="device")
app.add_typer(hub_policy.app, name="policy")
command(app)(query)

HubOption = Annotated[
    str | None, typer.Option("--hub", help="Name of the hub; the first one, unless given.")
]


@command(app)
def create(
    call: CloudCall,
    name: Annotated[str, typer.Argument(help="A name for the hub.")],
    host_name: Annotated[
        str,
        typer.Option(help="Host name that devices are sent to; it must resolve to this cloud."),
    ],
) -> None:
    """Create a hub and link it to the DPS; the server certificate takes its host name in."""
    with call.api() as api:
        found = api.post_json("hubs", {"name": name, "hostName": host_name})
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


@command(device, "add")
def device_add(
    call: CloudCall,
    certificate: Annotated[
        Path, typer.Option("--certificate", help="The device's certificate, pinned by thumbprint.")
    ],
    device_id: Annotated[
        str | None, typer.Option(help="The certificate's CN, unless given.")
    ] = None,
    hub: HubOption = None,
) -> None:
    """Create a device without DPS, pinned to its own certificate."""
    from mooring.pki.certificates import common_name, sha256_thumbprint
    from mooring.pki.pem import take_certificates

    leaf = take_certificates(read_text(certificate)).certificates[0]
    name = device_id or common_name(leaf)
    if not name:
        raise CommandError(
            "common-name-missing",
            f"{certificate} has no common name to take the device id from.",
            "Give --device-id.",
            field="--device-id",
        )
    body = {
        "deviceId": name,
        "authentication": {
            "type": "selfSigned",
            "x509Thumbprint": {"primaryThumbprint": sha256_thumbprint(leaf)},
        },
    }
    with call.api() as api:
        found = api.put_json(path_to(_devices(api, hub), name), body)
    call.show(found, _device_facts)


@command(device, "list")
def device_list(call: CloudCall, hub: HubOption = None, limit: LimitOption = None) -> None:
    """List the devices of a hub."""
    with call.api() as api:
        found = list_pages(api, _devices(api, hub), limit)
    call.show_table(
        found,
        "devices",
        ("device id", "status", "connection", "authentication", "last activity"),
        lambda row: (
            row["deviceId"],
            row["status"],
            row["connectionState"],
            row["authentication"]["type"],
            _time(row["lastActivityTime"]),
        ),
    )


@command(device, "show")
def device_show(call: CloudCall, device_id: str, hub: HubOption = None) -> None:
    """Show one device identity."""
    with call.api() as api:
        found = api.get_json(path_to(_devices(api, hub), device_id))
    call.show(found, _device_facts)


@command(device, "enable")
def device_enable(call: CloudCall, device_id: str, hub: HubOption = None) -> None:
    """Let a disabled device connect again."""
    _set_status(call, device_id, "enabled", hub)


@command(device, "disable")
def device_disable(call: CloudCall, device_id: str, hub: HubOption = None) -> None:
    """Refuse a device from now on, and end its connection."""
    _set_status(call, device_id, "disabled", hub)


@command(device, "delete")
def device_delete(
    call: CloudCall, device_id: str, hub: HubOption = None, if_match: IfMatchOption = None
) -> None:
    """Delete a device and end its connection; its telemetry stays until it is too old."""
    with call.api() as api:
        api.delete(path_to(_devices(api, hub), device_id), if_match=if_match)
    call.say({"deleted": device_id}, f"deleted {device_id}.")


@command(app)
def monitor(
    call: CloudCall,
    device_id: Annotated[str | None, typer.Option("--device", help="Only of this device.")] = None,
    hub: HubOption = None,
    start: Annotated[
        str,
        typer.Option("--from", help="earliest, latest, or a time such as 2030-01-02T03:04:05Z."),
    ] = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, without --follow.")] = 100,
) -> None:
    """Show telemetry: what is kept, or with --follow what comes from now on.

    With --json one JSON list; with --follow as well, one JSON object a line.
    """
    with call.api() as api:
        path = path_to("hubs", _hub_name(api, hub), "telemetry")
        if call.as_json and not follow:
            emit_json(list(_events(api, path, device_id, start, follow, limit)))
            return
        for event in _events(api, path, device_id, start, follow, limit):
            if call.as_json:
                typer.echo(json.dumps(event, ensure_ascii=False))
            else:
                _print_event(event)


def _events(
    api: ApiClient, path: str, device_id: str | None, start: str, follow: bool, limit: int
) -> Iterator[dict[str, Any]]:
    if not follow:
        found = api.get_json(path, deviceId=device_id, start=start or "earliest", limit=limit)
        yield from found["value"]
        return
    with api.stream_lines(f"{path}/follow", deviceId=device_id, start=start or "latest") as lines:
        for line in lines:
            if line:
                yield json.loads(line)


def _print_event(event: dict[str, Any]) -> None:
    time = short_time(event["enqueuedTimeUtc"])
    body = event["body"]
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    properties = " ".join(
        f"{name}={value}"
        for name, value in (event["systemProperties"] | event["properties"]).items()
    )
    console.print(
        f"[dim]{time}[/] [bold]{escape(event['deviceId'])}[/] {escape(text)} "
        f"[dim]{escape(properties)}[/]",
        soft_wrap=True,
    )


def _hub_name(api: ApiClient, hub: str | None) -> str:
    return hub if hub is not None else str(api.get_json("hubs")["value"][0]["name"])


def _devices(api: ApiClient, hub: str | None) -> str:
    return path_to("hubs", _hub_name(api, hub), "devices")


def _set_status(call: CloudCall, device_id: str, status: str, hub: str | None) -> None:
    with call.api() as api:
        where = path_to(_devices(api, hub), device_id)
        found = api.get_json(where)
        found["status"] = status
        found = api.put_json(where, found, if_match=found["etag"])
    call.say(found, f"{device_id} is {found['status']}.")


def _time(value: str | None) -> str | None:
    """Return a time to read; Azure's year 1 means never."""
    return "never" if value is None or value.startswith("0001-") else short_time(value)


def _hub_facts(found: dict[str, Any]) -> dict[str, object]:
    return {
        "name": found["name"],
        "host name": found["hostName"],
        "connection string": found.get("connectionString"),
    }


def _device_facts(found: dict[str, Any]) -> dict[str, object]:
    thumbprints = found["authentication"].get("x509Thumbprint") or {}
    return {
        "device id": found["deviceId"],
        "status": found["status"],
        "connection": found["connectionState"],
        "authentication": found["authentication"]["type"],
        "primary thumbprint": thumbprints.get("primaryThumbprint"),
        "secondary thumbprint": thumbprints.get("secondaryThumbprint"),
        "last activity": _time(found["lastActivityTime"]),
        "etag": found["etag"],
    }
