"""`mooring cert root|intermediate|verification|device|check|show`: make and check certificates."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from mooring.cli.cert_files import UsageFault, read_input
from mooring.cli.cert_issuing import (
    Output,
    complete_subject,
    load_issuer,
    missing,
    passphrase_for,
    reporting,
)
from mooring.cli.cert_options import (
    ISSUER_PANEL,
    SUBJECT_PANEL,
    AnySubject,
    Ca,
    CaKey,
    CaPassphraseFile,
    CommonName,
    Country,
    Days,
    Email,
    Encrypt,
    Force,
    Key,
    Locality,
    NewPassphraseFile,
    Organization,
    OrganizationalUnit,
    OutDir,
    State,
)
from mooring.cli.cert_prompts import ask_code, on_terminal
from mooring.cli.cert_report import print_report, print_shown, shown_json
from mooring.cli.output import EXIT_FAILED, JsonOption, emit_json
from mooring.pki.certificates import Certificate
from mooring.pki.issuing import (
    DEVICE_DAYS,
    INTERMEDIATE_DAYS,
    ROOT_DAYS,
    VERIFICATION_DAYS,
    issue_device,
    issue_intermediate,
    issue_root,
    issue_verification,
)
from mooring.pki.keys import KeyAlgorithm
from mooring.pki.lint import Purpose, lint_pasted
from mooring.pki.names import Subject
from mooring.pki.pem import take_bundle
from mooring.runtime.clock import SYSTEM_CLOCK

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Make, check and show certificates: root, intermediate, verification, device. "
    "For testing and development, as in the guide.",
)


@app.callback()
def _prepare() -> None:
    """Make, check and show certificates, as in the guide: for testing and development."""
    # cryptography warns of odd certificates on standard error; the check says it as a finding.
    warnings.filterwarnings("ignore", module=r"mooring\.pki\.")


@app.command()
def root(
    common_name: CommonName = None,
    country: Country = None,
    state: State = None,
    locality: Locality = None,
    organization: Organization = None,
    organizational_unit: OrganizationalUnit = None,
    email: Email = None,
    any_subject: AnySubject = False,
    days: Days = ROOT_DAYS,
    key: Key = KeyAlgorithm.RSA_2048,
    encrypt: Encrypt = False,
    passphrase_file: NewPassphraseFile = None,
    out_dir: OutDir = Path(),
    force: Force = False,
    as_json: JsonOption = False,
) -> None:
    """Make a self-signed CA (root) certificate: root-cert.pem and root-private-key.pem.

    Without --cn, on a terminal, the guide's questions are asked. On the individual way this
    certificate is itself the device's, so its Common Name is the device's id.

    Example: mooring cert root --cn edgegw01 --organization Quay
    """
    with reporting(as_json):
        given = Subject(
            common_name, country, state, locality, organization, organizational_unit, email
        )
        output = Output(Purpose.ROOT, out_dir, force, encrypt, passphrase_file, as_json)
        subject = complete_subject(given, output, identity=not any_subject)
        output.make(
            lambda now: issue_root(
                subject, now=now, algorithm=key, days=days, any_subject=any_subject
            )
        )


@app.command()
def intermediate(
    common_name: CommonName = None,
    country: Country = None,
    state: State = None,
    locality: Locality = None,
    organization: Organization = None,
    organizational_unit: OrganizationalUnit = None,
    email: Email = None,
    ca: Ca = None,
    ca_key: CaKey = None,
    ca_passphrase_file: CaPassphraseFile = None,
    path_length: Annotated[
        int,
        typer.Option(rich_help_panel=ISSUER_PANEL, help="How many further intermediates below it."),
    ] = 0,
    days: Days = INTERMEDIATE_DAYS,
    key: Key = KeyAlgorithm.RSA_2048,
    encrypt: Encrypt = False,
    passphrase_file: NewPassphraseFile = None,
    out_dir: OutDir = Path(),
    force: Force = False,
    as_json: JsonOption = False,
) -> None:
    """Make an intermediate CA: intermediate-cert.pem and intermediate-private-key.pem.

    It is signed by the root, and signs device certificates in its place.

    Example: mooring cert intermediate --cn quayline1 --organization Quay
    """
    with reporting(as_json):
        given = Subject(
            common_name, country, state, locality, organization, organizational_unit, email
        )
        output = Output(Purpose.INTERMEDIATE, out_dir, force, encrypt, passphrase_file, as_json)
        subject = complete_subject(given, output, identity=False)
        issuer = load_issuer(ca, ca_key, ca_passphrase_file, out_dir)
        output.make(
            lambda now: issue_intermediate(
                subject, issuer, now=now, algorithm=key, days=days, path_length=path_length
            )
        )


@app.command()
def verification(
    code: Annotated[
        str | None,
        typer.Option(
            "--code",
            "--common-name",
            "--cn",
            rich_help_panel=SUBJECT_PANEL,
            help="Verification code, exactly as shown; becomes the Common Name.",
        ),
    ] = None,
    ca: Ca = None,
    ca_key: CaKey = None,
    ca_passphrase_file: CaPassphraseFile = None,
    days: Days = VERIFICATION_DAYS,
    key: Key = KeyAlgorithm.RSA_2048,
    out_dir: OutDir = Path(),
    force: Force = False,
    as_json: JsonOption = False,
) -> None:
    """Make a verification certificate: verification-cert.pem, signed by the CA to be verified.

    It proves to DPS that you hold the CA's private key. Its own key is needed for nothing and is
    not kept.

    Example: mooring cert verification --code 6E25DAA2DB2D45B52EA4B3CA3D64AF0E0A4CC2A7
    """
    with reporting(as_json):
        output = Output(Purpose.VERIFICATION, out_dir, force, False, None, as_json)
        if code is None and not on_terminal():
            raise missing("code", "--code", "the verification code that is shown")
        output.refuse_existing()
        text = ask_code() if code is None else code
        issuer = load_issuer(ca, ca_key, ca_passphrase_file, out_dir)
        output.make(lambda now: issue_verification(text, issuer, now=now, algorithm=key, days=days))


@app.command()
def device(
    device_id: Annotated[
        str | None,
        typer.Option(
            "--device-id",
            "--common-name",
            "--cn",
            rich_help_panel=SUBJECT_PANEL,
            help="Device id; becomes the Common Name. Asked for on a terminal, with the other "
            "fields, if not given.",
        ),
    ] = None,
    country: Country = None,
    state: State = None,
    locality: Locality = None,
    organization: Organization = None,
    organizational_unit: OrganizationalUnit = None,
    email: Email = None,
    any_subject: AnySubject = False,
    ca: Ca = None,
    ca_key: CaKey = None,
    ca_passphrase_file: CaPassphraseFile = None,
    days: Days = DEVICE_DAYS,
    key: Key = KeyAlgorithm.RSA_2048,
    encrypt: Encrypt = False,
    passphrase_file: NewPassphraseFile = None,
    out_dir: OutDir = Path(),
    force: Force = False,
    as_json: JsonOption = False,
) -> None:
    """Make a device certificate: device.crt and device-private-key.pem, signed by a CA.

    Under an intermediate, device-chain.pem is written too (leaf first): paste that one.

    Example: mooring cert device --device-id edgegw01 --organization Quay

    Example: mooring cert device --device-id edgegw01 --organization Quay
    --ca intermediate-cert.pem --ca-key intermediate-private-key.pem
    """
    with reporting(as_json):
        given = Subject(
            device_id, country, state, locality, organization, organizational_unit, email
        )
        output = Output(Purpose.DEVICE, out_dir, force, encrypt, passphrase_file, as_json)
        subject = complete_subject(given, output, identity=not any_subject)
        issuer = load_issuer(ca, ca_key, ca_passphrase_file, out_dir)
        output.make(
            lambda now: issue_device(
                subject, issuer, now=now, algorithm=key, days=days, any_subject=any_subject
            )
        )


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(help="Certificate, its chain after it; - for standard input.")
    ],
    key: Annotated[
        Path | None, typer.Option(help="Private key that should belong to the certificate.")
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(help="Passphrase of that key, on the first line; else asked on a terminal."),
    ] = None,
    registration_id: Annotated[
        str | None, typer.Option(help="Registration id that the Common Name should equal.")
    ] = None,
    purpose: Annotated[
        Purpose, typer.Option(help="What the certificate is to serve as.")
    ] = Purpose.DEVICE,
    code: Annotated[
        str | None,
        typer.Option(help="Verification code that a verification certificate should carry."),
    ] = None,
    ca: Annotated[
        list[Path] | None,
        typer.Option(help="CA that the other side knows, to see whether the chain reaches it."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="The guide's subject rules are errors, not warnings.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a certificate, its chain and its key before anything is connected.

    Every finding names its rule, the fault and the remedy; docs/lint.md lists them all. Exit code
    1 if any finding is an error.

    Example: mooring cert check device.crt --key device-private-key.pem
    """
    with reporting(as_json):
        if [str(path) for path in (file, key, passphrase_file, *(ca or ()))].count("-") > 1:
            raise UsageFault(
                "standard-input-twice",
                "Only one file can be read from standard input.",
                "Give the others by their paths.",
            )
        key_text = None if key is None else read_input(key, field="key")
        known: list[Certificate] = []
        for path in ca or []:
            known += take_bundle(read_input(path, field="ca"), field=str(path)).certificates
        report = lint_pasted(
            read_input(file, field="file"),
            key_text,
            passphrase_for(key_text, passphrase_file),
            now=SYSTEM_CLOCK.now(),
            purpose=purpose,
            strict_subject_rules=strict,
            registration_id=registration_id,
            verification_code=code,
            known_cas=known,
        )
        if as_json:
            emit_json({"file": str(file), "purpose": purpose.value, **report.to_json()})
        else:
            print_report(file, report)
        if not report.ok:
            raise typer.Exit(EXIT_FAILED)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="Certificates, PEM or DER; - for standard input.")],
    as_json: JsonOption = False,
) -> None:
    """Show the facts of every certificate in a file, in its order.

    Example: mooring cert show root-cert.pem
    """
    with reporting(as_json):
        intake = take_bundle(read_input(file, field="file"), field=str(file))
        if as_json:
            emit_json({"file": str(file), "certificates": shown_json(intake.certificates)})
        else:
            print_shown(intake.certificates)
