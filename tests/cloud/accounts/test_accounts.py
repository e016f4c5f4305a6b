"""Tokens and policies: who gets in, and with what."""

from __future__ import annotations

import base64
import stat
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from mooring.cloud.accounts.errors import (
    PolicyNotFound,
    TokenLimitReached,
    TokenMissing,
    TokenNameMalformed,
    TokenNotFound,
    TokenRefused,
)
from mooring.cloud.accounts.model import ResourceKind, Right
from mooring.cloud.accounts.policies import PolicyDraft
from mooring.cloud.accounts.service import MAX_TOKENS, AccountService
from mooring.cloud.stores.sqlite import MIGRATIONS
from mooring.cloud.stores.sqlite.accounts import SqliteAccountStore
from mooring.protocol.azure.connection_strings import parse_connection_string
from mooring.storage.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    """Open a database in a fresh folder."""
    database = Database.open(tmp_path / "cloud.db", migrations_package=MIGRATIONS)
    yield database
    await database.close()


@pytest.fixture
def accounts(database: Database, tmp_path: Path) -> AccountService:
    """Return a service with a fresh owner token."""
    return AccountService(SqliteAccountStore(database), owner_token_path=tmp_path / "owner-token")


def owner_token(tmp_path: Path) -> str:
    """Return the owner token from its file."""
    return (tmp_path / "owner-token").read_text().strip()


def test_start_writes_an_owner_token_that_only_the_owner_reads_and_keeps_it(
    database: Database, accounts: AccountService, tmp_path: Path
) -> None:
    token = owner_token(tmp_path)

    again = AccountService(SqliteAccountStore(database), owner_token_path=tmp_path / "owner-token")

    assert stat.S_IMODE((tmp_path / "owner-token").stat().st_mode) == 0o600
    assert len(token) >= 43
    assert owner_token(tmp_path) == token
    assert again.authenticate(token).is_owner


@pytest.mark.parametrize("token", [None, ""])
def test_authenticate_without_a_token_is_refused(
    accounts: AccountService, token: str | None
) -> None:
    with pytest.raises(TokenMissing):
        accounts.authenticate(token)


@pytest.mark.parametrize("token", ["x", "mtk-0000000000000000.x", "x" * 10_000, "\ud800"])
def test_authenticate_with_an_unknown_token_is_refused(
    accounts: AccountService, token: str
) -> None:
    with pytest.raises(TokenRefused):
        accounts.authenticate(token)


async def test_authenticate_with_a_made_token_names_it_but_is_not_the_owner(
    accounts: AccountService,
) -> None:
    _, text = await accounts.make_token(" ci runner ")

    principal = accounts.authenticate(text)

    assert (principal.name, principal.is_owner) == ("ci runner", False)


async def test_authenticate_with_the_right_id_and_a_wrong_secret_is_refused(
    accounts: AccountService,
) -> None:
    token, text = await accounts.make_token("ci")

    with pytest.raises(TokenRefused):
        accounts.authenticate(f"{token.token_id}.{text.partition('.')[2][:-1]}_")


async def test_make_token_leaves_no_trace_of_the_secret_on_disk(
    accounts: AccountService, database: Database, tmp_path: Path
) -> None:
    _, text = await accounts.make_token("ci")
    await database.close()

    files = [path.read_bytes() for path in tmp_path.iterdir() if path.name != "owner-token"]
    assert not any(text.partition(".")[2].encode() in content for content in files)


async def test_revoke_token_makes_it_worthless_at_once(accounts: AccountService) -> None:
    token, text = await accounts.make_token("ci")

    await accounts.revoke_token(token.token_id)

    with pytest.raises(TokenRefused):
        accounts.authenticate(text)
    assert await accounts.list_tokens() == []
    with pytest.raises(TokenNotFound):
        await accounts.revoke_token(token.token_id)


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\nb"])
async def test_make_token_with_a_bad_name_is_refused(accounts: AccountService, name: str) -> None:
    with pytest.raises(TokenNameMalformed):
        await accounts.make_token(name)


async def test_make_token_beyond_the_limit_is_refused(accounts: AccountService) -> None:
    for number in range(MAX_TOKENS):
        await accounts.make_token(f"t{number}")

    with pytest.raises(TokenLimitReached):
        await accounts.make_token("one more")


async def test_policies_of_a_hub_are_azures_five_with_their_rights(
    accounts: AccountService,
) -> None:
    await accounts.ensure_policies(ResourceKind.HUB, "hub.example")

    policies = {p.name: p for p in await accounts.list_policies(ResourceKind.HUB, "hub.example")}

    assert {name: set(policy.rights) for name, policy in policies.items()} == {
        "iothubowner": {
            Right.REGISTRY_READ,
            Right.REGISTRY_WRITE,
            Right.SERVICE_CONNECT,
            Right.DEVICE_CONNECT,
        },
        "service": {Right.SERVICE_CONNECT},
        "device": {Right.DEVICE_CONNECT},
        "registryRead": {Right.REGISTRY_READ},
        "registryReadWrite": {Right.REGISTRY_READ, Right.REGISTRY_WRITE},
    }
    keys = [key for p in policies.values() for key in (p.primary_key, p.secondary_key)]
    assert len(set(keys)) == 10
    assert all(len(base64.b64decode(key, validate=True)) == 32 for key in keys)


