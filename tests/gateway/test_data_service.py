"""The queue, the window and what comes back after a loss; messages and payloads."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from mooring.gateway.connections.model import Fault
from mooring.gateway.data import message as message_module
from mooring.gateway.data import service as service_module
from mooring.gateway.data.device_metrics import DeviceMetrics
from mooring.gateway.data.message import MAX_MESSAGE_BYTES, TelemetryMessage
from mooring.gateway.data.metrics_publisher import MetricsPublisher
from mooring.gateway.data.payload import KuraPayload, Position, encode_payload
from mooring.gateway.data.service import DataService
from mooring.gateway.errors import (
    ConnectionRemoved,
    MessageMalformed,
    MessageTooLarge,
    NotAcknowledged,
    QueueFull,
)
from mooring.runtime.clock import SYSTEM_CLOCK


class FakeLink:
    """Takes messages; acknowledges when told."""

    def __init__(self) -> None:
        self.lost: asyncio.Future[Fault] = asyncio.get_running_loop().create_future()
        self.sent: list[tuple[bytes, bool]] = []
        self._acknowledged: list[asyncio.Future[None]] = []

    facts: Any = None

    def send(self, message: TelemetryMessage, *, again: bool) -> asyncio.Future[None]:
        self.sent.append((message.body, again))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._acknowledged.append(future)
        return future

    def acknowledge(self, number: int) -> None:
        self._acknowledged[number].set_result(None)

    async def disconnect(self) -> None: ...


def data_service(*, window: int = 2, capacity: int = 5) -> DataService:
    return DataService(SYSTEM_CLOCK, window=window, capacity=capacity)


def publish(data: DataService, *bodies: bytes, timeout_s: float = 5) -> list[asyncio.Task[Any]]:
    """Publish each of `bodies` in a task of its own."""
    return [
        asyncio.ensure_future(data.publish(TelemetryMessage(body), timeout_s=timeout_s))
        for body in bodies
    ]


async def turns() -> None:
    """Let everything that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_publish_when_the_window_is_full_sends_the_next_on_acknowledgement() -> None:
    data, link = data_service(), FakeLink()
    data.attach(link)
    tasks = publish(data, b"1", b"2", b"3")
    await turns()
    assert link.sent == [(b"1", False), (b"2", False)]
    link.acknowledge(1)
    await turns()
    assert link.sent[2:] == [(b"3", False)]
    assert [task.done() for task in tasks] == [False, True, False]
    assert data.counters() == {"waiting": 0, "in_flight": 2, "confirmed": 1, "bytes": 2}


async def test_link_when_replaced_gets_what_was_under_way_first_and_in_order() -> None:
    data, first = data_service(), FakeLink()
    data.attach(first)
    tasks = publish(data, b"1", b"2", b"3")
    await turns()
    data.detach()
    second = FakeLink()
    data.attach(second)
    assert second.sent == [(b"1", True), (b"2", True)]
    for number in range(3):
        second.acknowledge(number)
        await turns()
    confirmations = [await task for task in tasks]
    assert [c.sends for c in confirmations] == [2, 2, 1]


async def test_publish_when_the_queue_is_full_by_number_or_bytes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = data_service(capacity=1)
    tasks = publish(data, b"1")
    await turns()
    with pytest.raises(QueueFull, match=r"store\.capacity"):
        await data.publish(TelemetryMessage(b"2"), timeout_s=1)
    monkeypatch.setattr(service_module, "MAX_WAITING_BYTES", 3)
    data.configure(window=1, capacity=10)
    with pytest.raises(QueueFull):
        await data.publish(TelemetryMessage(b"123"), timeout_s=1)
    data.close()
    with pytest.raises(ConnectionRemoved):
        await tasks[0]


async def test_publish_when_nobody_waits_any_more_is_taken_back_only_if_unsent() -> None:
    data = data_service()
    (waiting,) = publish(data, b"1")
    await turns()
    waiting.cancel()
    await turns()
    assert data.counters()["waiting"] == 0
    link = FakeLink()
    data.attach(link)
    (sent,) = publish(data, b"2")
    await turns()
    sent.cancel()
    await turns()
    assert data.counters()["in_flight"] == 1
    link.acknowledge(0)
    await turns()
    assert data.counters() == {"waiting": 0, "in_flight": 0, "confirmed": 1, "bytes": 0}


async def test_publish_when_time_is_up_says_what_became_of_it() -> None:
    data, link = data_service(window=1), FakeLink()
    data.attach(link)
    with pytest.raises(NotAcknowledged, match="may still be delivered"):
        await data.publish(TelemetryMessage(b"1"), timeout_s=0.01)
    with pytest.raises(NotAcknowledged, match="taken back"):
        await data.publish(TelemetryMessage(b"2"), timeout_s=0.01)
    assert data.counters()["waiting"] == 0


async def test_drain_when_all_is_acknowledged_ends_else_at_its_time() -> None:
    data, link = data_service(), FakeLink()
    assert await data.drain(0.01) == 0
    data.attach(link)
    publish(data, b"1", b"2", b"3")
    await turns()
    assert await data.drain(0.01) == 3
    draining = asyncio.ensure_future(data.drain(5))
    await turns()
    for number in range(3):
        link.acknowledge(number)
        await turns()
    assert await draining == 0


