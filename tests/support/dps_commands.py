"""What tests of `mooring dps` need besides the command: roots, proofs, devices that register."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from tests.support.commandline import CommandLine
from tests.support.rawmqtt import PUBACK, PUBLISH, RawMqtt

from mooring.cli.api_access import read_facts


def fresh_name(what: str = "gateway") -> str:
    """Return a name that no other test uses; all of them share one cloud."""
    return f"{what}{secrets.token_hex(4)}"


def make_root(mooring: CommandLine, name: str, folder: str = ".") -> Path:
    """Make a root with `name` as common name; return its certificate's file."""
    mooring.text(
        *("cert", "root", "--cn", name, "--organization", "Quay"),
        *("--key", "ec-p256", "--out-dir", folder),
    )
    return mooring.folder / folder / "root-cert.pem"


def make_proof(mooring: CommandLine, code: str, folder: str = ".") -> Path:
    """Make a verification certificate for `code` by the root in `folder`; return its file."""
    mooring.text("cert", "verification", "--code", code, "--force", "--out-dir", folder)
    return mooring.folder / folder / "verification-cert.pem"


def upload_root(mooring: CommandLine, name: str, folder: str = ".") -> Path:
    """Make a root and have it verified under `name`; return its certificate's file."""
    root = make_root(mooring, name, folder)
    mooring.text("dps", "certificate", "add", name, root, "--verified")
    return root


def register(
    mooring: CommandLine,
    registration_id: str,
    certificate: str | Path = "root-cert.pem",
    key: str | Path = "root-private-key.pem",
) -> int:
    """Register as a device does; return the status of DPS's answer: 202, or 401."""
    facts: dict[str, Any] = read_facts(mooring.state, "cloud")
    user_name = f"{facts['id_scope']}/registrations/{registration_id}/api-version=2019-03-31"
    with RawMqtt(
        mooring.address,
        8883,
        ca_file=Path(facts["ca_file"]),
        cert_file=mooring.folder / certificate,
        key_file=mooring.folder / key,
    ) as raw:
        raw.connect(registration_id, user_name)
        raw.subscribe("$dps/registrations/res/#")
        raw.publish("$dps/registrations/PUT/iotdps-register/?$rid=1", b"{}")
        raw.expect(PUBACK)
        return int(raw.expect(PUBLISH).topic.split("/")[3])
