"""Subject names: their fields and limits, and the guide's rules for a device's identity."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from mooring.pki.errors import (
    CommonNameMissing,
    CommonNameNotLowerAlphanumeric,
    SubjectFieldInvalid,
    SubjectOnlyCommonName,
)

MAX_COMMON_NAME_CHARACTERS = 64
"""RFC 5280 appendix A, ub-common-name. So a registration id in a certificate has at most 64."""

# Attribute, its name in messages, OID, upper bound in characters (RFC 5280 appendix A; the
# e-mail address: RFC 2985 §5.2.1), in the order of OpenSSL's prompts.
_FIELDS = (
    ("country", "Country Name (C)", NameOID.COUNTRY_NAME, 2),
    ("state", "State or Province Name (ST)", NameOID.STATE_OR_PROVINCE_NAME, 128),
    ("locality", "Locality Name (L)", NameOID.LOCALITY_NAME, 128),
    ("organization", "Organization Name (O)", NameOID.ORGANIZATION_NAME, 64),
    ("organizational_unit", "Organizational Unit Name (OU)", NameOID.ORGANIZATIONAL_UNIT_NAME, 64),
    ("common_name", "Common Name (CN)", NameOID.COMMON_NAME, MAX_COMMON_NAME_CHARACTERS),
    ("email", "Email Address", NameOID.EMAIL_ADDRESS, 255),
)
_LOWER_ALPHANUMERIC = re.compile(r"[a-z0-9]+")
_LIFT = "or lift the rule with --any-subject"


@dataclass(frozen=True, slots=True)
class Subject:
    """A certificate's subject. None and empty text both mean that a field is left out.

    Raises:
        SubjectFieldInvalid: When made: a field too long, with control characters or only
            blanks, a country that is not two letters, an e-mail address that is not ASCII.
    """

    common_name: str | None = None
    country: str | None = None
    state: str | None = None
    locality: str | None = None
    organization: str | None = None
    organizational_unit: str | None = None
    email: str | None = None

    def __post_init__(self) -> None:
        for attribute, label, _, limit in _FIELDS:
            value: str | None = getattr(self, attribute)
            if value:
                _check_field(attribute, label, value, limit)

    def to_name(self) -> x509.Name:
        """Return the X.509 name, in the order in which OpenSSL asks."""
        return x509.Name(
            [
                x509.NameAttribute(oid, value)
                for attribute, _, oid, _ in _FIELDS
                if (value := getattr(self, attribute))
            ]
        )

    @property
    def other_fields(self) -> tuple[str, ...]:
        """Names of the filled attributes besides the common name."""
        return tuple(
            attribute
            for attribute, _, _, _ in _FIELDS
            if attribute != "common_name" and getattr(self, attribute)
        )


def _check_field(attribute: str, label: str, value: str, limit: int) -> None:
    fault = None
    if value != value.strip():
        fault = "begins or ends with a blank"
    elif not value.isprintable():
        fault = "holds a control character"
    elif attribute == "country" and not (
        len(value) == limit and value.isascii() and value.isalpha()
    ):
        fault = f"is {value!r}, not a code of two letters such as IT"
    elif len(value) > limit:
        fault = f"has {len(value)} characters, more than the {limit} that X.509 allows"
    elif attribute == "email" and not value.isascii():
        fault = "holds characters outside ASCII"
    if fault:
        raise SubjectFieldInvalid(
            f"{label} {fault}.", f"Correct the {label}, or leave it out.", field=attribute
        )


def answer_or_none(answer: str) -> str | None:
    """Return what an answer at a prompt means: a period or nothing is blank, as with OpenSSL."""
    text = answer.strip()
    return None if text in {"", "."} else text


def proposed_common_name(text: str) -> str:
    """Return a common name near `text` that the guide's rule C4 allows.

    Lower-case letters and digits only, accents dropped, at most 64 characters; empty when
    nothing of `text` can be kept.
    """
    plain = unicodedata.normalize("NFKD", text).lower()
    kept = "".join(_LOWER_ALPHANUMERIC.findall(plain))
    return kept[:MAX_COMMON_NAME_CHARACTERS]


def check_identity_subject(subject: Subject) -> None:
    """Refuse a subject that the guide says cannot authenticate as a device.

    The rules are for certificates that serve as a device's identity (device certificates, and
    roots, which the individual way uses as device), not for verification or intermediate ones.
    Azure's own rules are wider; hence the switch.

    Raises:
        CommonNameMissing: No common name.
        CommonNameNotLowerAlphanumeric: Rule C4; holds the `proposed` name.
        SubjectOnlyCommonName: Rule C3, nothing filled besides the common name.

    Source: ESF guide "X.509 Provisioning and Connection", Certificate Detail Fields.
    """
    name = subject.common_name
    if not name:
        raise CommonNameMissing(
            "Common Name (CN) is empty; it is the device's identity.",
            "Give a Common Name of lower-case letters and digits, the device's id.",
            field="common_name",
        )
    if not _LOWER_ALPHANUMERIC.fullmatch(name):
        proposed = proposed_common_name(name)
        use = f"Use {proposed!r}" if proposed else "Use lower-case letters and digits"
        raise CommonNameNotLowerAlphanumeric(
            f"Common Name (CN) is {name!r}; the guide allows lower-case letters a-z and "
            "digits 0-9 only.",
            f"{use}, {_LIFT}.",
            field="common_name",
            proposed=proposed,
        )
    if not subject.other_fields:
        raise SubjectOnlyCommonName(
            "The subject holds nothing but the Common Name; the guide says that Azure's "
            "authentication then fails.",
            f"Fill in one more field, such as Organization, {_LIFT}.",
            field="organization",
        )
