"""`export` and `import` of enrollments and groups: JSON files, as the service API has them."""

from __future__ import annotations

import io
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, Any, TextIO

import typer

from mooring.cli.api import HTTP_NOT_FOUND, ApiError
from mooring.cli.azure_api import AzureApi
from mooring.cli.calls import DpsCall
from mooring.cli.dps_bulk import Bulk, Refused
from mooring.cli.dps_collections import Collection, mechanism
from mooring.cli.dps_inputs import is_masked, masked_url
from mooring.cli.json_arrays import ArrayMalformed, read_objects, write_objects
from mooring.cli.output import (
    EXIT_FAILED,
    CommandError,
    UsageError,
    console,
    emit_json,
    error_console,
)
from mooring.cli.progress import counting
from mooring.cli.records import path_to

SET_BY_THE_SERVICE = (
    "registrationState",
    "etag",
    "createdDateTimeUtc",
    "lastUpdatedDateTimeUtc",
)
"""Members that say how a record stands, not what it is: they are not exported."""

NAMES_SHOWN = 10
"""Of a list of names in a sentence; --json has them all."""

ExportFile = Annotated[
    Path, typer.Argument(help="File to write; - is standard output.", show_default=True)
]
WithKeysOption = Annotated[
    bool,
    typer.Option(
        "--with-keys", help="Symmetric keys and webhooks' keys as well; the file is for you only."
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")]
ImportFile = Annotated[Path, typer.Argument(help="File to read; - is standard input.")]
UpdateOption = Annotated[
    bool, typer.Option("--update", help="Replace those there already by what the file has.")
]


# -- export ---------------------------------------------------------------------------------------


def export_all(
    call: DpsCall, collection: Collection, file: Path, *, with_keys: bool, force: bool
) -> None:
    """Write the whole collection to `file`."""
    to_stdout = str(file) == "-"
    if not to_stdout and file.exists() and not force:
        raise CommandError(
            "file-exists",
            f"{file} is there already.",
            "Choose another name, or replace it with --force.",
            field="FILE",
        )
    with call.api() as api, counting("exporting", quiet=call.as_json) as count:
        records = _exported(api, collection, with_keys, count)
        if to_stdout:
            write_objects(records, sys.stdout)
            return
        written = _write(records, file, private=with_keys)
    summary = {"exported": written, "file": str(file), "with_keys": with_keys}
    hint = None if with_keys else "keys are not in it; --with-keys puts them in."
    call.say(summary, f"exported {_number(written, collection)} to {file}.", hint=hint)


def _exported(
    api: AzureApi, collection: Collection, with_keys: bool, count: Any
) -> Iterator[dict[str, Any]]:
    for record in api.query(collection.path):
        name = record[collection.id_member]
        for member in SET_BY_THE_SERVICE:
            record.pop(member, None)
        attestation = record["attestation"]
        if with_keys and attestation.get("type") == "symmetricKey":
            record["attestation"] = mechanism(api, collection, name)
        definition = record.get("customAllocationDefinition")
        if definition and not with_keys:
            definition["webhookUrl"] = masked_url(definition["webhookUrl"])
        count(1)
        yield record


def _write(records: Iterator[dict[str, Any]], file: Path, *, private: bool) -> int:
    """Write `records` to `file`, whole or not at all; return how many.

    Raises:
        CommandError: It cannot be written.
    """
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666
        )
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as output:
                written = write_objects(records, output)
            temporary.replace(file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CommandError(
            "file-unwritable",
            f"{file} cannot be written ({error.strerror or error}).",
            "Choose a file that you may write, on a disk with room.",
            field="FILE",
        ) from None
    return written


# -- import ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Outcome:
    """What became of the records of a file; `new_keys` are those created with keys of their own."""

    created: int = 0
    updated: int = 0
    new_keys: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Return how many the service has answered."""
        return self.created + self.updated + len(self.unchanged) + len(self.failed)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {
            "created": self.created,
            "updated": self.updated,
            "new_keys": self.new_keys,
            "unchanged": self.unchanged,
            "failed": self.failed,
        }


def import_all(call: DpsCall, collection: Collection, file: Path, *, update: bool) -> None:
    """Add the records in `file`, and with `update` replace those that are there.

    The file is read to its end before anything is sent, so that one that is broken changes nothing.
    """
    outcome = Outcome()
    with _opened(file) as source:
        total = _check(source, file, collection)
        source.seek(0)
        with call.api() as api, counting("importing", total=total, quiet=call.as_json) as count:
            bulk = Bulk(api, collection)
            try:
                records = _sendable(source, collection, outcome, None if update else api)
                for company in bulk.companies(records):
                    _import_company(bulk, collection, company, outcome, update=update)
                    count(len(company))
            except CommandError as error:
                raise _broken_off(error, outcome, total) from None
    _report(call, collection, outcome)


def _import_company(
    bulk: Bulk,
    collection: Collection,
    company: list[dict[str, Any]],
    outcome: Outcome,
    *,
    update: bool,
) -> None:
    refused = bulk.send("create", company)
    there = [
        record
        for record in company
        if (found := refused.get(bulk.key(record))) is not None and found.exists
    ]
    for record in company:
        if bulk.key(record) not in refused:
            outcome.created += 1
            if _lacks_keys(record.get("attestation")):
                outcome.new_keys.append(str(record[collection.id_member]))
    for record in there:
        del refused[bulk.key(record)]
    if update and there:
        refused_again = bulk.send("update", there)
        outcome.updated += len(there) - len(refused_again)
        refused |= refused_again
    else:
        outcome.unchanged += [str(record[collection.id_member]) for record in there]
    for record in company:
        if (found := refused.get(bulk.key(record))) is not None:
            _note_failure(outcome, collection, record, found)


def _note_failure(
    outcome: Outcome, collection: Collection, record: dict[str, Any], refused: Refused
) -> None:
    outcome.failed.append(
        {collection.id_member: str(record[collection.id_member]), "message": refused.message}
    )


def _lacks_keys(attestation: Any) -> bool:
    """Return whether the service has to make keys, which no device has yet."""
    if not isinstance(attestation, dict):
        return False
    if str(attestation.get("type")).lower() != "symmetrickey":
        return False
    keys = attestation.get("symmetricKey") or {}
    return not (keys.get("primaryKey") and keys.get("secondaryKey"))


def _sendable(
    source: TextIO, collection: Collection, outcome: Outcome, there: AzureApi | None
) -> Iterator[dict[str, Any]]:
    """Yield the records that may be sent; note those that may not as failed.

    One whose webhook lacks its key is asked for at `there`, if given: if it is there already it is
    left as it is, as the others are.
    """
    for record in read_objects(source):
        for member in SET_BY_THE_SERVICE:
            record.pop(member, None)
        if is_masked(record.get("customAllocationDefinition")):
            name = str(record[collection.id_member])
            if there is not None and _is_there(there, collection, name):
                outcome.unchanged.append(name)
                continue
            fault = (
                "customAllocationDefinition.webhookUrl: its key was left out by the export. "
                "Export with --with-keys, or write the whole URL into the file."
            )
            _note_failure(outcome, collection, record, Refused(fault))
        else:
            yield record


def _is_there(api: AzureApi, collection: Collection, name: str) -> bool:
    try:
        api.get_json(path_to(collection.path, name))
    except UsageError:  # no record can have that name
        return False
    except ApiError as error:
        if error.status != HTTP_NOT_FOUND:
            raise
        return False
    return True


def _check(source: TextIO, file: Path, collection: Collection) -> int:
    """Return how many records are in the file.

    Raises:
        CommandError: It is not a file of such records.
    """
    number = 0
    try:
        for number, record in enumerate(read_objects(source), 1):
            name = record.get(collection.id_member)
            if not isinstance(name, str) or not name:
                raise ArrayMalformed(f"entry {number}: has no {collection.id_member}")
    except ArrayMalformed as error:
        raise CommandError(
            "import-malformed",
            f"{file}: {error}; nothing was imported.",
            f"Give an array of {collection.noun}s as `mooring dps {collection.commands} export` "
            "writes it.",
            field="FILE",
        ) from None
    return number


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    """Open `file` so that it can be read twice.

    Raises:
        CommandError: It cannot be read.
    """
    try:
        data: IO[bytes]
        if str(file) == "-":
            # To the disk: a pipe is read once, and may be longer than the memory.
            data = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the text around it
            shutil.copyfileobj(sys.stdin.buffer, data)
            data.seek(0)
        else:
            data = file.open("rb")
    except OSError as error:
        raise CommandError(
            "file-unreadable",
            f"{file} cannot be read ({error.strerror or error}).",
            "Check the path and its permissions.",
            field="FILE",
        ) from None
    with io.TextIOWrapper(data, encoding="utf-8-sig") as source:
        yield source


def _broken_off(error: CommandError, outcome: Outcome, total: int) -> CommandError:
    """Return `error` with how far the import had come."""
    message = f"{error.message} {outcome.done} of {total} were done by then."
    remedy = f"{error.remedy} Then run the import again: what is done is not done twice."
    return CommandError(error.code, message, remedy, field=error.field)


def _report(call: DpsCall, collection: Collection, outcome: Outcome) -> None:
    if call.as_json:
        emit_json(outcome.to_json())
    else:
        for row in outcome.failed:
            error_console.print("[bold red]failed[/] ", end="")
            error_console.print(
                f"{row[collection.id_member]}: {row['message']}", markup=False, soft_wrap=True
            )
        if outcome.new_keys:
            error_console.print(
                f"new keys were made for {_some(outcome.new_keys)}: the file has none. "
                "Devices with the former keys are refused; an export --with-keys keeps them.",
                markup=False,
                soft_wrap=True,
            )
        parts = [f"{outcome.created} added"]
        if outcome.updated:
            parts.append(f"{outcome.updated} replaced")
        if outcome.unchanged:
            parts.append(
                f"{len(outcome.unchanged)} there already and left as they are (--update replaces)"
            )
        if outcome.failed:
            parts.append(f"{len(outcome.failed)} failed")
        console.print(f"{', '.join(parts)}.", markup=False, soft_wrap=True)
    if outcome.failed:
        raise typer.Exit(EXIT_FAILED)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"


def _number(count: int, collection: Collection) -> str:
    return f"{count} {collection.noun}{'' if count == 1 else 's'}"
