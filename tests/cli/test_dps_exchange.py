"""`mooring dps … export` and `import`: there and back, partly, again, and refused."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.support.commandline import COMMAND, CommandLine, QuickCommandLine, house_up
from tests.support.dps_commands import fresh_name, make_root, upload_root

from mooring.cli import azure_api

WEBHOOK = "https://allocate.example/api?code=s3cret"
TWIN = '{"tags": {"site": "quay"}, "properties": {"desired": {"rate": 5}}}'


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[CommandLine]:
    """Run a house for this module: an export holds all that there is."""
    with house_up(tmp_path_factory.mktemp("exchange")) as here:
        yield here


@pytest.fixture
def mooring(house: CommandLine, tmp_path: Path) -> Generator[CommandLine]:
    """Return the command in an empty folder, on a DPS without enrollments."""
    here = QuickCommandLine.of(house, tmp_path)
    yield here
    for kind, member in (("group", "enrollmentGroupId"), ("enrollment", "registrationId")):
        for row in here.json("dps", kind, "list"):
            here.text("dps", kind, "delete", row[member])


def _exported(mooring: CommandLine, kind: str, *options: str) -> list[dict[str, Any]]:
    """Return what an export to a file wrote."""
    mooring.text("dps", kind, "export", "export.json", "--force", *options)
    found: list[dict[str, Any]] = json.loads((mooring.folder / "export.json").read_text())
    return found


def _written(mooring: CommandLine, name: str, content: object) -> str:
    (mooring.folder / name).write_text(json.dumps(content))
    return name


def _keyed(name: str, **members: Any) -> dict[str, Any]:
    return {"registrationId": name, "attestation": {"type": "symmetricKey"}, **members}


def _names(mooring: CommandLine) -> list[str]:
    return [row["registrationId"] for row in mooring.json("dps", "enrollment", "list")]


# -- there and back -------------------------------------------------------------------------------


def test_enrollments_come_back_as_they_were_with_certificates_terms_and_keys(
    mooring: CommandLine,
) -> None:
    root = make_root(mooring, "exsolo")
    upload_root(mooring, ca := fresh_name("ca"), "ca")
    add = ("dps", "enrollment", "add")
    mooring.text(
        *(*add, "--certificate", root, "--device-id", "pump-7", "--initial-twin", TWIN),
        *("--reprovision", "never", "--info", '{"owner": "harbour"}', "--edge", "--disabled"),
    )
    mooring.text(*add, "--ca", ca, "--registration-id", "exca")
    mooring.text(*add, "--symmetric-key", "--registration-id", "exkey")
    mooring.text(
        *(*add, "--symmetric-key", "--registration-id", "exhook"),
        *("--allocation", "custom", "--webhook-url", WEBHOOK),
    )
    before = _exported(mooring, "enrollment", "--with-keys")
    assert [row["registrationId"] for row in before] == ["exca", "exhook", "exkey", "exsolo"]
    for name in _names(mooring):
        mooring.text("dps", "enrollment", "delete", name)

    said = mooring.text("dps", "enrollment", "import", "export.json")

    assert said == "4 added.\n"
    assert _exported(mooring, "enrollment", "--with-keys") == before
    assert before[3]["attestation"]["x509"]["clientCertificates"]["primary"]["certificate"]
    assert before[1]["customAllocationDefinition"]["webhookUrl"] == WEBHOOK
    assert not any("etag" in row or "registrationState" in row for row in before)


def test_groups_come_back_as_they_were(mooring: CommandLine) -> None:
    root = upload_root(mooring, ca := fresh_name("ca"))
    add = ("dps", "group", "add")
    mooring.text(*add, "explant", "--certificate", ca, "--hub", mooring.address)
    mooring.text(*add, "exline", "--signing-certificate", root)
    mooring.text(*add, "exkeyed", "--symmetric-key")
    before = _exported(mooring, "group", "--with-keys")
    for row in before:
        mooring.text("dps", "group", "delete", row["enrollmentGroupId"])

    report = mooring.json("dps", "group", "import", "export.json")

    assert report == {
        "created": 3,
        "updated": 0,
        "new_keys": [],
        "unchanged": [],
        "failed": [],
    }
    assert _exported(mooring, "group", "--with-keys") == before


def test_export_keeps_keys_back_unless_asked_and_closes_the_file_that_has_them(
    mooring: CommandLine,
) -> None:
    add = ("dps", "enrollment", "add", "--symmetric-key", "--registration-id")
    mooring.text(*add, "exkey")
    mooring.text(*add, "exhook", "--allocation", "custom", "--webhook-url", WEBHOOK)
    key = mooring.json("dps", "enrollment", "keys", "exkey")["symmetricKey"]["primaryKey"]
    export = ("dps", "enrollment", "export")

    assert "keys are not in it" in mooring.text(*export, "open.json")
    summary = mooring.json(*export, "closed.json", "--with-keys")

    assert summary == {"exported": 2, "file": "closed.json", "with_keys": True}
    without, with_keys = (
        (mooring.folder / name).read_text() for name in ("open.json", "closed.json")
    )
    assert key not in without
    assert "s3cret" not in without
    assert json.loads(without)[0]["customAllocationDefinition"]["webhookUrl"].endswith("?****")
    assert key in with_keys
    assert "s3cret" in with_keys
    umask = os.umask(0)
    os.umask(umask)
    assert (mooring.folder / "open.json").stat().st_mode & 0o777 == 0o666 & ~umask
    assert (mooring.folder / "closed.json").stat().st_mode & 0o777 == 0o600
    assert not list(mooring.folder.glob(".*"))


def test_export_goes_to_standard_output_and_import_comes_from_standard_input(
    mooring: CommandLine, house: CommandLine
) -> None:
    mooring.text("dps", "enrollment", "add", "--symmetric-key", "--registration-id", "expipe")
    text = mooring.text("dps", "enrollment", "export")
    assert [row["registrationId"] for row in json.loads(text)] == ["expipe"]
    mooring.text("dps", "enrollment", "delete", "expipe")
    piped = subprocess.run(
        [*COMMAND, "dps", "enrollment", "import", "-"],
        env=house.environment,
        input=text,
        text=True,
        capture_output=True,
    )
    assert (piped.returncode, piped.stdout) == (0, "1 added.\n")
    mooring.text("dps", "enrollment", "delete", "expipe")
    assert mooring.text("dps", "enrollment", "export") == "[]\n"


def test_export_and_list_go_through_all_pages(
    mooring: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"page{number:02}" for number in range(23)]
    file = _written(mooring, "many.json", [_keyed(name) for name in names])
    assert mooring.json("dps", "enrollment", "import", file)["created"] == 23
    monkeypatch.setattr(azure_api, "PAGE_ITEMS", 5)
    assert [row["registrationId"] for row in _exported(mooring, "enrollment")] == names
    assert _names(mooring) == names
    assert len(mooring.json("dps", "enrollment", "list", "--limit", "12")) == 12


# -- again, partly, replaced ----------------------------------------------------------------------


def test_import_again_leaves_what_is_there_and_update_replaces_it(mooring: CommandLine) -> None:
    file = _written(mooring, "two.json", [_keyed("exa", deviceId="one"), _keyed("exb")])
    run = ("dps", "enrollment", "import", file)
    assert mooring.text(*run) == "2 added.\n"
    mooring.text("dps", "enrollment", "update", "exa", "--device-id", "two")
    keys = mooring.json("dps", "enrollment", "keys", "exa")

    again = mooring.text(*run)

    assert "0 added, 2 there already and left as they are" in again
    assert mooring.json("dps", "enrollment", "show", "exa")["deviceId"] == "two"
    assert mooring.text(*run, "--update") == "0 added, 2 replaced.\n"
    assert mooring.json("dps", "enrollment", "show", "exa")["deviceId"] == "one"
    # The file has no keys: those that devices have are kept.
    assert mooring.json("dps", "enrollment", "keys", "exa") == keys


def test_import_again_leaves_a_webhook_whose_key_the_file_lacks(mooring: CommandLine) -> None:
    add = ("dps", "enrollment", "add", "--symmetric-key", "--registration-id", "exhook")
    mooring.text(*add, "--allocation", "custom", "--webhook-url", WEBHOOK)
    _exported(mooring, "enrollment")
    run = ("dps", "enrollment", "import", "export.json")

    assert mooring.json(*run)["unchanged"] == ["exhook"]
    assert mooring.json(*run, "--update", exit_code=1)["failed"][0]["registrationId"] == "exhook"
    mooring.text("dps", "enrollment", "delete", "exhook")
    assert mooring.json(*run, exit_code=1)["failed"][0]["registrationId"] == "exhook"


def test_import_names_those_that_got_new_keys(mooring: CommandLine) -> None:
    mooring.text("dps", "enrollment", "add", "--symmetric-key", "--registration-id", "exkey")
    run = ("dps", "enrollment", "import", "export.json")
    for options, told in (((), ["exkey"]), (("--with-keys",), [])):
        _exported(mooring, "enrollment", *options)
        mooring.text("dps", "enrollment", "delete", "exkey")
        assert mooring.json(*run)["new_keys"] == told
        assert mooring.json(*run)["new_keys"] == []
    file = _written(mooring, "many.json", [_keyed(f"exmany{number:02}") for number in range(12)])
    result = mooring.run("dps", "enrollment", "import", file)
    assert result.returncode == 0
    assert "new keys were made for exmany00, exmany01" in result.stderr
    assert "exmany09 and 2 more: the file has none" in result.stderr


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x.example/hook?code=s3cret", "https://x.example/hook?****"),
        ("https://me:s3cret@x.example:8443/hook", "https://****@x.example:8443/hook"),
        ("https://x.example/#s3cret", "https://x.example/#****"),
        ("https://x.example/hook", "https://x.example/hook"),
    ],
)
def test_secrets_of_a_webhook_are_neither_shown_nor_exported(
    mooring: CommandLine, url: str, shown: str
) -> None:
    add = ("dps", "enrollment", "add", "--symmetric-key", "--registration-id", "exhook")
    assert shown in mooring.text(*add, "--allocation", "custom", "--webhook-url", url)
    assert shown in mooring.text("dps", "enrollment", "show", "exhook")
    (record,) = _exported(mooring, "enrollment")
    assert record["customAllocationDefinition"]["webhookUrl"] == shown
    mooring.text("dps", "enrollment", "delete", "exhook")
    imported = mooring.run("dps", "enrollment", "import", "export.json")
    assert imported.returncode == (1 if "****" in shown else 0)


def test_import_tells_each_that_failed_and_does_the_rest(mooring: CommandLine) -> None:
    records = [_keyed(f"exok{number}") for number in range(12)]
    records.insert(3, _keyed("exstatic", allocationPolicy="static"))
    records.insert(9, {"registrationId": "exnone"})
    masked = {"webhookUrl": "https://x.example/?****", "apiVersion": "2021-10-01"}
    records.append(_keyed("exmasked", allocationPolicy="custom", customAllocationDefinition=masked))
    file = _written(mooring, "mixed.json", records)

    result = mooring.run("dps", "enrollment", "import", file)

    assert result.returncode == 1
    assert result.stdout == "12 added, 3 failed.\n"
    *failures, note = result.stderr.splitlines()
    assert note.startswith("new keys were made for exok0")
    lines = {line.split()[1].rstrip(":"): line for line in failures}
    assert lines.keys() == {"exstatic", "exnone", "exmasked"}
    assert "iotHubs: static allocation needs one hub" in lines["exstatic"]
    assert "attestation: missing" in lines["exnone"]
    assert "--with-keys" in lines["exmasked"]
    assert len(_names(mooring)) == 12
    report = mooring.json("dps", "enrollment", "import", file, "--update", exit_code=1)
    assert (report["created"], report["updated"]) == (0, 12)
    assert {row["registrationId"] for row in report["failed"]} == lines.keys()


def test_import_of_the_same_id_twice_adds_it_once(mooring: CommandLine) -> None:
    file = _written(mooring, "twice.json", [_keyed("exsame"), _keyed("EXSAME"), _keyed("exother")])
    report = mooring.json("dps", "enrollment", "import", file)
    assert report["created"] == 2
    assert report["unchanged"] == ["EXSAME"]


# -- files that are none --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "not an object"),
        ("5", "not an object"),
        ('[{"registrationId": "exa"}', "after entry 1"),
        ('[{"registrationId": "exa"} {', "after entry 1"),
        ("[5]", "entry 1: not an object"),
        ('[{"registrationId": "exa"}, {"registration', "entry 2: not JSON"),
        ('[{"enrollmentGroupId": "exa"}]', "entry 1: has no registrationId"),
        ('[{"registrationId": 5}]', "entry 1: has no registrationId"),
        ('[{"registrationId": "exa"}] 5', "behind the end"),
    ],
)
def test_import_of_a_broken_file_names_the_entry_and_imports_nothing(
    mooring: CommandLine, content: str, fault: str
) -> None:
    (mooring.folder / "broken.json").write_text(content)
    refusal = mooring.refusal("dps", "enrollment", "import", "broken.json")
    assert refusal["code"] == "import-malformed"
    assert fault in refusal["message"]
    assert "nothing was imported" in refusal["message"]
    assert _names(mooring) == []


def test_import_of_a_file_that_cannot_be_read_is_refused(mooring: CommandLine) -> None:
    (mooring.folder / "latin.json").write_bytes(b'[{"registrationId": "\xe9"}]')
    latin = mooring.refusal("dps", "enrollment", "import", "latin.json")
    assert latin["code"] == "import-malformed"
    for name in ("absent.json", "."):
        assert mooring.refusal("dps", "group", "import", name)["code"] == "file-unreadable"


def test_export_onto_a_file_that_is_there_needs_force(mooring: CommandLine) -> None:
    (mooring.folder / "there.json").write_text("mine")
    refusal = mooring.refusal("dps", "group", "export", "there.json")
    assert refusal["code"] == "file-exists"
    assert (mooring.folder / "there.json").read_text() == "mine"
    mooring.text("dps", "group", "export", "there.json", "--force")
    assert json.loads((mooring.folder / "there.json").read_text()) == []
    unwritable = mooring.refusal("dps", "group", "export", "absent/there.json")
    assert unwritable["code"] == "file-unwritable"
