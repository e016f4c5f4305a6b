"""Cutting text into PEM blocks, mending what pasting does to it.

RFC 7468 (textual encodings) is the rule; the mending goes beyond it on purpose. Positions are
kept, so that what cannot be mended is refused with its line, counted from 1.
"""

from __future__ import annotations

import base64
import binascii
import re
import textwrap
from dataclasses import dataclass
from dataclasses import field as dataclass_field

from mooring.pki.errors import (
    InputEmpty,
    InputTooLarge,
    PemArmourBroken,
    PemBeginMissing,
    PemEndMissing,
    PemMalformed,
    PemMissing,
)
from mooring.pki.pembody import decode_body, der_length

MAX_TEXT_BYTES = 256 * 1024
"""One paste or file, in bytes. `openssl x509 -text` of a long chain takes some 40 KB, a bundle of
trusted roots up to 250 KB."""

MAX_BLOCKS = 250
"""PEM blocks in one text. A distribution's bundle of trusted roots has some 150."""

_COPY_AGAIN = "Copy it again whole, from its BEGIN line to its END line."
_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
# Every repetition has an upper bound, so that hostile text costs linear time. The right-hand
# dashes stop before the five of a BEGIN that was glued on.
_ARMOUR = re.compile(
    rf"[{_DASHES}]{{1,20}}[ \t]{{0,20}}(?P<verb>BEGIN|END)[ \t]{{1,20}}"
    r"(?P<label>[A-Z0-9]{1,20}(?:[ \t]{1,20}[A-Z0-9]{1,20}){0,4})[ \t]{0,20}"
    rf"(?:[{_DASHES}]{{1,20}}?(?=-----BEGIN)|[{_DASHES}]{{1,20}})",
    re.IGNORECASE,
)
_ARMOUR_PART = re.compile(
    rf"[{_DASHES}]{{2,20}}[ \t]{{0,20}}(?:BEGIN|END)\b|\b(?:BEGIN|END) [A-Z0-9 ]{{1,60}}-{{2,20}}"
)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_ODD_SPACE = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_LINE_END = re.compile("\r\n|\r|\n|\u2028|\u2029|\x0b|\x0c|\x85")
# RFC 1421 §4.6: the old OpenSSL encryption. Flattened text puts the headers and the body on one
# line, so the value's own shape has to tell where the body begins.
_HEADERS = re.compile(
    r"\s*Proc-Type:\s*4,\s*ENCRYPTED\s+DEK-Info:\s*(?P<dek>[A-Z0-9-]+\s*,\s*[0-9A-F]+)(?:\s+|$)",
    re.IGNORECASE,
)
CERTIFICATE_LABELS = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"})
KEY_LABELS = frozenset(
    {"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY"}
)


