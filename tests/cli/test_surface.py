"""What holds for every command: help, JSON, pipes, wrong input, no traceback."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from tests.support.commandline import COMMAND, CommandLine

from mooring.cli.main import app

SERVING = {"cloud serve", "gateway serve"}
"""Programs, not questions: they print logs and no document."""


def _commands(group: typer.Typer, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    command = typer.main.get_command(group)
    yield from _walk(command, path)


def _walk(command: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path
        return
    for name, child in children.items():
        yield from _walk(child, (*path, name))


ALL = sorted(_commands(app))


def _find(path: tuple[str, ...]) -> object:
    command: object = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]  # typer's click copy has no public type
    return command


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_says_what_it_does_and_what_each_option_means(path: tuple[str, ...]) -> None:
    command = _find(path)
    assert len((command.help or "").strip()) > 15  # type: ignore[attr-defined]  # as above
    options = {parameter.name: parameter for parameter in command.params}  # type: ignore[attr-defined]  # as above
    for parameter in options.values():
        if parameter.param_type_name == "option":
            assert parameter.help, f"{path} {parameter.name} has no help"
    if " ".join(path) not in SERVING:
        assert "as_json" in options


def test_help_of_the_whole_names_every_group_and_the_exit_codes(
    mooring_process: CommandLine,
) -> None:
    text = mooring_process.text("--help")
    for word in ("up", "status", "down", "demo", "cloud", "gateway", "dps", "hub", "cert"):
        assert f" {word} " in text
    assert "Exit codes: 0 done, 1 the thing failed, 2 the command was wrong" in text
    assert mooring_process.text("--version").startswith("mooring ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("up", "--nonsense"),
        ("dps", "certificate", "add"),
        ("hub", "monitor", "--limit", "0"),
        ("gateway", "publish", "AzureDpsX509"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_ends_with_2_and_says_how_to_get_help(
    mooring_process: CommandLine, arguments: tuple[str, ...]
) -> None:
    result = mooring_process.run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Usage: mooring" in result.stderr


def test_output_into_a_pipe_that_closes_is_no_error(mooring_process: CommandLine) -> None:
    for arguments in (("cloud", "info"), ("status", "--json"), ("--help",)):
        command = subprocess.Popen(
            [*COMMAND, *arguments],
            env=mooring_process.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert command.stdout is not None
        command.stdout.close()
        assert command.stderr is not None
        assert command.stderr.read() == ""
        command.wait(60)


def test_text_in_a_pipe_is_not_broken_into_lines_and_has_no_colours(
    mooring_process: CommandLine,
) -> None:
    environment = mooring_process.environment
    del environment["COLUMNS"]  # a user's environment says nothing of it
    result = subprocess.run(
        [*COMMAND, "cloud", "info"], env=environment, capture_output=True, text=True
    )
    assert "\x1b" not in result.stdout
    assert re.search(
        r"^DPS connection string +HostName=\S+;SharedAccessKey=\S+$", result.stdout, re.MULTILINE
    )


def test_without_a_cloud_every_command_says_how_to_start_one(mooring: CommandLine) -> None:
    mooring.state = mooring.folder / "empty"
    for arguments in (("cloud", "info"), ("dps", "enrollment", "list"), ("hub", "list")):
        refusal = mooring.refusal(*arguments)
        assert refusal["code"] == "no-cloud"
        assert "mooring up" in refusal["remedy"]
    assert mooring.refusal("gateway", "connection", "list")["code"] == "no-gateway"


def test_another_address_and_a_wrong_token_are_told_apart(mooring: CommandLine) -> None:
    url = mooring.json("cloud", "info")["api_url"]
    assert mooring.refusal("hub", "list", "--url", url, "--token", "x")["code"] == "token-refused"
    nobody = mooring.refusal("hub", "list", "--url", f"http://{mooring.address}:9", "--token", "x")
    assert nobody["code"] == "cloud-not-running"
    gateway = mooring.json("gateway", "info")["api_url"]
    other = mooring.refusal("hub", "list", "--url", gateway, "--token", "x")
    assert other["code"]


def test_an_https_address_is_trusted_by_its_ca_or_refused_with_the_reason(
    mooring: CommandLine,
) -> None:
    ca = mooring.state / "cloud" / "server-ca.pem"
    ask = ("hub", "list", "--token", "x", "--url")
    mqtt = f"https://{mooring.address}:8883"

    stranger = mooring.refusal(*ask, mqtt)
    assert stranger["code"] == "server-not-trusted"
    assert "--trust FILE" in stranger["remedy"]
    # Trusted now: it fails later, since MQTT is spoken there.
    assert mooring.refusal(*ask, mqtt, "--trust", ca)["code"] == "cloud-unreachable"
    plain = mooring.json("cloud", "info")["api_url"].replace("http:", "https:")
    refusal = mooring.refusal(*ask, plain, "--trust", ca)
    assert refusal["code"] == "not-a-tls-server"
    assert "--url" in refusal["remedy"]
    unreadable = mooring.refusal(*ask, mqtt, "--trust", "absent.pem")
    assert unreadable["code"] == "trust-unreadable"
    assert unreadable["field"] == "--trust"


@pytest.mark.parametrize(
    "arguments",
    [
        ("hub", "device", "delete", ".."),
        ("hub", "device", "show", ""),
        ("dps", "enrollment", "delete", "."),
        ("gateway", "connection", "show", "."),
        ("gateway", "trust", "remove", ""),
        ("gateway", "connection", "delete", "..", "--yes"),
    ],
    ids=" ".join,
)
def test_a_name_that_would_make_another_path_is_a_wrong_command(
    mooring: CommandLine, arguments: tuple[str, ...]
) -> None:
    hubs = mooring.json("hub", "list")
    assert mooring.refusal(*arguments, exit_code=2)["code"] == "name-impossible"
    assert mooring.json("hub", "list") == hubs


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("gateway", "publish", "AzureDpsX509", "NaN"), "value-not-json"),
        (("gateway", "publish", "AzureDpsX509", '"\\ud800"'), "value-not-json"),
        (("gateway", "publish", "AzureDpsX509", "[" * 20_000 + "]" * 20_000), "message-not-json"),
        (("gateway", "publish", "AzureDpsX509", "--text", "a\udcff"), "value-not-json"),
        (("gateway", "publish", "A\udcff", "1"), "argument-not-text"),
        (("dps", "attempts", "--registration-id", "\udcff"), "argument-not-text"),
        (("gateway", "info", "--url", "http://[::1"), "url-invalid"),
        (("gateway", "connection", "attempts", "--wire-id", "x" * 100_000), "url-invalid"),
        (("gateway", "info", "--token", "é"), "token-malformed"),
        (("gateway", "info", "--token", ""), "token-malformed"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, str) else None,
)
def test_a_value_that_no_request_can_carry_is_a_wrong_command(
    mooring: CommandLine, arguments: tuple[str, ...], code: str
) -> None:
    assert mooring.refusal(*arguments, exit_code=2)["code"] == code


@pytest.mark.parametrize(
    ("closed", "arguments"),
    [
        ("<&-", "gateway publish AzureDpsX509 -"),
        ("<&-", "cert check -"),
        (">&-", "status"),
        ("2>&-", "gateway info --url foo"),
    ],
)
def test_a_closed_standard_stream_is_no_defect(
    mooring_process: CommandLine, closed: str, arguments: str
) -> None:
    result = subprocess.run(
        f'"{sys.executable}" -m mooring {arguments} {closed}',
        shell=True,
        env=mooring_process.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "(unexpected)" not in result.stderr
    assert "Traceback" not in result.stderr
    assert "lost sys" not in result.stderr


def test_a_refusal_by_the_system_is_json_where_json_was_asked_for(mooring: CommandLine) -> None:
    mooring.state = mooring.folder / "file" / "state"
    (mooring.folder / "file").write_text("")
    refusal = mooring.refusal("up", "--detach")
    assert refusal["code"] == "system"
    assert "permissions" in refusal["remedy"]
