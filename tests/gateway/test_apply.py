"""Apply over REST: all or nothing, every finding named, keys taken and never given back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.gateways import (
    ID_SCOPE,
    PID,
    TRANSPORT,
    Device,
    Gateway,
    expired,
    running_gateway,
    self_signed,
)

from mooring.pki.keys import dump_key, spki_sha256

ENDPOINT = "localhost:18883"


@pytest.fixture(scope="module")
def device() -> Device:
    return self_signed("gw01")


async def refused(gateway: Gateway, *arguments: Any, **values: Any) -> list[dict[str, Any]]:
    """Apply, expect a refusal, and return its findings."""
    answer = await gateway.apply(*arguments, status=400, **values)
    error = answer["error"]
    assert error["code"] == "configuration-refused"
    assert error["message"]
    assert error["remedy"]
    assert error["tracking_id"]
    return list(error["findings"])


def errors(findings: list[dict[str, Any]]) -> dict[str, str]:
    """Return rule by field of the errors."""
    return {f["field"]: f["rule_id"] for f in findings if f["severity"] == "error"}


async def configuration(gateway: Gateway, tab: str = TRANSPORT) -> dict[str, Any]:
    """Return one tab's document."""
    document = await gateway.call("GET", f"connections/{PID}/configuration")
    return next(t for t in document["tabs"] if t["name"] == tab)


async def test_apply_when_all_is_right_stores_it_and_counts_the_snapshot(
    gateway: Gateway, device: Device
) -> None:
    await gateway.create()
    before = (await gateway.call("GET", "info"))["snapshot_id"]
    answer = await gateway.apply(device, endpoint=ENDPOINT)

    assert (answer["applied"], answer["snapshot_id"]) == (True, before + 1)
    assert answer["identity"]["registers_as"] == "gw01"
    assert errors(answer["findings"]) == {}
    tab = await configuration(gateway)
    assert tab["values"]["global.endpoint"] == ENDPOINT
    assert tab["values"]["scope.id"] == ID_SCOPE
    assert tab["values"]["device.certificate"] == device.certificate_pem
    assert tab["secrets"]["device.private.key"] == {
        "set": True,
        "public_key_sha256": spki_sha256(device.key),
    }
    assert tab["secrets"]["device.private.key.passphrase"] == {"set": False}
    status = await gateway.status()
    assert (status["state"], status["identity"]["registers_as"]) == ("IDLE", "gw01")


async def test_configuration_when_never_applied_shows_schema_and_defaults(
    gateway: Gateway,
) -> None:
    await gateway.create()
    tab = await configuration(gateway)
    assert tab["values"]["global.endpoint"] == "global.azure-devices-provisioning.net"
    assert tab["values"]["device.model.id"] == "None"
    assert [p["label"] for p in tab["properties"]][:2] == ["Global Endpoint", "Scope ID"]
    assert (await gateway.status())["state"] == "DISABLED"
    data = await configuration(gateway, "DataService")
    assert data["values"]["connect.auto-on-startup"] is False


async def test_apply_when_the_key_belongs_to_another_certificate_is_refused(
    gateway: Gateway, device: Device
) -> None:
    await gateway.create()
    other = self_signed("other")
    mixed = Device(device.certificate, other.key, device.certificate_pem, other.key_pem)
    findings = await refused(gateway, mixed, endpoint=ENDPOINT)
    assert errors(findings) == {"device.private.key": "e_key_does_not_match"}
    assert (await gateway.status())["state"] == "DISABLED"


async def test_apply_when_the_boxes_are_swapped_says_so(gateway: Gateway, device: Device) -> None:
    await gateway.create()
    swapped = Device(device.certificate, device.key, device.key_pem, device.certificate_pem)
    findings = await refused(gateway, swapped, endpoint=ENDPOINT)
    assert errors(findings)["device.certificate"] == "e_wrong_box"
    assert device.key_pem.splitlines()[1] not in str(findings)


async def test_apply_when_the_certificate_has_expired_is_refused(gateway: Gateway) -> None:
    await gateway.create()
    findings = await refused(gateway, expired(), endpoint=ENDPOINT)
    assert errors(findings) == {"device.certificate": "e_expired"}


async def test_apply_when_several_things_are_wrong_lists_all_of_them(gateway: Gateway) -> None:
    await gateway.create()
    findings = await refused(
        gateway,
        endpoint="https://",
        scope__id="0ne/registrations",
        device__model__id="gateway",
        device__model__id__version=0,
        nonsense=1,
        data={"connect.retry-interval": "soon", "in-flight-messages.max-number": 1001},
    )
    assert errors(findings) == {
        "global.endpoint": "e_endpoint_not_hostname",
        "scope.id": "e_scope_id_characters",
        "device.model.id": "e_model_id_not_dtmi",
        "device.model.id.version": "e_value_range",
        "nonsense": "e_property_unknown",
        "device.certificate": "e_certificate_missing",
        "device.private.key": "e_key_missing",
        "connect.retry-interval": "e_value_type",
        "in-flight-messages.max-number": "e_value_range",
    }
    assert "scope.id" not in (await configuration(gateway))["values"]


