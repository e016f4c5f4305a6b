"""`mooring dps enrollment`: every way to prove it, every term, changes, keys, refusals."""

from __future__ import annotations

import base64
import json

import pytest
from tests.support import x509
from tests.support.commandline import CommandLine
from tests.support.dps_commands import fresh_name, make_root, register, upload_root

from mooring.pki.certificates import dump_certificate

KEY = base64.b64encode(b"k" * 32).decode()
OTHER_KEY = base64.b64encode(b"o" * 32).decode()
ADD = ("dps", "enrollment", "add")
TWIN = {"tags": {"site": "quay"}, "properties": {"desired": {"rate": 5}}}
WEBHOOK = "https://allocate.example/api?code=s3cret"


def _keyed(mooring: CommandLine, *options: str) -> str:
    """Add an enrollment by symmetric key; return its registration id."""
    name = fresh_name("keyed")
    mooring.text(*ADD, "--symmetric-key", "--registration-id", name, *options)
    return name


# -- ways to prove it -----------------------------------------------------------------------------


def test_enrollment_is_added_shown_switched_and_deleted(mooring: CommandLine) -> None:
    name = fresh_name("solo")
    root = make_root(mooring, name)
    added = mooring.text(*ADD, "--certificate", root, "--device-id", "dev-1")
    assert name in added
    assert "unassigned" in added
    found = mooring.json("dps", "enrollment", "show", name)
    assert found["deviceId"] == "dev-1"
    assert found["provisioningStatus"] == "enabled"
    assert name in mooring.text("dps", "enrollment", "list")
    assert mooring.json("dps", "enrollment", "disable", name)["provisioningStatus"] == "disabled"
    assert mooring.text("dps", "enrollment", "enable", name) == f"{name} is enabled.\n"

    refusal = mooring.refusal(*ADD, "--certificate", root)
    assert refusal["code"] == "already-exists"
    assert "--if-match" in refusal["remedy"]
    again = (*ADD, "--certificate", root, "--if-match", "*", "--disabled")
    assert mooring.json(*again)["provisioningStatus"] == "disabled"
    delete = ("dps", "enrollment", "delete", name)
    stale = mooring.refusal(*delete, "--if-match", found["etag"])
    assert stale["code"] == "etag-mismatch"
    assert mooring.text(*delete) == f"deleted {name}.\n"
    assert mooring.refusal("dps", "enrollment", "show", name)["code"] == "not-found"


def test_enrollment_by_two_certificates_shows_both(mooring: CommandLine) -> None:
    name = fresh_name("two")
    first = make_root(mooring, name)
    second = make_root(mooring, name, "second")
    found = mooring.json(*ADD, "--certificate", first, "--secondary", second)
    slots = found["attestation"]["x509"]["clientCertificates"]
    assert slots.keys() == {"primary", "secondary"}
    shown = mooring.text("dps", "enrollment", "show", name)
    for slot in ("primary", "secondary"):
        assert slots[slot]["info"]["sha256Thumbprint"] in shown


def test_enrollment_by_symmetric_key_shows_keys_that_were_made_and_again_by_keys(
    mooring: CommandLine,
) -> None:
    name = _keyed(mooring)
    mechanism = mooring.json("dps", "enrollment", "keys", name)
    made = mechanism["symmetricKey"]["primaryKey"]
    assert len(base64.b64decode(made)) >= 16
    assert made not in mooring.run("dps", "enrollment", "show", name, "--json").stdout
    assert made in mooring.text("dps", "enrollment", "keys", name)

    given = fresh_name("keyed")
    keys = ("--primary-key", KEY, "--secondary-key", OTHER_KEY)
    added = mooring.text(*ADD, "--registration-id", given, *keys)
    assert f"primary key          {KEY}" in added
    assert mooring.json("dps", "enrollment", "keys", given)["symmetricKey"] == {
        "primaryKey": KEY,
        "secondaryKey": OTHER_KEY,
    }


