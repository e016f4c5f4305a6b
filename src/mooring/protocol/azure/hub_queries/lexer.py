"""From the text of a query to its tokens."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum, auto

from mooring.protocol.azure.errors import QueryMalformed, quoted

MAX_QUERY_CHARS = 8192
"""Azure: "Query expressions can have a maximum length of 8192 characters"."""

MAX_INTEGER_DIGITS = 18
"""Whole numbers of up to so many digits are exact; longer ones are taken as floating point."""

REMEDY = (
    "Send a query such as SELECT * FROM devices WHERE tags.site = 'north' AND "
    "properties.reported.rate > 5."
)

# Letters of any alphabet: tags and properties may be named so. $ is for $version and $metadata.
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<QUOTED_NAME>\[\[(?:[^\]]|\](?!\]))+\]\])
      | (?P<TEXT>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<NUMBER>0[xX][0-9A-Fa-f]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<WORD>[^\W\d][\w$]*|\$[\w$]*)
      | (?P<SIGN><=|>=|<>|!=|[^\s])
      | (?P<END>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_WORD_CHARACTER = re.compile(r"[\w$]")
_OPENS = {"'": "the text", '"': "the text", "[[": "the name in [[…]]"}


class Kind(Enum):
    """What a token is."""

    QUOTED_NAME = auto()
    TEXT = auto()
    NUMBER = auto()
    WORD = auto()
    SIGN = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a query; `at` is where it begins, from 0, `end` where the next may."""

    kind: Kind
    text: str
    at: int
    end: int

    @property
    def word(self) -> str:
        """Return a word in lower case, as keywords are compared; empty for all else."""
        return self.text.lower() if self.kind is Kind.WORD else ""

    @property
    def shown(self) -> str:
        """Return what was found, for a message."""
        return "the end" if self.kind is Kind.END else quoted(self.text)


def read_token(text: str, start: int) -> Token:
    """Return the token of `text` at `start` or after the space there.

    Raises:
        QueryMalformed: A text or a quoted name that is not closed, or a word that begins with
            a digit.
    """
    match = _TOKEN.match(text, start)
    assert match is not None  # any character is a sign, and the end an end
    group = match.lastgroup
    assert group is not None
    kind = Kind[group]
    token = Token(kind, match[group], match.start(group), match.end(group))
    if kind is Kind.SIGN:
        for opening, what in _OPENS.items():
            if text.startswith(opening, token.at):
                raise malformed(
                    f"{what} that begins at character {token.at + 1} does not end",
                    "Close it; a quotation mark or a backslash inside of a text is written with "
                    "a backslash before it.",
                )
    if kind is Kind.NUMBER and _WORD_CHARACTER.match(text, token.end):
        raise malformed(
            f"{quoted(text[token.at : token.end + 1])} at character {token.at + 1} is neither a "
            "number nor a name",
            "Put a name that begins with a digit into [[…]].",
        )
    return token


def text_of(token: Token) -> str:
    r"""Return the text that a token of kind TEXT stands for.

    Azure allows the escapes ``\'``, ``\"``, ``\\`` and ``\uXXXX``.

    Raises:
        QueryMalformed: Another escape, or half a surrogate pair.
    """

    def replace(match: re.Match[str]) -> str:
        escape = match[1]
        if escape in {"'", '"', "\\"}:
            return escape
        if len(escape) == 1:
            raise malformed(
                f"{quoted(match[0])} at character {token.at + 2 + match.start()} is no escape",
                r"""Write \', \", \\ or \u with four hexadecimal digits.""",
            )
        return chr(int(escape[1:], 16))

    text = _ESCAPE.sub(replace, token.text[1:-1])
    try:
        # Two escapes may spell one character beyond the first 65,536.
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise malformed(
            f"the text at character {token.at + 1} holds half a surrogate pair",
            r"Write both halves, \ud83d\ude00, or the character itself.",
        ) from None


def name_of(token: Token) -> str:
    """Return the name that a token of kind WORD or QUOTED_NAME stands for."""
    return token.text[2:-2] if token.kind is Kind.QUOTED_NAME else token.text


def number_of(token: Token) -> int | float:
    """Return the number that a token of kind NUMBER stands for.

    Raises:
        QueryMalformed: One beyond what a 64-bit number can be.
    """
    if token.text[:2].lower() == "0x":
        number: int | float = int(token.text, 16)
    elif token.text.isdecimal():
        number = float(token.text) if len(token.text) > MAX_INTEGER_DIGITS else int(token.text)
    else:
        number = float(token.text)
    if isinstance(number, float) and math.isfinite(number):
        return number
    if isinstance(number, int) and number < 1 << 64:
        return number
    raise malformed(
        f"the number {quoted(token.text)} at character {token.at + 1} is too large",
        "Keep numbers to what 64 bits can hold.",
    )


def malformed(fault: str, remedy: str = REMEDY) -> QueryMalformed:
    """Return the refusal of a query for `fault`."""
    return QueryMalformed(f"query: {fault}", remedy=remedy, field="query")
