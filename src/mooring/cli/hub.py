"""`mooring hub`: hubs, device identities, telemetry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape

from mooring.cli.api import ApiClient, cloud_api
from mooring.cli.options import StateOption, TokenOption, UrlOption
from mooring.cli.output import (
    CommandError,
    JsonOption,
    console,
    emit_json,
    exit_with_error,
    print_table,
)
from mooring.cli.records import IfMatchOption, LimitOption, delete_one, list_pages, show_one
from mooring.cli.rendering import read_text, short_time, show

app = typer.Typer(no_args_is_help=True, help="IoT hubs: their devices and telemetry.")
device = typer.Typer(no_args_is_help=True, help="Device identities in a hub's registry.")
app.add_typer(device, name="device")

HubOption = Annotated[
    str | None, typer.Option("--hub", help="Name of the hub; the first one, unless given.")
]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="A name for the hub.")],
    host_name: Annotated[
        str,
        typer.Option(help="Host name that devices are sent to; it must resolve to this cloud."),
    ],
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a hub and link it to the DPS; the server certificate takes its host name in."""
    try:
        with cloud_api(state, url, token) as api:
            found = api.post_json("hubs", {"name": name, "hostName": host_name})
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    show(found, as_json, _hub_facts)


@app.command("list")
def list_hubs(
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the hubs with their host names."""
    try:
        with cloud_api(state, url, token) as api:
            found = api.get_json("hubs")["value"]
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json(found)
        return
    print_table(
        "hubs",
        ("name", "host name", "partitions"),
        [(row["name"], row["hostName"], row.get("partitionCount")) for row in found],
    )


@device.command("add")
def device_add(
    certificate: Annotated[
        Path, typer.Option("--certificate", help="The device's certificate, pinned by thumbprint.")
    ],
    state: StateOption,
    device_id: Annotated[
        str | None, typer.Option(help="The certificate's CN, unless given.")
    ] = None,
    hub: HubOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a device without DPS, pinned to its own certificate."""
    from mooring.pki.certificates import common_name, sha256_thumbprint
    from mooring.pki.errors import PkiError
    from mooring.pki.pem import take_certificates

    try:
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
        with cloud_api(state, url, token) as api:
            where = f"hubs/{_hub_name(api, hub)}/devices/{quote(name, safe='')}"
            found = api.put_json(where, body)
    except (CommandError, PkiError) as error:
        exit_with_error(error, as_json=as_json)
    show(found, as_json, _device_facts)


@device.command("list")
def device_list(
    state: StateOption,
    hub: HubOption = None,
    limit: LimitOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the devices of a hub."""
    path = _device_path(state, hub, url, token, as_json)
    found = list_pages(path, state, limit, url, token, as_json)
    if as_json:
        emit_json(found)
        return
    print_table(
        "devices",
        ("device id", "status", "connection", "authentication", "last activity"),
        [
            (
                row["deviceId"],
                row["status"],
                row["connectionState"],
                row["authentication"]["type"],
                _time(row["lastActivityTime"]),
            )
            for row in found
        ],
    )


@device.command("show")
def device_show(
    device_id: str,
    state: StateOption,
    hub: HubOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one device identity."""
    path = _device_path(state, hub, url, token, as_json)
    show_one(path, device_id, state, url, token, as_json, _device_facts)


@device.command("enable")
def device_enable(
    device_id: str,
    state: StateOption,
    hub: HubOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a disabled device connect again."""
    _set_status(device_id, "enabled", state, hub, url, token, as_json)


@device.command("disable")
def device_disable(
    device_id: str,
    state: StateOption,
    hub: HubOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse a device from now on, and end its connection."""
    _set_status(device_id, "disabled", state, hub, url, token, as_json)


@device.command("delete")
def device_delete(
    device_id: str,
    state: StateOption,
    hub: HubOption = None,
    if_match: IfMatchOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a device and end its connection; its telemetry stays until it is too old."""
    path = _device_path(state, hub, url, token, as_json)
    delete_one(path, device_id, state, if_match, url, token, as_json)


@app.command("monitor")
def monitor(
    state: StateOption,
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
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show telemetry: what is kept, or with --follow what comes from now on.

    With --json one JSON list; with --follow as well, one JSON object a line.
    """
    try:
        with cloud_api(state, url, token) as api:
            path = f"hubs/{_hub_name(api, hub)}/telemetry"
            if as_json and not follow:
                emit_json(list(_events(api, path, device_id, start, follow, limit)))
                return
            for event in _events(api, path, device_id, start, follow, limit):
                if as_json:
                    typer.echo(json.dumps(event, ensure_ascii=False))
                else:
                    _print_event(event)
    except CommandError as error:
        exit_with_error(error, as_json=as_json)


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
    if hub is not None:
        return quote(hub, safe="")
    return quote(str(api.get_json("hubs")["value"][0]["name"]), safe="")


def _device_path(
    state: Path, hub: str | None, url: str | None, token: str | None, as_json: bool
) -> str:
    try:
        with cloud_api(state, url, token) as api:
            return f"hubs/{_hub_name(api, hub)}/devices"
    except CommandError as error:
        exit_with_error(error, as_json=as_json)


def _set_status(
    device_id: str,
    status: str,
    state: Path,
    hub: str | None,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    try:
        with cloud_api(state, url, token) as api:
            where = f"hubs/{_hub_name(api, hub)}/devices/{quote(device_id, safe='')}"
            found = api.get_json(where)
            found["status"] = status
            found = api.put_json(where, found, if_match=found["etag"])
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json(found)
    else:
        console.print(f"{device_id} is {found['status']}.")


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
