"""`mooring dps enrollment`: individual enrollments."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from mooring.cli import dps_collections as collections
from mooring.cli.calls import DpsCall, command
from mooring.cli.dps_attestation import (
    DeviceProof,
    attestation_facts,
    attestation_word,
    key_facts,
    merged,
    without_slot,
)
from mooring.cli.dps_collections import INDIVIDUAL
from mooring.cli.dps_exchange import WithKeysOption, export_all, import_all
from mooring.cli.dps_terms import Terms, date_facts, terms_facts
from mooring.cli.exchange_files import ExportFile, ForceOption, ImportFile, UpdateOption
from mooring.cli.inputs import json_object
from mooring.cli.output import CommandError, UsageError
from mooring.cli.records import DisabledOption, IfMatchOption, LimitOption, path_to
from mooring.cli.rendering import read_text, short_time

app = typer.Typer(no_args_is_help=True, help="Individual enrollments: one device each.")

RegistrationId = Annotated[
    str, typer.Argument(help="Its registration id.", metavar="REGISTRATION_ID")
]
DeviceIdOption = Annotated[
    str | None, typer.Option(help="IoT Hub Device ID; the registration id, unless given.")
]
InfoOption = Annotated[
    str | None,
    typer.Option("--info", help="Facts of your own to keep with it: a JSON object, or a file."),
]


class Clearable(StrEnum):
    """What an enrollment may be without."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    DEVICE_ID = "device-id"
    HUB = "hub"
    ALLOCATION = "allocation"
    INITIAL_TWIN = "initial-twin"
    INFO = "info"


_MEMBERS = {
    Clearable.DEVICE_ID: ("deviceId",),
    Clearable.HUB: ("iotHubs",),
    Clearable.ALLOCATION: ("allocationPolicy", "customAllocationDefinition"),
    Clearable.INITIAL_TWIN: ("initialTwin",),
    Clearable.INFO: ("optionalDeviceInformation",),
}


@command(app)
def add(
    call: DpsCall,
    proof: DeviceProof,
    terms: Terms,
    registration_id: Annotated[
        str | None, typer.Option(help="The certificate's CN, unless given.")
    ] = None,
    device_id: DeviceIdOption = None,
    info: InfoOption = None,
    disabled: DisabledOption = False,
    if_match: IfMatchOption = None,
) -> None:
    """Let one device register: by its own certificate (the guide's root, say), a CA or a key.

    Symmetric keys that are not given are made, and shown once here; `keys` shows them again.
    """
    attestation = proof.attestation()
    if attestation is None:
        raise UsageError(
            "proof-missing",
            "It is not said how the device proves who it is.",
            "Give --certificate FILE, --ca NAME or --symmetric-key.",
            field="--certificate",
        )
    name = registration_id or _common_name(proof.certificate or proof.secondary)
    document: dict[str, Any] = {
        "registrationId": name,
        "attestation": attestation,
        "provisioningStatus": "disabled" if disabled else "enabled",
    }
    terms.apply_to(document)
    _apply(document, device_id, info)
    with call.api() as api:
        found = api.put_json(path_to(INDIVIDUAL.path, name), document, if_match=if_match)
    call.show(found, _facts)


@command(app, "list")
def list_enrollments(call: DpsCall, limit: LimitOption = None) -> None:
    """List the individual enrollments with their registration status."""
    with call.api() as api:
        found = list(api.query(INDIVIDUAL.path, limit=limit))
    call.show_table(
        found,
        "individual enrollments",
        ("registration id", "device id", "proof", "status", "registration status", "assigned hub"),
        lambda row: (
            row["registrationId"],
            row.get("deviceId") or row["registrationId"],
            attestation_word(row["attestation"]),
            row["provisioningStatus"],
            (row.get("registrationState") or {}).get("status", "unassigned"),
            (row.get("registrationState") or {}).get("assignedHub"),
        ),
    )


@command(app)
def show(call: DpsCall, registration_id: RegistrationId) -> None:
    """Show one individual enrollment and whether its device is assigned."""
    with call.api() as api:
        found = api.get_json(path_to(INDIVIDUAL.path, registration_id))
    call.show(found, _facts)


