"""Twins, methods and messages from the command line, with a device that answers."""

from __future__ import annotations

import json
import subprocess

import pytest
from tests.support.commandline import CommandLine, wait_until
from tests.support.hub_devices import Device, added, connected

# -- twins ----------------------------------------------------------------------------------------


def test_twin_is_merged_replaced_and_told_to_the_device(mooring: CommandLine) -> None:
    with connected(mooring) as device:
        device.listen("$iothub/twin/PATCH/properties/desired/#")
        text = mooring.text("hub", "twin", "update", device.name, "--desired", '{"rate": 5}')
        assert "desired version  2" in text
        assert json.loads(device.hear()[1]) == {"rate": 5, "$version": 2}

        update = ("hub", "twin", "update", device.name)
        both = mooring.json(*update, "--desired", '{"mode": "on"}', "--tags", '{"site": "north"}')
        assert both["tags"] == {"site": "north"}
        shown = mooring.json("hub", "twin", "show", device.name)
        assert json.loads(mooring.text("hub", "twin", "show", device.name)) == shown
        assert shown["properties"]["desired"]["rate"] == 5

        replaced = mooring.json("hub", "twin", "replace", device.name, "--desired", '{"x": 1}')
        assert "rate" not in replaced["properties"]["desired"]
        assert replaced["tags"] == {"site": "north"}
        assert mooring.json("hub", "twin", "tags", device.name, '{"site": null, "a": 1}') == {
            "a": 1
        }
        assert mooring.json("hub", "twin", "tags", device.name) == {"a": 1}


def test_twin_is_read_from_files_and_standard_input(
    mooring: CommandLine, mooring_process: CommandLine
) -> None:
    with added(mooring) as name:
        (mooring.folder / "desired.json").write_text('{"from": "file"}')
        twin = mooring_process.run(
            *("hub", "twin", "update", name, "--json"),
            *("--desired", "@desired.json", "--tags", "-"),
            stdin='{"from": "stdin"}',
        )
        found = json.loads(twin.stdout)
        assert found["properties"]["desired"]["from"] == "file"
        assert found["tags"] == {"from": "stdin"}


def test_twin_that_changed_meanwhile_is_left_alone_with_if_match(mooring: CommandLine) -> None:
    with added(mooring) as name:
        etag = f'"{mooring.json("hub", "twin", "show", name)["etag"]}"'
        mooring.text("hub", "twin", "tags", name, '{"a": 1}', "--if-match", etag)
        for late in (
            ("update", name, "--desired", "{}"),
            ("replace", name, "--tags", "{}"),
            ("tags", name, "{}"),
        ):
            refusal = mooring.refusal("hub", "twin", *late, "--if-match", etag)
            assert refusal["code"] == "precondition-failed"


@pytest.mark.parametrize(
    ("options", "code", "exit_code"),
    [
        (("update", "x"), "nothing-to-change", 2),
        (("update", "x", "--desired", "5"), "file-unreadable", 1),
        (("update", "x", "--desired", "[5]"), "not-a-json-object", 2),
        (("update", "x", "--desired", "-", "--tags", "-"), "standard-input-twice", 2),
        (("show", "nobody"), "device-not-found", 1),
    ],
)
def test_twin_command_that_cannot_be_done_says_why(
    mooring: CommandLine, options: tuple[str, ...], code: str, exit_code: int
) -> None:
    assert mooring.refusal("hub", "twin", *options, exit_code=exit_code)["code"] == code


# -- methods --------------------------------------------------------------------------------------


def test_invoke_prints_what_the_device_answers_whatever_its_status(mooring: CommandLine) -> None:
    with connected(mooring) as device, device.answering(404, b'{"why": "none"}') as heard:
        text = mooring.text("hub", "invoke", device.name, "reboot", '{"delay": 3}')
        assert text == 'status   404\npayload  {"why": "none"}\n'
        assert mooring.json("hub", "invoke", device.name, "stop") == {
            "status": 404,
            "payload": {"why": "none"},
        }
        assert [name for name, _ in heard] == ["reboot", "stop"]
        assert json.loads(heard[0][1]) == {"delay": 3}
        assert heard[1][1] == b""


def test_invoke_of_a_device_that_is_not_there_fails_and_says_how_to_wait(
    mooring: CommandLine,
) -> None:
    with added(mooring) as name:
        refusal = mooring.refusal("hub", "invoke", name, "reboot")
        assert refusal["code"] == "device-not-online"
        assert "--connect-timeout" in refusal["remedy"]
        assert "InSeconds" not in refusal["message"]


