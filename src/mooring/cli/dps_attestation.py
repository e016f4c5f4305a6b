"""How the devices of an enrollment prove who they are: as options, as JSON, and as facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mooring.cli.output import CommandError, UsageError
from mooring.cli.rendering import read_text, short_time

_PANEL = "Proof"

PrimaryKeyOption = Annotated[
    str | None,
    typer.Option(rich_help_panel=_PANEL, help="Its primary key, base64; made, unless given."),
]
SecondaryKeyOption = Annotated[
    str | None,
    typer.Option(rich_help_panel=_PANEL, help="Its secondary key, base64; made, unless given."),
]


@dataclass(frozen=True, kw_only=True)
class DeviceProof:
    """The options that say how one device proves who it is."""

    certificate: Annotated[
        Path | None,
        typer.Option(rich_help_panel=_PANEL, help="The device's own certificate, PEM or DER."),
    ] = None
    secondary: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_PANEL, help="With --certificate: a second one, for roll-over."
        ),
    ] = None
    ca: Annotated[
        str | None,
        typer.Option(
            "--ca", rich_help_panel=_PANEL, help="Instead: name of an uploaded CA that issued it."
        ),
    ] = None
    secondary_ca: Annotated[
        str | None, typer.Option(rich_help_panel=_PANEL, help="With --ca: name of a second CA.")
    ] = None
    symmetric_key: Annotated[
        bool,
        typer.Option("--symmetric-key", rich_help_panel=_PANEL, help="Instead: a shared key."),
    ] = False
    primary_key: PrimaryKeyOption = None
    secondary_key: SecondaryKeyOption = None

    def attestation(self) -> dict[str, Any] | None:
        """Return what was given as the service API has it; None if nothing was.

        Raises:
            CommandError: A file cannot be read.
            UsageError: More than one kind of proof.
        """
        return _one_of(
            {
                "--certificate": ("clientCertificates", _files(self.certificate, self.secondary)),
                "--ca": ("caReferences", _slots(self.ca, self.secondary_ca)),
            },
            _keys(self.symmetric_key, self.primary_key, self.secondary_key),
        )


@dataclass(frozen=True, kw_only=True)
class GroupProof:
    """The options that say how the devices of a group prove that they belong to it."""

    certificate: Annotated[
        str | None,
        typer.Option(rich_help_panel=_PANEL, help="Name of an uploaded, verified CA certificate."),
    ] = None
    secondary: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_PANEL, help="With --certificate: name of a second CA, for roll-over."
        ),
    ] = None
    signing_certificate: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_PANEL,
            help="Instead: file of the intermediate below a verified CA, kept in the group.",
        ),
    ] = None
    secondary_signing_certificate: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_PANEL, help="With --signing-certificate: a second one, for roll-over."
        ),
    ] = None
    symmetric_key: Annotated[
        bool,
        typer.Option(
            "--symmetric-key",
            rich_help_panel=_PANEL,
            help="Instead: a shared key that each device's own is derived from.",
        ),
    ] = False
    primary_key: PrimaryKeyOption = None
    secondary_key: SecondaryKeyOption = None

    def attestation(self) -> dict[str, Any] | None:
        """Return what was given as the service API has it; None if nothing was.

        Raises:
            CommandError: A file cannot be read.
            UsageError: More than one kind of proof.
        """
        signing = _files(self.signing_certificate, self.secondary_signing_certificate)
        return _one_of(
            {
                "--certificate": ("caReferences", _slots(self.certificate, self.secondary)),
                "--signing-certificate": ("signingCertificates", signing),
            },
            _keys(self.symmetric_key, self.primary_key, self.secondary_key),
        )


def merged(present: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the attestation `present` with what is `given` of it, or `given` if it is another.

    A certificate of the other slot is kept, and so is the other key.
    """
    present_x509, given_x509 = present.get("x509"), given.get("x509")
    if present_x509 and given_x509 and present_x509.keys() == given_x509.keys():
        (kind,) = given_x509
        return {"type": "x509", "x509": {kind: {**present_x509[kind], **given_x509[kind]}}}
    return given


