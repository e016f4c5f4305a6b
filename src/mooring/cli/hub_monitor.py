"""`mooring hub monitor`: telemetry as it is kept, or as it comes."""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape

from mooring.cli.api import ApiClient
from mooring.cli.calls import CloudCall
from mooring.cli.hub_admin import HubOption, hub_path
from mooring.cli.hub_filters import EventFilter
from mooring.cli.output import CommandError, UsageError, console, emit_json
from mooring.cli.records import path_to
from mooring.cli.rendering import short_time

DEFAULT_LIMIT = 100
"""As many as a person looks through."""

PAGE_EVENTS = 1_000
"""Events asked for at a time, the most that the cloud gives."""

POLL_S = 0.5
"""How often a consumer group is looked at for news: soon enough for eyes."""

Event = dict[str, Any]


class Source(StrEnum):
    """Where a message of the log comes from."""

    TELEMETRY = "telemetry"
    TWIN = "twin"
    LIFECYCLE = "lifecycle"
    CONNECTION = "connection"


def monitor(
    call: CloudCall,
    devices: Annotated[
        list[str] | None,
        typer.Option(
            "--device", metavar="ID", help="Only of this device, * for any characters; repeatable."
        ),
    ] = None,
    properties: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            "-p",
            metavar="NAME=VALUE",
            help="Only with this property, one of the system's behind $. as in "
            "$.content-type=*json*; NAME alone for any value. All that are given must hold.",
        ),
    ] = None,
    sources: Annotated[
        list[Source] | None,
        typer.Option(
            "--source",
            help="Only from there; repeatable. What a hub reports itself is for `mooring hub "
            "update --events` to say.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="earliest, latest, or a time such as 2030-01-02T03:04:05Z.",
            show_default="earliest; with --follow latest",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="NAME",
            help="Read on from where this consumer group is, and move it behind what was shown.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="End after this many.",
            show_default=f"{DEFAULT_LIMIT}; with --follow none",
        ),
    ] = None,
    annotations: Annotated[
        bool, typer.Option("--all", help="With what the hub says of each: its annotations.")
    ] = False,
    hub: HubOption = None,
) -> None:
    """Show telemetry: what is kept, or with --follow what comes from now on.

    With --json one JSON list; with --follow as well, one JSON object a line. Ctrl-C ends it.
    """
    if group is not None and start is not None:
        raise UsageError(
            "group-and-start",
            "A consumer group says itself where to read from.",
            f"Leave out --from, or move it: mooring hub group reset {group} --from {start}.",
            field="--from",
        )
    wanted = EventFilter.of(devices or (), properties or (), [s.value for s in sources or ()])
    most = limit or (None if follow else DEFAULT_LIMIT)
    shown = _Shown(call.as_json, lines=follow, annotations=annotations)
    try:
        with call.api() as api:
            here = hub_path(api, hub)
            if group is not None:
                _show_group(api, here, group, wanted, shown, follow=follow, limit=most)
            else:
                events = (
                    _followed(api, here, wanted, start)
                    if follow
                    else _kept(api, here, wanted, start, most)
                )
                _show(filter(wanted, events), shown, most)
            shown.finish()
    except KeyboardInterrupt:
        shown.finish()


class _Shown:
    """Prints events: text and lines at once, a list at the end."""

    def __init__(self, as_json: bool, *, lines: bool, annotations: bool) -> None:
        self._list: list[Event] | None = [] if as_json and not lines else None
        self._as_json = as_json
        self._annotations = annotations
        self.count = 0

    def add(self, event: Event) -> None:
        self.count += 1
        if self._list is not None:
            self._list.append(event)
        elif self._as_json:
            typer.echo(json.dumps(event, ensure_ascii=False))
        else:
            _print_event(event, annotations=self._annotations)

    def finish(self) -> None:
        """Print the list, if it is one."""
        if self._list is not None:
            emit_json(self._list)
            self._list = None