@dataclass(frozen=True, slots=True)
class Repair:
    """Something that was mended or left out: a stable kebab-case `code`, and `text` for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """One PEM block.

    Attributes:
        label: The words after BEGIN, upper case; empty for bare base64 or DER.
        headers: RFC 1421 headers as lines without line ends; only for old encrypted keys.
        der: The decoded body.
        der_length: Length in bytes of the first DER element in `der`; 0 if it was not looked at.
        first_line: Line of BEGIN.
        last_line: Line of END.
    """

    label: str
    headers: tuple[str, ...]
    der: bytes = dataclass_field(repr=False)
    der_length: int
    first_line: int
    last_line: int

    def to_pem(self) -> bytes:
        """Return the block as clean PEM with its headers."""
        body = textwrap.wrap(base64.b64encode(self.der).decode("ascii"), 64)
        head = [*self.headers, ""] if self.headers else []
        lines = [f"-----BEGIN {self.label}-----", *head, *body, f"-----END {self.label}-----", ""]
        return "\n".join(lines).encode("ascii")


def cut_blocks(data: str | bytes, *, field: str) -> tuple[list[Block], list[Repair]]:
    """Return the PEM blocks of `data` in its order, and what was mended.

    Without any BEGIN line, base64 alone and (as bytes) DER alone are one block without label.

    Raises:
        InputTooLarge: More than `MAX_TEXT_BYTES`.
        InputEmpty: Nothing but white space.
        PemMalformed: Its subclasses tell how; `line` is the line at fault.
    """
    if len(data) > MAX_TEXT_BYTES:
        raise InputTooLarge(
            f"{field}: {len(data)} bytes, more than the {MAX_TEXT_BYTES} that are read.",
            "Give the certificate or key alone.",
            field=field,
        )
    repairs: dict[str, Repair] = {}
    if isinstance(data, bytes) and data[:1] == b"\x30" and data[1:2] >= b"\x80":
        repairs["der"] = Repair("der", "Binary DER was converted to PEM.")
        block = Block("", (), data, len(data), 1, 1)
        return [block], list(repairs.values())
    text = _clean_text(_decode_text(data, field, repairs), repairs)
    if not text.strip():
        raise InputEmpty(f"{field}: empty.", "Paste the PEM text.", field=field)
    return _Cutter(text, field, repairs).cut(), list(repairs.values())


def _decode_text(data: str | bytes, field: str, repairs: dict[str, Repair]) -> str:
    if isinstance(data, str):
        return data
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        encoding = "utf-16"
        repairs["encoding"] = Repair("encoding", "UTF-16 text was converted.")
    else:
        encoding = "utf-8"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise PemMalformed(
            f"{field}: neither text nor DER.", "Give PEM text or DER.", field=field
        ) from None


def _clean_text(text: str, repairs: dict[str, Repair]) -> str:
    """Return `text` with plain blanks and line feeds only, positions by line unchanged."""
    if text.startswith("\ufeff"):
        text = text[1:]
        repairs["byte-order-mark"] = Repair(
            "byte-order-mark", "A byte order mark at the start was removed."
        )
    if "\r" in text:
        repairs["line-ends"] = Repair("line-ends", "Line ends were changed to line feeds.")
    text = _LINE_END.sub("\n", text)
    if "\n" not in text.strip() and "\\n" in text:
        text = text.replace("\\r", "").replace("\\n", "\n")
        repairs["escaped-line-ends"] = Repair(
            "escaped-line-ends", "Line ends written as \\n were made real ones."
        )
    without = _INVISIBLE.sub("", text)
    spaced = _ODD_SPACE.sub(" ", without)
    if spaced != text:
        repairs["invisible-characters"] = Repair(
            "invisible-characters", "Non-breaking or zero-width blanks were removed."
        )
    return spaced


class _Cutter:
    """One pass over clean text."""

    def __init__(
        self, text: str, field: str, repairs: dict[str, Repair], *, nested: bool = False
    ) -> None:
        self._nested = nested
        self._text = text
        self._field = field
        self._repairs = repairs

    def cut(self) -> list[Block]:
        blocks: list[Block] = []
        outside: list[str] = []
        end_of_last = 0
        begin: re.Match[str] | None = None
        for armour in _ARMOUR.finditer(self._text):
            verb = armour["verb"].upper()
            if verb == "BEGIN":
                if begin is not None:
                    raise self._end_missing(begin, armour.start())
                outside.append(self._outside(end_of_last, armour.start()))
                begin = armour
                continue
            if begin is None:
                self._outside(end_of_last, armour.start())
                raise PemBeginMissing(
                    f"{self._field}: line {self._line(armour.start())} ends a block that no "
                    "BEGIN line began.",
                    _COPY_AGAIN,
                    field=self._field,
                    line=self._line(armour.start()),
                )
            blocks.append(self._block(begin, armour))
            if len(blocks) > MAX_BLOCKS:
                raise InputTooLarge(
                    f"{self._field}: more than {MAX_BLOCKS} PEM blocks.",
                    "Give the certificate or key alone.",
                    field=self._field,
                )
            begin = None
            end_of_last = armour.end()
        if begin is not None:
            raise self._end_missing(begin, len(self._text))
        rest = self._outside(end_of_last, len(self._text))
        if not blocks:
            return self._bare(rest)
        outside.append(rest)
        self._note_outside(outside)
        return blocks

    # -- text around the blocks

    def _outside(self, start: int, end: int) -> str:
        """Return the text between blocks, unless it holds the rest of a broken armour line."""
        text = self._text[start:end]
        broken = _ARMOUR_PART.search(text)
        if broken:
            line = self._line(start + broken.start())
            raise PemArmourBroken(
                f"{self._field}: line {line} is not a whole BEGIN or END line.",
                _COPY_AGAIN,
                field=self._field,
                line=line,
            )
        return text

    def _note_outside(self, outside: list[str]) -> None:
        if any(part.strip() for part in outside):
            self._note("surrounding-text", "Text around the PEM blocks was left out.")
        elif outside[0]:
            self._note("leading-blanks", "Blanks before the BEGIN line were removed.")
        if any(part not in {"", "\n"} and not part.strip() for part in outside[1:]):
            self._note("trailing-blanks", "Blanks after the END line were removed.")

    # -- one block

    def _block(self, begin: re.Match[str], end: re.Match[str]) -> Block:
        label = _label(begin)
        if _label(end) != label:
            line = self._line(end.start())
            raise PemArmourBroken(
                f"{self._field}: line {line} ends {_label(end)!r}, but line "
                f"{self._line(begin.start())} began {label!r}.",
                _COPY_AGAIN,
                field=self._field,
                line=line,
            )
        for armour in (begin, end):
            self._check_armour(armour)
        body_start = begin.end()
        headers: tuple[str, ...] = ()
        found = _HEADERS.match(self._text, begin.end(), end.start())
        if found:
            headers = (
                "Proc-Type: 4,ENCRYPTED",
                "DEK-Info: " + "".join(found["dek"].split()).upper(),
            )
            body_start = found.end()
        body = decode_body(
            self._text[body_start : end.start()],
            first_line=self._line(body_start),
            label=label,
            opaque=bool(headers) or label not in CERTIFICATE_LABELS | KEY_LABELS,
            trailing=label == "TRUSTED CERTIFICATE",
            field=self._field,
        )
        if body.rewrapped:
            self._note("rewrapped", "The body was put back into lines of 64 characters.")
        if body.padded:
            self._note("padding", "The '=' at the end of the body were corrected.")
        return Block(
            label,
            headers,
            body.data,
            body.der_length,
            self._line(begin.start()),
            self._line(end.start()),
        )

    def _check_armour(self, armour: re.Match[str]) -> None:
        if armour[0] != f"-----{armour['verb'].upper()} {_label(armour)}-----":
            self._note("armour", "BEGIN or END lines were written anew with five dashes.")
        if armour["verb"].upper() == "BEGIN":
            line_end = self._text.find("\n", armour.end())
            beside = self._text[armour.end() : line_end if line_end >= 0 else len(self._text)]
        else:
            beside = self._text[self._text.rfind("\n", 0, armour.start()) + 1 : armour.start()]
        if beside.strip():
            self._note("flattened", "Text without its line ends was put back into lines.")
        elif beside:
            self._note("stray-blanks", "Blanks beside a BEGIN or END line were removed.")

    def _end_missing(self, begin: re.Match[str], until: int) -> PemMalformed:
        # The nearest thing to an END line, if there is one, is the line to look at.
        part = _ARMOUR_PART.search(self._text, begin.end(), until)
        line = self._line(begin.start())
        if part:
            at = self._line(part.start())
            return PemArmourBroken(
                f"{self._field}: line {at} is not a whole END line for the "
                f"{_label(begin)} begun at line {line}.",
                _COPY_AGAIN,
                field=self._field,
                line=at,
            )
        last = self._line(begin.end() + len(self._text[begin.end() : until].rstrip()))
        return PemEndMissing(
            f"{self._field}: the {_label(begin)} begun at line {line} has no END line; "
            f"the text stops at line {last}.",
            _COPY_AGAIN,
            field=self._field,
            line=last,
        )

    # -- no armour at all

    def _bare(self, text: str) -> list[Block]:
        try:
            data = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            data = b""
        if b"-----BEGIN" in data and not self._nested:
            self._note("base64", "Base64 around the PEM text was removed.")
            inner = _clean_text(data.decode("utf-8", "replace"), self._repairs)
            return _Cutter(inner, self._field, self._repairs, nested=True).cut()
        if not data or der_length(data) != len(data):
            raise PemMissing(
                f"{self._field}: no -----BEGIN line, and not base64 of a certificate or key.",
                _COPY_AGAIN,
                field=self._field,
                line=1,
            )
        self._note("armour-added", "The BEGIN and END lines were missing and were added.")
        return [Block("", (), data, len(data), 1, 1 + text.rstrip().count("\n"))]

    # -- shared

    def _note(self, code: str, text: str) -> None:
        self._repairs[code] = Repair(code, text)

    def _line(self, position: int) -> int:
        return self._text.count("\n", 0, position) + 1


def _label(armour: re.Match[str]) -> str:
    return " ".join(armour["label"].upper().split())
