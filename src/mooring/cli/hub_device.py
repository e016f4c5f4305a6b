"""`mooring hub device`: identities in a hub's registry, by the service API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mooring.cli.azure_api import spelled_here
from mooring.cli.calls import HubCall, command
from mooring.cli.dps_policy import WhichKey
from mooring.cli.hub_api import HubApi
from mooring.cli.hub_device_files import export_devices, import_devices
from mooring.cli.inputs import json_object
from mooring.cli.output import CommandError, UsageError
from mooring.cli.records import DisabledOption, IfMatchOption, LimitOption, path_to
from mooring.cli.rendering import read_text, short_time

app = typer.Typer(no_args_is_help=True, help="Device identities in a hub's registry.")
command(app, "export")(export_devices)
command(app, "import")(import_devices)

DeviceId = Annotated[str, typer.Argument(help="Id of the device.", metavar="DEVICE")]
_SYMMETRIC = "sas"

KEY_BYTES = 64
"""As those that the hub makes itself."""
_JSON = "JSON object, @FILE, or - for standard input"


@command(app)
def add(
    call: HubCall,
    device_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[DEVICE]",
            help="An id for the device; the certificate's CN, unless given.",
            show_default=False,
        ),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="The device's certificate, pinned by its thumbprint.")
    ] = None,
    secondary_certificate: Annotated[
        Path | None, typer.Option(help="Another one of it, which is as good.")
    ] = None,
    thumbprint: Annotated[
        str | None, typer.Option(help="Instead of the certificate: its SHA-1 or SHA-256, in hex.")
    ] = None,
    ca: Annotated[
        bool,
        typer.Option(
            "--ca", help="By any certificate with the id as CN, of a CA that the hub has verified."
        ),
    ] = False,
    primary_key: Annotated[
        str | None, typer.Option(help="Symmetric key in base64; made unless given.")
    ] = None,
    secondary_key: Annotated[
        str | None, typer.Option(help="Another key, which is as good; made unless given.")
    ] = None,
    edge: Annotated[
        bool, typer.Option("--edge", help="It is an edge device, which others may stand behind.")
    ] = False,
    tags: Annotated[
        str | None, typer.Option(metavar="JSON", help=f"Tags of its twin: {_JSON}.")
    ] = None,
    desired: Annotated[
        str | None, typer.Option(metavar="JSON", help=f"Desired properties: {_JSON}.")
    ] = None,
    disabled: DisabledOption = False,
) -> None:
    """Create a device without DPS: by certificate, by a CA (--ca), or else by symmetric key."""
    name, authentication = _authentication(
        device_id, certificate, secondary_certificate, thumbprint, ca, primary_key, secondary_key
    )
    body: dict[str, Any] = {
        "authentication": authentication,
        "status": "disabled" if disabled else "enabled",
        "capabilities": {"iotEdge": edge},
    }
    with call.api() as api:
        if tags is None and desired is None:
            found = api.put_json(path_to("devices", name), {"deviceId": name, **body})
        else:
            if tags is not None:
                body["tags"] = json_object(tags, "--tags")
            if desired is not None:
                body["properties"] = {"desired": json_object(desired, "--desired")}
            found = _add_with_twin(api, name, body)
    hint = None
    if found["authentication"]["type"] == _SYMMETRIC:
        hint = f"next: mooring hub device connection-string {name}"
    call.show(_without_keys(found), _facts, hint=hint)


@command(app, "list")
def list_devices(call: HubCall, limit: LimitOption = None) -> None:
    """List the devices of a hub; with --json their twins."""
    with call.api() as api:
        found = [row for _, row in api.query("SELECT * FROM devices", limit=limit)]
    call.show_table(
        found,
        "devices",
        ("device id", "status", "connection", "authentication", "last activity"),
        lambda row: (
            row["deviceId"],
            row["status"],
            row["connectionState"],
            row["authenticationType"],
            _time(row["lastActivityTime"]),
        ),
    )


@command(app)
def show(
    call: HubCall,
    device_id: DeviceId,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="With its symmetric keys.")
    ] = False,
) -> None:
    """Show one device identity; its twin: `mooring hub twin show`."""
    with call.api() as api:
        found = api.get_json(path_to("devices", device_id))
    call.show(found if with_keys else _without_keys(found), _facts)


@command(app)
def keys(
    call: HubCall,
    device_id: DeviceId,
    regenerate: Annotated[
        WhichKey | None,
        typer.Option(help="Put a new key in place of this one; the other goes on to work."),
    ] = None,
    if_match: IfMatchOption = None,
) -> None:
    """Show the symmetric keys of a device, or make new ones."""
    import secrets

    from mooring.protocol.azure.sas import encode_key

    with call.api() as api:
        found = _with_symmetric_keys(api, device_id)
        if regenerate is not None:
            which = ("primary", "secondary") if regenerate is WhichKey.BOTH else (regenerate.value,)
            for one in which:
                key = encode_key(secrets.token_bytes(KEY_BYTES))
                found["authentication"]["symmetricKey"][f"{one}Key"] = key
            found = _put(api, found, if_match)
    call.show(
        {"deviceId": found["deviceId"], **found["authentication"]["symmetricKey"]},
        lambda row: {
            "device id": row["deviceId"],
            "primary key": row["primaryKey"],
            "secondary key": row["secondaryKey"],
        },
    )


@command(app, "connection-string")
def connection_string(
    call: HubCall,
    device_id: DeviceId,
    secondary: Annotated[bool, typer.Option("--secondary", help="With the secondary key.")] = False,
) -> None:
    """Print a device's connection string, as Azure's device SDKs take it."""
    from mooring.protocol.azure.connection_strings import (
        ConnectionString,
        format_connection_string,
    )

    with call.api() as api:
        found = api.get_json(path_to("devices", device_id))
        host_name = api.host_name
    by_key = found["authentication"]["type"] == _SYMMETRIC
    keys = found["authentication"]["symmetricKey"]
    text = format_connection_string(
        ConnectionString(
            host_name=host_name,
            device_id=found["deviceId"],
            shared_access_key=keys["secondaryKey" if secondary else "primaryKey"]
            if by_key
            else None,
            x509=not by_key,
        )
    )
    call.say({"connectionString": text}, text)


@command(app)
def enable(call: HubCall, device_id: DeviceId, if_match: IfMatchOption = None) -> None:
    """Let a disabled device connect again."""
    _set_status(call, device_id, "enabled", None, if_match)


@command(app)
def disable(
    call: HubCall,
    device_id: DeviceId,
    reason: Annotated[str | None, typer.Option(help="Why, to be shown with it.")] = None,
    if_match: IfMatchOption = None,
) -> None:
    """Refuse a device from now on, and end its connection."""
    _set_status(call, device_id, "disabled", reason, if_match)


@command(app)
def delete(call: HubCall, device_id: DeviceId, if_match: IfMatchOption = None) -> None:
    """Delete a device and end its connection; its telemetry stays until it is too old."""
    with call.api() as api:
        api.delete(path_to("devices", device_id), if_match=if_match)
    call.say({"deleted": device_id}, f"deleted {device_id}.")


def _authentication(
    device_id: str | None,
    certificate: Path | None,
    secondary_certificate: Path | None,
    thumbprint: str | None,
    ca: bool,
    primary_key: str | None,
    secondary_key: str | None,
) -> tuple[str, dict[str, Any]]:
    """Return the id, and how the device proves who it is.

    Raises:
        CommandError, PkiError: A certificate cannot be read, or names no device.
        UsageError: More than one kind of proof, or no id.
    """
    given = [
        name
        for name, value in (
            ("--certificate", certificate),
            ("--thumbprint", thumbprint),
            ("--ca", ca),
            ("--primary-key", primary_key or secondary_key),
        )
        if value
    ]
    if len(given) > 1:
        raise UsageError(
            "proof-twice",
            f"{' and '.join(given)} are given: a device has one kind of proof.",
            "Give one of them.",
            field=given[1],
        )
    if secondary_certificate is not None and certificate is None:
        raise UsageError(
            "certificate-missing",
            "--secondary-certificate is given without the first one.",
            "Give --certificate as well.",
            field="--certificate",
        )
    authentication: dict[str, Any]
    name = device_id
    if certificate is not None:
        common_name, primary = _read_certificate(certificate)
        thumbprints = {"primaryThumbprint": primary}
        if secondary_certificate is not None:
            thumbprints["secondaryThumbprint"] = _read_certificate(secondary_certificate)[1]
        authentication = {"type": "selfSigned", "x509Thumbprint": thumbprints}
        name = name or common_name
    elif thumbprint is not None:
        thumbprints = {"primaryThumbprint": thumbprint.replace(":", "")}
        authentication = {"type": "selfSigned", "x509Thumbprint": thumbprints}
    elif ca:
        authentication = {"type": "certificateAuthority"}
    else:
        keys = {"primaryKey": primary_key, "secondaryKey": secondary_key}
        authentication = {"type": _SYMMETRIC, "symmetricKey": keys}
    if name is None:
        raise UsageError(
            "device-id-missing",
            "DEVICE is not given, and there is no certificate with a common name to take it from.",
            "Give the device's id, or --certificate FILE.",
            field="DEVICE",
        )
    return name, authentication


def _read_certificate(file: Path) -> tuple[str | None, str]:
    """Return the common name and the thumbprint of the first certificate in `file`."""
    from mooring.pki.certificates import common_name, sha256_thumbprint
    from mooring.pki.pem import take_certificates

    leaf = take_certificates(read_text(file)).certificates[0]
    return common_name(leaf) or None, sha256_thumbprint(leaf)


def _add_with_twin(api: HubApi, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Create a device and its first twin in one step, which only the bulk operation does."""
    refused = api.bulk([{"id": name, "importMode": "create", **body}])
    if refused:
        raise CommandError(
            spelled_here(str(refused[0]["errorCode"])),
            str(refused[0]["errorStatus"]),
            "Do as the message says; nothing was created.",
        )
    found: dict[str, Any] = api.get_json(path_to("devices", name))
    return found


