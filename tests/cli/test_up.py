"""`mooring up`, `status`, `down`: two programs under one supervisor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.support.commandline import CommandLine, processes_of, wait_until

from mooring.runtime.loopback import lend_loopback_address


@pytest.fixture
def here(tmp_path: Path) -> Generator[CommandLine]:
    """Return the command with an empty state and an address; whatever still runs is ended."""
    with lend_loopback_address() as address:
        yield CommandLine(tmp_path / "state", tmp_path, address)
        for process in processes_of(tmp_path):
            process.kill()


def _up(here: CommandLine) -> dict[str, Any]:
    return dict(here.json("up", "--detach", "--bind", here.address))


def _pid(here: CommandLine, part: str) -> int:
    return int(json.loads((here.state / part / f"{part}.json").read_text())["pid"])


def test_up_in_the_foreground_prints_where_everything_is_and_ends_cleanly_at_ctrl_c(
    here: CommandLine, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    with output.open("w") as file:
        process = here.start("up", "--bind", here.address, stdout=file, stderr=subprocess.STDOUT)
    wait_until(lambda: "Ctrl-C ends both" in output.read_text(), "the facts")
    shown = output.read_text()
    for fact in (
        f"Global device endpoint  {here.address}",
        "ID Scope                0ne",
        f"IoT Hub                 {here.address}",
        f"server CA               {here.state}/cloud/server-ca.pem",
        f"cloud API               http://{here.address}:8081/admin/v1",
        f"gateway API             http://{here.address}:8080/api/v1",
        f"state folder            {here.state}",
    ):
        assert fact in shown
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert output.read_text().endswith("ending gateway and cloud ...\nended.\n")
    assert processes_of(tmp_path) == []
    for part in ("cloud", "gateway"):
        assert "error" not in (here.state / part / f"{part}.log").read_text().lower()


def test_up_detached_is_seen_by_status_and_by_a_second_up_and_ended_by_down(
    here: CommandLine, tmp_path: Path
) -> None:
    assert here.refusal("status")["code"] == "not-running"
    assert here.json("down") == {"ended": False, "pid": None}

    first = _up(here)
    assert first["already_running"] is False
    assert first["global_endpoint"] == here.address
    running = {process.pid for process in processes_of(tmp_path)}

    second = here.json("up", "--bind", "127.9.9.9")
    assert second == {**first, "already_running": True}
    assert "nothing changed" in here.text("up", "--detach")
    assert {process.pid for process in processes_of(tmp_path)} == running

    status = here.json("status")
    assert status["pid"] == first["pid"]
    assert status["cloud"]["up"]
    assert status["gateway"]["up"]
    assert "SharedAccessKey" not in json.dumps(status)
    text = here.text("status")
    assert "cloud up" in text
    assert "gateway up" in text

    assert here.json("down") == {"ended": True, "pid": first["pid"]}
    assert processes_of(tmp_path) == []
    assert here.refusal("status")["code"] == "not-running"
    assert here.refusal("cloud", "info")["code"] == "cloud-not-running"
    assert here.refusal("gateway", "info")["code"] == "gateway-not-running"


def test_up_on_another_folder_and_address_runs_beside(here: CommandLine, tmp_path: Path) -> None:
    _up(here)
    with lend_loopback_address() as address:
        beside = CommandLine(tmp_path / "beside", tmp_path, address)
        facts = beside.json("up", "--detach", "--bind", address, "--gateway-port", "0")
        assert facts["id_scope"] != here.json("cloud", "info")["id_scope"]
        assert not facts["gateway_url"].endswith(":8080/api/v1")
        # The same address again: refused in the words of the part that could not start.
        third = CommandLine(tmp_path / "third", tmp_path, address)
        refusal = third.refusal("up", "--detach", "--bind", address)
        assert refusal["code"] == "cloud-ended"
        assert "Address already in use" in refusal["message"]
        beside.text("down")
    here.text("down")
    assert processes_of(tmp_path) == []


def test_up_starts_a_killed_part_again(here: CommandLine) -> None:
    _up(here)
    for part in ("cloud", "gateway"):
        killed = _pid(here, part)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: here.run("status").returncode == 0, f"{part} again")
        assert _pid(here, part) != killed
    assert "ended by itself (status -9)" in (here.state / "up.log").read_text()
    here.text("down")


def test_up_killed_leaves_no_orphans_and_can_be_started_again(
    here: CommandLine, tmp_path: Path
) -> None:
    supervisor = _up(here)["pid"]
    assert len(processes_of(tmp_path)) == 3
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: processes_of(tmp_path) == [], "the end of both parts")
    assert here.refusal("status")["code"] == "not-running"
    assert _up(here)["pid"] != supervisor
    here.text("down")


def test_up_killed_while_starting_leaves_no_orphans(here: CommandLine, tmp_path: Path) -> None:
    process = here.start(
        "up", "--bind", here.address, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: len(processes_of(tmp_path)) >= 2, "both parts")
    process.kill()
    process.wait()
    wait_until(lambda: processes_of(tmp_path) == [], "the end of both parts")


def test_down_while_starting_ends_it(here: CommandLine, tmp_path: Path) -> None:
    process = here.start(
        "up", "--bind", here.address, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until((here.state / "cloud").exists, "the supervisor")
    assert here.json("down") == {"ended": True, "pid": process.pid}
    process.wait(60)
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (("--bind", "nonsense"), "--bind"),
        (("--bind", "127.0.0.1:8883"), "--bind"),
    ],
)
def test_up_with_a_wrong_address_is_a_wrong_command(
    here: CommandLine, options: tuple[str, ...], field: str
) -> None:
    for detach in ((), ("--detach",)):
        refusal = here.refusal("up", *detach, *options, exit_code=2)
        assert refusal["code"] == "setting-wrong"
        assert refusal["field"] == field
        assert options[1] in refusal["message"]


def test_up_with_a_wrong_variable_names_it(here: CommandLine) -> None:
    here.variables["MOORING_CLOUD_RETRY_AFTER_S"] = "60"
    refusal = here.refusal("up", exit_code=2)
    assert refusal["field"] == "MOORING_CLOUD_RETRY_AFTER_S"


def test_up_on_a_state_folder_that_cannot_be_says_so(here: CommandLine) -> None:
    result = here.run("up", "--state", "/proc/nowhere")
    assert result.returncode == 1
    assert "/proc/nowhere" in result.stderr
    assert "remedy" in result.stderr
    result = here.run("up", "--state", "/etc/passwd")
    assert result.returncode == 2


def test_up_gateway_on_an_address_that_is_not_loopback_is_refused(here: CommandLine) -> None:
    refusal = here.refusal("up", "--detach", "--bind", here.address, "--gateway-host", "192.0.2.1")
    assert refusal["code"] == "gateway-ended"
    assert "192.0.2.1" in refusal["message"]
    assert processes_of(here.state) == []
