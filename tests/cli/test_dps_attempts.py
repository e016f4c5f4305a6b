"""`mooring dps attempts`: what devices tried, listed, filtered, and as it happens."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.commandline import CommandLine, QuickCommandLine, house_up, wait_until
from tests.support.dps_commands import fresh_name, make_root, register
from tests.support.scripted_api import Script, scripted


def _stranger(mooring: CommandLine, name: str) -> None:
    """Register as a device that nobody enrolled, with a certificate of its own."""
    if not (mooring.folder / name).exists():
        make_root(mooring, name, name)
    files = (f"{name}/root-cert.pem", f"{name}/root-private-key.pem")
    assert register(mooring, name, *files) == 401


@contextmanager
def _watching(mooring: CommandLine, output: Path, *arguments: str) -> Iterator[tuple[Path, Path]]:
    """Watch attempts, what it prints in files, and end it by Ctrl-C, which must be no failure."""
    said = output.with_suffix(".errors")
    with output.open("w") as out, said.open("w") as errors:
        watcher = mooring.start("dps", "attempts", "--watch", *arguments, stdout=out, stderr=errors)
        try:
            yield output, said
            watcher.send_signal(signal.SIGINT)
            assert watcher.wait(30) == 0
            assert said.read_text() == ""
        finally:
            watcher.kill()
            watcher.wait()


def test_attempts_are_filtered_and_shown_in_plain_words(mooring: CommandLine) -> None:
    name = fresh_name("stranger")
    _stranger(mooring, name)
    _stranger(mooring, name)
    (attempt,) = mooring.json("dps", "attempts", "--registration-id", name.upper())
    thumbprint, tracking_id = attempt["context"]["thumbprint"], attempt["wire_ids"]["trackingId"][0]

    for wanted in (
        ("--thumbprint", thumbprint.lower()),
        ("--wire-id", tracking_id),
        ("--registration-id", name, "--result", "failed", "--kind", "registration"),
    ):
        (found,) = mooring.json("dps", "attempts", *wanted)
        assert found["attempt_id"] == attempt["attempt_id"]
        assert found["count"] == 2
    mine = ("dps", "attempts", "--registration-id", name)
    assert mooring.json(*mine, "--result", "succeeded") == []
    assert mooring.json(*mine, "--kind", "hub-connection") == []
    assert mooring.json(*mine, "--device-id", "nobody") == []

    shown = mooring.text(*mine)
    assert f"failed ×2  {name}  registration" in shown
    assert f"cause  There is no individual enrollment '{name}'" in shown
    assert "remedy Create an individual enrollment" in shown


def test_attempts_of_nobody_are_none_and_a_wrong_filter_is_refused(mooring: CommandLine) -> None:
    assert mooring.json("dps", "attempts", "--registration-id", "nobody") == []
    assert "no attempts" in mooring.text("dps", "attempts", "--registration-id", "nobody")
    for option in ("--result", "--kind"):
        refused = mooring.run("dps", "attempts", option, "perhaps")
        assert refused.returncode == 2
        assert option in refused.stderr
        assert "'perhaps' is not one of" in refused.stderr
    assert mooring.refusal("dps", "attempts", "--thumbprint", "x" * 257)["field"] == "thumbprint"


def test_watch_shows_attempts_as_they_end_until_ctrl_c(
    mooring: CommandLine, mooring_process: CommandLine
) -> None:
    name, other = fresh_name("stranger"), fresh_name("stranger")
    _stranger(mooring, name)
    seen = mooring.folder / "seen"
    with _watching(mooring_process, seen, "--registration-id", name, "--limit", "5", "--json"):
        wait_until(seen.read_text, "the attempt before")
        _stranger(mooring, other)
        _stranger(mooring, name)
        wait_until(lambda: seen.read_text().count("\n") == 2, "the attempt that was watched")

    found = [json.loads(line) for line in seen.read_text().splitlines()]
    assert [row["context"]["registration_id"] for row in found] == [name, name]
    assert found[0]["attempt_id"] != found[1]["attempt_id"]


def test_watch_as_text_says_cause_and_remedy(
    mooring: CommandLine, mooring_process: CommandLine
) -> None:
    name = fresh_name("stranger")
    seen = mooring.folder / "seen"

    def tried_until_seen() -> str:
        _stranger(mooring, name)
        return seen.read_text()

    with _watching(mooring_process, seen, "--registration-id", name):
        wait_until(tried_until_seen, "a watched attempt")

    shown = seen.read_text()
    assert f"failed  {name}  registration" in shown
    assert "  remedy Create an individual enrollment" in shown


def test_watch_asks_once_for_what_was_before_however_long_it_lasts(mooring: CommandLine) -> None:
    def attempt(name: str) -> dict[str, str]:
        return {"attempt_id": name}

    script = Script().then(200, f"\n\n{json.dumps(attempt('c'))}\n\n".encode())
    script.then(200, {"value": [attempt("b"), attempt("a")]})
    with scripted(script) as url:
        watch = ("dps", "attempts", "--watch", "--limit", "2", "--url", url, "--token", "x")
        result = mooring.run(*watch, "--json")
    *lines, _ = result.stdout.partition('{\n  "error"')[0].split("\n")
    assert [json.loads(line)["attempt_id"] for line in lines] == ["a", "b", "c"]
    assert len(script.requests) == 2
    assert result.returncode == 1


def test_watch_that_is_too_slow_says_how_many_it_missed(mooring: CommandLine) -> None:
    script = Script().then(200, b'\n{"missed": 12}\n')
    with scripted(script) as url:
        result = mooring.run("dps", "attempts", "--watch", "--url", url, "--token", "x")
    assert result.stdout.startswith("12 more came too fast to be shown here")


def test_watch_ends_with_1_when_the_cloud_ends(tmp_path: Path) -> None:
    with house_up(tmp_path) as house:
        seen = tmp_path / "seen"
        quick = QuickCommandLine.of(house, tmp_path)
        _stranger(quick, "before")
        with seen.open("w") as out:
            watcher = house.start(
                "dps", "attempts", "--watch", "--limit", "1", "--json", stdout=out
            )
        wait_until(seen.read_text, "the attempt before")
    assert watcher.wait(30) == 1
    document = seen.read_text()
    assert json.loads(document[document.index("\n") :])["error"]["code"] == "cloud-ended"
