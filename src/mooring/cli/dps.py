"""`mooring dps`: the Device Provisioning Service, mounted from one file per resource."""

from __future__ import annotations

import typer

from mooring.cli import (
    dps_attempts,
    dps_certificate,
    dps_enrollment,
    dps_group,
    dps_hub,
    dps_policy,
    dps_registration,
    dps_resource,
)
from mooring.cli.calls import command

app = typer.Typer(
    no_args_is_help=True, help="The Device Provisioning Service: who may register, who did."
)
command(app)(dps_resource.show)
command(app)(dps_resource.update)
app.add_typer(dps_certificate.app, name="certificate")
app.add_typer(dps_enrollment.app, name="enrollment")
app.add_typer(dps_group.app, name="group")
app.add_typer(dps_registration.app, name="registration")
app.add_typer(dps_hub.app, name="hub")
app.add_typer(dps_policy.app, name="policy")
command(app)(dps_attempts.attempts)
