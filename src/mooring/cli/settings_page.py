"""The page of all settings, made from the settings themselves.

``python -m mooring.cli.settings_page docs/settings.md`` writes it; a test keeps it fresh.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic_settings import BaseSettings

from mooring.cloud.settings import CloudSettings
from mooring.gateway.settings import GatewaySettings
from mooring.runtime.settings import describe_settings

_HEAD = """# Settings

Settings are environment variables; where a command has an option of the same name, the option wins.
A value that cannot be used is refused at the start, by name. `mooring up` and `mooring demo` pass
the variables on to the cloud and the gateway that they start.

Beside these, `MOORING_STATE` names the state folder for every command (as `--state`), and
`MOORING_TOKEN` holds a bearer token for those that call a cloud or a gateway (as `--token`).

This page is made from the settings: `python -m mooring.cli.settings_page docs/settings.md`.
"""

_CLOUD = "Taken by `mooring cloud serve`."

_GATEWAY = (
    "Taken by `mooring gateway serve`. What belongs to one cloud connection is not here: it is\n"
    "set on the connection (`mooring gateway connection configure`), see [gateway.md](gateway.md)."
)


def render() -> str:
    """Return the page as Markdown."""
    return "\n".join(
        (
            _HEAD,
            _section("Cloud", _CLOUD, CloudSettings),
            _section("Gateway", _GATEWAY, GatewaySettings),
        )
    )


def _section(title: str, text: str, kind: type[BaseSettings]) -> str:
    rows = [
        f"| `{row['name']}` | `{row['environment']}` | {row['type']} | {row['unit'] or ''} "
        f"| {'' if row['default'] is None else row['default']} | {row['help']} |\n"
        for row in describe_settings(kind)
    ]
    return (
        f"## {title}\n\n{text}\n\n"
        "| setting | environment variable | type | unit | default | what it does |\n"
        "|---|---|---|---|---|---|\n" + "".join(rows)
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(), encoding="utf-8")
