"""Options that several commands share, and where the state folder is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import platformdirs
import typer


def default_state_folder() -> Path:
    """Return the platform's user data folder of Mooring."""
    return platformdirs.user_data_path("mooring")


StateOption = Annotated[
    Path,
    typer.Option(
        "--state",
        envvar="MOORING_STATE",
        default_factory=default_state_folder,
        show_default="the user data folder",
        help="Folder that holds everything; deleting it is a factory reset.",
        file_okay=False,
        resolve_path=True,
    ),
]

TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="MOORING_TOKEN",
        help="Bearer token, instead of the owner token of the state folder.",
    ),
]

TrustOption = Annotated[
    Path | None,
    typer.Option(
        "--trust",
        envvar="MOORING_TRUST",
        help="CA of the server at an https --url, PEM, instead of the system's own CAs.",
        dir_okay=False,
    ),
]