def without_slot(present: dict[str, Any], slot: str) -> dict[str, Any]:
    """Return the attestation `present` without the certificate in `slot`.

    Raises:
        CommandError: There is none.
    """
    kinds: dict[str, Any] = present.get("x509") or {}
    if not any(slot in slots for slots in kinds.values()):
        raise CommandError(
            "slot-empty",
            f"--clear {slot}: there is no {slot} certificate.",
            "Leave it out.",
            field="--clear",
        )
    return {
        "type": "x509",
        "x509": {
            kind: {name: value for name, value in slots.items() if name != slot}
            for kind, slots in kinds.items()
        },
    }


def attestation_facts(attestation: Mapping[str, Any]) -> dict[str, object]:
    """Return an attestation for a person."""
    if attestation["type"] != "x509":
        return {"proof": "symmetric key" if "symmetricKey" in attestation else attestation["type"]}
    x509 = attestation["x509"]
    facts: dict[str, object] = {}
    for slot in ("primary", "secondary"):
        if name := (x509.get("caReferences") or {}).get(slot):
            facts[f"{slot} certificate"] = name
        for kind in ("clientCertificates", "signingCertificates"):
            if entry := (x509.get(kind) or {}).get(slot):
                info = entry["info"]
                facts[f"{slot} certificate"] = info["subjectName"]
                facts[f"{slot} SHA-256"] = info["sha256Thumbprint"]
                facts[f"{slot} expires"] = short_time(info["notAfterUtc"])
    return facts


def attestation_word(attestation: Mapping[str, Any]) -> str:
    """Return in a word or two what an attestation goes by, for a table."""
    facts = attestation_facts(attestation)
    return str(next(iter(facts.values()), ""))


def key_facts(mechanism: Mapping[str, Any], *, of: str) -> dict[str, object]:
    """Return the keys of an attestation mechanism.

    Raises:
        CommandError: It has none; `of` names whose it is.
    """
    keys = mechanism.get("symmetricKey") or {}
    if "primaryKey" not in keys:
        raise CommandError(
            "no-symmetric-keys",
            f"{of} goes by certificate: it has no keys.",
            "Its certificates are shown by `show`.",
        )
    return {"primary key": keys["primaryKey"], "secondary key": keys["secondaryKey"]}


def _files(primary: Path | None, secondary: Path | None) -> dict[str, Any]:
    return {
        slot: {"certificate": read_text(file)}
        for slot, file in (("primary", primary), ("secondary", secondary))
        if file is not None
    }


def _slots(primary: str | None, secondary: str | None) -> dict[str, Any]:
    given = {"primary": primary, "secondary": secondary}
    return {slot: name for slot, name in given.items() if name is not None}


def _keys(wanted: bool, primary: str | None, secondary: str | None) -> dict[str, Any] | None:
    given = {"primaryKey": primary, "secondaryKey": secondary}
    keys = {name: key for name, key in given.items() if key is not None}
    return keys if wanted or keys else None


def _one_of(
    x509: Mapping[str, tuple[str, dict[str, Any]]], keys: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Return the attestation that was given, by the options that can give one.

    Raises:
        UsageError: More than one was.
    """
    given = [option for option, (_, slots) in x509.items() if slots]
    given += ["--symmetric-key"] if keys is not None else []
    if len(given) > 1:
        raise UsageError(
            "proof-twice",
            f"{' and '.join(given)} are given: there is one way to prove it.",
            "Keep one of them.",
            field=given[1],
        )
    if keys is not None:
        return {"type": "symmetricKey", "symmetricKey": keys}
    for kind, slots in x509.values():
        if slots:
            return {"type": "x509", "x509": {kind: slots}}
    return None