def _show(events: Iterable[Event], shown: _Shown, limit: int | None) -> None:
    for event in events:
        shown.add(event)
        if shown.count == limit:
            return


# -- where events come from -----------------------------------------------------------------------


def _kept(
    api: ApiClient, here: str, wanted: EventFilter, start: str | None, limit: int | None
) -> Iterator[Event]:
    """Yield what is kept, by enqueued time: all partitions are read side by side."""
    found = api.get_json(f"{here}/positions", start=start or "earliest", deviceId=wanted.device)
    # Whoever filters here needs more than will be shown.
    page = min(PAGE_EVENTS, limit or PAGE_EVENTS) if wanted.is_servers else PAGE_EVENTS
    parts = (
        _partition(api, path_to(f"{here}/partitions", partition, "telemetry"), number, wanted, page)
        for partition, number in found["positions"].items()
    )
    return heapq.merge(*parts, key=_by_time)


def _partition(
    api: ApiClient, path: str, position: int, wanted: EventFilter, page: int
) -> Iterator[Event]:
    while True:
        found = api.get_json(path, fromSequenceNumber=position, deviceId=wanted.device, limit=page)
        yield from found["value"]
        if found["nextSequenceNumber"] == position:
            return
        position = found["nextSequenceNumber"]


def _by_time(event: Event) -> tuple[str, int, int]:
    return event["enqueuedTimeUtc"], event["partition"], event["sequenceNumber"]


def _followed(api: ApiClient, here: str, wanted: EventFilter, start: str | None) -> Iterator[Event]:
    path = f"{here}/telemetry/follow"
    with api.stream_lines(path, deviceId=wanted.device, start=start or "latest") as lines:
        for line in lines:
            if line:
                yield json.loads(line)
    raise CommandError(
        "cloud-ended",
        f"The cloud at {api.base_url} has ended, and the monitor with it.",
        "Start it again: mooring up, or mooring cloud serve.",
    )


# -- consumer groups ------------------------------------------------------------------------------


def _show_group(
    api: ApiClient,
    here: str,
    group: str,
    wanted: Callable[[Event], bool],
    shown: _Shown,
    *,
    follow: bool,
    limit: int | None,
) -> None:
    """Show what a consumer group has not dealt with, and move it behind that.

    It moves also past what a filter leaves out: that is dealt with.
    """
    path = path_to(f"{here}/consumerGroups", group)
    while limit is None or shown.count < limit:
        events = api.get_json(f"{path}/telemetry", limit=PAGE_EVENTS)["value"]
        positions: dict[str, int] = {}
        try:
            for event in events:
                if wanted(event):
                    shown.add(event)
                positions[str(event["partition"])] = event["sequenceNumber"] + 1
                if shown.count == limit:
                    break
            if not follow and (not events or shown.count == limit):
                # A list that nobody has seen yet must not be taken for dealt with.
                shown.finish()
        finally:
            if positions:
                api.post_json(f"{path}/positions", {"positions": positions})
        if not events:
            if not follow:
                return
            time.sleep(POLL_S)


# -- to people ------------------------------------------------------------------------------------


def _print_event(event: Event, *, annotations: bool) -> None:
    body = event["body"]
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    if event["encoding"] == "base64":
        text += " (base64)"
    properties = " ".join(
        name if value is None else f"{name}={value}"
        for name, value in (event["systemProperties"] | event["properties"]).items()
    )
    console.print(
        f"[dim]{short_time(event['enqueuedTimeUtc'])}[/] [bold]{escape(event['deviceId'])}[/] "
        f"{escape(text)} [dim]{escape(properties)}[/]",
        soft_wrap=True,
    )
    if annotations:
        place = {"partition": event["partition"], **event["annotations"]}
        for name, value in place.items():
            console.print(f"  [dim]{escape(name)}[/]  {escape(str(value))}", soft_wrap=True)
