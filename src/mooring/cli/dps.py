"""`mooring dps`: the Device Provisioning Service, mounted from one file per resource."""

from __future__ import annotations

from typing import Annotated

import typer

from mooring.cli import dps_certificate, dps_enrollment, dps_group, dps_registration
from mooring.cli.api import cloud_api
from mooring.cli.options import StateOption, TokenOption, UrlOption
from mooring.cli.output import (
    CommandError,
    JsonOption,
    emit_json,
    exit_with_error,
)
from mooring.cli.rendering import print_attempts

app = typer.Typer(
    no_args_is_help=True, help="The Device Provisioning Service: who may register, who did."
)
app.add_typer(dps_certificate.app, name="certificate")
app.add_typer(dps_enrollment.app, name="enrollment")
app.add_typer(dps_group.app, name="group")
app.add_typer(dps_registration.app, name="registration")


@app.command("attempts")
def attempts(
    state: StateOption,
    registration_id: Annotated[str | None, typer.Option(help="Only of this one.")] = None,
    thumbprint: Annotated[
        str | None, typer.Option(help="Only with this certificate, SHA-256.")
    ] = None,
    result: Annotated[str | None, typer.Option(help="succeeded or failed.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, newest first.")] = 20,
    url: UrlOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what devices tried, on DPS and hub: how far each came, why it failed, what to do.

    Attempts that matched no enrollment are kept as well; identical ones are counted.
    """
    try:
        with cloud_api(state, url, token) as api:
            found = api.get_json(
                "attempts",
                registration_id=registration_id,
                thumbprint=thumbprint,
                result=result,
                limit=limit,
            )["value"]
    except CommandError as error:
        exit_with_error(error, as_json=as_json)
    if as_json:
        emit_json(found)
    else:
        print_attempts(found)