@command(app)
def update(
    call: DpsCall,
    registration_id: RegistrationId,
    proof: DeviceProof,
    terms: Terms,
    device_id: DeviceIdOption = None,
    info: InfoOption = None,
    clear: Annotated[
        list[Clearable] | None,
        typer.Option(help="Take this away, again for each."),
    ] = None,
    if_match: IfMatchOption = None,
) -> None:
    """Change what is given and leave the rest; nobody else's change at the same time is lost.

    Rolling a certificate over: add the new one by --secondary, let the device register with it,
    then --clear primary.
    """
    attestation = proof.attestation()
    if not clear and attestation is None and terms == Terms() and device_id is info is None:
        raise collections.nothing_to_change()

    def apply(record: dict[str, Any]) -> None:
        for what in clear or ():
            _take_away(record, what)
        if attestation is not None:
            record["attestation"] = merged(record["attestation"], attestation)
        terms.apply_to(record)
        _apply(record, device_id, info)

    with call.api() as api:
        found = collections.change(api, INDIVIDUAL, registration_id, apply, if_match)
    call.show(found, _facts)


@command(app)
def enable(call: DpsCall, registration_id: RegistrationId) -> None:
    """Let the device of a disabled enrollment register again."""
    collections.switch(call, INDIVIDUAL, registration_id, "enabled")


@command(app)
def disable(call: DpsCall, registration_id: RegistrationId) -> None:
    """Refuse the device from now on, even where a group would take it."""
    collections.switch(call, INDIVIDUAL, registration_id, "disabled")


@command(app)
def delete(call: DpsCall, registration_id: RegistrationId, if_match: IfMatchOption = None) -> None:
    """Delete an individual enrollment and its registration record; the hub's device stays."""
    collections.delete(call, INDIVIDUAL, registration_id, if_match)


@command(app)
def keys(call: DpsCall, registration_id: RegistrationId) -> None:
    """Show the symmetric keys of an enrollment."""
    with call.api() as api:
        found = collections.mechanism(api, INDIVIDUAL, registration_id)
    facts = key_facts(found, of=registration_id)
    call.show(found, lambda _: facts)


@command(app)
def export(
    call: DpsCall,
    file: ExportFile = Path("-"),
    with_keys: WithKeysOption = False,
    force: ForceOption = False,
) -> None:
    """Write all individual enrollments as JSON, as the service API has them, for `import`."""
    export_all(call, INDIVIDUAL, file, with_keys=with_keys, force=force)


@command(app, "import")
def import_enrollments(call: DpsCall, file: ImportFile, update: UpdateOption = False) -> None:
    """Add the individual enrollments in a JSON file; those there already are left as they are.

    What fails is told one by one, and the rest is done; it may be run again. Exit code 1 if any
    failed.
    """
    import_all(call, INDIVIDUAL, file, update=update)


def _apply(document: dict[str, Any], device_id: str | None, info: str | None) -> None:
    if device_id is not None:
        document["deviceId"] = device_id
    if info is not None:
        document["optionalDeviceInformation"] = json_object(info, "--info")


def _take_away(record: dict[str, Any], what: Clearable) -> None:
    if what in (Clearable.PRIMARY, Clearable.SECONDARY):
        record["attestation"] = without_slot(record["attestation"], what)
        return
    for member in _MEMBERS[what]:
        record.pop(member, None)


def _common_name(certificate: Path | None) -> str:
    """Return the common name of the certificate in a file.

    Raises:
        CommandError: It has none.
        UsageError: There is no certificate to take it from.
    """
    from mooring.pki.certificates import common_name
    from mooring.pki.pem import take_certificates

    if certificate is None:
        raise UsageError(
            "registration-id-missing",
            "There is no certificate to take the registration id from.",
            "Give --registration-id.",
            field="--registration-id",
        )
    name = common_name(take_certificates(read_text(certificate)).certificates[0])
    if not name:
        raise CommandError(
            "common-name-missing",
            f"{certificate} has no common name to take the registration id from.",
            "Give --registration-id, or make a certificate with a CN.",
            field="--registration-id",
        )
    return name


def _facts(found: dict[str, Any]) -> dict[str, object]:
    registered = found.get("registrationState") or {}
    keys = found["attestation"].get("symmetricKey") or {}
    return {
        "registration id": found["registrationId"],
        "device id": found.get("deviceId") or found["registrationId"],
        "status": found["provisioningStatus"],
        **attestation_facts(found["attestation"]),
        "primary key": keys.get("primaryKey"),
        "secondary key": keys.get("secondaryKey"),
        **terms_facts(found),
        "registration status": registered.get("status", "unassigned"),
        "assigned hub": registered.get("assignedHub"),
        "last registered": short_time(registered.get("lastUpdatedDateTimeUtc")),
        **date_facts(found),
    }
