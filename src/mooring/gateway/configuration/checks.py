"""Server-side validation of what Apply brings: every value, then what values mean together.

Nothing here writes. The outcome is a candidate with all findings; errors among them mean that
nothing may be stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mooring.gateway.configuration.endpoint import parse_endpoint
from mooring.gateway.configuration.findings import Finding, has_errors
from mooring.gateway.configuration.model_ids import NO_MODEL, parse_model_id
from mooring.gateway.configuration.schema import TabSchema, Value, ValueRefused
from mooring.gateway.configuration.showing import MAX_SHOWN, shown
from mooring.gateway.configuration.tabs import DATA_SERVICE, X509_MQTT_DATA_TRANSPORT
from mooring.pki.lint import Field, IdentityPreview, LintReport, Severity, lint_pasted

PROPERTY_OF_FIELD: Mapping[Field, str] = {
    Field.CERTIFICATE: "device.certificate",
    Field.PRIVATE_KEY: "device.private.key",
    Field.PASSPHRASE: "device.private.key.passphrase",
    Field.GLOBAL_ENDPOINT: "global.endpoint",
    Field.SCOPE_ID: "scope.id",
    Field.CLOCK: "device.certificate",
}
"""Where the console shows a finding of the certificate lint."""

# Other characters would change the meaning of the MQTT user name that the scope begins.
_SCOPE_ID = re.compile(r"[0-9A-Za-z._-]+")


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """Certificate chain and private key, ready for the keystore. Never shown, never logged."""

    certificates: str
    key: bytes = field(repr=False)
    passphrase: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tab as it would be after Apply. `material` and `identity` only for the transport tab."""

    values: Mapping[str, Value]
    findings: tuple[Finding, ...]
    material: KeyMaterial | None = None
    identity: IdentityPreview | None = None

    @property
    def refused(self) -> bool:
        """Return whether an error forbids to store it."""
        return has_errors(list(self.findings))


def check_tab(
    tab: TabSchema, stored: Mapping[str, Value], changes: Mapping[str, object]
) -> Candidate:
    """Return `stored` with `changes`, each checked by its definition.

    A change of None sets the default. Secrets are left out: they are no values to be kept here.
    """
    values: dict[str, Value] = tab.defaults() | dict(stored)
    findings: list[Finding] = []
    for property_id, value in changes.items():
        definition = tab.find(property_id)
        if definition is None:
            known = ", ".join(p.id for p in tab.properties)
            findings.append(
                _error(
                    "e_property_unknown",
                    property_id if len(property_id) <= MAX_SHOWN else tab.name,
                    f"The tab {tab.name} has no property {shown(property_id)}.",
                    f"Its properties are: {known}.",
                )
            )
        elif value is None:
            if definition.default is None:
                values.pop(property_id, None)
            else:
                values[property_id] = definition.default
        else:
            try:
                checked = definition.check(value)
            except ValueRefused as refused:
                findings.append(
                    _error(f"e_value_{refused.fault}", property_id, refused.message, refused.remedy)
                )
                continue
            if not definition.secret:
                values[property_id] = checked
    return Candidate(values, tuple(findings))


def check_data_service(candidate: Candidate) -> Candidate:
    """Return `candidate` of the DataService tab with what its values mean together."""
    first = candidate.values["connect.retry-interval"]
    longest = candidate.values["connect.retry-interval.max"]
    assert isinstance(first, int)
    assert isinstance(longest, int)
    if longest >= first:
        return candidate
    return Candidate(
        candidate.values,
        (
            *candidate.findings,
            _error(
                "e_value_range",
                "connect.retry-interval.max",
                f"{_label(DATA_SERVICE, 'connect.retry-interval.max')} is {longest} s, shorter "
                f"than {_label(DATA_SERVICE, 'connect.retry-interval')} of {first} s.",
                f"Give at least {first} s.",
            ),
        ),
    )


def check_transport(
    candidate: Candidate,
    changes: Mapping[str, object],
    stored: KeyMaterial | None,
    *,
    now: datetime,
) -> Candidate:
    """Return `candidate` of the transport tab: normalised, linted, with its key material.

    Args:
        candidate: What `check_tab` made of the changes.
        changes: As they came; the secrets are taken from here. A blank secret keeps the stored
            one, None removes the passphrase.
        stored: What the keystore holds for the connection.
        now: The present, aware UTC.
    """
    values = dict(candidate.values)
    findings = list(candidate.findings)
    endpoint = _take_endpoint(values, findings)
    scope_id = _take_scope_id(values, findings)
    _take_model(values, findings)
    report, passphrase, unused = _lint(
        values, changes, stored, endpoint=endpoint, scope_id=scope_id, now=now
    )
    faulty = {finding.field for finding in findings if finding.severity is Severity.ERROR}
    findings += [finding for finding in findings_of(report) if finding.field not in faulty]
    if unused:
        findings.append(
            Finding(
                "n_passphrase_unused",
                Severity.NOTE,
                "device.private.key.passphrase",
                "The private key is not encrypted; the passphrase was not kept.",
                "Leave the passphrase empty for such a key.",
            )
        )
    material = None
    if report.certificates is not None and report.key is not None:
        values["device.certificate"] = report.certificates.pem
        material = KeyMaterial(report.certificates.pem, report.key.pem, passphrase)
    return Candidate(values, tuple(findings), material, report.identity)


