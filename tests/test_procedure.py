"""The procedure from a bare key to telemetry, by OpenSSL's own commands and by `mooring` alone.

The commands are the guide's; file names, too. What OpenSSL makes (X.509 version, validity) is
looked at, not assumed: plain ``openssl x509 -req`` writes version 1 before OpenSSL 3.2.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.support.commandline import CommandLine, QuickCommandLine, house_up
from tests.support.dps_commands import make_root, register
from tests.support.terminal import program_on_terminal

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl"),
]

PASSPHRASE = "correct horse battery"
DISTINGUISHED_NAME = "/C=SE/O=Quay"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[CommandLine]:
    """Run cloud and gateway for this module."""
    # The least that DPS may order: eight devices wait for it here.
    folder = tmp_path_factory.mktemp("procedure")
    with house_up(folder, MOORING_CLOUD_RETRY_AFTER_S="2") as here:
        yield here


@pytest.fixture
def mooring(house: CommandLine, tmp_path: Path) -> CommandLine:
    """Return the command in an empty folder, quick to run."""
    return QuickCommandLine.of(house, tmp_path)


@pytest.fixture
def mooring_process(house: CommandLine, tmp_path: Path) -> CommandLine:
    """Return the command in an empty folder, as the process that a person starts."""
    return CommandLine(house.state, tmp_path, house.address)


# -- certificates, as the guide makes them --------------------------------------------------------


def _openssl(folder: Path, command: str) -> str:
    result = subprocess.run(
        ["openssl", *command.split()], cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"openssl {command}: {result.stderr}"
    return result.stdout


def _root_at_the_prompts(folder: Path, common_name: str) -> None:
    """Answer the guide's fields as its reader does; a period leaves one blank."""
    command = (
        "openssl req -x509 -newkey rsa:2048 -keyout root-private-key.pem -nodes -out root-cert.pem"
    )
    with program_on_terminal(command.split(), folder=folder) as terminal:
        terminal.answer("Country Name", "SE")
        terminal.answer("State or Province Name", ".")
        terminal.answer("Locality Name", ".")
        terminal.answer("Organization Name", "Quay")
        terminal.answer("Organizational Unit Name", ".")
        terminal.answer("Common Name", common_name)
        terminal.answer("Email Address", ".")
        assert terminal.finish() == 0, terminal.screen


def _signed(folder: Path, subject: str, key: str, certificate: str, extra: str = "") -> None:
    """Make a key and have it certified by the root, as the guide's page on further types does."""
    _openssl(
        folder, f"req -new -newkey rsa:2048 -nodes -keyout {key} -subj {subject} -out request.csr"
    )
    _openssl(
        folder,
        "x509 -req -in request.csr -CA root-cert.pem -CAkey root-private-key.pem -CAcreateserial "
        f"-days 30 -sha256 -out {certificate} {extra}",
    )


def _version(folder: Path, certificate: str) -> int:
    text = _openssl(folder, f"x509 -in {certificate} -noout -text")
    return int(text.partition("Version: ")[2].partition(" ")[0])


# -- the procedure's steps, by command ------------------------------------------------------------


def _verify_root(mooring: CommandLine, name: str, *, by_openssl: bool) -> None:
    uploaded = mooring.json("dps", "certificate", "add", name, "root-cert.pem")
    assert uploaded["properties"]["isVerified"] is False
    assert "Unverified" in mooring.text("dps", "certificate", "list")
    generated = mooring.json("dps", "certificate", "code", name)
    code = generated["properties"]["verificationCode"]
    if by_openssl:
        _signed(mooring.folder, f"/CN={code}", "verification-key.pem", "verification-cert.pem")
    else:
        mooring.text("cert", "verification", "--code", code)
    verified = mooring.json("dps", "certificate", "verify", name, "verification-cert.pem")
    assert verified["properties"]["isVerified"] is True


