"""`mooring hub send`, `queue`, `purge`, `feedback`: cloud-to-device messages.

By the admin API: Azure sends over AMQP alone, and shows no queue.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape

from mooring.cli.calls import CloudCall
from mooring.cli.hub_admin import HubOption, hub_path
from mooring.cli.inputs import given_bytes
from mooring.cli.output import UsageError, console, emit_json
from mooring.cli.records import path_to
from mooring.cli.rendering import short_time

DeviceId = Annotated[str, typer.Argument(help="Id of the device.", metavar="DEVICE")]

MAX_RECORDS = 1_000
"""Feedback records shown at once, the most that the cloud gives."""

POLL_S = 1.0
"""How often --follow looks for feedback, which the cloud collects for some seconds anyhow."""


class Ack(StrEnum):
    """Which feedback a sender wants."""

    NONE = "none"
    POSITIVE = "positive"
    NEGATIVE = "negative"
    FULL = "full"


def send(
    call: CloudCall,
    device_id: DeviceId,
    body: Annotated[
        str,
        typer.Argument(
            metavar="BODY", help="Sent as it is; @FILE for a file, - for standard input."
        ),
    ],
    properties: Annotated[
        list[str] | None,
        typer.Option(
            "--property", "-p", metavar="NAME=VALUE", help="A property of it; repeatable."
        ),
    ] = None,
    message_id: Annotated[
        str | None, typer.Option(help="Its id, which feedback names; made unless given.")
    ] = None,
    correlation_id: Annotated[
        str | None, typer.Option(help="What it belongs to, such as the id of another.")
    ] = None,
    content_type: Annotated[
        str | None, typer.Option(help="What the body is, such as application/json.")
    ] = None,
    content_encoding: Annotated[
        str | None, typer.Option(help="How the body is coded, such as utf-8.")
    ] = None,
    ack: Annotated[
        Ack | None,
        typer.Option(help="Feedback when it was taken (positive), was not (negative), or both."),
    ] = None,
    ttl: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="How long it waits for the device: seconds, or ISO 8601 such as PT5M.",
            show_default="as the hub is set",
        ),
    ] = None,
    hub: HubOption = None,
) -> None:
    """Send a message to a device; it waits in the device's queue, on disk, until it is taken."""
    system = {
        "messageId": message_id,
        "correlationId": correlation_id,
        "contentType": content_type,
        "contentEncoding": content_encoding,
        "ack": ack and ack.value,
        "expiryTimeUtc": None if ttl is None else _expiry(ttl),
    }
    document: dict[str, Any] = {
        "bodyBase64": base64.b64encode(given_bytes(body, "BODY")).decode(),
        "properties": _properties(properties or ()),
        "systemProperties": {name: value for name, value in system.items() if value is not None},
    }
    with call.api() as api:
        found = api.post_json(_queue(hub_path(api, hub), device_id), document)
    call.say(found, f"queued for {device_id} as {found['messageId']}.")


def queue(call: CloudCall, device_id: DeviceId, hub: HubOption = None) -> None:
    """Show the messages that wait for a device, oldest first; the device still gets them."""
    with call.api() as api:
        found = api.get_json(_queue(hub_path(api, hub), device_id))["value"]
    call.show_table(
        found,
        f"messages for {device_id}",
        ("message id", "state", "enqueued", "expires", "delivered", "body"),
        lambda row: (
            row["systemProperties"].get("message-id"),
            row["state"],
            short_time(row["enqueuedTimeUtc"]),
            short_time(row["expiryTimeUtc"]),
            f"{row['deliveryCount']}×",
            _text(row["body"]),
        ),
    )


def purge(call: CloudCall, device_id: DeviceId, hub: HubOption = None) -> None:
    """Delete all messages that wait for a device; feedback says so to who asked for it."""
    with call.api() as api:
        found = api.delete(_queue(hub_path(api, hub), device_id))
    count = found["totalMessagesPurged"]
    call.say(found, f"purged {count} message{'' if count == 1 else 's'} of {device_id}.")


def feedback(
    call: CloudCall,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    hub: HubOption = None,
) -> None:
    """Show what became of messages whose sender wanted to know, and no back end has taken yet.

    It is left for the back ends to take. With --json one list; with --follow one JSON object a
    line.
    """
    with call.api() as api:
        path = f"{hub_path(api, hub)}/messages/feedback"
        if call.as_json and not follow:
            emit_json(api.get_json(path, limit=MAX_RECORDS)["value"])
            return
        try:
            seen: set[str] = set()
            while True:
                records = {
                    json.dumps(record): record
                    for record in api.get_json(path, limit=MAX_RECORDS)["value"]
                }
                for key, record in records.items():
                    if key not in seen:
                        _show_record(call, record)
                if not follow:
                    if not records:
                        console.print("[dim]feedback: none.[/]")
                    return
                seen = set(records)
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            return


def _show_record(call: CloudCall, record: dict[str, Any]) -> None:
    if call.as_json:
        typer.echo(json.dumps(record, ensure_ascii=False))
        return
    console.print(
        f"[dim]{short_time(record['enqueuedTimeUtc'])}[/] [bold]{escape(record['deviceId'])}[/] "
        f"{escape(record['statusCode'])} [dim]message-id={escape(record['originalMessageId'])}[/]",
        soft_wrap=True,
    )


def _queue(hub: str, device_id: str) -> str:
    return path_to(f"{hub}/devices", device_id, "messages", "devicebound")


def _properties(given: Sequence[str]) -> dict[str, str]:
    """Return properties by name. Raises UsageError for one that is not NAME=VALUE."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError(
                "property-malformed",
                f"--property {text!r} is not NAME=VALUE.",
                "Write it as --property unit=C; the value may be empty.",
                field="--property",
            )
        found[name] = value
    return found


def _expiry(ttl: str) -> str:
    """Return when a message that is sent now has lived for `ttl`.

    Raises:
        UsageError: It is no duration.
    """
    from mooring.protocol.azure.durations import parse_duration
    from mooring.protocol.azure.errors import DurationMalformed
    from mooring.protocol.azure.timestamps import format_timestamp
    from mooring.runtime.clock import SYSTEM_CLOCK

    try:
        seconds = ttl.isascii() and ttl.isdecimal() and len(ttl) < 10
        life = timedelta(seconds=int(ttl)) if seconds else parse_duration(ttl)
        return format_timestamp(SYSTEM_CLOCK.now() + life)
    except DurationMalformed:
        raise UsageError(
            "duration-malformed",
            f"--ttl {ttl!r} is no duration.",
            "Give seconds, or ISO 8601 such as PT5M; a hub keeps messages for 2 days at most.",
            field="--ttl",
        ) from None


def _text(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
