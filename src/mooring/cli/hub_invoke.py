"""`mooring hub invoke`: direct methods, by the service API."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from mooring.cli.api import TIMEOUT_S
from mooring.cli.calls import HubCall
from mooring.cli.inputs import json_value
from mooring.cli.output import error_console
from mooring.cli.records import path_to


def invoke(
    call: HubCall,
    device_id: Annotated[str, typer.Argument(help="Id of the device.", metavar="DEVICE")],
    method: Annotated[str, typer.Argument(help="Name of the method.", metavar="METHOD")],
    payload: Annotated[
        str | None,
        typer.Argument(
            metavar="PAYLOAD",
            help="What the device gets: JSON, @FILE, or - for standard input; nothing if not "
            "given.",
            show_default=False,
        ),
    ] = None,
    timeout_s: Annotated[
        int,
        typer.Option("--timeout", min=5, max=300, help="Seconds that the device has to answer."),
    ] = 30,
    connect_timeout_s: Annotated[
        int,
        typer.Option(
            "--connect-timeout",
            min=0,
            max=300,
            help="Seconds to wait for a device that is not there.",
        ),
    ] = 0,
) -> None:
    """Have a connected device run a method; prints the status and the payload that it answers.

    Ends with 0 whenever the device answered, whatever its status: that is its own, as 200 or 404
    are a matter between it and its back ends. Ends with 1 if there is no answer.
    """
    body: dict[str, Any] = {
        "methodName": method,
        "responseTimeoutInSeconds": timeout_s,
        "connectTimeoutInSeconds": connect_timeout_s,
    }
    if payload is not None:
        body["payload"] = json_value(payload, "PAYLOAD")
    with call.api() as api, error_console.status(f"waiting for {device_id}"):
        found = api.post_json(
            path_to("twins", device_id, "methods"),
            body,
            timeout_s=timeout_s + connect_timeout_s + TIMEOUT_S,
        )
    call.show(
        found,
        lambda answer: {
            "status": answer["status"],
            "payload": json.dumps(answer["payload"], ensure_ascii=False),
        },
    )
