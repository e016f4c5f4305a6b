"""docs/throttling.md says of every limit what the table says."""

from __future__ import annotations

from pathlib import Path

from mooring.cloud.hub.throttling.limits import RATES
from mooring.cloud.hub.throttling.model import WINDOWS_S, HubLimit

PAGE = Path(__file__).parents[2] / "docs" / "throttling.md"


def test_page_has_the_figures_of_every_limit() -> None:
    rows = {
        cells[0].strip("`"): cells[2:]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| `")
        for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
    }
    assert list(rows) == [limit.value for limit in HubLimit]
    for limit, figures in RATES.items():
        expected = [
            " ".join(
                filter(
                    None,
                    [
                        f"{figure.per_unit:,} per unit" if figure.per_unit else "",
                        f"at least {figure.least:,}" if figure.per_unit and figure.least else "",
                        f"{figure.least:,}" if not figure.per_unit else "",
                    ],
                )
            )
            for figure in figures
        ]
        window = {1: "second", 60: "minute"}[WINDOWS_S[limit]]
        assert [cell.replace(",  ", ", ") for cell in rows[limit.value]] == [
            window,
            *(text.replace(" per unit at", " per unit, at") for text in expected),
        ]
