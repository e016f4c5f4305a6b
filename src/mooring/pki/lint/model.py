"""What a lint rule is, what it sees and what it says.

A rule is data: an id, a severity, the source that it cites, a remedy, and two functions, one that
tells whether the rule concerns the case at all and one that looks for the breach. A rule has
exactly one non-pass outcome. Its id begins with the letter of its severity, as zlint's do: ``e_``
a MUST is broken and the connection will fail, ``w_`` a SHOULD is broken, ``n_`` worth knowing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from mooring.pki.certificates import Certificate
from mooring.pki.errors import PkiError
from mooring.pki.keys import PrivateKey
from mooring.pki.pem import Repair

CHAIN_REORDERED = "chain-reordered"
"""The repair of `mooring.pki.pem` that says that a chain was not given leaf first."""


class Severity(StrEnum):
    """How much a finding weighs; only an error stops a connection."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """Return a number that grows with the weight, for sorting."""
        return list(Severity).index(self)


class Purpose(StrEnum):
    """What the first certificate is to serve as."""

    DEVICE = "device"
    ROOT = "root"
    INTERMEDIATE = "intermediate"
    VERIFICATION = "verification"
    CHAIN = "chain"
    """CA certificates side by side (a trust bundle): none of them is anybody's identity."""


class Field(StrEnum):
    """Where a finding belongs: the input that the user has to change."""

    CERTIFICATE = "certificate"
    PRIVATE_KEY = "private_key"
    PASSPHRASE = "passphrase"  # noqa: S105 - the name of an input, not a secret
    GLOBAL_ENDPOINT = "global_endpoint"
    SCOPE_ID = "scope_id"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class LintContext:
    """Everything a rule may look at. What is None was not given and is not judged.

    Args:
        now: The present, aware UTC.
        purpose: What ``chain[0]`` is to serve as.
        chain: Certificates as they will be sent: leaf first, then its issuers upwards.
        strict_subject_rules: The guide's subject rules are errors, not warnings.
        registration_id: The id under which the device is enrolled; the CN must equal it.
        verification_code: The code that a verification certificate has to carry as its CN.
        endpoint: Global endpoint, ``host`` or ``host:port``; ``""`` is "left empty".
        scope_id: ID scope; ``""`` is "left empty".
        known_cas: CA certificates known on the other side, to judge whether `chain` reaches one.
        key: The private key that belongs to ``chain[0]``.
        certificate_repairs: What intake had to mend in the certificate text.
        key_repairs: The same for the key text.
        certificate_refusal: Why the certificate text could not be taken at all.
        key_refusal: Why the key text could not be taken at all.
    """

    now: datetime
    purpose: Purpose = Purpose.DEVICE
    chain: tuple[Certificate, ...] = ()
    strict_subject_rules: bool = False
    registration_id: str | None = None
    verification_code: str | None = None
    endpoint: str | None = None
    scope_id: str | None = None
    known_cas: tuple[Certificate, ...] = ()
    key: PrivateKey | None = field(default=None, repr=False)
    certificate_repairs: tuple[Repair, ...] = ()
    key_repairs: tuple[Repair, ...] = ()
    certificate_refusal: PkiError | None = None
    key_refusal: PkiError | None = None

    def __post_init__(self) -> None:
        """Refuse a naive time.

        Raises:
            ValueError: `now` has no time zone.
        """
        if self.now.utcoffset() != timedelta(0):
            msg = f"now must be an aware UTC datetime, not {self.now!r}"
            raise ValueError(msg)

    @property
    def leaf(self) -> Certificate:
        """Return the first certificate; only for rules that apply when there is one."""
        return self.chain[0]


@dataclass(frozen=True, slots=True)
class Breach:
    """What a rule found. `remedy` and `field` replace the rule's own where the case is narrower."""

    message: str
    remedy: str | None = None
    field: Field | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's breach, ready to be shown."""

    rule_id: str
    severity: Severity
    field: Field
    message: str
    remedy: str
    citation: str

    def to_json(self) -> dict[str, str]:
        """Return the finding as JSON-ready values."""
        return {
            "rule_id": self.rule_id,
            "severity": self.severity.value,
            "field": self.field.value,
            "message": self.message,
            "remedy": self.remedy,
            "citation": self.citation,
        }


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the catalogue.

    Args:
        rule_id: Severity letter and what is wrong, in snake case; also the name of its file.
        severity: Of its findings; must agree with the letter.
        field: The input that its findings belong to.
        citation: Where the rule comes from.
        description: The rule itself, in one sentence.
        remedy: What to do about a breach.
        applies: Whether the rule concerns the case; `examine` runs only then.
        examine: Looks for the breach; None is "passed".
        strict_severity: Severity under strict subject rules, where it differs.
    """

    rule_id: str
    severity: Severity
    field: Field
    citation: str
    description: str
    remedy: str
    applies: Callable[[LintContext], bool]
    examine: Callable[[LintContext], Breach | None]
    strict_severity: Severity | None = None

    def __post_init__(self) -> None:
        """Refuse an id whose letter is not that of the severity.

        Raises:
            ValueError: The letter and the severity differ.
        """
        if not self.rule_id.startswith(f"{self.severity.value[0]}_"):
            msg = f"rule {self.rule_id!r} has severity {self.severity.value!r}"
            raise ValueError(msg)

    def check(self, context: LintContext) -> Finding | None:
        """Return the finding for `context`, or None when the rule passes or does not apply."""
        if not self.applies(context):
            return None
        breach = self.examine(context)
        if breach is None:
            return None
        severity = self.severity
        if context.strict_subject_rules and self.strict_severity is not None:
            severity = self.strict_severity
        return Finding(
            rule_id=self.rule_id,
            severity=severity,
            field=breach.field or self.field,
            message=breach.message,
            remedy=breach.remedy or self.remedy,
            citation=self.citation,
        )
