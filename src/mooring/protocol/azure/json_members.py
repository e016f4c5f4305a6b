"""Typed access to the members of a JSON object that a peer sent.

A member that is absent or null is None; one of the wrong type is refused by its wire name;
members that nobody asks for are ignored, so that a newer peer still gets through.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from mooring.protocol.azure.errors import PayloadMalformed
from mooring.protocol.azure.json_documents import JsonObject, JsonValue, kind_of
from mooring.protocol.azure.timestamps import parse_timestamp


class Members:
    """The members of one object; `path` is its place in the document, for messages."""

    __slots__ = ("_members", "_path")

    def __init__(self, members: JsonObject, path: str = "") -> None:
        """Read from `members`, which stand at `path` (empty for the document itself)."""
        self._members = members
        self._path = path

    def field(self, name: str) -> str:
        """Return where member `name` stands, e.g. ``"registrationState.assignedHub"``."""
        return f"{self._path}.{name}" if self._path else name

    def value(self, name: str) -> JsonValue:
        """Return the member as it is, or None."""
        return self._members.get(name)

    def text(self, name: str) -> str | None:
        """Return a string member.

        Raises:
            PayloadMalformed: It is neither a string nor null.
        """
        value = self._members.get(name)
        if value is not None and not isinstance(value, str):
            raise self._wrong_type(name, value, "a string")
        return value

    def required_text(self, name: str) -> str:
        """Return a string member that must be there and not be empty.

        Raises:
            PayloadMalformed: It is missing, empty or no string.
        """
        value = self.text(name)
        if not value:
            raise PayloadMalformed(
                f"{self.field(name)} is missing or empty",
                remedy="The peer must send it; see the device API of the provisioning service.",
                field=self.field(name),
            )
        return value

    def integer(self, name: str) -> int | None:
        """Return a whole number.

        Raises:
            PayloadMalformed: It is neither a whole number nor null.
        """
        value = self._members.get(name)
        # bool is an int in Python, not in JSON
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise self._wrong_type(name, value, "a whole number")

    def boolean(self, name: str) -> bool | None:
        """Return true or false.

        Raises:
            PayloadMalformed: It is none of true, false and null.
        """
        value = self._members.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise self._wrong_type(name, value, "true or false")

    def timestamp(self, name: str) -> datetime | None:
        """Return a time.

        Raises:
            PayloadMalformed: It is neither a string nor null.
            TimestampMalformed: The string is no time with a zone.
        """
        text = self.text(name)
        return None if text is None else parse_timestamp(text, field=self.field(name))

    def mapping(self, name: str) -> JsonObject | None:
        """Return an object as it is.

        Raises:
            PayloadMalformed: It is neither an object nor null.
        """
        value = self._members.get(name)
        if value is None or isinstance(value, Mapping):
            return value
        raise self._wrong_type(name, value, "an object")

    def members(self, name: str) -> Members | None:
        """Return an object for reading on.

        Raises:
            PayloadMalformed: It is neither an object nor null.
        """
        value = self.mapping(name)
        return None if value is None else Members(value, self.field(name))

    def objects(self, name: str) -> tuple[Members, ...] | None:
        """Return an array of objects, each for reading on.

        Raises:
            PayloadMalformed: It is neither null nor an array of nothing but objects.
        """
        value = self._members.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self._wrong_type(name, value, "an array of objects")
        found = []
        for number, item in enumerate(value):
            if not isinstance(item, Mapping):
                raise self._wrong_type(f"{name}[{number}]", item, "an object")
            found.append(Members(item, f"{self.field(name)}[{number}]"))
        return tuple(found)

    def texts(self, name: str) -> tuple[str, ...] | None:
        """Return an array of strings.

        Raises:
            PayloadMalformed: It is neither null nor an array of nothing but strings.
        """
        value = self._members.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self._wrong_type(name, value, "an array of strings")
        texts = []
        for item in value:
            if not isinstance(item, str):
                raise self._wrong_type(name, item, "an array of strings")
            texts.append(item)
        return tuple(texts)

    def _wrong_type(self, name: str, value: JsonValue, wanted: str) -> PayloadMalformed:
        return PayloadMalformed(
            f"{self.field(name)} is or holds {kind_of(value)}, not {wanted}",
            remedy=f"Send {wanted}, or leave the member out.",
            field=self.field(name),
        )
