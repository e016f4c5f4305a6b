"""`mooring dps group`: every way to belong, keys of devices, changes, refusals; their records."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from tests.support.commandline import CommandLine
from tests.support.dps_commands import fresh_name, make_root, register, upload_root

ADD = ("dps", "group", "add")
KEY = base64.b64encode(b"k" * 32).decode()
OTHER_KEY = base64.b64encode(b"o" * 32).decode()


def _device(mooring: CommandLine, *issuer: str) -> str:
    """Make a device certificate under the root, or under `issuer`; return its name."""
    name = fresh_name("device")
    mooring.text(
        *("cert", "device", "--device-id", name, "--organization", "Quay"),
        *("--key", "ec-p256", "--force", *issuer),
    )
    return name


def test_group_is_added_shown_switched_and_deleted(mooring: CommandLine) -> None:
    ca, name = fresh_name("ca"), fresh_name("plant")
    mooring.text("dps", "certificate", "add", ca, make_root(mooring, ca))
    added = mooring.text(*ADD, name, "--certificate", ca)
    assert f"{ca} is not verified: no device gets in until it is." in added
    assert mooring.refusal("dps", "certificate", "delete", ca)["code"] == "certificate-in-use"
    assert name in mooring.text("dps", "group", "list")
    assert mooring.json("dps", "group", "disable", name)["provisioningStatus"] == "disabled"
    assert mooring.json("dps", "group", "enable", name)["provisioningStatus"] == "enabled"
    references = mooring.json("dps", "group", "show", name)["attestation"]["x509"]
    assert references["caReferences"]["primary"] == ca
    assert mooring.json("dps", "registration", "list", "--group", name) == []
    assert mooring.refusal(*ADD, name, "--certificate", ca)["code"] == "already-exists"
    replaced = mooring.json(*ADD, name, "--certificate", ca, "--if-match", "*", "--disabled")
    assert replaced["provisioningStatus"] == "disabled"
    assert mooring.json("dps", "group", "delete", name) == {"deleted": name}
    mooring.text("dps", "certificate", "delete", ca)
    for command in ("show", "delete", "enable", "keys"):
        assert mooring.refusal("dps", "group", command, name)["code"] == "not-found"


def test_group_of_a_verified_ca_takes_its_devices_and_keeps_their_records(
    mooring: CommandLine,
) -> None:
    ca, name = fresh_name("ca"), fresh_name("plant")
    upload_root(mooring, ca)
    added = mooring.text(*ADD, name, "--certificate", ca)
    assert "not verified" not in added
    device = _device(mooring)
    files = ("device.crt", "device-private-key.pem")
    assert register(mooring, device, *files) == 202
    (record,) = mooring.json("dps", "registration", "list", "--group", name)
    assert (record["registrationId"], record["enrollmentGroupId"]) == (device, name)
    assert device in mooring.text("dps", "registration", "list", "--group", name)
    assert name in mooring.text("dps", "registration", "show", device)
    mooring.text("dps", "group", "disable", name)
    assert register(mooring, device, *files) == 202
    assert mooring.json("dps", "registration", "show", device)["status"] == "disabled"
    mooring.text("dps", "group", "delete", name)
    # The record outlives its group, and is found and deleted all the same.
    assert device in {row["registrationId"] for row in mooring.json("dps", "registration", "list")}
    assert mooring.json("dps", "registration", "delete", device) == {"deleted": device}


def test_group_of_a_signing_certificate_takes_the_devices_below_it(mooring: CommandLine) -> None:
    name = fresh_name("line")
    upload_root(mooring, fresh_name("ca"))
    made = mooring.json(
        *("cert", "intermediate", "--cn", "line 7", "--organization", "Quay", "--key", "ec-p256")
    )["files"]
    found = mooring.json(*ADD, name, "--signing-certificate", made["certificate"])
    assert found["attestation"]["x509"].keys() == {"signingCertificates"}
    assert "CN=line 7, O=Quay" in mooring.text("dps", "group", "show", name)
    device = _device(mooring, "--ca", made["certificate"], "--ca-key", made["private_key"])
    chain = mooring.folder / "device-chain.pem"
    assert register(mooring, device, chain, "device-private-key.pem") == 202


def test_group_by_symmetric_key_derives_each_devices_key(mooring: CommandLine) -> None:
    name = fresh_name("keyed")
    keys = ("--primary-key", KEY, "--secondary-key", OTHER_KEY)
    assert KEY in mooring.text(*ADD, name, *keys)
    shown = mooring.json("dps", "group", "show", name)
    assert KEY not in json.dumps(shown)
    assert mooring.json("dps", "group", "keys", name)["symmetricKey"] == {
        "primaryKey": KEY,
        "secondaryKey": OTHER_KEY,
    }
    derived = mooring.json("dps", "group", "device-key", name, "gw-0007")

    def expected(key: str) -> str:
        digest = hmac.digest(base64.b64decode(key), b"gw-0007", hashlib.sha256)
        return base64.b64encode(digest).decode()

    assert derived == {
        "registrationId": "gw-0007",
        "primaryKey": expected(KEY),
        "secondaryKey": expected(OTHER_KEY),
    }
    assert expected(KEY) in mooring.text("dps", "group", "device-key", name, "gw-0007")
    refusal = mooring.refusal("dps", "group", "device-key", name, "Bad Name")
    assert refusal["code"] == "identifier-malformed"


def test_group_by_certificate_has_no_keys(mooring: CommandLine) -> None:
    ca, name = fresh_name("ca"), fresh_name("plant")
    upload_root(mooring, ca)
    mooring.text(*ADD, name, "--certificate", ca)
    for command in (("keys", name), ("device-key", name, "gw01")):
        assert mooring.refusal("dps", "group", *command)["code"] == "no-symmetric-keys"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), "proof-missing"),
        (("--certificate", "quay", "--symmetric-key"), "proof-twice"),
        (("--certificate", "quay", "--signing-certificate", "root-cert.pem"), "proof-twice"),
    ],
)
def test_group_add_without_one_clear_proof_is_a_wrong_command(
    mooring: CommandLine, options: tuple[str, ...], code: str
) -> None:
    make_root(mooring, fresh_name("root"))
    assert mooring.refusal(*ADD, "plant9", *options, exit_code=2)["code"] == code


def test_group_add_with_an_unknown_ca_says_what_to_do(mooring: CommandLine) -> None:
    refusal = mooring.refusal(*ADD, "plant9", "--certificate", "nobody")
    assert refusal["code"] == "ca-reference-unknown"
    assert "mooring dps certificate add" in refusal["remedy"]
    assert mooring.refusal("dps", "group", "show", "plant9")["code"] == "not-found"


def test_group_add_with_a_devices_certificate_says_that_it_is_no_ca(mooring: CommandLine) -> None:
    make_root(mooring, fresh_name("root"))
    _device(mooring)
    refusal = mooring.refusal(*ADD, "plant9", "--signing-certificate", "device.crt")
    assert refusal["code"] == "certificate-not-ca"


def test_group_update_changes_what_is_given_and_leaves_the_rest(mooring: CommandLine) -> None:
    first, second, name = fresh_name("ca"), fresh_name("ca"), fresh_name("plant")
    upload_root(mooring, first)
    upload_root(mooring, second, "second")
    mooring.text(*ADD, name, "--certificate", first, "--reprovision", "never")
    before = mooring.json("dps", "group", "show", name)
    update = ("dps", "group", "update", name)

    both = mooring.json(*update, "--secondary", second, "--hub", mooring.address)
    assert both["attestation"]["x509"]["caReferences"] == {"primary": first, "secondary": second}
    assert both["iotHubs"] == [mooring.address]
    assert both["reprovisionPolicy"] == before["reprovisionPolicy"]
    rolled = mooring.json(*update, "--clear", "primary", "--clear", "hub")
    assert rolled["attestation"]["x509"]["caReferences"] == {"secondary": second}
    assert "iotHubs" not in rolled
    assert mooring.refusal(*update, exit_code=2)["code"] == "nothing-to-change"
    stale = mooring.refusal(*update, "--edge", "--if-match", before["etag"])
    assert stale["code"] == "etag-mismatch"


def test_registrations_of_an_unknown_group_are_refused(mooring: CommandLine) -> None:
    refusal = mooring.refusal("dps", "registration", "list", "--group", "nobody")
    assert refusal["code"] == "not-found"


def test_registration_of_nobody_is_not_found(mooring: CommandLine) -> None:
    for command in ("show", "delete"):
        refusal = mooring.refusal("dps", "registration", command, "nobody")
        assert refusal["code"] == "registration-not-found"
