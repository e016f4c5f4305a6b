"""`mooring hub device export` and `import`: a hub's devices in files, as bulk operations have them.

A file holds the identities and the back ends' part of the twins; what a device reported is the
device's, and the scope of an edge device is each hub's own to make.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from mooring.cli.api import HTTP_NOT_FOUND, ApiError
from mooring.cli.calls import HubCall
from mooring.cli.companies import in_companies, when_free
from mooring.cli.exchange_files import (
    ExportFile,
    ForceOption,
    ImportFile,
    UpdateOption,
    check_free,
    opened_twice,
    write_whole,
)
from mooring.cli.hub_api import HubApi
from mooring.cli.json_arrays import ArrayMalformed, read_objects, write_objects
from mooring.cli.outcomes import Outcome, broken_off, report
from mooring.cli.output import CommandError
from mooring.cli.progress import counting
from mooring.cli.records import path_to

BULK_ITEMS = 100
"""Azure: devices of one bulk operation."""

BULK_CHARS = 200_000
"""Ours: below the mebibyte that a request may have, also where a character takes four bytes."""

LINES_SUFFIXES = (".jsonl", ".ndjson")
"""Names of files that are written as JSON Lines."""

_MEMBERS = ("status", "statusReason", "authentication", "capabilities", "tags", "properties")
"""What is imported of a device, besides its id."""


def export_devices(
    call: HubCall,
    file: ExportFile,
    with_keys: Annotated[
        bool,
        typer.Option("--with-keys", help="Symmetric keys as well; the file is for you only then."),
    ] = False,
    lines: Annotated[
        bool,
        typer.Option(
            "--lines",
            help=f"As JSON Lines, which {' and '.join(LINES_SUFFIXES)} are in any case; else as "
            "one array.",
        ),
    ] = False,
    force: ForceOption = False,
) -> None:
    """Write all devices of a hub, with tags and desired properties, to a JSON file.

    Not in it are reported properties, which are the device's, and which edge device one is behind.
    """
    check_free(file, force=force)
    lines = lines or file.suffix.lower() in LINES_SUFFIXES
    with call.api() as api:
        total = api.get_json("statistics/devices")["totalDeviceCount"]
        with counting("exporting", total=total, quiet=call.as_json) as count:

            def records() -> Iterator[dict[str, Any]]:
                for _, twin in api.query("SELECT * FROM devices"):
                    count(1)
                    if (record := _record(api, twin, with_keys=with_keys)) is not None:
                        yield record

            if str(file) == "-":
                write_objects(records(), sys.stdout, lines=lines)
                return
            written = write_whole(records(), file, private=with_keys, lines=lines)
    call.say(
        {"exported": written, "file": str(file), "with_keys": with_keys},
        f"exported {written} device{'' if written == 1 else 's'} to {file}.",
        hint=None if with_keys else "keys are not in it; --with-keys puts them in.",
    )


def _record(api: HubApi, twin: dict[str, Any], *, with_keys: bool) -> dict[str, Any] | None:
    """Return a device as it is exported; None if it is gone meanwhile."""
    kind = twin["authenticationType"]
    authentication: dict[str, Any] = {"type": kind}
    if kind == "selfSigned":
        authentication["x509Thumbprint"] = twin["x509Thumbprint"]
    if kind == "sas" and with_keys:
        try:
            identity = api.get_json(path_to("devices", twin["deviceId"]))
        except ApiError as error:
            if error.status != HTTP_NOT_FOUND:
                raise
            return None
        authentication["symmetricKey"] = identity["authentication"]["symmetricKey"]
    desired = twin["properties"]["desired"]
    return {
        "id": twin["deviceId"],
        "status": twin["status"],
        **({"statusReason": twin["statusReason"]} if twin.get("statusReason") else {}),
        "authentication": authentication,
        "capabilities": twin["capabilities"],
        "tags": twin["tags"],
        "properties": {
            "desired": {name: desired[name] for name in desired if not name.startswith("$")}
        },
    }


def import_devices(call: HubCall, file: ImportFile, update: UpdateOption = False) -> None:
    """Add the devices of a file to a hub, a hundred at a time; one that fails stops no other.

    The file is a JSON array or JSON Lines, as `export` writes it; it is read to its end before
    anything is sent. Devices that are there already stay as they are, unless --update is given.
    """
    outcome = Outcome()
    with opened_twice(file) as source:
        total = _check(source, file)
        source.seek(0)
        with call.api() as api, counting("importing", total=total, quiet=call.as_json) as count:
            companies = in_companies(
                map(_item, read_objects(source, lines=True)),
                key=lambda item: str(item["id"]),
                most=BULK_ITEMS,
                chars=BULK_CHARS,
            )
            try:
                for company in companies:
                    _import_company(api, company, outcome, update=update)
                    count(len(company))
            except CommandError as error:
                raise broken_off(error, outcome, total) from None
    report(call, outcome, "deviceId")


def _import_company(
    api: HubApi, company: list[dict[str, Any]], outcome: Outcome, *, update: bool
) -> None:
    refused = _send(api, "create", company)
    for item in company:
        if item["id"] not in refused:
            outcome.created += 1
            if _lacks_keys(item):
                outcome.new_keys.append(item["id"])
    there = [
        item
        for item in company
        if refused.get(item["id"], {}).get("errorCode") == "DeviceAlreadyExists"
    ]
    for item in there:
        del refused[item["id"]]
    if update and there:
        again = _send(api, "update", there)
        outcome.updated += len(there) - len(again)
        refused |= again
    else:
        outcome.unchanged += [item["id"] for item in there]
    outcome.failed += [
        {"deviceId": name, "message": str(error["errorStatus"])} for name, error in refused.items()
    ]


def _send(api: HubApi, mode: str, items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what was refused, by device id."""
    body = [{**item, "importMode": mode} for item in items]
    return {str(row["deviceId"]): row for row in when_free(lambda: api.bulk(body), time.sleep)}


def _item(record: dict[str, Any]) -> dict[str, Any]:
    """Return what is sent of a record; an identity as `device show` prints it is as good."""
    name = record.get("id", record.get("deviceId"))
    return {"id": name, **{member: record[member] for member in _MEMBERS if member in record}}


def _lacks_keys(item: dict[str, Any]) -> bool:
    """Return whether the hub has to make keys, which no device has yet."""
    authentication = item.get("authentication")
    if not isinstance(authentication, dict):
        return authentication is None
    keys = authentication.get("symmetricKey") or {}
    by_key = str(authentication.get("type") or "sas").lower() == "sas"
    return by_key and not (isinstance(keys, dict) and keys.get("primaryKey"))


def _check(source: TextIO, file: Path) -> int:
    """Return how many devices are in the file.

    Raises:
        CommandError: It is not a file of devices.
    """
    number = 0
    try:
        for number, record in enumerate(read_objects(source, lines=True), 1):
            name = record.get("id", record.get("deviceId"))
            if not isinstance(name, str) or not name:
                raise ArrayMalformed(f"entry {number}: has no id")
    except ArrayMalformed as error:
        raise CommandError(
            "import-malformed",
            f"{file}: {error}; nothing was imported.",
            "Give devices as `mooring hub device export` writes them, in an array or one a line.",
            field="FILE",
        ) from None
    return number
