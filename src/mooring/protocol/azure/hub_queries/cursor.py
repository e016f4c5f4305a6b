"""A place in the text of a query, and what all parts of the parser do there."""

from __future__ import annotations

from mooring.protocol.azure.errors import QueryMalformed
from mooring.protocol.azure.hub_queries.lexer import (
    REMEDY,
    Kind,
    Token,
    malformed,
    name_of,
    read_token,
)

MAX_NESTING = 32
"""Parentheses, NOT, signs and functions inside of each other: no tool nests ten, and ten calls of
Python for each stay far from its limit of a thousand."""

MAX_TERMS = 1000
"""Paths, constants and functions of one query: what each costs is paid for every device."""

ABSENT = {
    "distinct": "Use GROUP BY with the same members.",
    "value": "Select the members by name; each row is an object.",
    "order": "Leave ORDER BY out, and sort what comes.",
    "having": "Leave HAVING out, and drop groups from what comes.",
    "join": "Ask one collection at a time.",
    "limit": "Use SELECT TOP n, or the page size.",
    "offset": "Go on with the continuation of the page before.",
    "union": "Ask each query of its own.",
    "like": "Use STARTSWITH(path, 'text') or CONTAINS(path, 'text').",
    "between": "Use path >= a AND path <= b.",
    "exists": "Use IS_DEFINED(path).",
    "is": "Use IS_NULL(path) or IS_DEFINED(path).",
}
"""Words of other query languages that this one does not have, and what stands for them."""


class Cursor:
    """Reads tokens from left to right; `next` is the one that comes."""

    def __init__(self, text: str) -> None:
        """Stand at the beginning of `text`. Raises QueryMalformed if it begins with no token."""
        self._text = text
        self._terms = 0
        self._depth = 0
        self.next = read_token(text, 0)

    def take(self) -> Token:
        """Return the token that comes, and go beyond it."""
        taken = self.next
        self.next = read_token(self._text, taken.end)
        return taken

    def peek(self) -> Token:
        """Return the token after the one that comes."""
        return read_token(self._text, self.next.end)

    def took(self, keyword: str) -> bool:
        """Go beyond `keyword`, in lower case, if it comes; return whether it did."""
        if self.next.word != keyword:
            return False
        self.take()
        return True

    def want(self, keyword: str) -> None:
        """Go beyond `keyword`. Raises QueryMalformed if something else comes."""
        if not self.took(keyword):
            raise self.fault(keyword.upper())

    def sees_sign(self, *signs: str) -> bool:
        """Return whether one of `signs` comes."""
        return self.next.kind is Kind.SIGN and self.next.text in signs

    def took_sign(self, sign: str) -> bool:
        """Go beyond `sign` if it comes; return whether it did."""
        if not self.sees_sign(sign):
            return False
        self.take()
        return True

    def want_sign(self, sign: str) -> None:
        """Go beyond `sign`. Raises QueryMalformed if something else comes."""
        if not self.took_sign(sign):
            raise self.fault(sign)

    def sees_name(self) -> bool:
        """Return whether a name comes, plain or in ``[[…]]``."""
        return self.next.kind in {Kind.WORD, Kind.QUOTED_NAME}

    def take_name(self, wanted: str) -> str:
        """Return the name that comes. Raises QueryMalformed: `wanted` says for what."""
        if not self.sees_name():
            raise self.fault(wanted)
        return name_of(self.take())

    def count_term(self) -> None:
        """Count one path, constant or function more. Raises QueryMalformed: `MAX_TERMS`."""
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise malformed(
                f"more than {MAX_TERMS} paths, constants and functions", "Ask in several queries."
            )

    def enter(self) -> None:
        """Count one level more. Raises QueryMalformed: `MAX_NESTING`."""
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise malformed(
                f"nested deeper than {MAX_NESTING} levels at character {self.next.at + 1}",
                "Use fewer parentheses: AND binds tighter than OR.",
            )

    def leave(self) -> None:
        """Count one level less."""
        self._depth -= 1

    def fault(self, wanted: str) -> QueryMalformed:
        """Return the refusal of what comes, where there must be `wanted`."""
        token = self.next
        instead = ABSENT.get(token.word)
        if instead is not None:
            return malformed(
                f"{token.text.upper()} at character {token.at + 1} is not in the language", instead
            )
        return malformed(
            f"{token.shown} at character {token.at + 1}, where there must be {wanted}", REMEDY
        )