def _with_symmetric_keys(api: HubApi, device_id: str) -> dict[str, Any]:
    """Return a device identity that has keys. Raises CommandError if it has none."""
    found: dict[str, Any] = api.get_json(path_to("devices", device_id))
    if found["authentication"]["type"] != _SYMMETRIC:
        raise CommandError(
            "no-symmetric-keys",
            f"{device_id} proves itself by certificate; it has no keys.",
            "For a device with keys, see `mooring hub device add --help`.",
            field="DEVICE",
        )
    return found


def _put(api: HubApi, found: dict[str, Any], if_match: str | None) -> dict[str, Any]:
    """Replace a device identity by what was made of it, unless it changed meanwhile."""
    put: dict[str, Any] = api.put_json(
        path_to("devices", found["deviceId"]), found, if_match=if_match or f'"{found["etag"]}"'
    )
    return put


def _set_status(
    call: HubCall, device_id: str, status: str, reason: str | None, if_match: str | None
) -> None:
    with call.api() as api:
        found = api.get_json(path_to("devices", device_id))
        found |= {"status": status, "statusReason": reason}
        found = _put(api, found, if_match)
    call.say(_without_keys(found), f"{device_id} is {found['status']}.")


def _without_keys(found: dict[str, Any]) -> dict[str, Any]:
    """Return a device identity without its symmetric keys."""
    authentication = {
        name: value for name, value in found["authentication"].items() if name != "symmetricKey"
    }
    return {**found, "authentication": authentication}


def _time(value: str) -> str | None:
    """Return a time to read; Azure's year 1 means never."""
    return "never" if value.startswith("0001-") else short_time(value)


def _facts(found: dict[str, Any]) -> dict[str, object]:
    authentication = found["authentication"]
    thumbprints = authentication.get("x509Thumbprint") or {}
    keys = authentication.get("symmetricKey") or {}
    return {
        "device id": found["deviceId"],
        "status": found["status"],
        "status reason": found["statusReason"],
        "connection": found["connectionState"],
        "authentication": authentication["type"],
        "primary thumbprint": thumbprints.get("primaryThumbprint"),
        "secondary thumbprint": thumbprints.get("secondaryThumbprint"),
        "primary key": keys.get("primaryKey"),
        "secondary key": keys.get("secondaryKey"),
        "edge scope": found["deviceScope"] if found["capabilities"]["iotEdge"] else None,
        "parent": ", ".join(found["parentScopes"]) or None,
        "messages waiting": found["cloudToDeviceMessageCount"] or None,
        "last activity": _time(found["lastActivityTime"]),
        "etag": found["etag"],
    }