async def test_ensure_policies_again_leaves_the_keys_as_they_are(accounts: AccountService) -> None:
    await accounts.ensure_policies(ResourceKind.DPS, "0ne00000001")
    before = await accounts.list_policies(ResourceKind.DPS, "0ne00000001")

    await accounts.ensure_policies(ResourceKind.DPS, "0ne00000001")

    assert await accounts.list_policies(ResourceKind.DPS, "0ne00000001") == before


async def test_owner_connection_string_is_what_azure_sdks_read(accounts: AccountService) -> None:
    await accounts.ensure_policies(ResourceKind.DPS, "0ne00000001")

    text = await accounts.owner_connection_string(ResourceKind.DPS, "0ne00000001", "dps.example")

    parsed = parse_connection_string(text)
    (policy,) = await accounts.list_policies(ResourceKind.DPS, "0ne00000001")
    assert parsed.host_name == "dps.example"
    assert parsed.shared_access_key_name == "provisioningserviceowner"
    assert text.endswith(f";SharedAccessKey={policy.primary_key}")


async def test_policy_is_found_as_it_is_now_in_any_case(accounts: AccountService) -> None:
    await accounts.ensure_policies(ResourceKind.DPS, "0ne00000001")
    (policy,) = await accounts.list_policies(ResourceKind.DPS, "0ne00000001")

    assert (
        accounts.find_policy(ResourceKind.DPS, "0ne00000001", "ProvisioningServiceOwner") == policy
    )
    assert accounts.find_policy(ResourceKind.DPS, "0ne00000001", "nobody") is None
    assert accounts.find_policy(ResourceKind.DPS, "0ne00000002", policy.name) is None
    assert accounts.find_policy(ResourceKind.HUB, "0ne00000001", policy.name) is None
    changed = await accounts.regenerate_key(
        ResourceKind.DPS, "0ne00000001", policy.name, which="primary"
    )
    assert accounts.find_policy(ResourceKind.DPS, "0ne00000001", policy.name) == changed


async def test_regenerate_key_changes_the_chosen_key_only(accounts: AccountService) -> None:
    await accounts.ensure_policies(ResourceKind.HUB, "hub.example")
    before = accounts.get_policy(ResourceKind.HUB, "hub.example", "service")

    after = await accounts.regenerate_key(
        ResourceKind.HUB, "hub.example", "service", which="secondary"
    )

    assert after.primary_key == before.primary_key
    assert after.secondary_key != before.secondary_key
    assert accounts.get_policy(ResourceKind.HUB, "hub.example", "service") == after


async def test_default_policy_that_was_deleted_does_not_come_back(
    accounts: AccountService,
) -> None:
    await accounts.ensure_policies(ResourceKind.HUB, "hub.example")
    await accounts.delete_policy(ResourceKind.HUB, "hub.example", "Device")

    await accounts.ensure_policies(ResourceKind.HUB, "hub.example")  # as at the next start

    left = {p.name for p in await accounts.list_policies(ResourceKind.HUB, "hub.example")}
    assert left == {"iothubowner", "registryRead", "registryReadWrite", "service"}


async def test_policy_of_one_hub_is_changed_and_that_of_another_not(
    accounts: AccountService,
) -> None:
    for hub in ("one.example", "two.example"):
        await accounts.ensure_policies(ResourceKind.HUB, hub)
    before = {hub: await accounts.list_policies(ResourceKind.HUB, hub) for hub in ("two.example",)}

    draft = PolicyDraft("service", (Right.REGISTRY_READ, Right.SERVICE_CONNECT))
    former = accounts.get_policy(ResourceKind.HUB, "one.example", "service")
    changed = await accounts.put_policy(ResourceKind.HUB, "one.example", draft)

    assert changed == replace(former, rights=(Right.REGISTRY_READ, Right.SERVICE_CONNECT))
    assert accounts.get_policy(ResourceKind.HUB, "one.example", "service") == changed
    assert await accounts.list_policies(ResourceKind.HUB, "two.example") == before["two.example"]


async def test_get_policy_of_another_hub_is_not_found(accounts: AccountService) -> None:
    await accounts.ensure_policies(ResourceKind.HUB, "hub.example")

    with pytest.raises(PolicyNotFound):
        accounts.get_policy(ResourceKind.HUB, "other.example", "service")


async def test_repr_of_policy_and_token_shows_no_secret(accounts: AccountService) -> None:
    await accounts.ensure_policies(ResourceKind.HUB, "hub.example")
    policy = accounts.get_policy(ResourceKind.HUB, "hub.example", "service")
    token, _ = await accounts.make_token("ci")

    assert policy.primary_key not in repr(policy)
    assert repr(token.digest) not in repr(token)
