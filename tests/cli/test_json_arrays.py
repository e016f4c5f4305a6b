"""Arrays of JSON objects, read piece by piece: whole, cut anywhere, and broken."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from mooring.cli import json_arrays
from mooring.cli.json_arrays import ArrayMalformed, read_objects, write_objects

OBJECTS: list[dict[str, Any]] = [
    {"name": 'a "quoted" \\ one', "deep": {"list": [1, {"x": None}], "end": "]}"}},
    {},
    {"unicode": "é\u2028\U0001f6a2"},
]


class OneByOne(io.StringIO):
    """Gives a character at each read, as the worst of files would."""

    def read(self, size: int | None = -1) -> str:
        return super().read(min(1, 1 if size is None else size))


@pytest.mark.parametrize("opener", [io.StringIO, OneByOne])
@pytest.mark.parametrize("indent", [None, 2])
def test_what_is_written_is_read_back_in_any_pieces(opener: Any, indent: int | None) -> None:
    assert list(read_objects(opener(json.dumps(OBJECTS, indent=indent)))) == OBJECTS
    written = io.StringIO()
    assert write_objects(iter(OBJECTS), written) == len(OBJECTS)
    assert json.loads(written.getvalue()) == OBJECTS
    assert list(read_objects(opener(written.getvalue()))) == OBJECTS


@pytest.mark.parametrize("text", ["[]", " [ ] ", "\n[\n]\n"])
def test_an_empty_array_has_no_objects(text: str) -> None:
    assert list(read_objects(OneByOne(text))) == []
    written = io.StringIO()
    assert write_objects([], written) == 0
    assert json.loads(written.getvalue()) == []


def test_one_object_alone_is_as_good_as_an_array_of_it() -> None:
    assert list(read_objects(OneByOne(' {"a": 1}\n'))) == [{"a": 1}]


def test_every_shorter_file_is_refused_after_what_was_whole() -> None:
    text = json.dumps(OBJECTS)
    for length in range(len(text)):
        reader = read_objects(io.StringIO(text[:length]))
        found = []
        with pytest.raises(ArrayMalformed):
            found.extend(reader)
        assert found == OBJECTS[: len(found)]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not an object"),
        ("null", "not an object"),
        ("[{},]", "entry 2: not an object"),
        ("[{} {}]", "after entry 1"),
        ("[{}]]", "behind the end"),
        ("{}{}", "behind the end"),
        ("[[]]", "entry 1: not an object"),
        ("[{'a': 1}]", "entry 1: not JSON"),
        ("[" + '{"a":' * 100_000, "entry 1: nested too deeply"),
    ],
)
def test_a_broken_file_is_refused_with_the_entry_at_fault(text: str, fault: str) -> None:
    with pytest.raises(ArrayMalformed, match=fault):
        list(read_objects(io.StringIO(text)))


def test_an_object_that_never_ends_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_arrays, "MAX_ITEM_CHARS", 1000)
    monkeypatch.setattr(json_arrays, "READ_CHARS", 100)
    file = io.StringIO('[{"a": "' + "x" * 100_000)
    with pytest.raises(ArrayMalformed, match="more than 1000 characters"):
        list(read_objects(file))
    assert file.tell() < 2000
