"""`mooring demo`: the ways from nothing, what it prints, and that nothing stays behind."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from tests.support.commandline import CommandLine, processes_of, wait_until


@pytest.fixture
def here(tmp_path: Path) -> CommandLine:
    """Return the command with a temporary folder of its own, to see what is left in it."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    return CommandLine(tmp_path / "state", tmp_path, variables={"TMPDIR": str(temporary)})


def _left_behind(here: CommandLine) -> list[str]:
    """Return files and processes that the demo left."""
    return [path.name for path in here.folder.glob("temporary/mooring-demo-*")] + [
        str(process) for process in processes_of(here.folder / "temporary")
    ]


def test_demo_json_has_both_ways_with_the_time_of_each_stage(
    here: CommandLine, house: CommandLine
) -> None:
    del house  # runs beside
    report = here.json("demo")
    assert report["ok"]
    assert report["retry_after_seconds"] == 3
    assert [way["way"] for way in report["ways"]] == ["dps-individual", "dps-group"]
    for way in report["ways"]:
        assert way["ok"]
        assert way["seconds"] > way["connect_seconds"] >= 3
        names = [stage["name"] for stage in way["stages"]]
        for name in (
            "certificates",
            "enrollment",
            "Connect to Connected",
            "provisioning.tls",
            "provisioning.polling",
            "connecting.mqtt",
            "registration status",
            "telemetry acknowledged",
            "telemetry read back",
        ):
            assert name in names
        assert ("proof of possession" in names) == (way["way"] == "dps-group")
        assert all(stage["ok"] and stage["seconds"] >= 0 for stage in way["stages"])
        parts = [stage for stage in way["stages"] if stage["part_of"] == "Connect to Connected"]
        assert len(parts) >= 10
    assert _left_behind(here) == []
    assert not here.state.exists()


def test_demo_of_one_way_prints_a_table_that_fits_eighty_columns(here: CommandLine) -> None:
    here.variables["COLUMNS"] = "80"
    text = here.text("demo", "dps-group")
    assert "DPS group" in text
    assert "DPS individual" not in text
    assert "proof of possession" in text
    assert "all done in" in text
    assert max(map(len, text.splitlines())) <= 80
    assert _left_behind(here) == []


def test_demo_with_an_unknown_way_is_a_wrong_command(here: CommandLine) -> None:
    refusal = here.refusal("demo", "dps-groop", exit_code=2)
    assert refusal["code"] == "way-unknown"
    assert "dps-group" in refusal["remedy"]


def test_demo_with_a_way_that_fails_names_the_stage_and_ends_with_1(here: CommandLine) -> None:
    # Devices are told to dial a name that cannot be looked up.
    here.variables["MOORING_CLOUD_HOST_NAME"] = "cloud.invalid"
    report = here.json("demo", exit_code=1)
    assert not report["ok"]
    failed = [way for way in report["ways"] if not way["ok"]]
    assert failed
    for way in failed:
        stages = {stage["name"]: stage for stage in way["stages"] if not stage["ok"]}
        assert "Connect to Connected" in stages
        assert stages["Connect to Connected"]["detail"]
        assert any(stage["part_of"] for stage in stages.values())
    assert _left_behind(here) == []

    result = here.run("demo")
    assert result.returncode == 1
    assert "failed at provisioning." in result.stderr
    assert "✗" in result.stdout


def test_demo_whose_cloud_does_not_start_shows_its_last_words(here: CommandLine) -> None:
    here.variables["MOORING_CLOUD_DURABILITY"] = "NONE"
    refusal = here.refusal("demo")
    assert refusal["code"] == "cloud-ended"
    assert "MOORING_CLOUD_DURABILITY" in refusal["message"]
    assert _left_behind(here) == []


def test_demo_keep_says_where_the_state_is(here: CommandLine) -> None:
    result = here.run("demo", "dps-individual", "--keep", "--json")
    assert result.returncode == 0
    (kept,) = here.folder.glob("temporary/mooring-demo-*")
    assert str(kept) in result.stderr
    assert (kept / "cloud" / "cloud.db").exists()
    assert processes_of(kept) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["starting", "connecting"])
def test_demo_ended_in_the_middle_leaves_nothing_behind(
    here: CommandLine, number: signal.Signals, moment: str
) -> None:
    process = here.start("demo", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    temporary = here.folder / "temporary"
    wait_until(lambda: len(processes_of(temporary)) == 2, "cloud and gateway")
    if moment == "connecting":
        # Written when the connections are configured.
        wait_until(lambda: list(temporary.glob("*/gateway/keystore/*")), "the first key")
    process.send_signal(number)
    process.send_signal(number)  # an impatient second one must not end the clearing away
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "nothing is left behind" in said
    assert "Traceback" not in said
    assert _left_behind(here) == []