async def test_drain_when_the_link_is_lost_does_not_wait() -> None:
    data, link = data_service(), FakeLink()
    data.attach(link)
    tasks = publish(data, b"1")
    await turns()
    link.lost.set_result(Fault("connected", "x", "x", "x"))
    assert await data.drain(60) == 1
    data.close()
    with pytest.raises(ConnectionRemoved):
        await tasks[0]


async def test_metrics_publisher_when_configured_publishes_only_while_connected() -> None:
    data, link = data_service(capacity=100), FakeLink()
    publisher = MetricsPublisher("AzureDpsX509", data, SYSTEM_CLOCK)
    await publisher.configure(interval_s=0.01)  # type: ignore[arg-type]  # sooner than a tab allows
    await asyncio.sleep(0.05)
    assert data.counters()["waiting"] == 0
    data.attach(link)
    for number in range(2):
        while len(link.sent) <= number:
            await asyncio.sleep(0.01)
        link.acknowledge(number)
    body, _ = link.sent[1]
    assert "diag_mem_usg" in json.loads(body)["metrics"]
    await publisher.configure(interval_s=None)
    sent = len(link.sent)
    await asyncio.sleep(0.05)
    assert len(link.sent) == sent
    await publisher.close()


async def test_metrics_publisher_when_a_figure_or_a_message_fails_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, link = data_service(capacity=100), FakeLink()
    data.attach(link)
    reads: list[int] = []

    def read(_: DeviceMetrics) -> KuraPayload:
        reads.append(1)
        if len(reads) == 1:
            raise OSError("no such sensor")
        if len(reads) == 2:
            return KuraPayload(body=b"x" * MAX_MESSAGE_BYTES)
        return KuraPayload()

    monkeypatch.setattr(DeviceMetrics, "read", read)
    publisher = MetricsPublisher("AzureDpsX509", data, SYSTEM_CLOCK)
    await publisher.configure(interval_s=0.01)  # type: ignore[arg-type]  # sooner than a tab allows
    while not link.sent:
        await asyncio.sleep(0.01)
    assert len(reads) == 3
    await publisher.close()


@pytest.mark.parametrize("key", ["", "$.mid", "a\nb"])
def test_message_when_a_property_name_cannot_be_sent_is_refused(key: str) -> None:
    with pytest.raises(MessageMalformed) as refused:
        TelemetryMessage(b"", properties={key: "v"}).check()
    assert refused.value.field == "properties"


def test_message_when_half_a_character_is_in_it_is_refused() -> None:
    with pytest.raises(MessageMalformed):
        TelemetryMessage(b"", properties={"k": "\ud800"}).check()


def test_message_when_too_many_or_too_long_properties_is_refused() -> None:
    with pytest.raises(MessageMalformed):
        TelemetryMessage(b"", properties={f"k{n}": "" for n in range(257)}).check()
    with pytest.raises(MessageTooLarge):
        # 40,000 bytes of text, but three times that percent-encoded.
        TelemetryMessage(b"", properties={"k": "ü" * 20_000}).check()


def test_message_when_body_and_properties_exceed_the_hub_is_refused() -> None:
    TelemetryMessage(b"x" * MAX_MESSAGE_BYTES).check()
    with pytest.raises(MessageTooLarge, match=str(message_module.MAX_MESSAGE_BYTES + 1)):
        TelemetryMessage(b"x" * (MAX_MESSAGE_BYTES - 1), properties={"k": "v"}).check()


def test_payload_when_encoded_has_members_in_kura_order() -> None:
    moment = datetime(2030, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)
    payload = KuraPayload(
        sent_on=moment,
        metrics={"on": True, "n": 7, "f": 1.5, "s": "ü", "raw": b"\x00\xff"},
        position=Position(latitude=46.2, longitude=13.1, satellites=7, timestamp=moment, status=1),
        body=b"hello",
    )
    assert encode_payload(payload).decode() == (
        '{"sentOn":1896321906789,'
        '"position":{"latitude":46.2,"longitude":13.1,"satellites":7,'
        '"timestamp":1896321906789,"status":1},'
        '"metrics":{"on":true,"n":7,"f":1.5,"s":"ü","raw":"AP8="},"body":"aGVsbG8="}'
    )


def test_payload_when_nearly_empty_always_has_metrics() -> None:
    assert encode_payload(KuraPayload()) == b'{"metrics":{}}'


def test_payload_when_a_number_is_not_finite_drops_it() -> None:
    payload = KuraPayload(
        metrics={"bad": float("nan"), "worse": float("inf"), "good": 1.0},
        position=Position(latitude=float("nan"), longitude=1.0),
    )
    assert json.loads(encode_payload(payload)) == {
        "position": {"longitude": 1.0},
        "metrics": {"good": 1.0},
    }


def test_payload_when_a_metric_has_no_type_of_kura_raises() -> None:
    with pytest.raises(TypeError, match="'m'"):
        encode_payload(KuraPayload(metrics={"m": [1]}))


def test_device_metrics_have_the_names_of_the_published_interface() -> None:
    payload = DeviceMetrics(SYSTEM_CLOCK).read()
    expected = {
        "diag_cpu_util",
        "diag_cpu_util_kura",
        "diag_mem_usg",
        "diag_sys_uptime",
        "diag_files_opened_kura",
        "diag_net_rx_lo",
        "diag_net_tx_lo",
    }
    assert expected <= set(payload.metrics)
    assert 0 < payload.metrics["diag_mem_usg"] < 100
    json.loads(encode_payload(payload))
