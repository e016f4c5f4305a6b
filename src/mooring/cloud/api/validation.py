"""What pydantic finds wrong with a document, in the words of JSON."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

_MISSING = "missing"
_FAULTS = {
    "missing": _MISSING,
    "dict_type": "must be a JSON object",
    "model_type": "must be a JSON object",
    "list_type": "must be an array",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}
"""What is wrong, by pydantic's name for it."""


@dataclass(frozen=True, slots=True)
class DocumentFault:
    """The member at fault, what is wrong with it, and what to do."""

    field: str
    message: str
    remedy: str


def first_fault(error: ValidationError, where: str = "") -> DocumentFault:
    """Return the first fault of a document; `where` it stands in the body is put before."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    name = ".".join(part for part in (where, place) if part) or "body"
    fault = _FAULTS.get(first["type"]) or str(first["msg"])
    remedy = "Add it." if fault == _MISSING else "Correct it, and send the request again."
    return DocumentFault(name, f"{name}: {fault}.", remedy)
