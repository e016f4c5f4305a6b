"""How `mooring cert` shows what it made, found or read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from mooring.cli.output import console, emit_json, print_facts
from mooring.pki.certificates import Certificate, common_name, describe
from mooring.pki.issuing import Issued
from mooring.pki.lint import IdentityPreview, LintReport, Purpose, Severity
from mooring.pki.lint.facts import (
    describe_extensions,
    describe_public_key,
    describe_time,
    signature_hash,
)

_TESTING_ONLY = "For testing and development only, not for deployment."

_WHAT_FOR = {
    Purpose.ROOT: "Root CA: signs intermediate, device and verification certificates. On the "
    "individual way it is itself the device's certificate.",
    Purpose.INTERMEDIATE: "Intermediate CA: signs device certificates in the root's place.",
    Purpose.VERIFICATION: "Verification certificate: proves once that you hold the CA's key.",
    Purpose.DEVICE: "Device certificate: the device's identity as a TLS client.",
}

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def print_issued(
    purpose: Purpose,
    issued: Issued,
    files: Mapping[str, str | None],
    *,
    encrypted: bool,
    as_json: bool,
) -> None:
    """Tell what was made, what it is for, how long it holds and what comes next."""
    info = describe(issued.certificate)
    name = common_name(issued.certificate)
    steps = _next_steps(purpose, name or "", files)
    if as_json:
        emit_json(
            {
                "purpose": purpose.value,
                "what_for": f"{_WHAT_FOR[purpose]} {_TESTING_ONLY}",
                "files": dict(files),
                "encrypted": encrypted,
                "common_name": name,
                **_facts_json(issued.certificate),
                "next_steps": steps,
            }
        )
        return
    console.print(f"[bold]{escape(_WHAT_FOR[purpose])}[/]", soft_wrap=True)
    console.print(f"[yellow]{_TESTING_ONLY}[/]")
    protection = "encrypted" if encrypted else "not encrypted"
    key_file = files["private_key"]
    facts: dict[str, object] = {
        "certificate": files["certificate"],
        "private key": f"{key_file} (0600, {protection})" if key_file else "not kept: not needed",
    }
    if files["chain"]:
        facts["chain"] = f"{files['chain']} (leaf first)"
    facts |= {
        "common name": name,
        "subject": info.subject_name,
        "issuer": info.issuer_name,
        "key": describe_public_key(issued.certificate),
        "valid": f"{describe_time(info.not_before)} to {describe_time(info.not_after)}",
        "SHA-1": info.sha1_thumbprint,
        "SHA-256": info.sha256_thumbprint,
    }
    print_facts(facts)
    for step in steps:
        console.print("[bold]next[/] ", end="")
        console.print(step, markup=False, soft_wrap=True)


def _next_steps(purpose: Purpose, name: str, files: Mapping[str, str | None]) -> list[str]:
    """Return what the guide does next with such a certificate."""
    certificate, key = files["certificate"], files["private_key"]
    chain = files["chain"] or certificate
    if purpose is Purpose.ROOT:
        individual = (
            f"Individual way: upload {certificate} as the Primary Certificate of an individual "
            f"enrollment, IoT Hub Device ID {name}; paste it and {key} into the gateway."
        )
        group = (
            f"Group way: add {certificate} under Certificates, Generate Verification Code, then: "
            "mooring cert verification --code CODE"
        )
        return [individual, group]
    if purpose is Purpose.INTERMEDIATE:
        sign = "mooring cert device --device-id ID --organization ORGANIZATION"
        return [f"Sign devices: {sign} --ca {chain} --ca-key {key}"]
    if purpose is Purpose.VERIFICATION:
        where = f"Upload {certificate} in the details of the CA certificate and click Verify"
        return [f"{where}; the status becomes Verified. Then throw it away."]
    paste = f"Paste {chain} into Device Certificate and {key} into Device Private Key"
    return [f"{paste}; the device registers as {name}."]


def print_report(file: Path, report: LintReport) -> None:
    """Show who the certificate is, what was found, and the verdict."""
    if report.identity is not None:
        print_facts(_identity_facts(report.identity))
    if report.findings:
        table = Table(header_style="dim", show_lines=True)
        for column in ("severity", "rule"):
            table.add_column(column, no_wrap=True)  # an id is searched for and copied: not broken
        table.add_column("what, and the remedy", overflow="fold")
        for finding in report.findings:
            style = _STYLES[finding.severity]
            table.add_row(
                f"[{style}]{finding.severity.value}[/]",
                finding.rule_id,
                f"{escape(finding.message)}\n[bold]remedy[/] {escape(finding.remedy)}",
            )
        console.print(table)
    counts = {s: sum(f.severity is s for f in report.findings) for s in reversed(Severity)}
    summary = ", ".join(f"{count} {s.value}{'s' * (count != 1)}" for s, count in counts.items())
    verdict = "[bold green]good[/]" if report.ok else "[bold red]not good[/]"
    console.print(f"{escape(str(file))}: {verdict} ({summary})", soft_wrap=True)


def _identity_facts(identity: IdentityPreview) -> dict[str, object]:
    info = identity.info
    return {
        "registers as": identity.registers_as or "nobody: no single Common Name",
        "subject": info.subject_name,
        "issuer": info.issuer_name + (" (self-signed)" if identity.is_self_signed else ""),
        "key": identity.key,
        "valid": f"{describe_time(info.not_before)} to {describe_time(info.not_after)}",
        "chain": f"{identity.chain_length} certificate{'s' * (identity.chain_length != 1)}",
        "SHA-1": info.sha1_thumbprint,
        "SHA-256": info.sha256_thumbprint,
    }


def shown_json(certificates: Sequence[Certificate]) -> list[dict[str, Any]]:
    """Return the facts of every certificate as JSON-ready values."""
    return [_facts_json(certificate) for certificate in certificates]


def _facts_json(certificate: Certificate) -> dict[str, Any]:
    info = describe(certificate)
    return {
        "subject_name": info.subject_name,
        "issuer_name": info.issuer_name,
        "version": info.version,
        "serial_number": info.serial_number,
        "not_before": info.not_before.isoformat(),
        "not_after": info.not_after.isoformat(),
        "sha1_thumbprint": info.sha1_thumbprint,
        "sha256_thumbprint": info.sha256_thumbprint,
        "key": describe_public_key(certificate),
        "signature_hash": signature_hash(certificate),
        "extensions": [
            {"name": name, "critical": critical, "value": value}
            for name, critical, value in describe_extensions(certificate)
        ],
    }


def print_shown(certificates: Sequence[Certificate]) -> None:
    """Show the facts of every certificate."""
    for number, certificate in enumerate(certificates, start=1):
        if number > 1:
            console.print()
        if len(certificates) > 1:
            console.print(f"[bold]certificate {number} of {len(certificates)}[/]")
        info = describe(certificate)
        extensions = {
            f"  {name}": f"{value}{' (critical)' if critical else ''}"
            for name, critical, value in describe_extensions(certificate)
        }
        print_facts(
            {
                "subject": info.subject_name,
                "issuer": info.issuer_name,
                "version": f"X.509 v{info.version}",
                "serial number": info.serial_number,
                "valid": f"{describe_time(info.not_before)} to {describe_time(info.not_after)}",
                "key": describe_public_key(certificate),
                "signature hash": signature_hash(certificate) or "none of its own",
                "SHA-1": info.sha1_thumbprint,
                "SHA-256": info.sha256_thumbprint,
                "extensions": f"{len(extensions)}" if extensions else "none",
                **extensions,
            }
        )
