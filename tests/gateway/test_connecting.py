"""A gateway against a DPS and hub over real TLS: registers, connects, publishes."""

from __future__ import annotations

import json

import pytest
from tests.support.gateways import ID_SCOPE, Device, Gateway, self_signed
from tests.support.scripted_azure import OPERATION_ID, ScriptedAzure

from mooring.pki.certificates import dump_certificate
from mooring.pki.issuing import issue_root
from mooring.pki.keys import KeyAlgorithm, dump_key
from mooring.pki.names import Subject
from mooring.protocol.azure.hub_topics import format_devicebound_topic
from mooring.runtime.clock import SYSTEM_CLOCK


async def prepare(gateway: Gateway, azure: ScriptedAzure, **values: object) -> None:
    """Create and configure the connection."""
    await gateway.trust(azure.ca_pem)
    await gateway.create()
    await gateway.apply(
        self_signed(),
        endpoint=azure.endpoint,
        data={"connect.retry-interval": 1, "connect.retry-interval.max": 2},
        **values,
    )


async def test_connect_when_enrolled_registers_polls_and_reaches_the_hub(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    azure.script.retry_after_s = 1
    azure.script.device_id = "dock-7"
    await prepare(gateway, azure)

    status = await gateway.connect()

    assert (status["status"], status["state"]) == ("Connected", "CONNECTED")
    assert status["link"]["device_id"] == "dock-7"
    assert status["link"]["operation_id"] == OPERATION_ID
    user, packet, presented = azure.dps_connects[0]
    assert (user.id_scope, user.registration_id) == (ID_SCOPE, "gw01")
    assert (user.api_version, packet.client_id) == ("2019-03-31", "gw01")
    assert packet.password is None
    assert len(presented) == 1
    assert azure.registrations == [{"registrationId": "gw01"}]
    hub_user, hub_packet, _ = azure.hub_connects[0]
    assert (hub_user.host, hub_user.device_id, hub_user.model_id) == ("localhost", "dock-7", None)
    assert (hub_packet.client_id, hub_packet.clean_session) == ("dock-7", False)
    # The first poll comes when DPS said, not sooner, and only one is needed.
    assert len(azure.poll_times) == 1
    assert azure.poll_times[0] - azure.register_times[0] >= 1.0


async def test_connect_when_it_succeeds_shows_every_stage_in_order(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    await prepare(gateway, azure)
    await gateway.connect()

    connection = await gateway.call("GET", "connections/AzureDpsX509")
    steps = [(step["state"], step["stage"]) for step in connection["history"]]
    assert steps == [
        ("DISABLED", None),
        ("IDLE", None),
        ("LINTING", None),
        ("PROVISIONING", None),
        *[("PROVISIONING", s) for s in ("dns", "tcp", "tls", "mqtt", "register", "polling")],
        ("ASSIGNED", None),
        ("CONNECTING", None),
        *[("CONNECTING", s) for s in ("dns", "tcp", "tls", "mqtt")],
        ("CONNECTED", None),
    ]
    (attempt,) = await gateway.attempts()
    assert attempt["result"] == "succeeded"
    assert [stage["name"] for stage in attempt["stages"]] == [
        "linting",
        *[f"provisioning.{s}" for s in ("dns", "tcp", "tls", "mqtt", "register", "polling")],
        "assigned",
        *[f"connecting.{s}" for s in ("dns", "tcp", "tls", "mqtt")],
    ]
    assert attempt["wire_ids"]["operation_id"] == [OPERATION_ID]
    assert len(attempt["wire_ids"]["request_id"]) == 2
    found = await gateway.call("GET", f"attempts?wire_id={OPERATION_ID}")
    assert found["attempts"][0]["attempt_id"] == attempt["attempt_id"]


async def test_connect_when_a_model_is_chosen_announces_it_to_dps_and_hub(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    await prepare(
        gateway,
        azure,
        device__model__id="dtmi:Eurotech:RG_10_14_3x",
        device__model__id__version=2,
    )
    await gateway.connect()

    dtmi = "dtmi:Eurotech:RG_10_14_3x;2"
    assert azure.registrations == [{"registrationId": "gw01", "payload": {"modelId": dtmi}}]
    assert azure.hub_connects[0][0].model_id == dtmi


async def test_publish_when_connected_returns_after_the_acknowledgement(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    await prepare(gateway, azure)
    await gateway.connect()

    answer = await gateway.publish(
        metrics={"temperature": 21.5, "on": True}, properties={"dock": "7 b"}, message_id="m-1"
    )

    assert (answer["acknowledged"], answer["message_id"], answer["sends"]) == (True, "m-1", 1)
    (message,) = azure.telemetry
    assert message.qos == 1
    assert message.topic == (
        "devices/gw01/messages/events/%24.mid=m-1&%24.ct=application%2Fjson&%24.ce=utf-8&dock=7%20b"
    )
    document = json.loads(message.payload)
    assert list(document) == ["sentOn", "metrics"]
    assert document["metrics"] == {"temperature": 21.5, "on": True}


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_2048, KeyAlgorithm.EC_P384])
async def test_connect_when_the_key_is_encrypted_opens_it_with_its_passphrase(
    gateway: Gateway, azure: ScriptedAzure, algorithm: KeyAlgorithm
) -> None:
    issued = issue_root(
        Subject("gw01", organization="Quay"), now=SYSTEM_CLOCK.now(), algorithm=algorithm
    )
    locked = Device(
        issued.certificate,
        issued.key,
        dump_certificate(issued.certificate),
        dump_key(issued.key, passphrase=b"barnacle").decode(),
    )
    await gateway.trust(azure.ca_pem)
    await gateway.create()
    await gateway.apply(
        locked, endpoint=azure.endpoint, device__private__key__passphrase="barnacle"
    )
    assert (await gateway.connect())["state"] == "CONNECTED"
    assert azure.hub_connects[0][2] == (issued.certificate,)


async def test_message_of_the_hub_when_nothing_handles_it_stays_in_its_queue(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    await prepare(gateway, azure)
    await gateway.connect()
    (client,) = azure.live_hub_clients
    free = client.machine.window_free
    data, _ = client.machine.publish(format_devicebound_topic("gw01"), b"for another client", 1)
    client.connection.write(data)
    await gateway.publish(text="still there")
    assert client.machine.window_free == free - 1


async def test_connect_when_the_device_id_holds_wildcards_uses_them_literally(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    azure.script.device_id = "dock+7#a"
    await prepare(gateway, azure)
    await gateway.connect()
    await gateway.publish(text="x", message_id="m")
    assert azure.telemetry[0].topic.startswith("devices/dock+7#a/messages/events/")
