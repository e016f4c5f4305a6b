"""Long arrays of JSON objects in files: read and written one by one, so that size is no matter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

MAX_ITEM_CHARS = 4 << 20
"""Characters of one object: an enrollment with two certificates and a twin, many times."""

READ_CHARS = 1 << 20

_BLANK = " \t\r\n"


class ArrayMalformed(ValueError):
    """The file is no array of objects; the message says what is wrong, and where."""


def read_objects(file: TextIO, *, lines: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the objects of the array in `file`; one object alone is as good.

    With `lines` also several, one behind the other, as JSON Lines has them.

    Raises:
        ArrayMalformed: Anything else; what was read before has been yielded.
    """
    reader = _Reader(file)
    if reader.peek() != "[":
        yield reader.take_object(0)
        number = 1
        while lines and reader.peek():
            number += 1
            yield reader.take_object(number)
    else:
        reader.advance()
        number = 0
        while reader.peek() != "]":
            if number:
                if reader.peek() != ",":
                    raise ArrayMalformed(f"after entry {number}: expected ',' or ']'")
                reader.advance()
            number += 1
            yield reader.take_object(number)
        reader.advance()
    if reader.peek():
        raise ArrayMalformed("there is something behind the end of the document")


def write_objects(objects: Iterable[dict[str, Any]], file: TextIO, *, lines: bool = False) -> int:
    """Write `objects` as an array, or one a line; return how many there were."""
    count = 0
    if lines:
        for one in objects:
            file.write(json.dumps(one, ensure_ascii=False) + "\n")
            count += 1
        return count
    for count, one in enumerate(objects, 1):
        text = json.dumps(one, indent=2, ensure_ascii=False).replace("\n", "\n  ")
        file.write(f"{'[' if count == 1 else ','}\n  {text}")
    file.write("\n]\n" if count else "[]\n")
    return count


class _Reader:
    """Keeps as much of the file in memory as one object needs."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0

    def peek(self) -> str:
        """Return the next character that is not blank, "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._text) or not self._read():
                return self._text[self._at : self._at + 1]

    def advance(self) -> None:
        """Go past the character that `peek` returned."""
        self._at += 1

    def take_object(self, number: int) -> dict[str, Any]:
        """Return the object that begins here; `number` names it in an error, 0 if it is alone."""
        what = f"entry {number}" if number else "the document"
        if self.peek() != "{":
            raise ArrayMalformed(f"{what}: not an object")
        while True:
            try:
                found, self._at = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # Perhaps only cut off: the rest may be in the file yet.
                if len(self._text) - self._at > MAX_ITEM_CHARS:
                    raise ArrayMalformed(
                        f"{what}: not JSON, or more than {MAX_ITEM_CHARS} characters"
                    ) from None
                if self._read():
                    continue
                raise ArrayMalformed(f"{what}: not JSON ({error.msg})") from None
            except RecursionError:
                raise ArrayMalformed(f"{what}: nested too deeply") from None
            assert isinstance(found, dict)
            return found

    def _read(self) -> bool:
        """Read on; return whether there was more."""
        try:
            more = self._file.read(READ_CHARS)
        except UnicodeDecodeError:
            raise ArrayMalformed("not UTF-8 text") from None
        self._text = self._text[self._at :] + more
        self._at = 0
        return bool(more)