async def test_apply_when_one_tab_is_wrong_changes_no_other(
    gateway: Gateway, device: Device
) -> None:
    await gateway.create()
    await refused(gateway, device, endpoint=ENDPOINT, data={"connect.retry-interval": 0})
    assert "scope.id" not in (await configuration(gateway))["values"]
    keystore = gateway.application.settings.gateway_dir / "keystore"
    assert list(keystore.iterdir()) == []


async def test_apply_when_the_maximum_is_below_the_interval_is_refused(gateway: Gateway) -> None:
    await gateway.create()
    findings = await refused(
        gateway, data={"connect.retry-interval": 60, "connect.retry-interval.max": 30}
    )
    assert errors(findings) == {"connect.retry-interval.max": "e_value_range"}


async def test_apply_when_text_can_be_repaired_repairs_it_and_says_so(
    gateway: Gateway, device: Device
) -> None:
    await gateway.create()
    untidy = Device(
        device.certificate,
        device.key,
        f"  {device.certificate_pem.replace(chr(10), chr(13) + chr(10))}   \n\n",
        device.key_pem + "   ",
    )
    answer = await gateway.apply(
        untidy, endpoint=f" https://{ENDPOINT}/ ", scope__id=f" {ID_SCOPE}\n"
    )
    notes = {(f["field"], f["rule_id"]) for f in answer["findings"] if f["severity"] == "note"}
    assert ("global.endpoint", "n_endpoint_normalised") in notes
    assert ("scope.id", "n_scope_id_normalised") in notes
    assert ("device.certificate", "n_pem_repaired") in notes
    values = (await configuration(gateway))["values"]
    assert (values["global.endpoint"], values["scope.id"]) == (ENDPOINT, ID_SCOPE)
    assert values["device.certificate"] == device.certificate_pem


async def test_apply_when_the_model_carries_its_version_takes_it_over(
    gateway: Gateway, device: Device
) -> None:
    await gateway.create()
    await gateway.apply(device, endpoint=ENDPOINT, device__model__id="dtmi:com:quay:Dock;4")
    values = (await configuration(gateway))["values"]
    assert values["device.model.id"] == "dtmi:com:quay:Dock"
    assert values["device.model.id.version"] == 4


async def test_subject_rules_when_broken_warn_and_refuse_only_if_strict(gateway: Gateway) -> None:
    await gateway.create()
    shouting = self_signed("Edge-GW.01")
    answer = await gateway.apply(shouting, endpoint=ENDPOINT)
    warned = {f["rule_id"] for f in answer["findings"] if f["severity"] == "warning"}
    assert "w_common_name_not_lower_alphanumeric" in warned
    findings = await refused(gateway, strict__subject__rules=True)
    assert "device.certificate" in errors(findings)


async def test_apply_when_the_key_is_encrypted_needs_and_keeps_the_passphrase(
    gateway: Gateway, device: Device
) -> None:
    await gateway.create()
    locked = Device(
        device.certificate,
        device.key,
        device.certificate_pem,
        dump_key(device.key, passphrase=b"barnacle").decode(),
    )
    for passphrase, rule in (
        (None, "e_key_encrypted_without_passphrase"),
        ("limpet", "e_passphrase_wrong"),
    ):
        findings = await refused(
            gateway, locked, endpoint=ENDPOINT, device__private__key__passphrase=passphrase
        )
        assert rule in errors(findings).values()
    await gateway.apply(locked, endpoint=ENDPOINT, device__private__key__passphrase="barnacle")
    secrets = (await configuration(gateway))["secrets"]
    assert secrets["device.private.key.passphrase"] == {"set": True}
    (key_file,) = gateway.application.settings.gateway_dir.rglob("private-key.pem")
    assert "ENCRYPTED PRIVATE KEY" in key_file.read_text()

    # Other values can be changed without typing either again.
    await gateway.apply(scope__id="0ne00OTHER1", device__private__key="")
    assert (await configuration(gateway))["secrets"]["device.private.key"]["set"]
    # And a plain key drops the passphrase.
    answer = await gateway.apply(device, device__private__key__passphrase="unneeded")
    assert "n_passphrase_unused" in {f["rule_id"] for f in answer["findings"]}
    secrets = (await configuration(gateway))["secrets"]
    assert secrets["device.private.key.passphrase"] == {"set": False}


async def test_apply_when_only_the_certificate_changes_needs_the_matching_key(
    gateway: Gateway, device: Device
) -> None:
    await gateway.create()
    await gateway.apply(device, endpoint=ENDPOINT)
    findings = await refused(gateway, device__certificate=self_signed("next").certificate_pem)
    assert errors(findings) == {"device.private.key": "e_key_does_not_match"}


