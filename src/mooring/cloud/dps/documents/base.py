"""How bodies are read: tolerantly, as Azure's APIs do."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from mooring.cloud.dps.errors import InputInvalid
from mooring.protocol.azure.errors import quoted


class Document(BaseModel):
    """A JSON object of a body; unknown members, and members that are null, are ignored.

    Clients made by code generators send a null for whatever was not set. What is inside a
    free-form member, such as a twin's tags, is the user's, nulls included.
    """

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None}


def check_same_id(field: str, given: str | None, path: str) -> None:
    """Return if a body's id, where it has one, is that of the path. Raises InputInvalid."""
    if given is not None and given.lower() != path.lower():
        raise InputInvalid(
            f"{field}: {quoted(given)} in the body is not {quoted(path)} of the path.",
            "Leave it out of the body, or make both the same.",
            field=field,
        )
