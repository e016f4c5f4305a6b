"""`mooring hub`, `mooring gateway` and `mooring cloud` against a running house."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.support.commandline import CommandLine, QuickCommandLine, house_up, wait_until

PID = "AzureDpsX509-matrix"


def _root(mooring: CommandLine, name: str, folder: str = ".") -> Path:
    mooring.text(
        *("cert", "root", "--cn", name, "--organization", "Quay"),
        *("--key", "ec-p256", "--out-dir", folder),
    )
    return mooring.folder / folder / "root-cert.pem"


def _configure(mooring: CommandLine, pid: str, *options: str | Path) -> tuple[str | Path, ...]:
    facts = mooring.json("cloud", "info")
    return (
        *("gateway", "connection", "configure", pid),
        *("--global-endpoint", facts["global_endpoint"], "--scope-id", facts["id_scope"]),
        *options,
    )


# -- cloud ----------------------------------------------------------------------------------------


def test_cloud_info_has_what_a_machine_needs(mooring: CommandLine) -> None:
    facts = mooring.json("cloud", "info")
    assert facts["id_scope"].startswith("0ne")
    assert facts["global_endpoint"] == mooring.address
    assert Path(facts["ca_file"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert facts["ports"]["mqtt"] == 8883
    assert facts["dps_connection_string"].startswith(f"HostName={mooring.address};")
    (hub, *_) = facts["hubs"]
    assert hub["host_name"] == mooring.address
    assert "SharedAccessKey=" in hub["connection_string"]
    text = mooring.text("cloud", "info")
    for value in (facts["id_scope"], facts["ca_file"], hub["connection_string"]):
        assert value in text


def test_cloud_token_opens_the_admin_api_until_it_is_revoked(mooring: CommandLine) -> None:
    url = mooring.json("cloud", "info")["api_url"]
    made = mooring.json("cloud", "token", "create", "ci")
    as_ci = ("--url", url, "--token", made["token"])
    assert mooring.json("hub", "list", *as_ci)
    assert mooring.refusal("cloud", "token", "list", *as_ci)["code"] == "owner-only"
    assert "dps_connection_string" not in mooring.json("cloud", "info", *as_ci)
    mooring.text("cloud", "info", *as_ci)
    assert made["token"] not in mooring.text("cloud", "token", "list")
    assert made["token_id"] in mooring.text("cloud", "token", "list")
    assert mooring.json("cloud", "token", "revoke", made["token_id"])
    assert mooring.refusal("hub", "list", *as_ci)["code"] == "token-refused"
    assert mooring.refusal("cloud", "token", "revoke", "nobody")["code"]


def test_cloud_reset_is_refused_while_it_runs_and_without_a_confirmation(
    mooring: CommandLine,
) -> None:
    assert mooring.refusal("cloud", "reset", "--yes")["code"] == "cloud-running"
    assert mooring.refusal("cloud", "reset", exit_code=2)["code"] == "not-confirmed"
    assert (mooring.state / "cloud" / "cloud.db").exists()


def test_cloud_reset_deletes_the_cloud_and_leaves_the_gateway(tmp_path: Path) -> None:
    here = CommandLine(tmp_path / "state", tmp_path)
    assert here.refusal("cloud", "reset", "--yes")["code"] == "no-cloud"
    (here.state / "cloud").mkdir(parents=True)
    (here.state / "cloud" / "cloud.db").touch()
    (here.state / "gateway").mkdir()
    asked = here.run("cloud", "reset", stdin="n\n")
    assert asked.returncode == 1
    assert (here.state / "cloud").exists()
    assert here.json("cloud", "reset", "--yes") == {"deleted": str(here.state / "cloud")}
    assert not (here.state / "cloud").exists()
    assert (here.state / "gateway").exists()


# -- hub ------------------------------------------------------------------------------------------


def test_hub_is_created_and_listed(tmp_path: Path) -> None:
    # In a house of its own: DPS sends devices to every linked hub, and this one has no address.
    with house_up(tmp_path) as here:
        mooring = QuickCommandLine.of(here, tmp_path)
        made = mooring.json("hub", "create", "second", "--host-name", "hub2.example")
        assert made["hostName"] == "hub2.example"
        assert {"hub", "second"} == {row["name"] for row in mooring.json("hub", "list")}
        assert "hub2.example" in mooring.text("hub", "list")
        mooring.refusal("hub", "create", "second", "--host-name", "hub3.example")
        wrong = mooring.refusal("hub", "create", "third", "--host-name", "https://hub3")
        assert "https://hub3" in wrong["message"]


def test_hub_device_is_added_shown_switched_and_deleted(mooring: CommandLine) -> None:
    root = _root(mooring, "pinned1")
    added = mooring.text("hub", "device", "add", "--certificate", root)
    assert "pinned1" in added
    assert mooring.refusal("hub", "device", "add", "--certificate", root)["code"] == (
        "device-already-exists"
    )
    shown = mooring.json("hub", "device", "show", "pinned1")
    assert shown["authentication"]["type"] == "selfSigned"
    assert shown["connectionState"] == "Disconnected"
    assert "never" in mooring.text("hub", "device", "list")
    assert mooring.json("hub", "device", "disable", "pinned1")["status"] == "disabled"
    assert mooring.text("hub", "device", "enable", "pinned1") == "pinned1 is enabled.\n"
    assert mooring.json("hub", "device", "delete", "pinned1") == {"deleted": "pinned1"}
    assert mooring.refusal("hub", "device", "show", "pinned1")["code"]
    assert mooring.refusal("hub", "device", "list", "--hub", "nobody")["code"] == "hub-not-found"


def test_hub_monitor_of_nothing_is_empty_and_a_wrong_time_is_refused(mooring: CommandLine) -> None:
    assert mooring.json("hub", "monitor", "--device", "nobody") == []
    refusal = mooring.refusal("hub", "monitor", "--from", "yesterday")
    assert refusal["code"] == "timestamp-malformed"


# -- gateway --------------------------------------------------------------------------------------


def test_gateway_info_and_trust(mooring: CommandLine) -> None:
    assert mooring.json("gateway", "info")["storage"]["condition"] == "ok"
    assert "connections" in mooring.text("gateway", "info")
    root = _root(mooring, "trusted1")
    found = mooring.json("gateway", "trust", "add", root, "--name", "spare")
    assert [row["name"] for row in found] == ["spare"]
    listed = mooring.json("gateway", "trust", "list")
    assert {"mooring-cloud", "spare"} <= {row["name"] for row in listed}
    assert "CN=trusted1" in mooring.text("gateway", "trust", "list")
    assert mooring.json("gateway", "trust", "remove", "spare") == {"removed": "spare"}
    assert mooring.refusal("gateway", "trust", "remove", "spare")["code"] == "trust-unknown"
    (mooring.folder / "garbage").write_text("garbage")
    assert mooring.refusal("gateway", "trust", "add", "garbage")["code"] == "trust-refused"


def test_gateway_connection_through_its_life(mooring: CommandLine) -> None:
    root = _root(mooring, "matrix1")
    mooring.text("dps", "enrollment", "add", "--certificate", root)
    created = mooring.text("gateway", "connection", "create", PID)
    assert f"next: mooring gateway connection configure {PID}" in created
    assert mooring.refusal("gateway", "connection", "create", PID)["code"] == "connection-exists"
    files = ("--certificate", root, "--private-key", "root-private-key.pem")
    checked = mooring.text(*_configure(mooring, PID, *files, "--dry-run"))
    assert "checked, nothing changed." in checked
    assert "registers as        matrix1" in checked
    assert mooring.json("gateway", "connection", "show", PID)["identity"] is None
    applied = mooring.text(*_configure(mooring, PID, *files))
    assert f"next: mooring gateway connection connect {PID}" in applied
    shown = mooring.text("gateway", "connection", "show", PID)
    assert "PRIVATE KEY" not in shown
    assert "device.private.key             set" in shown

    connected = mooring.text("gateway", "connection", "connect", PID)
    assert "✓ polling" in connected
    assert "Connected" in connected
    assert mooring.json("gateway", "connection", "status", PID)["status"] == "Connected"
    assert "CONNECTED" in mooring.text("gateway", "connection", "status", PID, "--history")
    (row,) = [r for r in mooring.json("gateway", "connection", "list") if r["pid"] == PID]
    assert row["identity"]["registers_as"] == "matrix1"
    (attempt, *_) = mooring.json("gateway", "connection", "attempts", PID)
    assert attempt["result"] == "succeeded"
    found = mooring.json("dps", "attempts", "--registration-id", "matrix1")
    assert {one["kind"] for one in found} >= {"registration"}

    published = mooring.text("gateway", "publish", PID, "warm", "--text", "-p", "unit=C")
    assert published.startswith("acknowledged: ")
    (event,) = mooring.json("hub", "monitor", "--device", "matrix1")
    assert event["body"] == "warm"

    gone = mooring.text("gateway", "connection", "disconnect", PID)
    assert "Disconnected" in gone
    assert mooring.refusal("gateway", "publish", PID, "1", "--timeout", "0.2")["code"]
    unconfirmed = mooring.refusal("gateway", "connection", "delete", PID, exit_code=2)
    assert unconfirmed["code"] == "not-confirmed"
    assert mooring.json("gateway", "connection", "delete", PID, "--yes") == {"deleted": PID}
    assert mooring.refusal("gateway", "connection", "show", PID)["code"] == "connection-unknown"


def test_gateway_apply_refuses_a_key_that_does_not_fit(mooring: CommandLine) -> None:
    pid = "AzureDpsX509-unfit"
    root = _root(mooring, "unfit1")
    _root(mooring, "unfit2", "other")
    mooring.text("gateway", "connection", "create", pid)
    arguments = _configure(
        mooring, pid, "--certificate", root, "--private-key", "other/root-private-key.pem"
    )
    refusal = mooring.refusal(*arguments)
    assert refusal["code"] == "configuration-refused"
    assert "does not belong" in refusal["message"]
    text = mooring.run(*arguments)
    assert text.returncode == 1
    assert "error device.private.key" in text.stdout


def test_gateway_connect_with_a_wrong_scope_names_stage_cause_and_remedy(
    mooring: CommandLine,
) -> None:
    pid = "AzureDpsX509-scope"
    root = _root(mooring, "scope1")
    mooring.text("gateway", "connection", "create", pid)
    files = ("--certificate", root, "--private-key", "root-private-key.pem")
    mooring.text(*_configure(mooring, pid, *files, "--scope-id", "0ne00000000"))
    result = mooring.run("gateway", "connection", "connect", pid)
    assert result.returncode == 1
    assert "✗ register" in result.stdout
    assert "stage  provisioning.register" in result.stdout
    assert "404001" in result.stdout
    assert "remedy Copy the Scope ID" in result.stdout
    assert mooring.json("gateway", "connection", "connect", pid, exit_code=1)["failed_stage"] == (
        "provisioning.register"
    )
    mooring.text("gateway", "connection", "delete", pid, "--yes")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("gateway", "publish", "AzureDpsX509", "warm"), "message-not-json"),
        (("gateway", "publish", "AzureDpsX509", "1", "-p", "nonsense"), "property-malformed"),
        (("gateway", "connection", "configure", "X", "--set", "nonsense"), "setting-malformed"),
    ],
)
def test_gateway_commands_that_are_wrong_end_with_2(
    mooring: CommandLine, arguments: tuple[str, ...], code: str
) -> None:
    assert mooring.refusal(*arguments, exit_code=2)["code"] == code


@pytest.mark.parametrize("number", ["--5", "9" * 5_000, "1.5", "\u0665"])
def test_gateway_configure_with_what_is_no_number_is_refused_with_the_range(
    mooring: CommandLine, number: str
) -> None:
    mooring.json("gateway", "connection", "create", "AzureDpsX509-number")
    try:
        refusal = mooring.refusal(
            "gateway", "connection", "configure", "AzureDpsX509-number",
            "--set", f"DataService:store.capacity={number}",
        )  # fmt: skip
    finally:
        mooring.json("gateway", "connection", "delete", "AzureDpsX509-number", "--yes")
    assert refusal["code"] == "configuration-refused"
    assert "1 to " in refusal["remedy"]


def test_gateway_configure_with_a_file_that_has_no_end_is_refused(mooring: CommandLine) -> None:
    refusal = mooring.refusal(
        "gateway", "connection", "configure", "AzureDpsX509", "--certificate", "/dev/zero"
    )
    assert refusal["code"] == "file-too-large"


def test_gateway_configure_with_a_passphrase_that_is_no_text_says_so(mooring: CommandLine) -> None:
    file = mooring.folder / "passphrase"
    file.write_bytes(b"\xff\xfe\n")
    refusal = mooring.refusal(
        "gateway", "connection", "configure", "AzureDpsX509", "--passphrase-file", file
    )
    assert refusal["code"] == "passphrase-not-text"


def test_gateway_commands_on_an_unknown_connection_say_so(mooring: CommandLine) -> None:
    for arguments in (
        ("connection", "connect", "nobody"),
        ("connection", "disconnect", "nobody"),
        ("connection", "status", "nobody"),
        ("publish", "nobody", "1"),
    ):
        refusal = mooring.refusal("gateway", *arguments)
        assert refusal["code"] == "connection-unknown"
    refusal = mooring.refusal("gateway", "connection", "create", "not a pid")
    assert refusal["code"] == "pid-malformed"


def test_hub_monitor_follow_shows_what_comes_until_ctrl_c(
    mooring: CommandLine, mooring_process: CommandLine, tmp_path: Path
) -> None:
    pid = "AzureDpsX509-follow"
    root = _root(mooring, "follow1")
    mooring.text("dps", "enrollment", "add", "--certificate", root)
    mooring.text("gateway", "connection", "create", pid)
    files = ("--certificate", root, "--private-key", "root-private-key.pem")
    mooring.text(*_configure(mooring, pid, *files))
    mooring.text("gateway", "connection", "connect", pid)
    seen = tmp_path / "seen"
    with seen.open("w") as output:
        follower = mooring_process.start(
            *("hub", "monitor", "--follow", "--json", "--device", "follow1"),
            stdout=output,
            stderr=subprocess.PIPE,
        )

    def publish_until_seen() -> str:
        mooring.text("gateway", "publish", pid, '{"n": 1}')
        return seen.read_text()

    wait_until(publish_until_seen, "a followed message")
    follower.send_signal(2)
    assert follower.stderr is not None
    said = follower.stderr.read()
    assert follower.wait(30) == 0
    assert "Traceback" not in said
    assert all(json.loads(line)["deviceId"] == "follow1" for line in seen.read_text().splitlines())
    mooring.text("gateway", "connection", "delete", pid, "--yes")
