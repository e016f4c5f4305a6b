"""A gateway against a DPS and hub over real TLS: registers, connects, publishes."""

from __future__ import annotations

import json

from tests.support.gateways import ID_SCOPE, Gateway, self_signed
from tests.support.scripted_azure import OPERATION_ID, ScriptedAzure


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
    # The first poll comes exactly when DPS said, not sooner, and only one is needed.
    waited = azure.poll_times[0] - azure.register_times[0]
    assert len(azure.poll_times) == 1
    assert 1.0 <= waited < 1.5


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
