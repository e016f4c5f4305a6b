"""No device reaches another's messages, twin or methods, whatever it calls itself or them.

Each example has a victim and an intruder, both real clients of a real cloud. The intruder knows
everything: the victim's id, the ids of its requests, the packet ids of its messages. It subscribes
and publishes to what it likes, while the back end talks to the victim.
"""

from __future__ import annotations

import json
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.support.cloud import CloudThread
from tests.support.rawmqtt import (
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    ConnectionEnded,
    Packet,
    RawMqtt,
    packet,
    text,
)
from tests.support.service_api import signed

from mooring.cloud.hub.devicebound.model import MessageDraft
from mooring.cloud.hub.errors import DeviceNotFound
from mooring.cloud.hub.methods.model import MethodCall, MethodResult
from mooring.cloud.hub.model import AuthenticationType, DeviceAuthentication, DeviceDraft
from mooring.cloud.hub.twins.documents import twin_to_json

SECRET = "for the victim alone"
INTRUDER = b'{"intruder":true}'
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

ODD = "aZ0-.+%_#*?!(),:=@$'"
IDS = st.text(ODD, min_size=1, max_size=10)


def look_alikes(victim: str) -> st.SearchStrategy[str]:
    """Return ids that may name devices and resemble `victim`."""
    found = {
        quote(victim, safe=""),
        quote(victim, safe="").lower(),
        victim.upper(),
        victim.lower(),
        victim.swapcase(),
        victim + "+",
        victim + "#",
        victim + "%2F",
        victim + "%00",
        victim[:-1],
        victim[1:],
        victim * 2,
        "+",
        "#",
        "*",
        "%2B",
        "$iothub",
        ".",
        "..",
    }
    return st.sampled_from(sorted(found - {victim, ""}))


def spellings(victim: str, intruder: str) -> st.SearchStrategy[str]:
    """Return texts that may stand for the victim's id in a topic."""
    return st.one_of(
        st.sampled_from(
            [
                victim,
                quote(victim, safe=""),
                quote(quote(victim, safe=""), safe=""),
                victim.upper(),
                f"{intruder}/../{victim}",
                f"{intruder}/{victim}",
                f"{victim}/",
                f"/{victim}",
                f"{intruder}%2F..%2F{victim}",
                f"./{victim}",
                "+",
                "#",
                "*",
                "%2B",
                "%23",
                f"{victim}/modules/{victim}",
            ]
        ),
        look_alikes(victim),
    )


FILTERS = (
    "devices/{id}/messages/devicebound/#",
    "devices/{id}/messages/devicebound/+",
    "devices/{id}/messages/#",
    "devices/{id}/messages/events/#",
    "devices/{id}/#",
    "devices/{id}/modules/{id}/inputs/#",
    "$share/g/devices/{id}/messages/devicebound/#",
    "#",
    "+/#",
    "+/+/messages/devicebound/#",
    "$iothub/#",
    "$iothub/+/#",
    "$iothub/methods/POST/#",
    "$iothub/twin/res/#",
    "$iothub/twin/PATCH/properties/desired/#",
    "$iothub/{id}/methods/POST/#",
)
TOPICS = (
    "devices/{id}/messages/events/",
    "devices/{id}/messages/events/%24.cdid={id}&%24.to={id}",
    "devices/{id}/modules/{id}/messages/events/",
    "devices/{id}/messages/devicebound/",
    "$iothub/methods/res/200/?$rid={rid}",
    "$iothub/methods/res/200/?$rid={rid}&$rid={rid}",
    "$iothub/methods/res/200/?$RID={rid}",
    "$iothub/methods/POST/steal/?$rid={rid}",
    "$iothub/twin/GET/?$rid={id}",
    "$iothub/twin/PATCH/properties/reported/?$rid={rid}",
    "$iothub/twin/PATCH/properties/reported/?$rid={rid}&deviceId={id}",
    "$iothub/twin/PATCH/properties/desired/?$version=9",
    "$iothub/twin/res/200/?$rid={rid}",
    "$iothub/{id}/twin/GET/?$rid={rid}",
)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[str, str, list[tuple[str, str]]]:
    """Draw victim, intruder, and what the intruder does: kind and topic, ``{rid}`` left open."""
    victim = draw(IDS)
    intruder = draw(st.one_of(look_alikes(victim), IDS))
    assume(intruder != victim)
    deeds = []
    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(["subscribe", "publish", "puback"]))
        form = draw(st.sampled_from(FILTERS if kind == "subscribe" else TOPICS))
        spelled = draw(spellings(victim, intruder))
        deeds.append((kind, form.replace("{id}", spelled)))
    return victim, intruder, deeds


