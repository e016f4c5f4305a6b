"""What can go wrong on the way to a hub: the right stage, cause, remedy and way on."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.support.gateways import ID_SCOPE, PID, Gateway, running_gateway, self_signed
from tests.support.scripted_azure import Answer, ScriptedAzure, refusal

RETRY = {"connect.retry-interval": 1, "connect.retry-interval.max": 1}


async def prepare(gateway: Gateway, azure: ScriptedAzure | None = None, **values: Any) -> None:
    """Create and configure the connection."""
    if azure is not None:
        await gateway.trust(azure.ca_pem)
        values = {"endpoint": azure.endpoint} | values
    await gateway.create()
    await gateway.apply(self_signed(), data=RETRY, **values)


async def failure(gateway: Gateway, **values: Any) -> tuple[str, str, str]:
    """Connect and return state, stage and code of the failure; it is recorded alike."""
    status = await gateway.connect(**values)
    assert status["cause"].endswith(".")
    assert status["remedy"].endswith(".")
    newest = (await gateway.attempts())[0]["failure"]
    assert (newest["stage"], newest["code"]) == (status["failed_stage"], status["code"])
    return status["state"], status["failed_stage"], status["code"]


# -- name, TCP, TLS -----------------------------------------------------------------------------


async def test_endpoint_name_when_it_does_not_resolve_fails_at_dns(gateway: Gateway) -> None:
    await prepare(gateway, endpoint="nowhere.invalid")
    assert await failure(gateway) == ("BACKOFF", "provisioning.dns", "name-not-resolved")
    assert "nowhere.invalid" in (await gateway.status())["cause"]


async def test_port_when_closed_fails_at_tcp(gateway: Gateway) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    await prepare(gateway, endpoint=f"127.0.0.1:{port}")
    assert await failure(gateway) == ("BACKOFF", "provisioning.tcp", "connection-refused")


async def test_server_when_not_trusted_fails_at_tls(gateway: Gateway, azure: ScriptedAzure) -> None:
    await prepare(gateway, endpoint=azure.endpoint)
    assert await failure(gateway) == ("BACKOFF", "provisioning.tls", "server-not-trusted")
    assert azure.dps_connects == []


async def test_server_when_it_has_another_name_fails_at_tls(
    gateway: Gateway, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    azure = await ScriptedAzure.start(folder, host_names=("dps.hawser.test",))
    try:
        await prepare(gateway, azure)
        assert await failure(gateway) == ("BACKOFF", "provisioning.tls", "server-name-wrong")
        assert "dps.hawser.test" in (await gateway.status())["cause"]
    finally:
        await azure.stop_listening()


async def test_hub_when_its_name_does_not_resolve_fails_at_dns_of_connecting(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    azure.script.assigned_hub = "hub.invalid"
    await prepare(gateway, azure)
    assert await failure(gateway) == ("BACKOFF", "connecting.dns", "name-not-resolved")


@pytest.mark.parametrize("hub", ["", "a b", "hub/x"])
async def test_assignment_when_it_cannot_be_dialled_is_not_kept(
    gateway: Gateway, azure: ScriptedAzure, hub: str
) -> None:
    azure.script.assigned_hub = hub
    await prepare(gateway, azure)
    state, stage, code = await failure(gateway)
    assert (state, stage) == ("BACKOFF", "provisioning.polling")
    assert code in ("assignment-unusable", "answer-unreadable")


# -- MQTT ---------------------------------------------------------------------------------------


async def test_connect_when_the_server_is_silent_fails_in_time(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    azure.script.answers_connect = False
    await prepare(gateway, azure, timeout=1)
    assert await failure(gateway) == ("BACKOFF", "provisioning.mqtt", "no-connack")


@pytest.mark.parametrize(
    ("code", "state", "name"),
    [
        (1, "FAILED_PERMANENT", "connack-unacceptable-protocol-version"),
        (2, "FAILED_PERMANENT", "connack-identifier-rejected"),
        (3, "BACKOFF", "connack-server-unavailable"),
        (4, "BACKOFF", "connack-bad-user-name-or-password"),
        (5, "BACKOFF", "connack-not-authorized"),
    ],
)
async def test_dps_when_it_refuses_connect_is_classified(
    gateway: Gateway, azure: ScriptedAzure, code: int, state: str, name: str
) -> None:
    azure.script.dps_connack = code
    await prepare(gateway, azure)
    assert await failure(gateway) == (state, "provisioning.mqtt", name)


@pytest.mark.parametrize(
    ("code", "name"),
    [(3, "connack-server-unavailable"), (5, "connack-not-authorized")],
)
async def test_hub_when_it_refuses_a_fresh_assignment_backs_off(
    gateway: Gateway, azure: ScriptedAzure, code: int, name: str
) -> None:
    azure.script.hub_connacks = [code]
    await prepare(gateway, azure)
    assert await failure(gateway) == ("BACKOFF", "connecting.mqtt", name)
    assert len(azure.registrations) == 1
    if code == 5:
        assert "gw01" in (await gateway.status())["remedy"]


async def test_hub_when_it_refuses_a_known_assignment_is_asked_anew_through_dps_once(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    await prepare(gateway, azure)
    await gateway.connect()
    await gateway.call("POST", f"connections/{PID}/disconnect")
    azure.script.hub_connacks = [5]
    azure.script.device_id = "moved"

    status = await gateway.connect()

    assert (status["state"], status["link"]["device_id"]) == ("CONNECTED", "moved")
    assert len(azure.registrations) == 2


# -- DPS answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [
        (refusal(401, 401002, "CA certificate not found."), "BACKOFF", "certificate-not-enrolled"),
        (refusal(401, 401002, "Invalid certificate."), "BACKOFF", "certificate-refused"),
        (refusal(401, 401002, "Unauthorized"), "BACKOFF", "registration-unauthorized"),
        (refusal(404, 404001, "Unknown ID scope."), "FAILED_PERMANENT", "id-scope-unknown"),
        (refusal(404, 404201, "Enrollment not found."), "BACKOFF", "enrollment-not-found"),
        (refusal(400, 400004, "Bad."), "FAILED_PERMANENT", "registration-refused"),
        (refusal(409, 409001, "Conflict."), "BACKOFF", "registration-refused"),
        (refusal(429, 429001, "Throttled."), "BACKOFF", "dps-throttled"),
        (refusal(503, 503001, "Down."), "BACKOFF", "dps-unavailable"),
        (Answer(401, {"odd": 1}), "BACKOFF", "registration-unauthorized"),
        (Answer(202, {"status": "floating"}), "BACKOFF", "answer-unreadable"),
    ],
)
async def test_register_when_refused_is_classified(
    gateway: Gateway, azure: ScriptedAzure, answer: Answer, state: str, code: str
) -> None:
    azure.script.register = [answer]
    await prepare(gateway, azure)
    assert await failure(gateway) == (state, "provisioning.register", code)
    tracking_id = (answer.body or {}).get("trackingId")
    if tracking_id:
        (attempt,) = await gateway.attempts()
        assert attempt["wire_ids"]["tracking_id"] == [tracking_id]
        assert tracking_id in attempt["failure"]["cause"]


async def test_register_when_throttled_waits_as_long_as_told(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    azure.script.register = [refusal(429, 429001, "Throttled.", retry_after=3)]
    await prepare(gateway, azure)
    assert await failure(gateway) == ("BACKOFF", "provisioning.register", "dps-throttled")
    await gateway.until("CONNECTED")
    first, second = azure.register_times
    assert second - first >= 3


async def test_poll_when_throttled_repeats_the_poll_and_keeps_the_operation(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    azure.script.polls = [
        refusal(429, 429001, "Throttled.", retry_after=1),
        Answer(202, retry_after=0),
    ]
    await prepare(gateway, azure)
    assert (await gateway.connect())["state"] == "CONNECTED"
    assert (len(azure.registrations), len(azure.poll_times)) == (1, 3)
    assert azure.poll_times[1] - azure.poll_times[0] >= 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (
            {"status": "disabled", "registrationState": {"registrationId": "gw01",
                                                         "status": "disabled"}},
            "enrollment-disabled",
        ),
        (
            {"status": "failed", "registrationState": {
                "registrationId": "gw01", "status": "failed", "errorCode": 400208,
                "errorMessage": "No linked hub can take this device."}},
            "registration-failed",
        ),
    ],
)  # fmt: skip
async def test_registration_when_it_ends_without_a_hub_says_why(
    gateway: Gateway, azure: ScriptedAzure, body: dict[str, Any], code: str
) -> None:
    azure.script.polls = [Answer(200, {"operationId": "4.1", **body})]
    await prepare(gateway, azure)
    assert await failure(gateway) == ("BACKOFF", "provisioning.polling", code)


async def test_dps_when_it_closes_while_polling_is_a_failure_of_that_stage(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    azure.script.closes_dps_after_register = True
    azure.script.retry_after_s = 5
    await prepare(gateway, azure)
    state, stage, code = await failure(gateway)
    assert (state, stage) == ("BACKOFF", "provisioning.polling")
    assert code in ("closed-by-server", "connection-lost")


# -- the link -----------------------------------------------------------------------------------


async def test_server_when_it_answers_no_ping_is_given_up(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    azure.script.answers_pings = False
    await prepare(gateway, azure, **{"keep-alive": 1})
    await gateway.connect()
    status = await gateway.until("BACKOFF")
    assert (status["failed_stage"], status["code"]) == ("connected", "server-silent")


async def test_link_when_idle_is_kept_alive_by_pings(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    await prepare(gateway, azure, **{"keep-alive": 1})
    connected_at = (await gateway.connect())["link"]["connected_at"]
    await asyncio.sleep(3)
    status = await gateway.status()
    assert (status["state"], status["link"]["connected_at"]) == ("CONNECTED", connected_at)


async def test_message_when_the_link_drops_before_its_puback_is_sent_again_as_duplicate(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    await prepare(gateway, azure)
    await gateway.connect()
    azure.script.drops_after_publish = 1
    publishing = asyncio.create_task(gateway.publish(text="ahoy", message_id="m-1"))
    await azure.until(lambda: azure.telemetry)
    azure.script.drops_after_publish = None

    answer = await publishing

    assert (answer["acknowledged"], answer["sends"]) == (True, 2)
    first, second = azure.telemetry
    assert (first.dup, second.dup) == (False, True)
    assert (second.packet_id, second.topic, second.payload) == (
        first.packet_id,
        first.topic,
        first.payload,
    )
    assert len(azure.registrations) == 1


async def test_messages_when_published_during_an_outage_arrive_in_order_afterwards(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    await prepare(gateway, azure)
    await gateway.apply(data={"in-flight-messages.max-number": 2})
    await gateway.connect()
    await azure.stop_listening()
    await gateway.until("BACKOFF")
    publishing = []
    for number in range(6):
        publishing.append(asyncio.create_task(gateway.publish(text=str(number))))
        while (await gateway.call("GET", f"connections/{PID}"))["messages"]["waiting"] <= number:
            await asyncio.sleep(0.01)
    await azure.listen()
    await asyncio.gather(*publishing)
    assert [message.payload for message in azure.telemetry] == [b"%d" % n for n in range(6)]


async def test_publish_when_nothing_will_connect_is_refused_with_the_cause(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    await gateway.create()
    answer = await gateway.publish(text="x", status=409)
    assert answer["error"]["code"] == "configuration-missing"
    azure.script.register = [refusal(404, 404001, "Unknown ID scope.")]
    await gateway.trust(azure.ca_pem)
    await gateway.apply(self_signed(), endpoint=azure.endpoint)
    answer = await gateway.publish(text="x", status=409)
    assert answer["error"]["code"] == "not-connected"
    assert "Connect" in answer["error"]["remedy"]
    await gateway.connect()
    answer = await gateway.publish(text="x", status=409)
    assert "404001" in answer["error"]["message"]
    assert ID_SCOPE in answer["error"]["remedy"]


async def test_publish_when_not_acknowledged_in_time_says_whether_it_was_sent(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    await prepare(gateway, azure)
    await gateway.connect()
    azure.script.acknowledges = False
    answer = await gateway.publish(text="x", timeout_s=0.2, status=504)
    assert answer["error"]["code"] == "not-acknowledged"
    assert "may still be delivered" in answer["error"]["message"]
    await azure.stop_listening()
    await gateway.until("BACKOFF")
    answer = await gateway.publish(text="y", timeout_s=0.2, status=504)
    assert "taken back" in answer["error"]["message"]
    counters = (await gateway.call("GET", f"connections/{PID}"))["messages"]
    assert (counters["waiting"], counters["in_flight"]) == (1, 0)


async def test_publish_when_the_queue_is_full_is_refused(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    await prepare(gateway, azure)
    await gateway.apply(data={"store.capacity": 1})
    await gateway.connect()
    azure.script.acknowledges = False
    waiting = asyncio.create_task(gateway.publish(text="x", timeout_s=1, status=504))
    await azure.until(lambda: azure.telemetry)
    answer = await gateway.publish(text="y", status=503)
    assert answer["error"]["code"] == "queue-full"
    await waiting


async def test_disconnect_when_a_message_is_under_way_waits_for_its_puback(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    await prepare(gateway, azure)
    await gateway.connect()
    azure.script.acknowledges = False
    publishing = asyncio.create_task(gateway.publish(text="x"))
    await azure.until(lambda: azure.telemetry)
    disconnecting = asyncio.create_task(gateway.call("POST", f"connections/{PID}/disconnect"))
    await gateway.until("DRAINING")
    (client,) = azure.live_hub_clients
    client.connection.write(client.machine.pubacks([azure.telemetry[0].packet_id]))
    status = await disconnecting
    assert (await publishing)["acknowledged"]
    assert (status["state"], status["paused"], status["status"]) == ("IDLE", True, "Disconnected")
    assert client.disconnected_in_order


# -- exactly one live client --------------------------------------------------------------------


@pytest.mark.parametrize("at", ["registering", "connected", "backing off"])
async def test_apply_when_the_certificate_changes_leaves_exactly_one_live_client(
    gateway: Gateway, azure: ScriptedAzure, at: str
) -> None:
    if at == "registering":
        azure.script.retry_after_s = 30
    elif at == "backing off":
        azure.script.register = [refusal(401, 401002, "Invalid certificate.")]
    await prepare(gateway, azure)
    await gateway.connect(wait_s=0 if at == "registering" else 20)
    if at == "registering":
        await azure.until(lambda: azure.registrations)
        azure.script.retry_after_s = 0

    await gateway.apply(self_signed("gw02"))
    async with asyncio.timeout(20):
        while True:
            status = await gateway.until("CONNECTED")
            if status["link"]["device_id"] == "gw02":
                break
            await asyncio.sleep(0.02)

    await azure.until(lambda: len(azure.live_hub_clients) == 1 and len(azure.live) == 1)
    assert azure.most_live_at_once == 1
    assert azure.hub_connects[-1][0].device_id == "gw02"


async def test_auto_connect_when_switched_on_begins_at_once_and_off_keeps_the_link(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    await prepare(gateway, azure)
    await gateway.apply(data={"connect.auto-on-startup": True})
    await gateway.until("CONNECTED")
    await gateway.apply(data={"connect.auto-on-startup": False})
    await asyncio.sleep(0.2)
    assert (await gateway.status())["state"] == "CONNECTED"
    assert len(azure.hub_connects) == 1


async def test_auto_connect_when_on_connects_at_start_without_dps(
    tmp_path: Path, azure: ScriptedAzure
) -> None:
    async with running_gateway(tmp_path / "state") as gateway:
        await prepare(gateway, azure)
        await gateway.apply(data={"connect.auto-on-startup": True})
        await gateway.until("CONNECTED")
    await azure.until(lambda: not azure.live)
    async with running_gateway(tmp_path / "state") as gateway:
        await gateway.until("CONNECTED")
    assert (len(azure.registrations), len(azure.hub_connects)) == (1, 2)


async def test_identical_failures_are_counted_not_repeated(
    gateway: Gateway, azure: ScriptedAzure
) -> None:
    await prepare(gateway, azure)
    await azure.stop_listening()
    await gateway.connect()
    status = await gateway.status()
    while status["attempt_number"] < 4:
        status = await gateway.call(
            "GET", f"connections/{PID}/status?wait_s=10&revision={status['revision']}"
        )
    (record,) = await gateway.attempts()
    assert record["count"] >= 3
    assert record["first_at"] < record["last_at"]
    found = await gateway.call("GET", f"attempts/{record['attempt_id']}")
    assert found["failure"]["code"] == "connection-refused"
