"""The whole cloud: starting, what keeps it from starting, ending, starting again."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from tests.support.cloud import cloud_on_thread, running_cloud

from mooring.cloud.application import CloudApplication, serve
from mooring.cloud.errors import AddressUnavailable, ServerIdentityBroken, StateFolderUnusable
from mooring.cloud.listening import names_of_addresses
from mooring.cloud.settings import CloudSettings
from mooring.runtime.loopback import lend_loopback_address
from mooring.storage.errors import DatabaseUnusable, FolderLocked
from mooring.storage.state import StorageCondition, StorageState


def settings(state: Path, **given: object) -> CloudSettings:
    """Return settings for free ports on loopback."""
    return CloudSettings(
        **{
            "state_dir": state,
            "bind": ("127.0.0.1",),
            "mqtt_port": 0,
            "https_port": 0,
            "admin_port": 0,
            **given,
        }
    )


def open_files() -> int:
    """Return how many file descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_start_and_close_leave_nothing_open_and_everything_closed_to_others(
    tmp_path: Path,
) -> None:
    cloud = await CloudApplication.start(settings(tmp_path / "first"))
    await cloud.close()
    before = open_files()

    cloud = await CloudApplication.start(settings(tmp_path / "state"))
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{cloud.api_url}/health")).is_success
    await cloud.close()

    assert open_files() == before
    folder = tmp_path / "state" / "cloud"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


async def test_start_again_keeps_scope_ca_owner_token_hub_and_keys(tmp_path: Path) -> None:
    cloud = await CloudApplication.start(settings(tmp_path))
    before = await cloud.information(True)
    kept = {
        name: (tmp_path / "cloud" / name).read_bytes()
        for name in ("server-ca.pem", "server.pem", "owner-token")
    }
    await cloud.close()

    cloud = await CloudApplication.start(settings(tmp_path))
    after = await cloud.information(True)
    await cloud.close()

    for name in ("id_scope", "hubs", "ca_file"):
        assert after[name] == before[name]
    policies = [facts["dps_connection_string"].partition(";")[2] for facts in (before, after)]
    assert policies[0] == policies[1]  # the host has the port, a fresh one each time
    for name, content in kept.items():
        assert (tmp_path / "cloud" / name).read_bytes() == content


async def test_start_on_both_loopback_addresses_uses_one_port_and_names_them_all(
    tmp_path: Path,
) -> None:
    cloud = await CloudApplication.start(settings(tmp_path, bind=("127.0.0.1", "::1")))
    try:
        facts = await cloud.information(False)
        context = ssl.create_default_context(cafile=facts["ca_file"])
        for address in facts["addresses"]:
            _, writer = await asyncio.open_connection(
                address, facts["ports"]["mqtt"], ssl=context, server_hostname=address
            )
            writer.close()
        _, writer = await asyncio.open_connection(
            "127.0.0.1", facts["ports"]["mqtt"], ssl=context, server_hostname="localhost"
        )
        writer.close()
        assert facts["hubs"] == [{"name": "hub", "host_name": "localhost"}]
        assert facts["global_endpoint"] == f"localhost:{facts['ports']['mqtt']}"
    finally:
        await cloud.close()


async def test_start_beside_another_on_the_same_folder_is_refused_and_disturbs_nothing(
    tmp_path: Path,
) -> None:
    cloud = await CloudApplication.start(settings(tmp_path))
    try:
        with pytest.raises(FolderLocked) as caught:
            await CloudApplication.start(settings(tmp_path))

        assert str(os.getpid()) in caught.value.message
        assert caught.value.remedy
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{cloud.api_url}/health")).is_success
        facts = json.loads((tmp_path / "cloud" / "cloud.json").read_text())
        assert facts["api_url"] == cloud.api_url
    finally:
        await cloud.close()


@pytest.mark.parametrize("which", ["mqtt_port", "https_port", "admin_port"])
async def test_start_on_a_port_in_use_is_refused_naming_it_and_frees_the_folder(
    tmp_path: Path, which: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressUnavailable) as caught:
            await CloudApplication.start(settings(tmp_path, **{which: port}))

    assert f"127.0.0.1:{port}" in caught.value.message
    assert "port" in caught.value.remedy
    cloud = await CloudApplication.start(settings(tmp_path))
    await cloud.close()


async def test_start_on_an_address_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AddressUnavailable) as caught:
        await CloudApplication.start(settings(tmp_path, bind=("192.0.2.1",)))

    assert "192.0.2.1" in caught.value.message


async def test_start_without_ipv6_uses_the_other_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.socket.bind

    def bind(self: socket.socket, address: tuple[str, int]) -> None:
        if self.family == socket.AF_INET6:
            raise OSError(99, "Cannot assign requested address")
        real(self, address)

    monkeypatch.setattr(socket.socket, "bind", bind)

    cloud = await CloudApplication.start(settings(tmp_path, bind=("127.0.0.1", "::1")))
    facts = await cloud.information(False)
    await cloud.close()

    assert facts["addresses"] == ["127.0.0.1"]