async def test_dry_run_when_asked_for_checks_and_changes_nothing(
    gateway: Gateway, device: Device
) -> None:
    await gateway.create()
    tab = {
        "global.endpoint": ENDPOINT,
        "scope.id": ID_SCOPE,
        "device.certificate": device.certificate_pem,
        "device.private.key": device.key_pem,
    }
    answer = await gateway.call(
        "PUT", f"connections/{PID}/configuration?dry_run=true", {"tabs": {TRANSPORT: tab}}
    )
    assert (answer["applied"], answer["identity"]["registers_as"]) == (False, "gw01")
    assert (await gateway.status())["state"] == "DISABLED"


async def test_apply_when_repeated_leaves_one_keystore_entry(
    gateway: Gateway, device: Device
) -> None:
    await gateway.create()
    keystore = gateway.application.settings.gateway_dir / "keystore"
    await gateway.apply(device, endpoint=ENDPOINT)
    (first,) = keystore.iterdir()
    await gateway.apply(device, endpoint=ENDPOINT, scope__id="0ne00OTHER1")
    assert [path.name for path in keystore.iterdir()] == [first.name]
    await gateway.apply(self_signed("next"))
    (second,) = keystore.iterdir()
    assert second.name != first.name


async def test_configuration_when_the_gateway_restarts_is_still_there(
    tmp_path: Path, device: Device
) -> None:
    async with running_gateway(tmp_path) as gateway:
        await gateway.create()
        await gateway.create("AzureDpsX509-2")
        await gateway.apply(device, endpoint=ENDPOINT)
        before = await gateway.call("GET", f"connections/{PID}/configuration")
    async with running_gateway(tmp_path) as gateway:
        assert await gateway.call("GET", f"connections/{PID}/configuration") == before
        listed = (await gateway.call("GET", "connections"))["connections"]
        assert [c["pid"] for c in listed] == [PID, "AzureDpsX509-2"]
        assert [c["state"] for c in listed] == ["IDLE", "DISABLED"]


async def test_restart_when_a_keystore_entry_is_gone_still_starts_and_says_so(
    tmp_path: Path, device: Device
) -> None:
    async with running_gateway(tmp_path) as gateway:
        await gateway.create()
        await gateway.create("AzureDpsX509-2")
        await gateway.apply(device, endpoint=ENDPOINT)
    for file in (tmp_path / "gateway" / "keystore").rglob("certificate.pem"):
        file.unlink()
    async with running_gateway(tmp_path) as gateway:
        status = await gateway.status()
        assert (status["state"], status["code"]) == ("DISABLED", "keystore-entry-unusable")
        answer = await gateway.call("POST", f"connections/{PID}/connect", status=409)
        assert answer["error"]["code"] == "keystore-entry-unusable"
        document = await gateway.call("GET", f"connections/{PID}/configuration")
        assert document["findings"][0]["severity"] == "error"
        await gateway.apply(device)
        assert (await gateway.status())["state"] == "IDLE"


async def test_delete_when_done_removes_key_and_rows(gateway: Gateway, device: Device) -> None:
    await gateway.create()
    await gateway.apply(device, endpoint=ENDPOINT)
    await gateway.call("DELETE", f"connections/{PID}", status=204)
    keystore = gateway.application.settings.gateway_dir / "keystore"
    assert list(keystore.iterdir()) == []
    answer = await gateway.call("GET", f"connections/{PID}", status=404)
    assert answer["error"]["code"] == "connection-unknown"
    await gateway.create()
    assert (await gateway.status())["state"] == "DISABLED"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"pid": PID}, 409, "connection-exists"),
        ({"pid": "AzureDpsX509-"}, 400, "pid-malformed"),
        ({"pid": "AzureDpsX509-2", "factory_pid": "AzureTPM"}, 400, "factory-unknown"),
        ({"pid": 7}, 400, "request-malformed"),
        ({"pid": "AzureDpsX509-2", "typo": 1}, 400, "request-malformed"),
    ],
)
async def test_create_when_refused_says_which_field(
    gateway: Gateway, body: dict[str, Any], status: int, code: str
) -> None:
    await gateway.create()
    answer = await gateway.call("POST", "connections", body, status=status)
    assert answer["error"]["code"] == code
    assert answer["error"]["field"]
    assert answer["error"]["remedy"]


async def test_create_when_the_pid_differs_in_case_alone_is_refused(gateway: Gateway) -> None:
    await gateway.create("AzureDpsX509-dock")
    await gateway.call("POST", "connections", {"pid": "AzureDpsX509-Dock"}, status=409)


async def test_tab_when_unknown_is_refused_with_those_there_are(gateway: Gateway) -> None:
    await gateway.create()
    answer = await gateway.call(
        "PUT", f"connections/{PID}/configuration", {"tabs": {"Mqtt": {}}}, status=400
    )
    assert answer["error"]["code"] == "tab-unknown"
    assert "X509MqttDataTransport" in answer["error"]["remedy"]
