"""Long work is done in a thread, short work at once."""

from __future__ import annotations

import threading

import pytest

from mooring.runtime.aside import SMALL_BODY_BYTES, read_body


@pytest.mark.parametrize(
    ("size_bytes", "here"), [(0, True), (SMALL_BODY_BYTES, True), (SMALL_BODY_BYTES + 1, False)]
)
async def test_body_is_read_in_a_thread_if_it_is_large(size_bytes: int, here: bool) -> None:
    reader = await read_body(threading.get_ident, size_bytes)

    assert (reader == threading.get_ident()) is here


async def test_what_reading_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await read_body(lambda: 1 // 0, SMALL_BODY_BYTES + 1)