def _connect(mooring: CommandLine, name: str, certificate: str, key: str, *options: str) -> str:
    pid = f"AzureDpsX509-{name}"
    facts = mooring.json("cloud", "info")
    mooring.text("gateway", "connection", "create", pid)
    applied = mooring.json(
        *("gateway", "connection", "configure", pid),
        *("--global-endpoint", facts["global_endpoint"], "--scope-id", facts["id_scope"]),
        *("--certificate", certificate, "--private-key", key, *options),
    )
    assert all(finding["severity"] != "error" for finding in applied["findings"])
    assert mooring.json("gateway", "connection", "connect", pid)["status"] == "Connected"
    return pid


def _telemetry_arrives(mooring: CommandLine, pid: str, device_id: str) -> None:
    published = mooring.json("gateway", "publish", pid, '{"temperature": 21.5}', "-p", "unit=C")
    (event,) = mooring.json("hub", "monitor", "--device", device_id)
    assert event["body"] == {"temperature": 21.5}
    assert event["properties"] == {"unit": "C"}
    assert event["systemProperties"]["message-id"] == published["message_id"]
    assert '{"temperature": 21.5}' in mooring.text("hub", "monitor", "--device", device_id)


def _device_is_listed(mooring: CommandLine, device_id: str) -> None:
    devices = {device["deviceId"]: device for device in mooring.json("hub", "device", "list")}
    assert devices[device_id]["connectionState"] == "Connected"
    # DPS pins the hub's device to the certificate that registered, on either way.
    assert devices[device_id]["authenticationType"] == "selfSigned"


def _individual(
    mooring: CommandLine, device_id: str, *options: str, key: str = "root-private-key.pem"
) -> None:
    """Way 1, from root-cert.pem: enrollment, connection, status, device, telemetry."""
    enrolled = mooring.json("dps", "enrollment", "add", "--certificate", "root-cert.pem")
    assert enrolled["registrationId"] == device_id
    assert "unassigned" in mooring.text("dps", "enrollment", "show", device_id)
    pid = _connect(mooring, device_id, "root-cert.pem", key, *options)
    status = mooring.json("dps", "enrollment", "show", device_id)["registrationState"]
    assert status["status"] == "assigned"
    assert status["assignedHub"] == mooring.address
    _device_is_listed(mooring, device_id)
    _telemetry_arrives(mooring, pid, device_id)


def _group(
    mooring: CommandLine,
    group: str,
    device_id: str,
    certificate: str = "device.crt",
    *options: str,
) -> None:
    """Way 2, under the verified CA `group`: group, connection, record, device, telemetry."""
    mooring.text("dps", "group", "add", group, "--certificate", group)
    assert mooring.json("dps", "registration", "list", "--group", group) == []
    pid = _connect(mooring, device_id, certificate, "device-private-key.pem", *options)
    (record,) = mooring.json("dps", "registration", "list", "--group", group)
    assert record["registrationId"] == device_id
    assert record["status"] == "assigned"
    _device_is_listed(mooring, device_id)
    _telemetry_arrives(mooring, pid, device_id)


# -- the procedure's table, row by row -------------------------------------------------------------


def test_row_c5_the_common_name_is_carried_along_and_a_mismatch_is_named(
    mooring: CommandLine,
) -> None:
    root = make_root(mooring, "rowcarried")
    added = mooring.json("dps", "enrollment", "add", "--certificate", root)
    assert added["registrationId"] == "rowcarried"
    assert register(mooring, "rowcarried") == 202
    record = mooring.json("dps", "registration", "show", "rowcarried")
    assert record["deviceId"] == "rowcarried"

    add = ("dps", "enrollment", "add", "--certificate", root)
    mooring.text(*add, "--registration-id", "rowother")
    assert register(mooring, "rowother") == 401
    (attempt,) = mooring.json("dps", "attempts", "--registration-id", "rowother")
    assert "rowcarried" in attempt["failure"]["cause"]
    assert "rowother" in attempt["failure"]["cause"]
    shown = mooring.text("dps", "attempts", "--registration-id", "rowother")
    assert attempt["failure"]["remedy"] in shown


