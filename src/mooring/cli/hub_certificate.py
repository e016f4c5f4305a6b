"""`mooring hub certificate`: CA certificates of a hub, as those of the DPS."""

from __future__ import annotations

import typer

from mooring.cli import dps_certificate
from mooring.cli.calls import HubResourceCall, command
from mooring.cli.dps_certificate import CertificateName
from mooring.cli.records import IfMatchOption

app = typer.Typer(
    no_args_is_help=True,
    help="CA certificates and proof of possession: devices of a verified one get in by chain.",
)

command(app, call=HubResourceCall)(dps_certificate.add)
command(app, "list", call=HubResourceCall)(dps_certificate.list_certificates)
command(app, call=HubResourceCall)(dps_certificate.show)
command(app, call=HubResourceCall)(dps_certificate.update)
command(app, call=HubResourceCall)(dps_certificate.code)
command(app, call=HubResourceCall)(dps_certificate.verify)


@command(app)
def delete(call: HubResourceCall, name: CertificateName, if_match: IfMatchOption = None) -> None:
    """Delete a CA certificate; devices that need it for their chain are refused from now on."""
    dps_certificate.delete(call, name, if_match)
