"""The state folder: closed to others, replaced whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mooring.runtime.statefolder import ensure_folder, token_file, write_file


@pytest.fixture(autouse=True)
def _open_umask() -> object:
    before = os.umask(0o000)
    yield
    os.umask(before)


def test_write_file_whatever_the_umask_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    write_file(tmp_path / "key.pem", "secret")

    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "key.pem").read_text() == "secret"


def test_write_file_when_it_fails_keeps_the_old_text_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "inside").touch()

    with pytest.raises(OSError, match="folder"):
        write_file(target, "new")

    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_write_file_over_a_readable_file_closes_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o644)

    write_file(path, "new")

    assert path.stat().st_mode & 0o777 == 0o600


def test_ensure_folder_under_any_umask_closes_the_parents_it_makes(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ensure_folder(tmp_path / "state" / "cloud")
    finally:
        os.umask(before)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "cloud").stat().st_mode & 0o777 == 0o700


def test_ensure_folder_makes_it_closed_to_others(tmp_path: Path) -> None:
    assert ensure_folder(tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_token_file_made_once_is_kept(tmp_path: Path) -> None:
    token = token_file(tmp_path / "owner-token")

    assert len(token) >= 43
    assert token_file(tmp_path / "owner-token") == token
    assert (tmp_path / "owner-token").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b" \n"])
def test_token_file_that_is_empty_is_made_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "owner-token"
    path.write_bytes(content)

    token = token_file(path)

    assert len(token) > 40
    assert token_file(path) == token


def test_token_file_that_is_no_text_opens_to_nobody_but_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "owner-token"
    path.write_bytes(b"\xff\xfe\x00")

    assert token_file(path)
    assert path.read_bytes() == b"\xff\xfe\x00"
