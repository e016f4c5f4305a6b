"""Decoding the base64 body of a PEM block, and finding the line at fault when it cannot be."""

from __future__ import annotations

import base64
import string
from collections import Counter
from dataclasses import dataclass

from mooring.pki.errors import PemBodyTruncated, PemCharacterBad

_BASE64 = frozenset(string.ascii_letters + string.digits + "+/")
_COPY_AGAIN = "Copy it again whole, from its BEGIN line to its END line."


@dataclass(frozen=True, slots=True)
class Body:
    """A decoded body.

    Attributes:
        data: The bytes.
        der_length: Length in bytes of the first DER element in `data`; 0 when it is not DER.
        rewrapped: Blanks or line ends stood where none belong.
        padded: The ``=`` at the end had to be corrected.
    """

    data: bytes
    der_length: int
    rewrapped: bool
    padded: bool


def der_length(data: bytes) -> int:
    """Return how long the DER SEQUENCE at the start of `data` says it is; 0 if there is none.

    X.690 §8.1.3: short form up to 127, long form with 1 to 3 length bytes (16 MiB) here.
    """
    if len(data) < 2 or data[0] != 0x30:
        return 0
    first = data[1]
    if first < 0x80:
        return 2 + first
    count = first & 0x7F
    if not 1 <= count <= 3 or len(data) < 2 + count:
        return 0
    return 2 + count + int.from_bytes(data[2 : 2 + count], "big")


def decode_body(
    text: str, *, first_line: int, label: str, opaque: bool, trailing: bool, field: str
) -> Body:
    """Return the bytes that `text` encodes.

    Args:
        text: What stands between the BEGIN and the END line.
        first_line: Line number of the first character of `text`.
        label: The block's label, for messages.
        opaque: The body is encrypted or of an unknown kind; its bytes say nothing about their
            length.
        trailing: Bytes may follow the first DER element.
        field: Name of the input in messages.

    Raises:
        PemCharacterBad: A character outside base64, with its line.
        PemBodyTruncated: Characters missing or too many, with the line that looks at fault.
    """
    lines = _Lines(text, first_line)
    padding = _check_characters(text, first_line, field)
    characters = "".join(lines.widthless).rstrip("=")
    missing_padding = -len(characters) % 4
    # One character over a multiple of four carries six bits: no whole byte, so one was lost.
    data = b""
    length = 0
    fault = "is not whole"
    if characters and missing_padding != 3:
        data = base64.b64decode(characters + "=" * missing_padding)
        length = 0 if opaque else der_length(data)
        if opaque or length == len(data) or (trailing and 0 < length < len(data)):
            return Body(data, length, lines.irregular, padding != missing_padding)
        if length > len(data):
            fault = f"is {length - len(data)} bytes short"
        elif length:
            fault = f"is {len(data) - length} bytes too long"
    raise _not_whole(lines, label, fault, field)


class _Lines:
    """The non-blank lines of a body, without blanks, and their numbers."""

    def __init__(self, text: str, first_line: int) -> None:
        raw = text.split("\n")
        self.numbered = [
            (first_line + index, "".join(line.split()))
            for index, line in enumerate(raw)
            if line.strip()
        ]
        self.widthless = [line for _, line in self.numbered]
        self.last_number = self.numbered[-1][0] if self.numbered else first_line
        # What is left of the BEGIN line, and of the END line, is no line of the body.
        inner = raw[0 if raw[0].strip() else 1 :]
        if inner and not inner[-1].strip():
            inner.pop()
        self.irregular = (
            any(line != line.strip() or not line for line in inner) or self.odd_line() is not None
        )

    def odd_line(self) -> int | None:
        """Return the number of the first line whose width is not that of the others."""
        widths = [len(line) for line in self.widthless]
        if len(widths) < 2:
            return None
        usual = Counter(widths[:-1]).most_common(1)[0][0]
        for (number, _), width in zip(self.numbered[:-1], widths[:-1], strict=True):
            if width != usual:
                return number
        return self.last_number if widths[-1] > usual else None


def _check_characters(text: str, first_line: int, field: str) -> int:
    """Refuse what is not base64 and return how many ``=`` stand at the end."""
    padding = 0
    line = first_line
    column = 0
    for character in text:
        column += 1
        if character == "\n":
            line += 1
            column = 0
        elif character.isspace():
            continue
        elif character == "=":
            padding += 1
        elif character not in _BASE64:
            raise PemCharacterBad(
                f"{field}: line {line}, character {column} is {character!r}, which base64 does "
                "not know.",
                _COPY_AGAIN,
                field=field,
                line=line,
            )
        elif padding:
            raise PemBodyTruncated(
                f"{field}: line {line} goes on after the '=' that ends a body.",
                "Copy one block at a time, each with its own BEGIN and END line.",
                field=field,
                line=line,
            )
    return padding


def _not_whole(lines: _Lines, label: str, fault: str, field: str) -> PemBodyTruncated:
    odd = lines.odd_line()
    line = odd if odd is not None else lines.last_number
    if not lines.numbered:
        where = f"there is nothing between the BEGIN and END lines at line {line}"
    elif odd is None:
        where = f"its text stops at line {line}"
    else:
        where = f"line {line} is shorter or longer than the lines around it"
    return PemBodyTruncated(
        f"{field}: the {label or 'base64'} body {fault}; {where}.",
        _COPY_AGAIN,
        field=field,
        line=line,
    )