def test_row_c6_one_command_makes_the_verification_certificate(mooring: CommandLine) -> None:
    mooring.text("dps", "certificate", "add", "rowproof", make_root(mooring, "rowproof"))
    code = mooring.json("dps", "certificate", "code", "rowproof")["properties"]["verificationCode"]
    made = mooring.json("cert", "verification", "--code", code)
    subject = _openssl(mooring.folder, f"x509 -in {made['files']['certificate']} -noout -subject")
    assert subject.split("=")[-1].strip() == code
    proof = mooring.json("dps", "certificate", "verify", "rowproof", made["files"]["certificate"])
    assert proof["properties"]["isVerified"]
    # Where the key is at hand, the same is one step.
    mooring.text("dps", "certificate", "add", "rowstep", make_root(mooring, "rowstep", "step"))
    verify = ("dps", "certificate", "verify", "rowstep", "--with-key", "step/root-private-key.pem")
    assert mooring.json(*verify)["properties"]["isVerified"]


def test_row_d1_the_overview_has_what_a_connection_needs(mooring: CommandLine) -> None:
    properties = mooring.json("dps", "show")["properties"]
    facts = mooring.json("cloud", "info")
    assert properties["deviceProvisioningHostName"] == facts["global_endpoint"]
    assert properties["idScope"] == facts["id_scope"]
    lines = mooring.text("dps", "show").splitlines()
    assert f"global device endpoint  {facts['global_endpoint']}" in lines
    assert f"ID scope                {facts['id_scope']}" in lines


def test_rows_d2_and_d5_an_individual_enrollment_is_unassigned_then_assigned(
    mooring: CommandLine,
) -> None:
    root = make_root(mooring, "rowsolo")
    add = ("dps", "enrollment", "add", "--certificate", root, "--device-id", "rowdevice")
    assert "registration status  unassigned" in mooring.text(*add)
    listed = {row["registrationId"]: row for row in mooring.json("dps", "enrollment", "list")}
    assert listed["rowsolo"]["deviceId"] == "rowdevice"
    assert listed["rowsolo"]["registrationState"]["status"] == "unassigned"
    assert register(mooring, "rowsolo") == 202
    shown = mooring.text("dps", "enrollment", "show", "rowsolo")
    assert "registration status  assigned" in shown
    assert f"assigned hub         {mooring.address}" in shown


def test_rows_d3_d4_and_d6_a_verified_root_a_group_of_it_and_its_records(
    mooring: CommandLine,
) -> None:
    make_root(mooring, "rowroot")
    unproven = mooring.json("dps", "certificate", "add", "rowroot", "root-cert.pem")
    assert unproven["properties"]["isVerified"] is False
    mooring.text("cert", "device", "--device-id", "rowdev", "--organization", "Quay")
    added = mooring.text("dps", "group", "add", "rowplant", "--certificate", "rowroot")
    assert "rowroot is not verified" in added
    files = ("device.crt", "device-private-key.pem")
    assert register(mooring, "rowdev", *files) == 401

    mooring.text("dps", "certificate", "verify", "rowroot", "--with-key", "root-private-key.pem")

    assert "status            Verified" in mooring.text("dps", "certificate", "show", "rowroot")
    assert mooring.json("dps", "registration", "list", "--group", "rowplant") == []
    assert register(mooring, "rowdev", *files) == 202
    (record,) = mooring.json("dps", "registration", "list", "--group", "rowplant")
    assert (record["registrationId"], record["status"]) == ("rowdev", "assigned")
    shown = mooring.text("dps", "registration", "show", "rowdev")
    assert "enrollment group    rowplant" in shown


# -- the ways, from nothing to telemetry -----------------------------------------------------------


