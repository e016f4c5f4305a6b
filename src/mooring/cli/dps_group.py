"""`mooring dps group`: enrollment groups."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from mooring.cli import dps_collections as collections
from mooring.cli.azure_api import AzureApi
from mooring.cli.calls import DpsCall, command
from mooring.cli.dps_attestation import (
    GroupProof,
    attestation_facts,
    attestation_word,
    key_facts,
    merged,
    without_slot,
)
from mooring.cli.dps_collections import GROUP
from mooring.cli.dps_exchange import WithKeysOption, export_all, import_all
from mooring.cli.dps_terms import Terms, date_facts, terms_facts
from mooring.cli.exchange_files import ExportFile, ForceOption, ImportFile, UpdateOption
from mooring.cli.output import UsageError, console
from mooring.cli.records import DisabledOption, IfMatchOption, LimitOption, path_to

app = typer.Typer(
    no_args_is_help=True, help="Enrollment groups: all devices under a CA, or a shared key."
)

GroupName = Annotated[str, typer.Argument(help="Its name.", metavar="GROUP")]


class Clearable(StrEnum):
    """What a group may be without."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    HUB = "hub"
    ALLOCATION = "allocation"
    INITIAL_TWIN = "initial-twin"


_MEMBERS = {
    Clearable.HUB: ("iotHubs",),
    Clearable.ALLOCATION: ("allocationPolicy", "customAllocationDefinition"),
    Clearable.INITIAL_TWIN: ("initialTwin",),
}


@command(app)
def add(
    call: DpsCall,
    name: Annotated[str, typer.Argument(help="Group name, any unique designator.")],
    proof: GroupProof,
    terms: Terms,
    disabled: DisabledOption = False,
    if_match: IfMatchOption = None,
) -> None:
    """Let every device register whose certificate hangs from a CA, or whose key from a key.

    Symmetric keys that are not given are made, and shown once here; `keys` shows them again,
    `device-key` what a device gets.
    """
    attestation = proof.attestation()
    if attestation is None:
        raise UsageError(
            "proof-missing",
            "It is not said how the devices prove that they belong to the group.",
            "Give --certificate NAME, --signing-certificate FILE or --symmetric-key.",
            field="--certificate",
        )
    document: dict[str, Any] = {
        "enrollmentGroupId": name,
        "attestation": attestation,
        "provisioningStatus": "disabled" if disabled else "enabled",
    }
    terms.apply_to(document)
    with call.api() as api:
        found = api.put_json(path_to(GROUP.path, name), document, if_match=if_match)
        unverified = [] if call.as_json else _unverified(api, found["attestation"])
    call.show(found, _facts)
    for certificate in unverified:
        console.print(
            f"[yellow]warning[/] {escape(certificate)} is not verified: no device gets in until it "
            f"is. Next: mooring dps certificate code {escape(certificate)}",
            soft_wrap=True,
        )


@command(app, "list")
def list_groups(call: DpsCall, limit: LimitOption = None) -> None:
    """List the enrollment groups."""
    with call.api() as api:
        found = list(api.query(GROUP.path, limit=limit))
    call.show_table(
        found,
        "enrollment groups",
        ("group", "status", "proof", "allocation"),
        lambda row: (
            row["enrollmentGroupId"],
            row["provisioningStatus"],
            attestation_word(row["attestation"]),
            row.get("allocationPolicy"),
        ),
    )


@command(app)
def show(call: DpsCall, name: GroupName) -> None:
    """Show one enrollment group; its devices: `mooring dps registration list --group`."""
    with call.api() as api:
        found = api.get_json(path_to(GROUP.path, name))
    call.show(found, _facts)


