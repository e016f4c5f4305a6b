"""What a person is told where HTTPS could not have port 443."""

from __future__ import annotations

import pytest

from mooring.cli.rendering import print_https_fallback
from mooring.cloud.https_port import FIXED_TO_443, GRANT_COMMAND, https_fallback


def test_fallback_names_the_command_and_every_sdk_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_https_fallback(https_fallback(None, 9443))

    said = capsys.readouterr().out
    assert "port 9443" in said
    assert GRANT_COMMAND.format(port=443) in said
    for client in FIXED_TO_443:
        assert client in said


@pytest.mark.parametrize(("wanted", "port"), [(None, 443), (443, 443), (9443, 9443), (0, 41234)])
def test_port_that_was_wanted_is_not_spoken_of(
    wanted: int | None, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    print_https_fallback(https_fallback(wanted, port))

    assert capsys.readouterr().out == ""