def test_enrollment_by_ca_names_it_and_has_no_keys(mooring: CommandLine) -> None:
    ca, name = fresh_name("ca"), fresh_name("device")
    upload_root(mooring, ca)
    found = mooring.json(*ADD, "--ca", ca, "--registration-id", name)
    assert found["attestation"]["x509"] == {"caReferences": {"primary": ca}}
    assert f"primary certificate  {ca}" in mooring.text("dps", "enrollment", "show", name)
    refusal = mooring.refusal("dps", "enrollment", "keys", name)
    assert refusal["code"] == "no-symmetric-keys"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), "proof-missing"),
        (("--symmetric-key",), "registration-id-missing"),
        (("--ca", "quay"), "registration-id-missing"),
        (("--ca", "quay", "--primary-key", KEY), "proof-twice"),
        (("--certificate", "root-cert.pem", "--ca", "quay"), "proof-twice"),
    ],
)
def test_enrollment_add_without_one_clear_proof_is_a_wrong_command(
    mooring: CommandLine, options: tuple[str, ...], code: str
) -> None:
    make_root(mooring, fresh_name("root"))
    assert mooring.refusal(*ADD, *options, exit_code=2)["code"] == code


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "file-unreadable"),
        ("garbage", "pem-missing"),
        ("root-private-key.pem", "wrong-box"),
    ],
)
def test_enrollment_add_with_a_bad_file_says_what_is_in_it(
    mooring: CommandLine, content: str | None, code: str
) -> None:
    make_root(mooring, fresh_name("bad"))
    file = mooring.folder / "file"
    if content == "root-private-key.pem":
        file = mooring.folder / content
    elif content is not None:
        file.write_text(content)
    assert mooring.refusal(*ADD, "--certificate", file)["code"] == code


@pytest.mark.parametrize(
    ("options", "code", "field"),
    [
        (("--registration-id", "Bad Name"), "identifier-malformed", "registrationId"),
        (("--device-id", "Bad Name"), "identifier-malformed", "deviceId"),
        (("--primary-key", "AAAA"), "key-malformed", "attestation.symmetricKey.primaryKey"),
        (("--allocation", "static"), "static-needs-one-hub", "iotHubs"),
        (("--hub", ""), "host-name-malformed", "iotHubs"),
        (("--allocation", "custom"), "custom-needs-webhook", "customAllocationDefinition"),
        (
            ("--allocation", "custom", "--webhook-url", "ftp://x"),
            "webhook-url-malformed",
            "customAllocationDefinition.webhookUrl",
        ),
    ],
)
def test_enrollment_add_refused_by_the_service_names_the_field(
    mooring: CommandLine, options: tuple[str, ...], code: str, field: str
) -> None:
    name = () if "--registration-id" in options else ("--registration-id", fresh_name())
    refusal = mooring.refusal(*ADD, "--symmetric-key", *name, *options)
    assert (refusal["code"], refusal["field"]) == (code, field)
    assert field in refusal["message"]


# -- terms ----------------------------------------------------------------------------------------


def test_terms_are_added_and_shown(mooring: CommandLine) -> None:
    name = _keyed(
        mooring,
        *("--device-id", "pump-7", "--allocation", "static", "--hub", mooring.address),
        *("--reprovision", "reset", "--initial-twin", json.dumps(TWIN)),
        *("--edge", "--info", '{"owner": "harbour"}'),
    )
    found = mooring.json("dps", "enrollment", "show", name)
    assert found["deviceId"] == "pump-7"
    assert found["allocationPolicy"] == "static"
    assert found["iotHubs"] == [mooring.address]
    assert found["reprovisionPolicy"] == {"updateHubAssignment": True, "migrateDeviceData": False}
    assert found["initialTwin"] == TWIN
    assert found["capabilities"] == {"iotEdge": True}
    assert found["optionalDeviceInformation"] == {"owner": "harbour"}
    shown = mooring.text("dps", "enrollment", "show", name)
    for text in ("pump-7", "static", mooring.address, "reset", json.dumps(TWIN), "yes"):
        assert text in shown


def test_custom_allocation_keeps_the_webhooks_key_off_the_screen(mooring: CommandLine) -> None:
    name = _keyed(mooring, "--allocation", "custom", "--webhook-url", WEBHOOK)
    found = mooring.json("dps", "enrollment", "show", name)
    assert found["customAllocationDefinition"]["webhookUrl"] == WEBHOOK
    shown = mooring.text("dps", "enrollment", "show", name)
    assert "https://allocate.example/api?****" in shown
    assert "s3cret" not in shown
    update = ("dps", "enrollment", "update", name)
    changed = mooring.json(*update, "--webhook-api-version", "2019-03-31")
    assert changed["customAllocationDefinition"] == {
        "webhookUrl": WEBHOOK,
        "apiVersion": "2019-03-31",
    }
    hashed = mooring.json(*update, "--allocation", "hashed")
    assert "customAllocationDefinition" not in hashed
    refusal = mooring.refusal(*update, "--webhook-url", WEBHOOK, exit_code=2)
    assert refusal["code"] == "webhook-without-custom"