@command(app)
def update(
    call: DpsCall,
    name: GroupName,
    proof: GroupProof,
    terms: Terms,
    clear: Annotated[
        list[Clearable] | None,
        typer.Option(help="Take this away, again for each."),
    ] = None,
    if_match: IfMatchOption = None,
) -> None:
    """Change what is given and leave the rest; nobody else's change at the same time is lost."""
    attestation = proof.attestation()
    if not clear and attestation is None and terms == Terms():
        raise collections.nothing_to_change()

    def apply(record: dict[str, Any]) -> None:
        for what in clear or ():
            _take_away(record, what)
        if attestation is not None:
            record["attestation"] = merged(record["attestation"], attestation)
        terms.apply_to(record)

    with call.api() as api:
        found = collections.change(api, GROUP, name, apply, if_match)
    call.show(found, _facts)


@command(app)
def enable(call: DpsCall, name: GroupName) -> None:
    """Let the devices of a disabled group register again."""
    collections.switch(call, GROUP, name, "enabled")


@command(app)
def disable(call: DpsCall, name: GroupName) -> None:
    """Refuse the devices of the group from now on."""
    collections.switch(call, GROUP, name, "disabled")


@command(app)
def delete(call: DpsCall, name: GroupName, if_match: IfMatchOption = None) -> None:
    """Delete an enrollment group; its registration records and the hub's devices stay."""
    collections.delete(call, GROUP, name, if_match)


@command(app)
def keys(call: DpsCall, name: GroupName) -> None:
    """Show the symmetric keys of a group; no device may have them."""
    with call.api() as api:
        found = collections.mechanism(api, GROUP, name)
    facts = key_facts(found, of=name)
    call.show(found, lambda _: facts)


@command(app, "device-key")
def device_key(
    call: DpsCall,
    name: GroupName,
    registration_id: Annotated[
        str, typer.Argument(help="The device's.", metavar="REGISTRATION_ID")
    ],
) -> None:
    """Show the key of one device of a group, derived from the group's own."""
    from mooring.protocol.azure.identifiers import check_registration_id
    from mooring.protocol.azure.sas import decode_key, derive_device_key, encode_key

    check_registration_id(registration_id)
    with call.api() as api:
        found = key_facts(collections.mechanism(api, GROUP, name), of=name)
    derived = {
        slot: encode_key(derive_device_key(decode_key(str(key), field=slot), registration_id))
        for slot, key in found.items()
    }
    document = {
        "registrationId": registration_id,
        "primaryKey": derived["primary key"],
        "secondaryKey": derived["secondary key"],
    }
    call.show(document, lambda _: {"registration id": registration_id, **derived})


@command(app)
def export(
    call: DpsCall,
    file: ExportFile = Path("-"),
    with_keys: WithKeysOption = False,
    force: ForceOption = False,
) -> None:
    """Write all enrollment groups as JSON, as the service API has them, for `import`.

    CA certificates that they name are not in it: upload those before an import elsewhere.
    """
    export_all(call, GROUP, file, with_keys=with_keys, force=force)


@command(app, "import")
def import_groups(call: DpsCall, file: ImportFile, update: UpdateOption = False) -> None:
    """Add the enrollment groups in a JSON file; those there already are left as they are.

    What fails is told one by one, and the rest is done; it may be run again. Exit code 1 if any
    failed.
    """
    import_all(call, GROUP, file, update=update)


def _take_away(record: dict[str, Any], what: Clearable) -> None:
    if what in (Clearable.PRIMARY, Clearable.SECONDARY):
        record["attestation"] = without_slot(record["attestation"], what)
        return
    for member in _MEMBERS[what]:
        record.pop(member, None)


def _unverified(api: AzureApi, attestation: dict[str, Any]) -> list[str]:
    """Return those of the CA certificates that a group names which are not verified."""
    names = ((attestation.get("x509") or {}).get("caReferences") or {}).values()
    return [
        name
        for name in dict.fromkeys(names)
        if not api.get_json(api.resource("certificates", name))["properties"]["isVerified"]
    ]


def _facts(found: dict[str, Any]) -> dict[str, object]:
    keys = found["attestation"].get("symmetricKey") or {}
    return {
        "group": found["enrollmentGroupId"],
        "status": found["provisioningStatus"],
        **attestation_facts(found["attestation"]),
        "primary key": keys.get("primaryKey"),
        "secondary key": keys.get("secondaryKey"),
        **terms_facts(found),
        **date_facts(found),
    }
