"""Options that several commands of `mooring cert` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mooring.pki.keys import KeyAlgorithm

SUBJECT_PANEL = "Subject"
ISSUER_PANEL = "Issuer"
OUTPUT_PANEL = "Key and files"

CommonName = Annotated[
    str | None,
    typer.Option(
        "--common-name",
        "--cn",
        rich_help_panel=SUBJECT_PANEL,
        help="Common Name (CN). Asked for on a terminal, with the other fields, if not given.",
    ),
]
Country = Annotated[
    str | None, typer.Option(rich_help_panel=SUBJECT_PANEL, help="Country Name (C), two letters.")
]
State = Annotated[
    str | None, typer.Option(rich_help_panel=SUBJECT_PANEL, help="State or Province Name (ST).")
]
Locality = Annotated[
    str | None, typer.Option(rich_help_panel=SUBJECT_PANEL, help="Locality Name (L).")
]
Organization = Annotated[
    str | None, typer.Option(rich_help_panel=SUBJECT_PANEL, help="Organization Name (O).")
]
OrganizationalUnit = Annotated[
    str | None, typer.Option(rich_help_panel=SUBJECT_PANEL, help="Organization Unit Name (OU).")
]
Email = Annotated[str | None, typer.Option(rich_help_panel=SUBJECT_PANEL, help="Email Address.")]
AnySubject = Annotated[
    bool,
    typer.Option(
        "--any-subject",
        rich_help_panel=SUBJECT_PANEL,
        help="Lift the guide's rules: lower-case alphanumeric CN, one more field filled in.",
    ),
]
Days = Annotated[int, typer.Option(rich_help_panel=OUTPUT_PANEL, help="Validity in days.")]
Key = Annotated[
    KeyAlgorithm, typer.Option(rich_help_panel=OUTPUT_PANEL, help="Kind of the new key.")
]
Encrypt = Annotated[
    bool,
    typer.Option(
        "--encrypt",
        rich_help_panel=OUTPUT_PANEL,
        help="Encrypt the key (PKCS#8, AES-256); the passphrase is asked for twice.",
    ),
]
NewPassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        rich_help_panel=OUTPUT_PANEL,
        help="Encrypt the key with the passphrase on the first line of this file.",
    ),
]
OutDir = Annotated[
    Path, typer.Option("--out-dir", rich_help_panel=OUTPUT_PANEL, help="Folder of the new files.")
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", rich_help_panel=OUTPUT_PANEL, help="Replace files that are there already."
    ),
]
Ca = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        rich_help_panel=ISSUER_PANEL,
        help="Certificate of the CA that signs, its chain after it.",
        show_default="root-cert.pem in the --out-dir",
    ),
]
CaKey = Annotated[
    Path | None,
    typer.Option(
        "--ca-key",
        rich_help_panel=ISSUER_PANEL,
        help="Its private key.",
        show_default="root-private-key.pem in the --out-dir",
    ),
]
CaPassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-passphrase-file",
        rich_help_panel=ISSUER_PANEL,
        help="Passphrase of that key, on the first line; asked for on a terminal if not given.",
    ),
]