async def test_start_in_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StateFolderUnusable) as caught:
        await CloudApplication.start(settings(tmp_path / "file"))

    assert "file" in caught.value.message
    assert "--state" in caught.value.remedy


async def test_start_with_a_damaged_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cloud").mkdir()
    (tmp_path / "cloud" / "cloud.db").write_bytes(b"this is no database" * 1000)

    with pytest.raises(DatabaseUnusable) as caught:
        await CloudApplication.start(settings(tmp_path))

    assert caught.value.remedy


async def test_start_with_a_broken_server_ca_is_refused(tmp_path: Path) -> None:
    cloud = await CloudApplication.start(settings(tmp_path))
    await cloud.close()
    (tmp_path / "cloud" / "server-ca-key.pem").unlink()

    with pytest.raises(ServerIdentityBroken):
        await CloudApplication.start(settings(tmp_path))


async def test_start_after_a_first_start_that_was_cut_off_makes_what_is_missing(
    tmp_path: Path,
) -> None:
    cloud = await CloudApplication.start(settings(tmp_path))
    await cloud.dps.linked_hubs.unlink("localhost")
    await cloud.close()

    cloud = await CloudApplication.start(settings(tmp_path))
    linked = await cloud.dps.linked_hubs.list()
    await cloud.close()

    assert [hub.host_name for hub in linked] == ["localhost"]


async def test_admin_api_on_another_address_than_loopback_speaks_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests may serve on loopback only, so the judgement is what is changed.
    monkeypatch.setattr("mooring.cloud.api.server.is_loopback", lambda address: False)
    cloud = await CloudApplication.start(settings(tmp_path))
    try:
        facts = await cloud.information(False)
        assert cloud.api_url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=facts["ca_file"])
        async with httpx.AsyncClient(verify=context) as client:
            assert (await client.get(f"{cloud.api_url}/health")).is_success

        await cloud.create_hub("second", "second.example")

        _, writer = await asyncio.open_connection(
            "127.0.0.1", facts["ports"]["admin"], ssl=context, server_hostname="second.example"
        )
        writer.close()
    finally:
        await cloud.close()


async def test_serve_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(settings(tmp_path), stop))
    path = tmp_path / "cloud" / "cloud.json"
    async with asyncio.timeout(20):
        while not path.exists():
            await asyncio.sleep(0.01)
    facts = json.loads(path.read_text())

    stop.set()
    await serving

    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", facts["ports"]["mqtt"]))


def test_names_of_addresses_has_localhost_for_loopback_and_all_for_any() -> None:
    assert names_of_addresses(["127.0.0.1", "::1"]) == ["127.0.0.1", "localhost", "::1"]
    assert names_of_addresses(["192.0.2.7"]) == ["192.0.2.7"]
    everything = names_of_addresses(["0.0.0.0"])
    assert {"localhost", "127.0.0.1", socket.gethostname().lower()} <= set(everything)


def test_process_ends_in_good_order_and_its_facts_say_who_it_was(tmp_path: Path) -> None:
    with running_cloud(tmp_path / "state") as cloud:
        facts = json.loads((cloud.state / "cloud" / "cloud.json").read_text())
        assert facts["pid"] == cloud.pid
        assert cloud.stop() == 0
        assert "Traceback" not in cloud.log_file.read_text()


def test_process_on_a_folder_in_use_ends_with_status_1_and_a_remedy(tmp_path: Path) -> None:
    with running_cloud(tmp_path / "state") as cloud, lend_loopback_address() as address:
        second = subprocess.run(
            [
                *(sys.executable, "-m", "mooring", "cloud", "serve"),
                *("--state", str(cloud.state), "--bind", address),
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert str(cloud.pid) in second.stderr

    assert second.returncode == 1
    assert "Traceback" not in second.stderr


def test_process_that_was_killed_starts_again_on_the_same_folder(tmp_path: Path) -> None:
    with running_cloud(tmp_path / "state") as cloud:
        scope = cloud.facts["id_scope"]
        cloud.kill()
        cloud.start()
        assert cloud.facts["id_scope"] == scope


def test_storage_that_fails_is_named_and_recovers_by_itself(tmp_path: Path) -> None:
    with cloud_on_thread(tmp_path / "state") as cloud:
        assert cloud.application is not None
        writer = cloud.application.database._writer
        writer.state = StorageState(StorageCondition.FULL, "no space is left", "free some")
        storage = cloud.facts["storage"]
        assert storage == {"state": "full", "reason": "no space is left", "remedy": "free some"}

        deadline = time.monotonic() + 15
        while cloud.facts["storage"]["state"] != "ok":
            assert time.monotonic() < deadline
            time.sleep(0.1)
