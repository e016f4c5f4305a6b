"""`mooring dps show|update|hub|policy`: the service itself, its linked hubs, its policies.

They change what all devices share, hence a house of their own.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from tests.support.commandline import CommandLine, QuickCommandLine, house_up

from mooring.cli.dps_policy import Right
from mooring.protocol.azure.connection_strings import parse_connection_string


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[CommandLine]:
    """Run cloud and gateway for this module."""
    with house_up(tmp_path_factory.mktemp("service")) as here:
        yield here


@pytest.fixture
def mooring(house: CommandLine, tmp_path: Path) -> CommandLine:
    """Return the command in an empty folder, quick to run."""
    return QuickCommandLine.of(house, tmp_path)


def test_service_is_shown_and_its_default_allocation_changed(mooring: CommandLine) -> None:
    facts = mooring.json("cloud", "info")
    shown = mooring.text("dps", "show")
    for fact in (facts["id_scope"], facts["global_endpoint"], facts["resource_id"], "hashed"):
        assert fact in shown
    assert mooring.json("dps", "show")["properties"]["idScope"] == facts["id_scope"]
    for policy in ("static", "geoLatency", "hashed"):
        mooring.text("dps", "update", "--allocation", policy)
        assert f"allocation              {policy}" in mooring.text("dps", "show")
    refused = mooring.run("dps", "update", "--allocation", "custom")
    assert refused.returncode == 2
    assert mooring.run("dps", "update").returncode == 2


def test_hub_is_linked_weighted_and_unlinked(mooring: CommandLine) -> None:
    hub = ("dps", "hub")
    mooring.text("hub", "create", "second", "--host-name", "second.example")
    mooring.text(*hub, "unlink", "second.example")
    assert "second.example" not in mooring.text(*hub, "list")

    linked = mooring.json(*hub, "link", "second.example", "--weight", "3", "--no-apply-allocation")
    assert (linked["allocationWeight"], linked["applyAllocationPolicy"]) == (3, False)
    again = mooring.refusal(*hub, "link", "SECOND.example")
    assert again["code"] == "hub-linked"
    assert "mooring dps hub update" in again["remedy"]
    changed = mooring.json(*hub, "update", "second.example", "--apply-allocation")
    assert (changed["allocationWeight"], changed["applyAllocationPolicy"]) == (3, True)
    line = next(
        line
        for line in mooring.text(*hub, "list").splitlines()
        if line.startswith("second.example")
    )
    assert line.split() == ["second.example", "3", "yes", "name"]
    assert mooring.json(*hub, "unlink", "second.example") == {"unlinked": "second.example"}
    for command in (("unlink", "second.example"), ("update", "second.example", "--weight", "2")):
        assert mooring.refusal(*hub, *command)["code"] == "hub-not-linked"


def test_hub_is_linked_by_its_connection_string(mooring: CommandLine) -> None:
    made = mooring.json("hub", "create", "third", "--host-name", "third.example")
    mooring.text("dps", "hub", "unlink", "third.example")
    link = ("dps", "hub", "link", "--connection-string")
    wrong = mooring.refusal(*link, made["connectionString"][:-8] + "AAAAAAA=")
    assert wrong["field"].endswith("connectionString")
    linked = mooring.json(*link, made["connectionString"])
    assert linked["name"] == "third.example"
    assert "****" in linked["connectionString"]
    malformed = mooring.refusal(*link, "nonsense")
    assert malformed["code"] == "connection-string-malformed"


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (("link",), "hub-missing", 2),
        (("link", "a.example", "--connection-string", "HostName=a.example"), "hub-twice", 2),
        (("link", "nobody.example"), "hub-unknown", 1),
        (("update", "nobody.example"), "nothing-to-change", 2),
    ],
)
def test_hub_that_cannot_be_linked_is_refused(
    mooring: CommandLine, arguments: tuple[str, ...], code: str, exit_code: int
) -> None:
    assert mooring.refusal("dps", "hub", *arguments, exit_code=exit_code)["code"] == code
    assert mooring.run("dps", "hub", "link", "x", "--weight", "1001").returncode == 2


def test_policy_is_made_used_rolled_and_deleted(mooring: CommandLine) -> None:
    policy = ("dps", "policy")
    made = mooring.json(
        *(*policy, "add", "reader", "--right", "EnrollmentRead"),
        *("--right", "RegistrationStatusRead"),
    )
    assert made["rights"] == "EnrollmentRead, RegistrationStatusRead"
    shown = mooring.text(*policy, "show", "reader")
    assert made["primaryKey"] in shown
    string = next(line for line in shown.splitlines() if line.startswith("connection string"))
    parts = parse_connection_string(string.split()[-1])
    assert parts.shared_access_key == made["primaryKey"]
    assert parts.host_name == mooring.address
    assert "reader" in mooring.text(*policy, "list")
    assert made["primaryKey"] not in mooring.text(*policy, "list")

    rolled = mooring.json(*policy, "regenerate-key", "reader", "--key", "primary")
    assert rolled["primaryKey"] != made["primaryKey"]
    assert rolled["secondaryKey"] == made["secondaryKey"]
    both = mooring.json(*policy, "regenerate-key", "reader", "--key", "both")
    assert both["primaryKey"] != rolled["primaryKey"]
    assert both["secondaryKey"] != rolled["secondaryKey"]

    twice = mooring.refusal(*policy, "add", "Reader", "--right", "EnrollmentRead")
    assert twice["code"] == "policy-exists"
    assert mooring.json(*policy, "delete", "reader") == {"deleted": "reader"}
    for command in (("delete", "reader"), ("regenerate-key", "reader", "--key", "both")):
        assert mooring.refusal(*policy, *command)["code"] == "policy-not-found"
    mooring.refusal(*policy, "show", "reader")
    assert mooring.run(*policy, "add", "other", "--right", "Nonsense").returncode == 2


def test_owners_policy_stays(mooring: CommandLine) -> None:
    owner = "provisioningserviceowner"
    alone = mooring.refusal("dps", "policy", "delete", owner)
    assert alone["code"] == "last-policy"
    assert "regenerate-key" in alone["remedy"]
    mooring.text("dps", "policy", "add", "beside", "--right", "EnrollmentRead")
    refusal = mooring.refusal("dps", "policy", "delete", owner)
    assert owner in refusal["message"]
    mooring.text("dps", "policy", "delete", "beside")
    assert owner in mooring.text("dps", "policy", "list")


def test_rights_are_those_that_the_cloud_knows() -> None:
    from mooring.cloud.accounts.model import DEFAULT_POLICIES, ResourceKind

    offered = set().union(*DEFAULT_POLICIES[ResourceKind.DPS].values())
    assert {right.value for right in Right} == {right.value for right in offered}


def test_another_cloud_is_reached_by_url_token_and_trust(
    mooring: CommandLine, house: CommandLine
) -> None:
    facts = mooring.json("cloud", "info")
    token = mooring.json("cloud", "token", "create", "ci")["token"]
    trust = str(house.state / "cloud" / "server-ca.pem")
    elsewhere = QuickCommandLine(mooring.folder / "nowhere", mooring.folder, house.address)
    where = ("--url", facts["service_url"], "--token", token)

    found = elsewhere.json("dps", "show", *where, "--trust", trust)
    assert found["properties"]["idScope"] == facts["id_scope"]
    elsewhere.variables = {"MOORING_TRUST": trust, "MOORING_TOKEN": token}
    assert elsewhere.json("dps", "enrollment", "list", "--url", facts["service_url"]) == []

    untrusted = mooring.refusal("dps", "show", *where)
    assert untrusted["code"] == "server-not-trusted"
    assert "--trust FILE" in untrusted["remedy"]
    wrong = mooring.refusal(
        *("dps", "show", "--url", facts["service_url"], "--token", "wrong", "--trust", trust)
    )
    assert wrong["code"] == "token-refused"
    service = mooring.refusal(
        *("dps", "enrollment", "list", "--url", facts["service_url"]),
        *("--token", "wrong", "--trust", trust),
    )
    assert service["code"] == "token-refused"
    # Keys outlive a token that can be revoked, hence they are the owner's.
    keys = ("dps", "policy", "show", "provisioningserviceowner", "--token", token)
    assert mooring.refusal(*keys)["code"] == "owner-only"


@pytest.mark.parametrize(
    ("url", "code", "exit_code"),
    [
        ("http://{address}:8081/admin/v1", "url-not-https", 2),
        ("{address}", "url-not-https", 2),
        ("https://{address}:8081", "not-a-tls-server", 1),
        ("https://{address}:8883", "cloud-unreachable", 1),
        ("https://{address}:9", "cloud-not-running", 1),
        ("https://[::1", "url-invalid", 2),
    ],
)
def test_a_wrong_address_is_refused_with_the_reason(
    mooring: CommandLine, url: str, code: str, exit_code: int
) -> None:
    trust = str(mooring.state / "cloud" / "server-ca.pem")
    refusal = mooring.refusal(
        *("dps", "show", "--url", url.format(address=mooring.address), "--trust", trust),
        exit_code=exit_code,
    )
    assert refusal["code"] == code


def test_addresses_of_the_two_apis_taken_for_each_other_are_told(mooring: CommandLine) -> None:
    facts = mooring.json("cloud", "info")
    trust = ("--trust", str(mooring.state / "cloud" / "server-ca.pem"))
    https = mooring.refusal("dps", "attempts", "--url", facts["service_url"], *trust)
    assert https["code"] == "not-our-api"
    assert "mooring cloud info" in https["remedy"]
    admin = mooring.refusal("dps", "show", "--url", facts["api_url"], exit_code=2)
    assert admin["code"] == "url-not-https"


def test_without_a_cloud_the_dps_says_how_to_start_one(mooring: CommandLine) -> None:
    mooring.state = mooring.folder / "empty"
    for arguments in (("show",), ("enrollment", "list"), ("certificate", "list"), ("attempts",)):
        refusal = mooring.refusal("dps", *arguments)
        assert refusal["code"] == "no-cloud"
        assert "mooring up" in refusal["remedy"]


def test_facts_of_an_older_cloud_are_told_as_such(mooring: CommandLine) -> None:
    mooring.state = mooring.folder / "old"
    (mooring.state / "cloud").mkdir(parents=True)
    (mooring.state / "cloud" / "cloud.json").write_text('{"api_url": "http://127.0.0.1:9"}')
    assert mooring.refusal("dps", "show")["code"] == "cloud-outdated"


def test_service_signed_by_a_made_policy_answers(mooring: CommandLine, house: CommandLine) -> None:
    """The keys that are shown are those that open the service API."""
    import ssl
    from datetime import UTC, datetime, timedelta

    from mooring.protocol.azure.sas import decode_key, format_sas_token

    made = mooring.json("dps", "policy", "add", "signer", "--right", "EnrollmentRead")
    token = format_sas_token(
        mooring.address,
        decode_key(made["primaryKey"]),
        expires_at=datetime.now(UTC) + timedelta(hours=1),
        policy="signer",
    )
    url = mooring.json("cloud", "info")["service_url"]
    context = ssl.create_default_context(cafile=str(house.state / "cloud" / "server-ca.pem"))
    with httpx.Client(verify=context, headers={"Authorization": token}, trust_env=False) as client:
        path = f"{url}/enrollments/nobody?api-version=2021-10-01"
        assert client.get(path).status_code == 404
        assert client.delete(path).status_code == 403
