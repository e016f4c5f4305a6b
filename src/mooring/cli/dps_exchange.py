"""`export` and `import` of enrollments and groups: JSON files, as the service API has them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from mooring.cli.api import HTTP_NOT_FOUND, ApiError
from mooring.cli.azure_api import AzureApi
from mooring.cli.calls import DpsCall
from mooring.cli.dps_bulk import Bulk, Refused
from mooring.cli.dps_collections import Collection, mechanism
from mooring.cli.dps_inputs import is_masked, masked_url
from mooring.cli.exchange_files import check_free, opened_twice, write_whole
from mooring.cli.json_arrays import ArrayMalformed, read_objects, write_objects
from mooring.cli.outcomes import Outcome, broken_off, report
from mooring.cli.output import (
    CommandError,
    UsageError,
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

WithKeysOption = Annotated[
    bool,
    typer.Option(
        "--with-keys", help="Symmetric keys and webhooks' keys as well; the file is for you only."
    ),
]


# -- export ---------------------------------------------------------------------------------------


def export_all(
    call: DpsCall, collection: Collection, file: Path, *, with_keys: bool, force: bool
) -> None:
    """Write the whole collection to `file`."""
    check_free(file, force=force)
    with call.api() as api, counting("exporting", quiet=call.as_json) as count:
        records = _exported(api, collection, with_keys, count)
        if str(file) == "-":
            write_objects(records, sys.stdout)
            return
        written = write_whole(records, file, private=with_keys)
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


# -- import ---------------------------------------------------------------------------------------


def import_all(call: DpsCall, collection: Collection, file: Path, *, update: bool) -> None:
    """Add the records in `file`, and with `update` replace those that are there.

    The file is read to its end before anything is sent, so that one that is broken changes nothing.
    """
    outcome = Outcome()
    with opened_twice(file) as source:
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
                raise broken_off(error, outcome, total) from None
    report(call, outcome, collection.id_member)


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


def _number(count: int, collection: Collection) -> str:
    return f"{count} {collection.noun}{'' if count == 1 else 's'}"
