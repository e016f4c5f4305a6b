"""`mooring hub device`: every proof, keys, switching, export and import."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.support.commandline import CommandLine, QuickCommandLine, house_up
from tests.support.dps_commands import make_root
from tests.support.hub_devices import Device, added

KEY = "c2VjcmV0IHNlY3JldCBzZWNyZXQ="


# -- identities -----------------------------------------------------------------------------------


def test_device_by_symmetric_key_gets_in_by_its_connection_string_and_keys_stay_hidden(
    mooring: CommandLine,
) -> None:
    with added(mooring) as name:
        keys = mooring.json("hub", "device", "keys", name)
        for shown in (
            mooring.text("hub", "device", "show", name),
            json.dumps(mooring.json("hub", "device", "show", name)),
            json.dumps(mooring.json("hub", "device", "list")),
        ):
            assert keys["primaryKey"] not in shown
        assert keys["primaryKey"] in mooring.text("hub", "device", "show", name, "--with-keys")
        Device(mooring, name).close()

        renewed = mooring.json("hub", "device", "keys", name, "--regenerate", "primary")
        assert renewed["primaryKey"] != keys["primaryKey"]
        assert renewed["secondaryKey"] == keys["secondaryKey"]
        Device(mooring, name).close()
        secondary = mooring.text("hub", "device", "connection-string", name, "--secondary")
        assert keys["secondaryKey"] in secondary


def test_device_with_given_keys_a_twin_and_edge_is_added_in_one_step(
    mooring: CommandLine,
) -> None:
    (mooring.folder / "tags.json").write_text('{"site": "north"}')
    options = (
        *("--primary-key", KEY, "--edge", "--disabled"),
        *("--tags", "@tags.json", "--desired", '{"rate": 5}'),
    )
    with added(mooring, *options) as name:
        shown = mooring.json("hub", "device", "show", name, "--with-keys")
        assert shown["authentication"]["symmetricKey"]["primaryKey"] == KEY
        assert shown["status"] == "disabled"
        assert shown["deviceScope"] in mooring.text("hub", "device", "show", name)
        twin = mooring.json("hub", "twin", "show", name)
        assert twin["tags"] == {"site": "north"}
        assert twin["properties"]["desired"]["rate"] == 5
        again = mooring.refusal("hub", "device", "add", name, "--tags", "{}")
        assert again["code"] == "device-already-exists"


def test_device_by_certificates_and_by_ca_has_a_connection_string_without_a_key(
    mooring: CommandLine,
) -> None:
    first, second = make_root(mooring, "pinned7"), make_root(mooring, "other7", "other")
    found = mooring.json(
        *("hub", "device", "add"),
        *("--certificate", first, "--secondary-certificate", second),
    )
    assert found["deviceId"] == "pinned7"
    thumbprints = found["authentication"]["x509Thumbprint"]
    assert len(set(thumbprints.values())) == 2
    text = mooring.text("hub", "device", "connection-string", "pinned7")
    assert text == f"HostName={mooring.address};DeviceId=pinned7;x509=true\n"
    assert mooring.refusal("hub", "device", "keys", "pinned7")["code"] == "no-symmetric-keys"

    by_hand = ":".join(["AB"] * 20)
    shown = mooring.json("hub", "device", "add", "byhand7", "--thumbprint", by_hand)
    assert shown["authentication"]["x509Thumbprint"]["primaryThumbprint"] == "AB" * 20
    by_ca = mooring.json("hub", "device", "add", "byca7", "--ca")
    assert by_ca["authentication"]["type"] == "certificateAuthority"
    for name in ("pinned7", "byhand7", "byca7"):
        mooring.text("hub", "device", "delete", name)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("x", "--ca", "--primary-key", KEY), "proof-twice"),
        ((), "device-id-missing"),
        (("x", "--ca", "--secondary-certificate", "f"), "certificate-missing"),
        (("x", "--tags", "[1]"), "not-a-json-object"),
    ],
)
def test_device_add_that_cannot_be_meant_ends_with_2(
    mooring: CommandLine, options: tuple[str, ...], code: str
) -> None:
    assert mooring.refusal("hub", "device", "add", *options, exit_code=2)["code"] == code


def test_device_that_changed_meanwhile_is_left_alone_with_if_match(mooring: CommandLine) -> None:
    with added(mooring) as name:
        etag = mooring.json("hub", "device", "show", name)["etag"]
        found = mooring.json("hub", "device", "disable", name, "--reason", "broken")
        assert found["statusReason"] == "broken"
        for late in (
            ("enable", name),
            ("keys", name, "--regenerate", "both"),
            ("delete", name),
        ):
            refusal = mooring.refusal("hub", "device", *late, "--if-match", f'"{etag}"')
            assert refusal["code"] == "precondition-failed"
        now = mooring.json("hub", "device", "show", name)["etag"]
        mooring.text("hub", "device", "enable", name, "--if-match", f'"{now}"')
        assert mooring.json("hub", "device", "show", name)["statusReason"] is None


# -- files ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_house(tmp_path_factory: pytest.TempPathFactory) -> Generator[CommandLine]:
    """Run a house for this module: an export holds all that there is."""
    with house_up(tmp_path_factory.mktemp("devices")) as here:
        yield here


@pytest.fixture
def alone(own_house: CommandLine, tmp_path: Path) -> Generator[CommandLine]:
    """Return the command in an empty folder, on a hub without devices."""
    here = QuickCommandLine.of(own_house, tmp_path)
    yield here
    for row in here.json("hub", "device", "list"):
        here.text("hub", "device", "delete", row["deviceId"])


def _read(mooring: CommandLine, name: str) -> list[dict[str, Any]]:
    text = (mooring.folder / name).read_text()
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in text.splitlines()]
    found: list[dict[str, Any]] = json.loads(text)
    return found


def _clear(mooring: CommandLine) -> None:
    for row in mooring.json("hub", "device", "list"):
        mooring.text("hub", "device", "delete", row["deviceId"])


@pytest.mark.parametrize("file", ["devices.json", "devices.jsonl"])
def test_devices_come_back_as_they_were_with_twins_and_keys(alone: CommandLine, file: str) -> None:
    add = ("hub", "device", "add")
    alone.text(*add, "keyed", "--tags", '{"site": "north"}', "--desired", '{"rate": {"s": 5}}')
    alone.text(*add, "byca", "--ca", "--edge", "--disabled")
    alone.text(*add, "pinned", "--thumbprint", "AB" * 32)
    said = alone.text("hub", "device", "export", file, "--with-keys")
    assert said == f"exported 3 devices to {file}.\n"
    assert (alone.folder / file).stat().st_mode & 0o077 == 0
    before = _read(alone, file)
    assert {row["id"]: row["authentication"]["type"] for row in before} == {
        "byca": "certificateAuthority",
        "keyed": "sas",
        "pinned": "selfSigned",
    }
    _clear(alone)

    assert alone.text("hub", "device", "import", file) == "3 added.\n"

    alone.text("hub", "device", "export", file, "--with-keys", "--force")
    assert _read(alone, file) == before


def test_export_keeps_keys_back_and_import_tells_whose_are_new(alone: CommandLine) -> None:
    alone.text("hub", "device", "add", "keyed")
    said = alone.text("hub", "device", "export", "devices.json")
    assert "--with-keys puts them in" in said
    assert "Key" not in (alone.folder / "devices.json").read_text()
    assert alone.refusal("hub", "device", "export", "devices.json")["code"] == "file-exists"
    keys = alone.json("hub", "device", "keys", "keyed")

    again = alone.text("hub", "device", "import", "devices.json")
    assert "1 there already and left as they are" in again
    assert alone.text("hub", "device", "import", "devices.json", "--update") == (
        "0 added, 1 replaced.\n"
    )
    assert alone.json("hub", "device", "keys", "keyed") == keys
    alone.text("hub", "device", "delete", "keyed")
    assert alone.json("hub", "device", "import", "devices.json")["new_keys"] == ["keyed"]


def test_import_of_more_than_a_company_goes_on_past_what_is_refused(alone: CommandLine) -> None:
    records: list[dict[str, Any]] = [{"id": f"many{number:03}"} for number in range(120)]
    records[50]["id"] = "not an id"
    records[60]["tags"] = {"a.b": 1}
    (alone.folder / "many.jsonl").write_text("\n".join(map(json.dumps, records)))

    result = alone.run("hub", "device", "import", "many.jsonl")

    assert result.returncode == 1
    assert "118 added, 2 failed." in result.stdout
    assert "failed not an id: " in result.stderr
    assert "failed many060: " in result.stderr
    assert len(alone.json("hub", "device", "list")) == 118
    assert len(alone.json("hub", "device", "list", "--limit", "7")) == 7


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"id": "a"}\n{"id":', "entry 2: not JSON"),
        ('[{"name": "a"}]', "entry 1: has no id"),
        ("garbage", "not an object"),
    ],
)
def test_file_that_is_broken_changes_nothing(alone: CommandLine, text: str, fault: str) -> None:
    (alone.folder / "broken").write_text(text)
    refusal = alone.refusal("hub", "device", "import", "broken")
    assert refusal["code"] == "import-malformed"
    assert fault in refusal["message"]
    assert alone.json("hub", "device", "list") == []
