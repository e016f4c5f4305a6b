"""The query text of the DPS service API: ``SELECT * FROM enrollments WHERE a = 'b' AND …``.

Azure publishes no grammar. What its SDKs, samples and command line send is understood: the whole
collection, as ``SELECT * FROM name``, ``SELECT *`` or ``*``. Conditions that compare a member
with a value are Mooring's addition; anything else is refused by name, never half understood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mooring.protocol.azure.errors import QueryMalformed, quoted

MAX_QUERY_CHARS = 4096
"""Ids have 128 characters; as many conditions as there are members fit many times."""

COLLECTIONS = frozenset({"enrollments", "enrollmentgroups", "registrations", "deviceregistrations"})
"""What may stand after FROM, in lower case. Which collection is meant is said by the path: .NET's
own samples ask a group's registrations with ``FROM enrollments``."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<word>[A-Za-z_$][A-Za-z0-9_$]*(?:\.[A-Za-z_$][A-Za-z0-9_$]*)*)
      | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?)
      | (?P<sign>[^\sA-Za-z0-9])
    )""",
    re.VERBOSE | re.ASCII,
)
_REMEDY = "Send SELECT * FROM enrollments, perhaps with WHERE member = 'value' AND …"


@dataclass(frozen=True, slots=True)
class Comparison:
    """``member = value``: `member` as it is spelled, dots for what is inside of objects."""

    member: str
    value: str | bool


@dataclass(frozen=True, slots=True)
class DpsQuery:
    """What a query asks for: all that fits every comparison."""

    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse_dps_query(text: str) -> DpsQuery:
    """Return what `text` asks for; keywords are in any case, a semicolon may end it.

    Raises:
        QueryMalformed: Anything else, with what was found, where, and what is understood.
    """
    if len(text) > MAX_QUERY_CHARS:
        raise QueryMalformed(
            f"query: {len(text)} characters; at most {MAX_QUERY_CHARS} are allowed",
            remedy=_REMEDY,
            field="query",
        )
    return _Parser(text).parse()


class _Parser:
    """Reads tokens from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._next = self._read(0)

    def parse(self) -> DpsQuery:
        """Read the whole text."""
        self._take_keyword("select")
        if self._next.text != "*":
            raise self._fault("*: whole documents are given, and no parts of them")
        self._take()
        if self._take_keyword("from"):
            self._take_collection()
        comparisons = []
        if self._take_keyword("where"):
            comparisons.append(self._take_comparison())
            while self._take_keyword("and"):
                comparisons.append(self._take_comparison())
        if self._next.text == ";":
            self._take()
        if self._next.kind != "end":
            raise self._fault("AND or the end" if comparisons else "WHERE or the end")
        return DpsQuery(tuple(comparisons))

    def _take_collection(self) -> None:
        if self._next.kind != "word" or self._next.text.lower() not in COLLECTIONS:
            raise self._fault("enrollments, enrollmentGroups or registrations")
        self._take()

    def _take_comparison(self) -> Comparison:
        if self._next.kind != "word":
            raise self._fault("the name of a member")
        member = self._take().text
        if self._next.text != "=":
            raise self._fault("=, the one comparison that is understood")
        self._take()
        value = self._next
        if value.kind == "text":
            mark = value.text[0]
            self._take()
            return Comparison(member, value.text[1:-1].replace(mark * 2, mark))
        if value.text.lower() in {"true", "false"}:
            return Comparison(member, self._take().text.lower() == "true")
        raise self._fault("a text in quotes, true or false")

    def _take_keyword(self, keyword: str) -> bool:
        if self._next.kind == "word" and self._next.text.lower() == keyword:
            self._take()
            return True
        return False

    def _take(self) -> _Token:
        taken = self._next
        self._next = self._read(taken.at + len(taken.text))
        return taken

    def _read(self, start: int) -> _Token:
        match = _TOKEN.match(self._text, start)
        if match is None:
            return _Token("end", "", len(self._text))
        kind = match.lastgroup
        assert kind is not None  # one alternative matched
        return _Token(kind, match[kind], match.start(kind))

    def _fault(self, wanted: str) -> QueryMalformed:
        token = self._next
        found = "the end" if token.kind == "end" else quoted(token.text)
        return QueryMalformed(
            f"query: {found} at character {token.at + 1}, where there must be {wanted}",
            remedy=_REMEDY,
            field="query",
        )