def test_initial_twin_comes_from_a_file_too(mooring: CommandLine) -> None:
    (mooring.folder / "twin.json").write_text(json.dumps(TWIN))
    name = _keyed(mooring, "--initial-twin", "twin.json")
    assert mooring.json("dps", "enrollment", "show", name)["initialTwin"] == TWIN


@pytest.mark.parametrize(
    ("option", "given", "code", "exit_code"),
    [
        ("--initial-twin", "absent.json", "file-unreadable", 1),
        ("--initial-twin", "{", "not-a-json-object", 2),
        ("--initial-twin", "[1]", "not-a-json-object", 2),
        ("--initial-twin", '{"rate": 5}', "not-a-twin", 2),
        ("--initial-twin", '{"properties": {"reported": {}}}', "not-a-twin", 2),
        ("--initial-twin", '{"properties": 5}', "not-a-twin", 2),
        ("--info", "[1]", "not-a-json-object", 2),
        ("--info", "huge.json", "file-too-large", 1),
        ("--info", "latin.json", "not-a-json-object", 2),
    ],
)
def test_document_that_is_none_is_refused_before_anything_is_sent(
    mooring: CommandLine, option: str, given: str, code: str, exit_code: int
) -> None:
    (mooring.folder / "huge.json").write_bytes(b" " * (1 << 20 | 1))
    (mooring.folder / "latin.json").write_bytes(b'{"a": "\xe9"}')
    name = fresh_name()
    refusal = mooring.refusal(
        *ADD, "--symmetric-key", "--registration-id", name, option, given, exit_code=exit_code
    )
    assert (refusal["code"], refusal["field"]) == (code, option)
    assert mooring.refusal("dps", "enrollment", "show", name)["code"] == "not-found"


# -- changes --------------------------------------------------------------------------------------


def test_update_changes_what_is_given_and_leaves_the_rest(mooring: CommandLine) -> None:
    name = _keyed(mooring, "--initial-twin", json.dumps(TWIN), "--reprovision", "never")
    before = mooring.json("dps", "enrollment", "show", name)
    keys = mooring.json("dps", "enrollment", "keys", name)
    update = ("dps", "enrollment", "update", name)

    after = mooring.json(*update, "--device-id", "pump-8", "--edge")

    assert after["deviceId"] == "pump-8"
    assert after["capabilities"] == {"iotEdge": True}
    changed = {"deviceId", "capabilities", "etag", "lastUpdatedDateTimeUtc"}
    assert {k: v for k, v in after.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }
    assert mooring.json("dps", "enrollment", "keys", name) == keys
    cleared = mooring.json(*update, "--clear", "device-id", "--clear", "initial-twin", "--no-edge")
    assert "deviceId" not in cleared
    assert "initialTwin" not in cleared
    assert cleared["capabilities"] == {"iotEdge": False}
    assert mooring.refusal(*update, exit_code=2)["code"] == "nothing-to-change"
    stale = mooring.refusal(*update, "--edge", "--if-match", before["etag"])
    assert stale["code"] == "etag-mismatch"
    assert mooring.json(*update, "--edge", "--if-match", cleared["etag"])["capabilities"]["iotEdge"]
    assert mooring.refusal("dps", "enrollment", "update", "nobody", "--edge")["code"] == (
        "not-found"
    )


def test_update_of_one_key_keeps_the_other(mooring: CommandLine) -> None:
    name = _keyed(mooring, "--primary-key", KEY, "--secondary-key", OTHER_KEY)
    new = base64.b64encode(b"n" * 32).decode()
    mooring.text("dps", "enrollment", "update", name, "--secondary-key", new)
    assert mooring.json("dps", "enrollment", "keys", name)["symmetricKey"] == {
        "primaryKey": KEY,
        "secondaryKey": new,
    }


