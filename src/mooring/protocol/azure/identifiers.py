"""Names that Azure gives rules for: ID scope, registration id, device and module id, DTMI."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mooring.protocol.azure.errors import IdentifierMalformed, quoted

MAX_ID_CHARS = 128
"""Registration, device and module ids (Azure: DPS and IoT Hub quotas)."""

MAX_COMMON_NAME_CHARS = 64
"""A registration id proved by X.509 is a CN, and a CN ends here (RFC 5280, ub-common-name)."""

MAX_DTMI_CHARS = 128
"""Interface identifiers in DTDL v2 and v3."""

MAX_DTMI_VERSION = 999_999_999
"""DTDL v2: one to nine digits, no leading zero."""

# Azure writes 0ne and eight digits; older scopes hold letters outside hex, so any are taken.
_ID_SCOPE = re.compile(r"0ne[0-9A-Za-z]{8}", re.ASCII)
# Azure: "Terminology", registration id: the last character alphanumeric or dash.
_REGISTRATION_ID = re.compile(r"[A-Za-z0-9\-._:]{0,127}[A-Za-z0-9\-]", re.ASCII)
# Azure: IoT Hub identity registry. '+' and '#' are legal here, hence also in topics.
_HUB_ID = re.compile(r"[A-Za-z0-9\-.+%_#*?!(),=@$':]{1,128}", re.ASCII)
# DTDL v2: each segment starts with a letter and does not end with an underscore.
_DTMI = re.compile(r"(dtmi(?::[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?)+);([1-9][0-9]{0,8})", re.ASCII)


def check_id_scope(text: str, *, field: str = "idScope") -> str:
    """Return `text` if it has the shape of an ID scope; scopes are compared as given.

    Raises:
        IdentifierMalformed: Another shape; names `field`.
    """
    if _ID_SCOPE.fullmatch(text) is None:
        raise IdentifierMalformed(
            f"{field} {quoted(text)} is not an ID scope",
            remedy="Copy the ID scope from the overview of the provisioning service; "
            "it is 0ne and eight letters or digits.",
            field=field,
        )
    return text


def check_registration_id(text: str, *, field: str = "registrationId") -> str:
    """Return `text` if it may name a registration, an enrollment or an enrollment group.

    Raises:
        IdentifierMalformed: Empty, too long, or a character that is not allowed; names `field`.
    """
    if _REGISTRATION_ID.fullmatch(text) is None:
        raise IdentifierMalformed(
            f"{field} {quoted(text)} {_fault(text, 'letters, digits and - . _ :')}",
            remedy="Use letters, digits, '-', '.', '_' and ':', and a letter, a digit or '-' "
            f"at the end; at most {MAX_ID_CHARS} characters.",
            field=field,
        )
    return text


def fold_registration_id(text: str) -> str:
    """Return the spelling under which registration ids are compared: they ignore case."""
    # Only A-Z fold: a wider lower() would map foreign letters onto ASCII ones.
    return text.lower() if text.isascii() else text


def check_device_id(text: str, *, field: str = "deviceId") -> str:
    """Return `text` if it may name a device (or module) in a hub; case counts there.

    Raises:
        IdentifierMalformed: Empty, too long, or a character that is not allowed; names `field`.
    """
    if _HUB_ID.fullmatch(text) is None:
        allowed = "letters, digits and - . + % _ # * ? ! ( ) , : = @ $ '"
        raise IdentifierMalformed(
            f"{field} {quoted(text)} {_fault(text, allowed)}",
            remedy=f"Use {allowed}; at most {MAX_ID_CHARS} characters.",
            field=field,
        )
    return text


def _fault(text: str, allowed: str) -> str:
    if not text:
        return "is empty"
    if len(text) > MAX_ID_CHARS:
        return f"has {len(text)} characters; at most {MAX_ID_CHARS} are allowed"
    return f"has a character, or an end, other than {allowed}"


@dataclass(frozen=True, slots=True)
class Dtmi:
    """A digital twin model identifier: ``path`` and ``version``, e.g. dtmi:quay:Gateway and 1."""

    path: str
    version: int

    def __str__(self) -> str:
        """Return the wire form, ``"dtmi:quay:Gateway;1"``."""
        return f"{self.path};{self.version}"


def parse_dtmi(text: str, *, field: str = "modelId") -> Dtmi:
    """Return the model identifier that `text` spells.

    Raises:
        IdentifierMalformed: Not ``dtmi:segment[:segment…];version``; names `field`.
    """
    match = _DTMI.fullmatch(text) if len(text) <= MAX_DTMI_CHARS else None
    if match is None:
        raise IdentifierMalformed(
            f"{field} {quoted(text)} is not a model identifier",
            remedy="Write it like dtmi:example:Gateway;1: segments of letters, digits and '_', "
            f"then ';' and a version from 1; at most {MAX_DTMI_CHARS} characters.",
            field=field,
        )
    return Dtmi(path=match[1], version=int(match[2]))


def format_dtmi(path: str, version: int, *, field: str = "modelId") -> str:
    """Return ``"{path};{version}"``, checked, from a model id and its version kept apart.

    Raises:
        IdentifierMalformed: Together they are no model identifier; names `field`.
    """
    return str(parse_dtmi(f"{path};{version}", field=field))
