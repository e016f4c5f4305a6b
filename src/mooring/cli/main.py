"""The entry point `mooring`: mounts every group of commands, lets no traceback out."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from mooring import __version__
from mooring.cli import cert, cloud, dps, gateway, hub
from mooring.cli.demo import demo
from mooring.cli.output import CommandError, UsageError, exit_with_error
from mooring.cli.up import down, status, up

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
    epilog="Exit codes: 0 done, 1 the thing failed, 2 the command was wrong, 130 Ctrl-C.",
)
app.command()(up)
app.command()(status)
app.command()(down)
app.command()(demo)
app.add_typer(cloud.app, name="cloud")
app.add_typer(gateway.app, name="gateway")
app.add_typer(dps.app, name="dps")
app.add_typer(hub.app, name="hub")
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
    if not sys.warnoptions:
        # Warnings are for programmers; `cryptography` has one for each odd certificate, which the
        # checker and the refusals say better.
        warnings.simplefilter("ignore")
    _open_standard_streams()
    try:
        # Standalone: typer shows a wrong command (exit code 2) and Ctrl-C itself. It carries a
        # copy of click of its own, so the exceptions of the package `click` would not match.
        app(prog_name="mooring")
    except Exception as error:  # the last door: no traceback reaches a user
        if os.environ.get("MOORING_TRACEBACK"):
            raise
        with contextlib.suppress(typer.Exit):
            exit_with_error(_last_words(error), as_json="--json" in sys.argv)
        sys.exit(_last_words(error).exit_code)


def _last_words(error: Exception) -> CommandError:
    """Return what is said of an error that no command foresaw."""
    if isinstance(error, UnicodeEncodeError) and not _is_text("".join(sys.argv)):
        return UsageError(
            "argument-not-text",
            "An argument holds bytes that are not UTF-8.",
            "Type it again, in a terminal that is set to UTF-8.",
        )
    if isinstance(error, OSError):
        return CommandError(
            "system", str(error), "Check the path, its permissions, and the room on the disk."
        )
    return CommandError(
        "unexpected",
        f"{type(error).__name__}: {error}",
        "This is a defect of Mooring: run again with MOORING_TRACEBACK=1 and report what it "
        "prints.",
    )


def _open_standard_streams() -> None:
    """Put /dev/null where a standard stream was closed (``<&-``): Python has None there."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - until the end


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True
