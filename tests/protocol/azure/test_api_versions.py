"""Which texts are api-versions."""

from __future__ import annotations

import pytest

from mooring.protocol.azure.api_versions import (
    OLDEST_DPS_API_VERSION,
    is_api_version,
    is_dps_api_version,
)


@pytest.mark.parametrize(
    "text",
    [OLDEST_DPS_API_VERSION, "2018-04-01", "2018-09-01-preview", "2021-06-01", "2031-12-31"],
)
def test_versions_of_dps(text: str) -> None:
    assert is_dps_api_version(text)


@pytest.mark.parametrize("text", ["2017-08-30", "2016-11-14", "2016-11-14-preview"])
def test_versions_older_than_dps(text: str) -> None:
    assert is_api_version(text)
    assert not is_dps_api_version(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        "2021",
        "2021-06",
        "2021-6-1",
        "2021-00-01",
        "2021-13-01",
        "2021-06-00",
        "2021-06-32",
        "2021-06-01-Preview",
        "2021-06-01-preview2",
        "2021-06-01\n",
        " 2021-06-01",
        "٢٠٢١-06-01",
        "x" * 100_000,
    ],
)
def test_texts_that_are_none(text: str) -> None:
    assert not is_api_version(text)
    assert not is_dps_api_version(text)
