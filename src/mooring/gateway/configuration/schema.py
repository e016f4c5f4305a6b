"""Property definitions: the one source of validation, form, REST answer and documentation.

A property is what Kura calls an attribute of a metatype. Kura checks types, ranges and required
values in the browser only; here they are checked where the value arrives.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

Value: TypeAlias = str | int | bool
"""A property's value, as JSON has it."""


class PropertyType(StrEnum):
    """How a value is typed; `TEXT` is a string of several lines."""

    STRING = "string"
    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a list."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Property:
    """One field of a tab.

    `minimum` and `maximum` bound an integer, `max_length` a text in characters. `options` are
    the choices; with `free_text` other values are allowed too. A `secret` is taken but never
    given back. `unit` is what a number counts (``"s"``, ``"messages"``).
    """

    id: str
    label: str
    type: PropertyType
    description: str
    default: Value | None = None
    required: bool = False
    minimum: int | None = None
    maximum: int | None = None
    max_length: int = 256
    unit: str = ""
    options: tuple[Option, ...] = ()
    free_text: bool = False
    secret: bool = False

    def check(self, value: object) -> Value:
        """Return `value` in the property's type; a number or truth value may come as text.

        Raises:
            ValueRefused: Wrong type, out of range, too long, or none of the options.
        """
        if self.type is PropertyType.BOOLEAN:
            return self._check_boolean(value)
        if self.type is PropertyType.INTEGER:
            return self._check_integer(value)
        return self._check_text(value)

    def to_json(self) -> dict[str, Any]:
        """Return the definition as JSON-ready values."""
        return {
            "id": self.id,
            "label": self.label,
            "type": self.type.value,
            "description": self.description,
            "default": None if self.secret else self.default,
            "required": self.required,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "max_length": self.max_length
            if self.type in (PropertyType.STRING, PropertyType.TEXT)
            else None,
            "unit": self.unit,
            "options": [{"value": option.value, "label": option.label} for option in self.options],
            "free_text": self.free_text,
            "secret": self.secret,
        }

    def _check_boolean(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        raise self._refuse("type", f"{self.label} is not true or false", "Give true or false.")

    def _check_integer(self, value: object) -> int:
        number: int | None = None
        if isinstance(value, int) and not isinstance(value, bool):
            number = value
        elif isinstance(value, str):
            # Python's own int() would take "1_000" and other scripts' digits as well.
            digits = value.strip()
            if digits.removeprefix("-").isascii() and digits.removeprefix("-").isdigit():
                number = int(digits) if len(digits) <= MAX_INTEGER_DIGITS else None
        if number is None:
            raise self._refuse(
                "type", f"{self.label} is not a whole number", f"Give {self._range_text()}."
            )
        if (self.minimum is not None and number < self.minimum) or (
            self.maximum is not None and number > self.maximum
        ):
            raise self._refuse("range", f"{self.label} is {number}", f"Give {self._range_text()}.")
        return number

    def _check_text(self, value: object) -> str:
        if not isinstance(value, str):
            raise self._refuse("type", f"{self.label} is not a text", "Give a text in quotes.")
        try:
            value.encode()
        except UnicodeEncodeError:
            # JSON can spell half a surrogate pair; no file and no wire can carry it.
            raise self._refuse(
                "type", f"{self.label} holds half a character", "Type the text again."
            ) from None
        if len(value) > self.max_length:
            raise self._refuse(
                "length",
                f"{self.label} has {len(value)} characters",
                f"At most {self.max_length} are taken.",
            )
        if self.options and not self.free_text and value not in {o.value for o in self.options}:
            known = ", ".join(option.value for option in self.options)
            raise self._refuse(
                "option", f"{self.label} is none of the choices", f"Choose one of: {known}."
            )
        return value

    def _range_text(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if self.minimum is not None and self.maximum is not None:
            return f"a whole number from {self.minimum} to {self.maximum}{unit}"
        if self.minimum is not None:
            return f"a whole number of at least {self.minimum}{unit}"
        return f"a whole number{unit}"

    def _refuse(self, fault: str, message: str, remedy: str) -> ValueRefused:
        return ValueRefused(self.id, fault, message + ".", remedy)


MAX_INTEGER_DIGITS = 18
"""Digits taken of a number: all that fits a signed 64-bit integer, whatever its first digit."""


class ValueRefused(Exception):
    """A value does not fit its property; `fault` is type, range, length or option."""

    def __init__(self, field: str, fault: str, message: str, remedy: str) -> None:
        """Keep the property id at fault and the two halves of the sentence."""
        super().__init__(f"{message} {remedy}")
        self.field = field
        self.fault = fault
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class TabSchema:
    """The properties of one tab, i.e. of one component of a cloud connection."""

    name: str
    description: str
    properties: tuple[Property, ...]

    def find(self, property_id: str) -> Property | None:
        """Return the property of that id, or None."""
        return next((p for p in self.properties if p.id == property_id), None)

    def defaults(self) -> dict[str, Value]:
        """Return the values of a tab that nobody has touched."""
        return {p.id: p.default for p in self.properties if p.default is not None and not p.secret}

    def to_json(self, *, name: str | None = None) -> dict[str, Any]:
        """Return the definition as JSON-ready values, under `name` if given."""
        return {
            "name": name or self.name,
            "description": self.description,
            "properties": [p.to_json() for p in self.properties],
        }