def test_procedure_with_openssl_at_its_prompts_individual(mooring_process: CommandLine) -> None:
    _root_at_the_prompts(mooring_process.folder, "sslsolo01")
    assert _version(mooring_process.folder, "root-cert.pem") == 3
    _individual(mooring_process, "sslsolo01")


def test_procedure_with_openssl_group(mooring_process: CommandLine) -> None:
    _root_at_the_prompts(mooring_process.folder, "sslroot01")
    _verify_root(mooring_process, "sslplant", by_openssl=True)
    _signed(
        mooring_process.folder,
        f"{DISTINGUISHED_NAME}/CN=ssldev01",
        "device-private-key.pem",
        "device.crt",
    )
    release = tuple(map(int, _openssl(mooring_process.folder, "version").split()[1].split(".")[:2]))
    # OpenSSL 3.2 made version 3 the default of `x509 -req`.
    assert _version(mooring_process.folder, "device.crt") == (3 if release >= (3, 2) else 1)
    _group(mooring_process, "sslplant", "ssldev01")


def test_procedure_with_mooring_cert_individual(mooring: CommandLine) -> None:
    mooring.text("cert", "root", "--cn", "ownsolo01", "--organization", "Quay")
    _individual(mooring, "ownsolo01")


def test_procedure_with_mooring_cert_group(mooring: CommandLine) -> None:
    mooring.text("cert", "root", "--cn", "ownroot01", "--organization", "Quay")
    _verify_root(mooring, "ownplant", by_openssl=False)
    mooring.text("cert", "device", "--device-id", "owndev01", "--organization", "Quay")
    _group(mooring, "ownplant", "owndev01")


def test_procedure_with_an_encrypted_openssl_key_individual(mooring: CommandLine) -> None:
    # The guide: remove "-nodes" to encrypt the private key file.
    _openssl(
        mooring.folder,
        "req -x509 -newkey rsa:2048 -keyout root-private-key.pem -out root-cert.pem "
        f"-subj {DISTINGUISHED_NAME}/CN=sslsecret01 -passout pass:{PASSPHRASE.replace(' ', '-')}",
    )
    key = mooring.folder / "root-private-key.pem"
    assert "BEGIN ENCRYPTED PRIVATE KEY" in key.read_text()
    passphrase = mooring.folder / "passphrase"
    facts = mooring.json("cloud", "info")
    mooring.text("gateway", "connection", "create", "AzureDpsX509-wrongpass")
    passphrase.write_text("not-this\n")
    refusal = mooring.refusal(
        *("gateway", "connection", "configure", "AzureDpsX509-wrongpass"),
        *("--global-endpoint", facts["global_endpoint"], "--scope-id", facts["id_scope"]),
        *("--certificate", "root-cert.pem", "--private-key", key),
        *("--passphrase-file", passphrase),
    )
    assert "passphrase" in refusal["message"].lower()

    passphrase.write_text(PASSPHRASE.replace(" ", "-") + "\n")
    _individual(mooring, "sslsecret01", "--passphrase-file", str(passphrase))
    assert PASSPHRASE.replace(" ", "-") not in mooring.text(
        "gateway", "connection", "show", "AzureDpsX509-sslsecret01"
    )


def test_procedure_with_an_encrypted_mooring_key_group(mooring: CommandLine) -> None:
    (mooring.folder / "passphrase").write_text(f"{PASSPHRASE}\n")
    secret = ("--passphrase-file", "passphrase")
    mooring.text("cert", "root", "--cn", "secretroot01", "--organization", "Quay", *secret)
    mooring.text("dps", "certificate", "add", "secretplant", "root-cert.pem")
    verified = mooring.json(
        *("dps", "certificate", "verify", "secretplant"),
        *("--with-key", "root-private-key.pem", "--passphrase-file", "passphrase"),
    )
    assert verified["properties"]["isVerified"] is True
    mooring.text(
        *("cert", "device", "--device-id", "secretdev01", "--organization", "Quay"),
        *("--ca-passphrase-file", "passphrase", *secret),
    )
    assert "ENCRYPTED" in (mooring.folder / "device-private-key.pem").read_text()
    _group(mooring, "secretplant", "secretdev01", "device.crt", *secret)


