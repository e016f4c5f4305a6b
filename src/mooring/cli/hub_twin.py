"""`mooring hub twin`: device twins, by the service API."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from mooring.cli.calls import HubCall, command
from mooring.cli.hub_api import HubApi
from mooring.cli.inputs import json_object
from mooring.cli.output import UsageError, emit_json
from mooring.cli.records import IfMatchOption, path_to

app = typer.Typer(
    no_args_is_help=True,
    help="Device twins: tags, and properties desired by back ends and reported by devices.",
)

DeviceId = Annotated[str, typer.Argument(help="Id of the device.", metavar="DEVICE")]
_INPUT = "JSON object, @FILE, or - for standard input"
DesiredOption = Annotated[
    str | None, typer.Option("--desired", metavar="JSON", help=f"Desired properties: {_INPUT}.")
]
TagsOption = Annotated[str | None, typer.Option("--tags", metavar="JSON", help=f"Tags: {_INPUT}.")]


@command(app)
def show(call: HubCall, device_id: DeviceId) -> None:
    """Show a twin, as JSON: with its versions and when each property was written."""
    with call.api() as api:
        emit_json(api.get_json(path_to("twins", device_id)))


@command(app)
def update(
    call: HubCall,
    device_id: DeviceId,
    desired: DesiredOption = None,
    tags: TagsOption = None,
    if_match: IfMatchOption = None,
) -> None:
    """Merge into desired properties and tags; null deletes, what is not named stays.

    A device that listens is told of the desired properties that change.
    """
    _write(call, "PATCH", device_id, _twin(desired, tags), if_match)


@command(app)
def replace(
    call: HubCall,
    device_id: DeviceId,
    desired: DesiredOption = None,
    tags: TagsOption = None,
    if_match: IfMatchOption = None,
) -> None:
    """Replace the desired properties, the tags or both; what is not named in one is gone."""
    _write(call, "PUT", device_id, _twin(desired, tags), if_match)


@command(app)
def tags(
    call: HubCall,
    device_id: DeviceId,
    changes: Annotated[
        str | None,
        typer.Argument(metavar="JSON", help=f"What to merge: {_INPUT}.", show_default=False),
    ] = None,
    if_match: IfMatchOption = None,
) -> None:
    """Show the tags of a twin, as JSON, or merge into them; null deletes a tag."""
    with call.api() as api:
        if changes is None:
            twin = api.get_json(path_to("twins", device_id))
        else:
            body = {"tags": json_object(changes, "JSON")}
            twin = _written(api, "PATCH", device_id, body, if_match)
    emit_json(twin["tags"])


def _twin(desired: str | None, tags: str | None) -> dict[str, Any]:
    """Return the parts of a twin that are given. Raises UsageError if none is."""
    if desired is None and tags is None:
        raise UsageError(
            "nothing-to-change",
            "Neither desired properties nor tags are given.",
            "Give --desired, --tags, or both.",
            field="--desired",
        )
    if desired == tags == "-":
        raise UsageError(
            "standard-input-twice",
            "--desired and --tags cannot both be read from standard input.",
            "Give one of them as @FILE.",
            field="--tags",
        )
    twin: dict[str, Any] = {}
    if desired is not None:
        twin["properties"] = {"desired": json_object(desired, "--desired")}
    if tags is not None:
        twin["tags"] = json_object(tags, "--tags")
    return twin


def _written(
    api: HubApi, method: str, device_id: str, body: dict[str, Any], if_match: str | None
) -> dict[str, Any]:
    found: dict[str, Any] = api.request(
        method, path_to("twins", device_id), body=body, if_match=if_match
    )
    return found


def _write(
    call: HubCall, method: str, device_id: str, body: dict[str, Any], if_match: str | None
) -> None:
    with call.api() as api:
        twin = _written(api, method, device_id, body, if_match)
    call.show(twin, _facts)


def _facts(twin: dict[str, Any]) -> dict[str, object]:
    desired = {
        name: value
        for name, value in twin["properties"]["desired"].items()
        if not name.startswith("$")
    }
    return {
        "device id": twin["deviceId"],
        "desired": json.dumps(desired, ensure_ascii=False),
        "desired version": twin["properties"]["desired"]["$version"],
        "tags": json.dumps(twin["tags"], ensure_ascii=False),
        "etag": twin["etag"],
    }