def test_invoke_waits_for_a_device_that_connects(
    mooring: CommandLine, mooring_process: CommandLine
) -> None:
    with added(mooring) as name:
        caller = mooring_process.start(
            *("hub", "invoke", name, "reboot", "--connect-timeout", "30"),
            stdout=subprocess.PIPE,
        )
        device = Device(mooring, name)
        with device.answering(200, b"1"):
            assert caller.wait(30) == 0
        assert caller.stdout is not None
        assert "status   200" in caller.stdout.read()


def test_invoke_of_a_device_that_does_not_answer_fails_in_time(mooring: CommandLine) -> None:
    with connected(mooring) as device:
        device.listen("$iothub/methods/POST/#")
        refusal = mooring.refusal("hub", "invoke", device.name, "reboot", "--timeout", "5")
        assert refusal["code"] == "gateway-timeout"
        assert "--timeout" in refusal["remedy"]


def test_invoke_with_what_is_no_json_ends_with_2(mooring: CommandLine) -> None:
    refusal = mooring.refusal("hub", "invoke", "x", "reboot", "{", exit_code=2)
    assert refusal["code"] == "not-json"
    assert mooring.run("hub", "invoke", "x", "reboot", "--timeout", "1").returncode == 2


# -- messages -------------------------------------------------------------------------------------


def test_message_waits_in_the_queue_until_the_device_takes_it(mooring: CommandLine) -> None:
    with added(mooring) as name:
        said = mooring.text(
            *("hub", "send", name, "hello", "-p", "unit=C", "--message-id", "m1"),
            *("--ack", "full", "--ttl", "PT5M", "--content-type", "text/plain"),
        )
        assert said == f"queued for {name} as m1.\n"
        (waiting,) = mooring.json("hub", "queue", name)
        assert waiting["body"] == "hello"
        assert waiting["properties"]["unit"] == "C"
        assert waiting["ack"] == "full"
        assert waiting["systemProperties"]["content-type"] == "text/plain"
        assert "m1" in mooring.text("hub", "queue", name)
        assert "messages waiting  1" in mooring.text("hub", "device", "show", name)

        device = Device(mooring, name)
        device.listen(f"devices/{name}/messages/devicebound/#")
        topic, body = device.hear()
        device.close()
        assert body == b"hello"
        assert "unit=C" in topic
        assert mooring.json("hub", "queue", name) == []

        def settled() -> list[str]:
            return [
                row["statusCode"]
                for row in mooring.json("hub", "feedback")
                if row["deviceId"] == name
            ]

        assert wait_until(settled, "feedback") == ["Success"]
        assert f"{name} Success message-id=m1" in mooring.text("hub", "feedback")


def test_message_of_any_bytes_comes_from_a_file(mooring: CommandLine) -> None:
    (mooring.folder / "body").write_bytes(b"\xff\x00")
    with added(mooring) as name:
        mooring.text("hub", "send", name, "@body")
        device = Device(mooring, name)
        device.listen(f"devices/{name}/messages/devicebound/#")
        assert device.hear()[1] == b"\xff\x00"
        device.close()


def test_queue_is_purged(mooring: CommandLine) -> None:
    with added(mooring) as name:
        mooring.text("hub", "send", name, "one")
        mooring.text("hub", "send", name, "two", "--ttl", "60")
        assert mooring.text("hub", "purge", name) == f"purged 2 messages of {name}.\n"
        assert mooring.json("hub", "purge", name)["totalMessagesPurged"] == 0
        assert "none" in mooring.text("hub", "queue", name)


@pytest.mark.parametrize(
    ("options", "code", "exit_code"),
    [
        (("x", "body", "--ttl", "soon"), "duration-malformed", 2),
        (("x", "body", "--ttl", "P1Y"), "duration-malformed", 2),
        (("x", "body", "-p", "nonsense"), "property-malformed", 2),
        (("x", "@nofile"), "file-unreadable", 1),
        (("nobody", "body"), "device-not-found", 1),
    ],
)
def test_message_that_cannot_be_sent_says_why(
    mooring: CommandLine, options: tuple[str, ...], code: str, exit_code: int
) -> None:
    assert mooring.refusal("hub", "send", *options, exit_code=exit_code)["code"] == code


def test_feedback_is_followed_until_ctrl_c(
    mooring: CommandLine, mooring_process: CommandLine
) -> None:
    seen = mooring.folder / "seen"
    with added(mooring) as name, seen.open("w") as output:
        reader = mooring_process.start("hub", "feedback", "--follow", "--json", stdout=output)
        mooring.text("hub", "send", name, "x", "--message-id", "fb1", "--ack", "negative")
        mooring.text("hub", "purge", name)
        wait_until(lambda: name in seen.read_text(), "feedback")
        reader.send_signal(2)
        assert reader.wait(30) == 0
    mine = [
        row for row in map(json.loads, seen.read_text().splitlines()) if row["deviceId"] == name
    ]
    assert [row["statusCode"] for row in mine] == ["Purged"]