def test_certificate_is_rolled_over_by_the_free_slot(mooring: CommandLine) -> None:
    name = fresh_name("rolled")
    first = make_root(mooring, name)
    second = make_root(mooring, name, "second")
    mooring.text(*ADD, "--certificate", first)
    assert register(mooring, name) == 202
    update = ("dps", "enrollment", "update", name)
    both = mooring.json(*update, "--secondary", second)
    slots = both["attestation"]["x509"]["clientCertificates"]
    assert slots.keys() == {"primary", "secondary"}
    assert register(mooring, name, second, "second/root-private-key.pem") == 202
    one = mooring.json(*update, "--clear", "primary")["attestation"]["x509"]["clientCertificates"]
    assert one == {"secondary": slots["secondary"]}
    assert register(mooring, name) == 401
    empty = mooring.refusal(*update, "--clear", "primary")
    assert (empty["code"], empty["field"]) == ("slot-empty", "--clear")
    last = mooring.refusal(*update, "--clear", "secondary")
    assert last["code"] == "certificate-missing"


def test_update_to_another_kind_of_proof_replaces_the_whole(mooring: CommandLine) -> None:
    name = _keyed(mooring)
    root = make_root(mooring, name)
    update = ("dps", "enrollment", "update", name)
    certified = mooring.json(*update, "--certificate", root)["attestation"]
    assert certified["x509"]["clientCertificates"].keys() == {"primary"}
    assert "symmetricKey" not in certified
    assert mooring.json(*update, "--symmetric-key")["attestation"]["type"] == "symmetricKey"


# -- lists and registration -----------------------------------------------------------------------


def test_list_takes_a_limit_and_shows_what_became_of_each(mooring: CommandLine) -> None:
    name = fresh_name("listed")
    make_root(mooring, name)
    mooring.text(*ADD, "--certificate", "root-cert.pem")
    for _ in range(3):
        _keyed(mooring)
    assert len(mooring.json("dps", "enrollment", "list", "--limit", "2")) == 2
    assert len(mooring.json("dps", "enrollment", "list")) >= 4
    assert register(mooring, name) == 202
    (row,) = [r for r in mooring.json("dps", "enrollment", "list") if r["registrationId"] == name]
    assert row["registrationState"]["status"] == "assigned"
    line = next(
        line
        for line in mooring.text("dps", "enrollment", "list").splitlines()
        if line.startswith(name)
    )
    assert line.split()[-2:] == ["assigned", mooring.address]


def test_registration_record_is_listed_shown_and_deleted(mooring: CommandLine) -> None:
    name = fresh_name("recorded")
    make_root(mooring, name)
    mooring.text(*ADD, "--certificate", "root-cert.pem")
    assert register(mooring, name) == 202
    assert name in mooring.text("dps", "registration", "list")
    found = mooring.json("dps", "registration", "show", name)
    assert (found["status"], found["assignedHub"]) == ("assigned", mooring.address)
    assert found["thumbprint"] in mooring.text("dps", "registration", "show", name)
    delete = ("dps", "registration", "delete", name)
    assert mooring.refusal(*delete, "--if-match", "c3RhbGU=")["code"] == "etag-mismatch"
    assert mooring.json(*delete, "--if-match", found["etag"]) == {"deleted": name}
    assert mooring.refusal("dps", "registration", "show", name)["code"] == "registration-not-found"
    assert mooring.refusal(*delete)["code"] == "registration-not-found"
    state = mooring.json("dps", "enrollment", "show", name)["registrationState"]
    assert state["status"] == "unassigned"


@pytest.mark.parametrize("command", ["show", "update", "enable", "disable", "delete", "keys"])
def test_enrollment_of_an_impossible_name_is_a_wrong_command(
    mooring: CommandLine, command: str
) -> None:
    options = ("--edge",) if command == "update" else ()
    for name in ("..", "a/b"):
        refusal = mooring.refusal("dps", "enrollment", command, name, *options, exit_code=2)
        assert refusal["code"] == "name-impossible"


def test_certificate_without_a_common_name_needs_a_registration_id(mooring: CommandLine) -> None:
    nameless = x509.make(x509.name(None))
    (mooring.folder / "nameless.pem").write_text(dump_certificate(nameless.certificate))
    refusal = mooring.refusal(*ADD, "--certificate", "nameless.pem")
    assert (refusal["code"], refusal["field"]) == ("common-name-missing", "--registration-id")