def findings_of(report: LintReport) -> list[Finding]:
    """Return the findings of the certificate lint in the words of the properties."""
    return [
        Finding(
            rule_id=finding.rule_id,
            severity=finding.severity,
            field=PROPERTY_OF_FIELD[finding.field],
            message=finding.message,
            remedy=finding.remedy,
            citation=finding.citation,
        )
        for finding in report.findings
    ]


def _lint(
    values: Mapping[str, Value],
    changes: Mapping[str, object],
    stored: KeyMaterial | None,
    *,
    endpoint: str | None,
    scope_id: str | None,
    now: datetime,
) -> tuple[LintReport, bytes | None, bool]:
    """Return report, passphrase to keep, and whether a passphrase came that nothing needs."""
    new_key = changes.get("device.private.key")
    key_text: str | bytes = new_key if isinstance(new_key, str) else ""
    if not key_text.strip() and stored is not None:
        key_text = stored.key
    given = changes.get("device.private.key.passphrase", "")
    if isinstance(given, str) and given:
        # Half a character was refused by its definition; here it must not end the check.
        passphrase: bytes | None = given.encode(errors="replace")
    elif given is None or stored is None:
        passphrase = None
    else:
        passphrase = stored.passphrase
    report = lint_pasted(
        str(values.get("device.certificate", "")),
        key_text,
        passphrase,
        now=now,
        strict_subject_rules=bool(values.get("strict.subject.rules", False)),
        endpoint=endpoint,
        scope_id=scope_id,
    )
    encrypted = report.key is not None and report.key.encrypted
    unused = report.key is not None and not encrypted and bool(given)
    return report, passphrase if encrypted else None, unused


def _take_endpoint(values: dict[str, Value], findings: list[Finding]) -> str | None:
    """Put the endpoint's clean form into `values`; return it, or None if there is no such."""
    text = str(values.get("global.endpoint", ""))
    if not text.strip():
        return ""
    try:
        endpoint, notes = parse_endpoint(text)
    except ValueError as error:
        findings.append(
            _error(
                "e_endpoint_not_hostname",
                "global.endpoint",
                f"Global Endpoint {shown(text.strip())} cannot be used: {error}.",
                "Give the host name from the DPS's overview page, or host:port.",
            )
        )
        return None
    values["global.endpoint"] = str(endpoint)
    findings += [
        Finding(
            "n_endpoint_normalised",
            Severity.NOTE,
            "global.endpoint",
            f"Global Endpoint: {note}",
            f"It is now {endpoint}.",
        )
        for note in notes
    ]
    return str(endpoint)


def _take_scope_id(values: dict[str, Value], findings: list[Finding]) -> str | None:
    text = str(values.get("scope.id", ""))
    scope_id = "".join(text.split())
    if scope_id and not _SCOPE_ID.fullmatch(scope_id):
        findings.append(
            _error(
                "e_scope_id_characters",
                "scope.id",
                f"Scope ID {shown(scope_id)} holds a character that no ID Scope has.",
                "Copy the ID Scope from the DPS's overview page: 0ne and eight letters or digits.",
            )
        )
        return None
    if scope_id != text:
        findings.append(
            Finding(
                "n_scope_id_normalised",
                Severity.NOTE,
                "scope.id",
                "Scope ID: white space was removed.",
                f"It is now {scope_id or 'empty'}.",
            )
        )
    values["scope.id"] = scope_id
    return scope_id


def _take_model(values: dict[str, Value], findings: list[Finding]) -> None:
    text = str(values.get("device.model.id", ""))
    try:
        model = parse_model_id(text)
    except ValueError as error:
        findings.append(
            _error(
                "e_model_id_not_dtmi",
                "device.model.id",
                f"Device Model ID {shown(text.strip())} is no model id: {error}.",
                f"Choose one of the list, {NO_MODEL}, or give a DTMI such as "
                "dtmi:com:example:Gateway.",
            )
        )
        return
    values["device.model.id"] = NO_MODEL if model is None else model.model
    if model is not None and model.version is not None:
        values["device.model.id.version"] = model.version
        findings.append(
            Finding(
                "n_model_version_taken",
                Severity.NOTE,
                "device.model.id.version",
                f"The version {model.version} was taken from the Device Model ID.",
                "Change the version in its own field if it should be another.",
            )
        )


def _label(tab: TabSchema, property_id: str) -> str:
    definition = tab.find(property_id)
    assert definition is not None
    return definition.label


def _error(rule_id: str, property_id: str, message: str, remedy: str) -> Finding:
    return Finding(rule_id, Severity.ERROR, property_id, message, remedy)


TRANSPORT_TAB = X509_MQTT_DATA_TRANSPORT.name
DATA_SERVICE_TAB = DATA_SERVICE.name