def test_procedure_with_an_openssl_chain_of_root_intermediate_and_device(
    mooring: CommandLine,
) -> None:
    folder = mooring.folder
    _root_at_the_prompts(folder, "chainroot01")
    _verify_root(mooring, "chainplant", by_openssl=True)
    (folder / "ca.ext").write_text("basicConstraints=critical,CA:TRUE,pathlen:0\n")
    _signed(
        folder,
        f"{DISTINGUISHED_NAME}/CN=chainline01",
        "line-key.pem",
        "line.crt",
        "-extfile ca.ext",
    )
    _openssl(
        folder,
        "req -new -newkey rsa:2048 -nodes -keyout device-private-key.pem "
        f"-subj {DISTINGUISHED_NAME}/CN=chaindev01 -out device.csr",
    )
    _openssl(
        folder,
        "x509 -req -in device.csr -CA line.crt -CAkey line-key.pem -CAcreateserial -days 30 "
        "-sha256 -out device.crt",
    )
    chain = (folder / "device.crt").read_text() + (folder / "line.crt").read_text()
    (folder / "device-chain.crt").write_text(chain)
    _group(mooring, "chainplant", "chaindev01", "device-chain.crt")


def test_procedure_with_a_mooring_chain_of_root_intermediate_and_device(
    mooring: CommandLine,
) -> None:
    mooring.text("cert", "root", "--cn", "longroot01", "--organization", "Quay")
    _verify_root(mooring, "longplant", by_openssl=False)
    made = mooring.json("cert", "intermediate", "--cn", "line 7", "--organization", "Quay")
    files = made["files"]
    made = mooring.json(
        *("cert", "device", "--device-id", "longdev01", "--organization", "Quay"),
        *("--ca", files["chain"] or files["certificate"], "--ca-key", files["private_key"]),
    )
    _group(mooring, "longplant", "longdev01", made["files"]["chain"])


def test_procedure_without_the_intermediate_is_refused_with_stage_cause_and_remedy(
    mooring: CommandLine,
) -> None:
    mooring.text("cert", "root", "--cn", "gaproot01", "--organization", "Quay")
    _verify_root(mooring, "gapplant", by_openssl=False)
    mooring.text("dps", "group", "add", "gapplant", "--certificate", "gapplant")
    files = mooring.json("cert", "intermediate", "--cn", "line 8", "--organization", "Quay")[
        "files"
    ]
    mooring.text(
        *("cert", "device", "--device-id", "gapdev01", "--organization", "Quay"),
        *("--ca", files["chain"] or files["certificate"], "--ca-key", files["private_key"]),
    )
    facts = mooring.json("cloud", "info")
    mooring.text("gateway", "connection", "create", "AzureDpsX509-gapdev01")
    mooring.text(
        *("gateway", "connection", "configure", "AzureDpsX509-gapdev01"),
        *("--global-endpoint", facts["global_endpoint"], "--scope-id", facts["id_scope"]),
        *("--certificate", "device.crt", "--private-key", "device-private-key.pem"),
    )
    refused = mooring.run("gateway", "connection", "connect", "AzureDpsX509-gapdev01")
    assert refused.returncode == 1
    assert "✗ register" in refused.stdout
    assert "stage  provisioning.register" in refused.stdout
    assert "(401002)" in refused.stdout
    assert "Intermediates" in refused.stdout
    mooring.text("gateway", "connection", "disconnect", "AzureDpsX509-gapdev01")
    attempts = mooring.json("dps", "attempts", "--registration-id", "gapdev01")
    assert attempts[0]["failure"]["cause"]
    assert attempts[0]["failure"]["remedy"]
