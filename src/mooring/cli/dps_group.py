"""`mooring dps group`: enrollment groups."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape

from mooring.cli.api import ApiClient, cloud_api
from mooring.cli.options import StateOption, TokenOption, UrlOption
from mooring.cli.output import (
    CommandError,
    JsonOption,
    console,
    emit_json,
    exit_with_error,
    print_table,
)
from mooring.cli.records import (
    DisabledOption,
    IfMatchOption,
    LimitOption,
    delete_one,
    list_pages,
    show_one,
    switch_one,
)
from mooring.cli.rendering import show

app = typer.Typer(no_args_is_help=True, help="Enrollment groups: all devices under a CA.")


@app.command("add")
def group_add(
    name: Annotated[str, typer.Argument(help="Group name, any unique designator.")],
    state: StateOption,
    certificate: Annotated[
        str, typer.Option("--certificate", help="Name of an uploaded, verified CA certificate.")
    ],
    secondary: Annotated[
        str | None, typer.Option("--secondary", help="Name of a second CA, for roll-over.")
    ] = None,
    disabled: DisabledOption = False,
    if_match: IfMatchOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
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
    try:
        with cloud_api(state, url, token) as api:
            found = api.put_json(
                f"dps/enrollmentGroups/{quote(name, safe='')}", body, if_match=if_match
            )
            unverified = not as_json and not _is_verified(api, certificate)
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    show(found, as_json, _group_facts)
    if unverified:
        console.print(
            f"[yellow]warning[/] {escape(certificate)} is not verified: no device gets in until it "
            f"is. Next: mooring dps certificate code {certificate}",
            soft_wrap=True,
        )


@app.command("list")
def group_list(
    state: StateOption,
    limit: LimitOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the enrollment groups."""
    found = list_pages("dps/enrollmentGroups", state, limit, url, token, as_json)
    if as_json:
        emit_json(found)
        return
    print_table(
        "enrollment groups",
        ("group", "status", "primary certificate"),
        [
            (row["enrollmentGroupId"], row["provisioningStatus"], _group_certificate(row))
            for row in found
        ],
    )


@app.command("show")
def group_show(
    name: str,
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one enrollment group; its devices: `mooring dps registration list --group`."""
    show_one("dps/enrollmentGroups", name, state, url, token, as_json, _group_facts)


@app.command("enable")
def group_enable(
    name: str,
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the devices of a disabled group register again."""
    switch_one("dps/enrollmentGroups", name, "enabled", state, url, token, as_json)


@app.command("disable")
def group_disable(
    name: str,
    state: StateOption,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse the devices of the group from now on."""
    switch_one("dps/enrollmentGroups", name, "disabled", state, url, token, as_json)


@app.command("delete")
def group_delete(
    name: str,
    state: StateOption,
    if_match: IfMatchOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete an enrollment group; its registration records and the hub's devices stay."""
    delete_one("dps/enrollmentGroups", name, state, if_match, url, token, as_json)


def _is_verified(api: ApiClient, name: str) -> bool:
    found = api.get_json(f"dps/certificates/{quote(name, safe='')}")
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
