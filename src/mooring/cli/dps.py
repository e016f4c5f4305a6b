"""`mooring dps`: the Device Provisioning Service, mounted from one file per resource."""

from __future__ import annotations

import typer

from mooring.cli import (
    dps_attempts,
    dps_certificate,
    dps_enrollment,
    dps_group,
    dps_registration,
)
from mooring.cli.calls import command

app = typer.Typer(
    no_args_is_help=True, help="The Device Provisioning Service: who may register, who did."
)
app.add_typer(dps_certificate.app, name="certificate")
app.add_typer(dps_enrollment.app, name="enrollment")
app.add_typer(dps_group.app, name="group")
app.add_typer(dps_registration.app, name="registration")
command(app)(dps_attempts.attempts)
