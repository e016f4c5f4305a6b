"""The entry point `mooring`: mounts every group of commands, lets no traceback out."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import click
import typer

from mooring import __version__
from mooring.cli import cert
from mooring.cli.output import EXIT_FAILED, EXIT_USAGE, error_console

app = typer.Typer(
    name="mooring",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "From a bare key to a connected device on Azure IoT with X.509 certificates: a gateway, "
        "and a self-hosted Device Provisioning Service and IoT Hub for it to connect to.\n\n"
        "Start with [bold]mooring demo[/] (everything once, from nothing) or "
        "[bold]mooring up[/] (cloud and gateway, until Ctrl-C)."
    ),
    epilog="Exit codes: 0 done, 1 the thing failed, 2 the command was wrong.",
)
app.add_typer(cert.app, name="cert")


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"mooring {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options that stand before every command."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        code = app(standalone_mode=False)
    except click.UsageError as error:
        error.show()
        code = EXIT_USAGE
    except click.ClickException as error:
        error.show()
        code = EXIT_FAILED
    except (click.Abort, KeyboardInterrupt):
        error_console.print("[dim]stopped.[/]")
        code = EXIT_FAILED
    except BrokenPipeError:
        # The reader of our output went away (`mooring … | head`): not our failure to report.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:  # the last door: no traceback reaches a user
        if os.environ.get("MOORING_TRACEBACK"):
            raise
        error_console.print(
            f"[bold red]error[/] [dim](unexpected)[/] {type(error).__name__}: ", end=""
        )
        error_console.print(str(error), markup=False)
        error_console.print(
            "[bold]remedy[/] this is a defect of Mooring: run again with MOORING_TRACEBACK=1 and "
            "report what it prints.",
        )
        code = EXIT_FAILED
    sys.exit(code if isinstance(code, int) else 0)
