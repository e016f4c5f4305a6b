"""`mooring dps group`: enrollment groups."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from mooring.cli.api import ApiClient
from mooring.cli.calls import CloudCall, command
from mooring.cli.output import console
from mooring.cli.records import (
    DisabledOption,
    IfMatchOption,
    LimitOption,
    delete_one,
    list_pages,
    path_to,
    show_one,
    switch_one,
)

app = typer.Typer(no_args_is_help=True, help="Enrollment groups: all devices under a CA.")


@command(app, "add")
def group_add(
    call: CloudCall,
    name: Annotated[str, typer.Argument(help="Group name, any unique designator.")],
    certificate: Annotated[
        str, typer.Option("--certificate", help="Name of an uploaded, verified CA certificate.")
    ],
    secondary: Annotated[
        str | None, typer.Option("--secondary", help="Name of a second CA, for roll-over.")
    ] = None,
    disabled: DisabledOption = False,
    if_match: IfMatchOption = None,
) -> None:
    """Let every device register whose certificate hangs from a CA."""
    references = {"primary": certificate}
    if secondary is not None:
        references["secondary"] = secondary
    body = {
        "enrollmentGroupId": name,
        "attestation": {"type": "x509", "x509": {"caReferences": references}},
        "provisioningStatus": "disabled" if disabled else "enabled",
    }
    with call.api() as api:
        found = api.put_json(path_to("dps/enrollmentGroups", name), body, if_match=if_match)
        unverified = not call.as_json and not _is_verified(api, certificate)
    call.show(found, _group_facts)
    if unverified:
        console.print(
            f"[yellow]warning[/] {escape(certificate)} is not verified: no device gets in until it "
            f"is. Next: mooring dps certificate code {certificate}",
            soft_wrap=True,
        )


@command(app, "list")
def group_list(
    call: CloudCall,
    limit: LimitOption = None,
) -> None:
    """List the enrollment groups."""
    with call.api() as api:
        found = list_pages(api, "dps/enrollmentGroups", limit)
    call.show_table(
        found,
        "enrollment groups",
        ("group", "status", "primary certificate"),
        lambda row: (row["enrollmentGroupId"], row["provisioningStatus"], _group_certificate(row)),
    )


@command(app, "show")
def group_show(call: CloudCall, name: str) -> None:
    """Show one enrollment group; its devices: `mooring dps registration list --group`."""
    show_one(call, "dps/enrollmentGroups", name, _group_facts)


@command(app, "enable")
def group_enable(call: CloudCall, name: str) -> None:
    """Let the devices of a disabled group register again."""
    switch_one(call, "dps/enrollmentGroups", name, "enabled")


@command(app, "disable")
def group_disable(call: CloudCall, name: str) -> None:
    """Refuse the devices of the group from now on."""
    switch_one(call, "dps/enrollmentGroups", name, "disabled")


@command(app, "delete")
def group_delete(
    call: CloudCall,
    name: str,
    if_match: IfMatchOption = None,
) -> None:
    """Delete an enrollment group; its registration records and the hub's devices stay."""
    delete_one(call, "dps/enrollmentGroups", name, if_match)


def _is_verified(api: ApiClient, name: str) -> bool:
    found = api.get_json(path_to("dps/certificates", name))
    return bool(found["properties"]["isVerified"])


def _group_certificate(found: dict[str, Any]) -> str:
    x509 = found["attestation"]["x509"]
    if references := x509.get("caReferences"):
        return str(references.get("primary") or references.get("secondary"))
    return str(x509["signingCertificates"]["primary"]["info"]["subjectName"])


def _group_facts(found: dict[str, Any]) -> dict[str, object]:
    return {
        "group": found["enrollmentGroupId"],
        "status": found["provisioningStatus"],
        "primary certificate": _group_certificate(found),
        "etag": found["etag"],
    }