class Client:
    """A device with a connection that is opened again whenever the hub ends it."""

    def __init__(self, cloud: CloudThread, name: str) -> None:
        self.cloud = cloud
        self.name = name
        self.heard: list[Packet] = []
        self.stack = ExitStack()
        self.raw = self._dial()

    def _dial(self) -> RawMqtt:
        cloud = self.cloud
        raw = self.stack.enter_context(RawMqtt(cloud.address, 8883, ca_file=cloud.ca_file))
        token = signed(f"{cloud.address}/devices/{self.name}", KEY, None)
        user_name = f"{cloud.address}/{self.name}/?api-version=2021-04-12"
        assert raw.connect(self.name, user_name, password=token, clean=False) == 0
        return raw

    def listen(self) -> None:
        """Take what has come until now."""
        try:
            self.raw.send(packet(PINGREQ, 0, b""))
            while (received := self.raw.read()).kind != PINGRESP:
                self.heard.append(received)
        except (ConnectionEnded, OSError):
            self.raw = self._dial()

    def next_publish(self) -> Packet:
        """Return the next message, past all else."""
        for number, received in enumerate(self.heard):
            if received.kind == PUBLISH:
                return self.heard.pop(number)
        while (received := self.raw.read()).kind != PUBLISH:
            self.heard.append(received)
        return received

    def do(self, kind: str, topic: str, packet_id: int) -> None:
        """Do one thing, as far as the hub lets it."""
        try:
            if kind == "subscribe":
                body = b"\0\7" + text(topic) + b"\1"
                self.raw.send(packet(SUBSCRIBE, 2, body))
            elif kind == "publish":
                self.raw.publish(topic, INTRUDER, packet_id=packet_id)
            else:
                self.raw.send(packet(PUBACK, 0, packet_id.to_bytes(2, "big")))
        except OSError:
            pass
        self.listen()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(scenes())
def test_intruder_hears_and_changes_nothing_of_the_victim(
    cloud: CloudThread, scene: tuple[str, str, list[tuple[str, str]]]
) -> None:
    victim_id, intruder_id, deeds = scene
    assert cloud.application is not None
    services = cloud.application.hub
    hub = services.hubs.get("hub")
    # Within the process: "." and ".." may name devices, but no client can say so in a URL.
    authentication = DeviceAuthentication(
        AuthenticationType.SAS, primary_key=KEY, secondary_key=KEY
    )
    for name in (victim_id, intruder_id):
        with suppress(DeviceNotFound):
            cloud.run(services.devices.delete(hub, name))
        cloud.run(services.devices.put(hub, DeviceDraft(name, authentication)))
    with ExitStack() as stack:
        victim = Client(cloud, victim_id)
        stack.callback(victim.stack.close)
        intruder = Client(cloud, intruder_id)
        stack.callback(intruder.stack.close)
        for topic_filter in (
            f"devices/{victim_id}/messages/devicebound/#",
            "$iothub/methods/POST/#",
            "$iothub/twin/res/#",
            "$iothub/twin/PATCH/properties/desired/#",
        ):
            victim.raw.send(packet(SUBSCRIBE, 2, b"\0\7" + text(topic_filter) + b"\1"))
            assert victim.raw.expect(SUBACK).body[2] == 1
        calling: Future[MethodResult] = cloud.begin(
            services.methods.invoke(hub, victim_id, MethodCall("tell", json.dumps(SECRET).encode()))
        )
        asked = victim.next_publish()
        rid = asked.topic.partition("$rid=")[2]
        cloud.run(services.devicebound.send(hub, victim_id, MessageDraft(SECRET.encode())))
        message = victim.next_publish()
        half = len(deeds) // 2
        for kind, topic in deeds[:half]:
            intruder.do(kind, topic.replace("{rid}", rid), message.packet_id)
        cloud.run(services.twins.patch(hub, victim_id, desired={"s": SECRET}))
        told = victim.next_publish()
        victim.raw.publish(f"$iothub/twin/PATCH/properties/reported/?$rid={rid}", b'{"own":1}')
        victim.raw.publish(f"devices/{victim_id}/messages/events/", b"own", packet_id=2)
        for kind, topic in deeds[half:]:
            intruder.do(kind, topic.replace("{rid}", rid), message.packet_id)
        victim.raw.publish(f"$iothub/methods/res/201/?$rid={rid}", b'"own"', packet_id=None)
        answer = calling.result(10)
        intruder.listen()
        victim.listen()
        # Behind all that either has asked to be written.
        cloud.run(cloud.application.database.write(lambda _connection: None))
        intruder.listen()
        victim.listen()

    assert asked.payload == json.dumps(SECRET).encode()
    assert message.payload == SECRET.encode()
    assert json.loads(told.payload) == {"s": SECRET, "$version": 2}
    assert answer == MethodResult(201, b'"own"')
    for received in intruder.heard:
        assert SECRET.encode() not in received.body
    # PUBACK by the intruder has not completed the victim's message.
    assert services.devicebound.count(hub, victim_id) == 1
    twin = twin_to_json(cloud.run(services.twins.get(hub, victim_id)))
    reported = twin["properties"]["reported"]
    assert {name for name in reported if name[0] != "$"} == {"own"}
    logged: list[Any] = cloud.telemetry(victim_id)
    assert {event["body"] for event in logged} <= {"own"}
    strays = [p for p in victim.heard if p.kind == PUBLISH and INTRUDER in p.payload]
    assert not strays
