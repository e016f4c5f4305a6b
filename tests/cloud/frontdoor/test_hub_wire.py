"""The hub over MQTT as bytes on a real TLS socket: who gets in, take-over, telemetry, breaches."""

from __future__ import annotations

import contextlib
import secrets
import struct
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.cloud.conftest import OVER_BOTH_CARRIERS, Device, MakeDevice
from tests.support.certificates import certify, key_of
from tests.support.cloud import CloudThread
from tests.support.rawmqtt import (
    CONNACK,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    ConnectionEnded,
    RawMqtt,
    packet,
    text,
)

from mooring.cloud.dps.model import (
    AllocationPolicy,
    CertificateSlots,
    EnrollmentDraft,
    EnrollmentTerms,
    Slot,
    SymmetricKeySlots,
)
from mooring.cloud.hub import telemetry
from mooring.protocol.azure.sas import encode_key, format_sas_token
from mooring.storage import writer
from mooring.storage.errors import StorageFull
from mooring.storage.state import StorageCondition, StorageState

UNSUBSCRIBE, UNSUBACK = 10, 11
pytestmark = OVER_BOTH_CARRIERS

MIB = 1024 * 1024


def events_topic(device: Device, bag: str = "") -> str:
    """Return the device's telemetry topic."""
    return f"devices/{device.name}/messages/events/{bag}"


def connect_packet(
    device: Device, *, clean: bool = False, will: tuple[str, bytes] | None = None
) -> bytes:
    """Return a CONNECT for the hub."""
    flags = 0x80 | (0x02 if clean else 0) | (0x04 | 0x08 if will else 0)
    body = text("MQTT") + bytes([4, flags, 0, 60]) + text(device.name)
    if will is not None:
        body += text(will[0]) + struct.pack("!H", len(will[1])) + will[1]
    return packet(1, 0, body + text(device.hub_user_name))


def wait_for(condition: Callable[[], Any], what: str = "it") -> Any:
    """Return the first true result of `condition`."""
    deadline = time.monotonic() + 10
    while not (result := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.01)
    return result


def ended(raw: RawMqtt) -> bool:
    """Return whether the server closed without saying more."""
    try:
        raw.read()
    except ConnectionEnded:
        return True
    return False


def acknowledged_until_end(raw: RawMqtt) -> list[int]:
    """Return the ids acknowledged before the server closes."""
    ids = []
    with contextlib.suppress(ConnectionEnded):
        while True:
            ids.append(raw.expect(PUBACK).packet_id)
    return ids


def subscribe_many(raw: RawMqtt, *filters: str, qos: int = 1) -> list[int]:
    """Subscribe to several filters by one packet; return the codes."""
    body = b"".join(text(topic_filter) + bytes([qos]) for topic_filter in filters)
    raw.send(packet(SUBSCRIBE, 2, b"\0\5" + body))
    return list(raw.expect(SUBACK).body[2:])


# -- who gets in --------------------------------------------------------------------------------


def test_connect_of_a_pinned_device_is_accepted_and_shown(
    cloud: CloudThread, hub_device: Device
) -> None:
    with hub_device.at_hub() as raw:
        shown = cloud.get(f"hubs/hub/devices/{hub_device.name}")
        assert shown["connectionState"] == "Connected"
        raw.disconnect()

    wait_for(
        lambda: (
            cloud.get(f"hubs/hub/devices/{hub_device.name}")["connectionState"] == "Disconnected"
        )
    )
    (record,) = hub_device.hub_attempts()
    assert record["result"] == "succeeded"
    assert [stage["name"] for stage in record["stages"]] == [
        "tls",
        "connect",
        "hub",
        "identity",
        "attestation",
        "connack",
    ]
    assert record["context"]["thumbprint"] == hub_device.thumbprint
    # A handshake with two signatures takes longer than this even on the fastest machine.
    assert record["stages"][0]["duration_ms"] > 0.1


@pytest.mark.parametrize(
    "form",
    [
        "{address}/{name}/?api-version=2021-04-12&DeviceClientType=x%2F1",
        "{address}/{name}/api-version=2016-11-14",
        "{address}/{name}",
        "{address}/{name}/?api-version=2020-09-30&model-id=dtmi%3Ax%3BG%3B1",
    ],
)
def test_connect_with_every_form_of_user_name_is_accepted(hub_device: Device, form: str) -> None:
    user_name = form.format(address=hub_device.cloud.address, name=hub_device.name)
    with hub_device.dial() as raw:
        assert raw.connect(hub_device.name, user_name) == 0


def test_connect_of_a_device_that_dps_assigned_is_accepted(
    cloud: CloudThread, enrolled: Device
) -> None:
    with enrolled.at_dps() as raw:
        raw.publish("$dps/registrations/PUT/iotdps-register/?$rid=1", b"")
        raw.expect(PUBACK)
        raw.expect(PUBLISH)
    with enrolled.at_hub():
        pass


def refused(device: Device, client_id: str | None = None, user_name: str | None = None) -> int:
    """Connect, and return the code of the CONNACK; the connection must end after it."""
    with device.dial() as raw:
        code = raw.connect(
            device.name if client_id is None else client_id,
            device.hub_user_name if user_name is None else user_name,
        )
        assert code == 0 or ended(raw)
    return code


def newest_failure(device: Device) -> tuple[str, str]:
    """Return stage and code of the newest failed attempt at the hub."""
    failure = device.hub_attempts(result="failed")[0]["failure"]
    assert failure["cause"]
    assert failure["remedy"]
    return failure["stage"], failure["code"]


def test_connect_of_an_unknown_device_is_refused_5(make_device: MakeDevice) -> None:
    device = make_device()

    assert refused(device) == 5
    assert newest_failure(device) == ("identity", "unknown-device")


def test_connect_with_another_certificate_is_refused_5(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device()
    cloud.add_device(device.name, "AB" * 32)

    assert refused(device) == 5
    assert newest_failure(device) == ("attestation", "thumbprint-mismatch")


def test_connect_without_a_certificate_is_refused_5(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device(certificate=False)
    cloud.add_device(device.name, "AB" * 32)

    assert refused(device) == 5
    assert newest_failure(device) == ("attestation", "no-certificate")


def test_connect_of_a_disabled_device_is_refused_5(cloud: CloudThread, hub_device: Device) -> None:
    with cloud.api() as api:
        path = f"hubs/hub/devices/{hub_device.name}"
        body = api.get(path).json() | {"status": "disabled"}
        assert api.put(path, json=body, headers={"If-Match": "*"}).status_code == 200

    assert refused(hub_device) == 5
    assert newest_failure(hub_device) == ("attestation", "device-disabled")


def test_connect_to_an_unknown_hub_is_refused_5(hub_device: Device) -> None:
    user_name = f"other.example/{hub_device.name}/?api-version=2021-04-12"

    assert refused(hub_device, user_name=user_name) == 5
    assert newest_failure(hub_device) == ("hub", "unknown-hub")


def test_connect_of_a_module_is_refused_5(hub_device: Device) -> None:
    user_name = f"{hub_device.cloud.address}/{hub_device.name}/mod/?api-version=2021-04-12"

    assert refused(hub_device, f"{hub_device.name}/mod", user_name) == 5
    assert newest_failure(hub_device) == ("identity", "unknown-module")


@pytest.mark.parametrize("client_id", ["other", "", "{upper}"])
def test_connect_with_another_client_id_is_refused_2(hub_device: Device, client_id: str) -> None:
    assert refused(hub_device, client_id.format(upper=hub_device.name.upper())) == 2
    assert newest_failure(hub_device) == ("connect", "client-id-not-device-id")


def test_connect_with_an_illegal_device_id_is_refused_2(make_device: MakeDevice) -> None:
    device = make_device("a b")

    assert refused(device) == 2
    assert newest_failure(device) == ("connect", "identifier-malformed")


def test_connect_while_the_storage_is_full_is_refused_3(
    cloud: CloudThread, hub_device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None
    full = StorageState(StorageCondition.FULL, "no space is left", "free some")
    monkeypatch.setattr(cloud.application.hub_door, "_storage_state", lambda: full)

    assert refused(hub_device) == 3
    assert newest_failure(hub_device) == ("connect", "storage-full")


def test_connect_with_a_will_elsewhere_than_telemetry_is_refused_5(hub_device: Device) -> None:
    with hub_device.dial() as raw:
        raw.send(connect_packet(hub_device, will=("$iothub/twin/GET/?$rid=1", b"")))
        assert raw.expect(CONNACK).return_code == 5
        assert ended(raw)

    assert newest_failure(hub_device)[1] == "will-topic"


# -- take-over ----------------------------------------------------------------------------------


def test_connect_with_a_wildcard_in_the_topic_of_the_will_is_refused_5(hub_device: Device) -> None:
    with hub_device.dial() as raw:
        raw.send(connect_packet(hub_device, will=(events_topic(hub_device, "a=#"), b"")))
        assert raw.expect(CONNACK).return_code == 5
    assert newest_failure(hub_device)[1] == "will-topic"


def test_connect_again_takes_over_and_ends_the_older_connection(
    cloud: CloudThread, hub_device: Device
) -> None:
    with hub_device.at_hub() as older, hub_device.at_hub() as newer:
        assert ended(older)
        newer.publish(events_topic(hub_device), b"still here")
        newer.expect(PUBACK)
        shown = cloud.get(f"hubs/hub/devices/{hub_device.name}")
        assert shown["connectionState"] == "Connected"

    kinds = [(r["kind"], r["result"]) for r in hub_device.hub_attempts()]
    assert ("hub-session", "failed") in kinds
    assert newest_failure(hub_device) == ("session", "taken-over")


def test_connect_of_a_stranger_with_the_same_client_id_disturbs_nothing(
    hub_device: Device, make_device: MakeDevice
) -> None:
    stranger = make_device(
        hub_device.name, credential=certify(hub_device.name, key_of("ec#stranger"))
    )
    with hub_device.at_hub() as raw:
        for _ in range(3):
            assert refused(stranger) == 5
            with stranger.dial() as dps:
                # DPS proves nothing at CONNECT, so the same name disturbs nothing there either.
                assert dps.connect(stranger.name, stranger.dps_user_name) == 0
        raw.publish(events_topic(hub_device), b"undisturbed")
        raw.expect(PUBACK)


def test_connections_to_dps_and_to_the_hub_do_not_touch_one_another(
    cloud: CloudThread, enrolled: Device
) -> None:
    cloud.add_device(enrolled.name, enrolled.thumbprint)
    with enrolled.at_hub() as hub, enrolled.at_dps() as one, enrolled.at_dps() as two:
        for raw in (hub, one, two):
            raw.send(packet(PINGREQ, 0, b""))
            raw.expect(PINGRESP)


def test_disable_delete_and_pin_anew_end_the_live_connection(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    for change in ("disable", "delete", "pin"):
        device = make_device()
        cloud.add_device(device.name, device.thumbprint)
        path = f"hubs/hub/devices/{device.name}"
        with device.at_hub() as raw, cloud.api() as api:
            body = api.get(path).json()
            if change == "delete":
                assert api.delete(path).status_code == 204
            else:
                if change == "disable":
                    body["status"] = "disabled"
                else:
                    body["authentication"]["x509Thumbprint"]["primaryThumbprint"] = "CD" * 32
                assert api.put(path, json=body, headers={"If-Match": "*"}).is_success
            assert ended(raw), change
        assert newest_failure(device) == ("session", "identity-changed")


def test_register_with_a_rolled_certificate_ends_the_connection_with_the_old_one(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    old = make_device()
    new = make_device(old.name, credential=certify(old.name, key_of("ec#rolled")))
    slots = {"primary": {"certificate": old.pem}, "secondary": {"certificate": new.pem}}
    cloud.calls.put_enrollment(
        old.name, {"attestation": {"type": "x509", "x509": {"clientCertificates": slots}}}
    )

    def register(device: Device) -> None:
        with device.at_dps() as raw:
            raw.publish("$dps/registrations/PUT/iotdps-register/?$rid=1", b"")
            raw.expect(PUBACK)
            assert "/202/" in raw.expect(PUBLISH).topic

    register(old)
    with old.at_hub() as raw:
        register(old)  # the same certificate again: nothing to end
        raw.send(packet(PINGREQ, 0, b""))
        raw.expect(PINGRESP)
        register(new)
        assert ended(raw)
    with new.at_hub():
        pass


def test_register_with_a_new_symmetric_key_ends_the_connection_with_the_old_one(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device(certificate=False)
    old, new = (secrets.token_bytes(32) for _ in range(2))
    assert cloud.application is not None
    enrollments = cloud.application.dps.enrollments

    def enroll(key: bytes) -> None:
        draft = EnrollmentDraft(device.name, SymmetricKeySlots(encode_key(key), encode_key(key)))
        known = {"if_match": "*"} if key is new else {}
        cloud.run(enrollments.put(draft, **known))

    def token(resource: str, key: bytes) -> str:
        return format_sas_token(resource, key, expires_at=datetime.now(UTC) + timedelta(hours=1))

    def register(key: bytes) -> None:
        password = token(f"{cloud.id_scope}/registrations/{device.name}", key)
        with device.dial() as raw:
            assert raw.connect(device.name, device.dps_user_name, password=password) == 0
            raw.subscribe("$dps/registrations/res/#")
            raw.publish("$dps/registrations/PUT/iotdps-register/?$rid=1", b"")
            raw.expect(PUBACK)
            assert "/202/" in raw.expect(PUBLISH).topic

    resource = f"{cloud.address}/devices/{device.name}"
    enroll(old)
    register(old)
    with device.at_hub(password=token(resource, old)) as raw:
        register(old)  # the same keys again: nothing to end
        raw.send(packet(PINGREQ, 0, b""))
        raw.expect(PINGRESP)
        enroll(new)
        register(new)
        assert ended(raw)
    assert newest_failure(device) == ("session", "identity-changed")
    with device.at_hub(password=token(resource, new)):
        pass


def test_register_to_another_hub_ends_the_connection_to_the_former_one(
    cloud: CloudThread, enrolled: Device
) -> None:
    assert cloud.application is not None
    other = f"{enrolled.name}.test"

    def register() -> str:
        with enrolled.at_dps() as raw:
            raw.publish("$dps/registrations/PUT/iotdps-register/?$rid=1", b"")
            raw.expect(PUBACK)
            assert "/202/" in raw.expect(PUBLISH).topic
        record = cloud.run(cloud.application.dps.registrations.get(enrolled.name))  # type: ignore[union-attr]
        return str(record.assigned_hub)

    assert register() == cloud.address
    with enrolled.at_hub() as raw:
        cloud.run(cloud.application.create_hub(enrolled.name, other))
        try:
            former = cloud.run(cloud.application.dps.enrollments.get(enrolled.name))
            terms = EnrollmentTerms(
                allocation_policy=AllocationPolicy.STATIC, hub_host_names=(other,)
            )
            draft = EnrollmentDraft(enrolled.name, CertificateSlots(Slot.KEEP), terms=terms)
            cloud.run(cloud.application.dps.enrollments.put(draft, if_match=former.etag))
            assert register() == other
            assert ended(raw)
        finally:
            cloud.run(cloud.application.dps.linked_hubs.unlink(other))
    assert newest_failure(enrolled) == ("session", "identity-changed")


# -- subscriptions and sessions -----------------------------------------------------------------


def test_subscribe_to_the_known_topics_is_granted_and_to_others_refused(
    hub_device: Device,
) -> None:
    with hub_device.at_hub() as raw:
        codes = subscribe_many(
            raw,
            f"devices/{hub_device.name}/messages/devicebound/#",
            "$iothub/methods/POST/#",
            "#",
            "$iothub/twin/res/#",
            "devices/other/messages/devicebound/#",
            "$iothub/twin/PATCH/properties/desired/#",
            f"devices/{hub_device.name}/messages/events/#",
            qos=2,
        )

        assert codes == [1, 1, 0x80, 1, 0x80, 1, 0x80]


def test_connect_without_clean_session_keeps_the_subscriptions(hub_device: Device) -> None:
    def present(*, clean: bool = False) -> int:
        with hub_device.dial() as raw:
            raw.send(connect_packet(hub_device, clean=clean))
            answer = raw.expect(CONNACK)
            assert answer.return_code == 0
            flag = answer.body[0]
            if not clean:
                assert raw.subscribe("$iothub/twin/res/#", qos=0) == 0
            return flag

    assert present() == 0
    assert present() == 1
    assert present(clean=True) == 0
    assert present() == 0


def test_subscribe_again_before_the_first_is_kept_waits_for_it_too(
    cloud: CloudThread, hub_device: Device
) -> None:
    assert cloud.application is not None
    release = threading.Event()
    with hub_device.at_hub(clean=False) as raw:
        cloud.call(
            cloud.application.database.submit,
            lambda connection: release.wait(30),
            lambda result, error: None,
        )
        for number in (1, 2):
            body = struct.pack("!H", number) + text("$iothub/twin/res/#") + b"\1"
            raw.send(packet(SUBSCRIBE, 2, body))
        raw.send(packet(PINGREQ, 0, b""))
        try:
            first = raw.read().kind
        finally:
            release.set()
        assert first == PINGRESP
        assert [raw.expect(SUBACK).packet_id for _ in range(2)] == [1, 2]


def test_connect_with_clean_session_drops_what_is_still_on_its_way_to_the_disk(
    cloud: CloudThread, hub_device: Device
) -> None:
    assert cloud.application is not None
    release = threading.Event()
    blocked = threading.Event()
    database = cloud.application.database
    with hub_device.dial() as older, hub_device.dial() as newer:
        older.send(connect_packet(hub_device))
        older.expect(CONNACK)
        cloud.call(
            database.submit,
            lambda connection: (blocked.set(), release.wait(30)),
            lambda result, error: None,
        )
        assert blocked.wait(10)
        older.send(packet(SUBSCRIBE, 2, b"\0\7" + text("$iothub/twin/res/#") + b"\1"))
        older.send(packet(PINGREQ, 0, b""))
        older.expect(PINGRESP)  # the SUBSCRIBE before it is taken, and not on disk
        newer.send(connect_packet(hub_device, clean=True))
        newer.expect(CONNACK)
        release.set()
        cloud.run(database.write(lambda connection: None))
    with hub_device.dial() as raw:
        raw.send(connect_packet(hub_device))
        assert raw.expect(CONNACK).body == b"\0\0"


def test_connect_after_all_is_unsubscribed_has_no_session(hub_device: Device) -> None:
    with hub_device.dial() as raw:
        raw.send(connect_packet(hub_device))
        raw.expect(CONNACK)
        raw.subscribe("$iothub/twin/res/#")
        raw.send(packet(UNSUBSCRIBE, 2, b"\0\7" + text("$iothub/twin/res/#")))
        assert raw.expect(UNSUBACK).packet_id == 7
    with hub_device.dial() as raw:
        raw.send(connect_packet(hub_device))
        assert raw.expect(CONNACK).body[0] == 0


def test_connect_of_a_device_made_anew_does_not_inherit_subscriptions(
    cloud: CloudThread, hub_device: Device
) -> None:
    with hub_device.dial() as raw:
        raw.send(connect_packet(hub_device))
        raw.expect(CONNACK)
        raw.subscribe("$iothub/twin/res/#")
    with cloud.api() as api:
        assert api.delete(f"hubs/hub/devices/{hub_device.name}").status_code == 204
    cloud.add_device(hub_device.name, hub_device.thumbprint)

    with hub_device.dial() as raw:
        raw.send(connect_packet(hub_device))
        assert raw.expect(CONNACK).body[0] == 0


# -- telemetry ----------------------------------------------------------------------------------


def stored(device: Device) -> list[dict[str, Any]]:
    """Return what the hub keeps of the device."""
    return device.cloud.telemetry(device.name)


def test_publish_is_acknowledged_and_stored_with_its_properties(hub_device: Device) -> None:
    bag = "%24.ct=application%2Fjson&%24.ce=utf-8&$.mid=m1&a%20b=c%2Bd&empty="
    with hub_device.at_hub() as raw:
        raw.publish(events_topic(hub_device, bag), b'{"t":21.5}', packet_id=7)
        assert raw.expect(PUBACK).packet_id == 7

    (event,) = stored(hub_device)
    assert event["body"] == {"t": 21.5}
    assert event["systemProperties"] == {
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "message-id": "m1",
    }
    assert event["properties"] == {"a b": "c+d", "empty": ""}


def test_publish_of_many_in_one_write_is_acknowledged_in_order(hub_device: Device) -> None:
    ids = list(range(1, 301))
    with hub_device.at_hub() as raw:
        raw.send(
            b"".join(
                raw.format_publish(events_topic(hub_device), b"%d" % number, packet_id=number)
                for number in ids
            )
        )
        assert [raw.expect(PUBACK).packet_id for _ in ids] == ids

    events = hub_device.cloud.telemetry(hub_device.name)
    assert [event["body"] for event in events] == [str(number) for number in ids]
    numbers = [event["sequenceNumber"] for event in events]
    assert numbers == sorted(set(numbers))


def test_publish_at_qos_0_is_stored_and_not_acknowledged(hub_device: Device) -> None:
    with hub_device.at_hub() as raw:
        raw.publish(events_topic(hub_device), b"quiet", packet_id=None)
        raw.publish(events_topic(hub_device), b"loud", packet_id=3)
        assert raw.expect(PUBACK).packet_id == 3

    assert [event["body"] for event in stored(hub_device)] == ["quiet", "loud"]


def test_publish_then_disconnect_in_one_write_is_stored(hub_device: Device) -> None:
    with hub_device.dial() as raw:
        raw.send(
            connect_packet(hub_device)
            + packet(SUBSCRIBE, 2, b"\0\1" + text("$iothub/twin/res/#") + b"\0")
            + raw.format_publish(events_topic(hub_device), b"last words", packet_id=None)
            + packet(DISCONNECT, 0, b"")
        )
        wait_for(lambda: stored(hub_device))

    assert [event["body"] for event in stored(hub_device)] == ["last words"]
    assert all(record["result"] == "succeeded" for record in hub_device.hub_attempts())


def test_publish_with_retain_is_stored_with_the_property_that_says_so(hub_device: Device) -> None:
    with hub_device.at_hub() as raw:
        for number, bag in enumerate(("", "a=b"), 1):
            body = text(events_topic(hub_device, bag)) + struct.pack("!H", number) + b"x"
            raw.send(packet(PUBLISH, 3, body))
            raw.expect(PUBACK)

    assert [event["properties"] for event in stored(hub_device)] == [
        {"mqtt-retain": "true"},
        {"a": "b", "mqtt-retain": "true"},
    ]


def test_publish_with_as_many_properties_as_may_be_and_retain_is_read_with_all(
    hub_device: Device,
) -> None:
    bag = "&".join(f"p{number}=v" for number in range(256))
    with hub_device.at_hub() as raw:
        raw.send(packet(PUBLISH, 3, text(events_topic(hub_device, bag)) + b"\0\1" + b"x"))
        assert raw.expect(PUBACK).packet_id == 1

    (event,) = stored(hub_device)
    assert len(event["properties"]) == 257
    assert event["properties"]["mqtt-retain"] == "true"


def test_publish_with_a_twin_request_between_is_acknowledged_in_order(hub_device: Device) -> None:
    with hub_device.at_hub() as raw:
        raw.send(
            raw.format_publish(events_topic(hub_device), b"1", packet_id=1)
            + raw.format_publish("$iothub/twin/GET/?$rid=1", b"", packet_id=2)
            + raw.format_publish(events_topic(hub_device), b"3", packet_id=3)
            + packet(PINGREQ, 0, b"")
            + raw.format_publish("$iothub/methods/res/200/?$rid=1", b"", packet_id=4)
        )
        ids = []
        while len(ids) < 4:
            received = raw.read()
            if received.kind == PUBACK:
                ids.append(received.packet_id)

    assert ids == [1, 2, 3, 4]


def test_publish_of_the_largest_message_is_stored(hub_device: Device) -> None:
    with hub_device.at_hub() as raw:
        raw.publish(events_topic(hub_device), b"x" * 262_144)
        raw.expect(PUBACK)

    assert len(stored(hub_device)[0]["body"]) == 262_144


def test_publish_from_a_device_with_wildcards_in_its_id_is_stored(
    cloud: CloudThread, make_device: MakeDevice
) -> None:
    device = make_device("we+ird#1")
    with cloud.api() as api:
        thumbprints = {"primaryThumbprint": device.thumbprint}
        body = {"authentication": {"type": "selfSigned", "x509Thumbprint": thumbprints}}
        assert api.put("hubs/hub/devices/we%2Bird%231", json=body).is_success
    with device.at_hub() as raw:
        assert raw.subscribe("devices/we+ird#1/messages/devicebound/#") == 1
        raw.publish(events_topic(device, "a=1"), b"odd")
        raw.expect(PUBACK)

    assert stored(device)[0]["properties"] == {"a": "1"}


def test_publish_faster_than_the_disk_is_held_back_and_loses_nothing(
    cloud: CloudThread, hub_device: Device
) -> None:
    assert cloud.application is not None
    release = threading.Event()
    started = threading.Event()

    def block(connection: object) -> None:
        started.set()
        release.wait(30)

    cloud.call(cloud.application.database.submit, block, lambda result, error: None)
    started.wait(10)
    count = 3000
    ids = [number % 65_535 + 1 for number in range(count)]
    with hub_device.at_hub() as raw:
        sender = threading.Thread(
            target=lambda: [
                raw.send(
                    raw.format_publish(events_topic(hub_device), b"x" * 2000, packet_id=number)
                )
                for number in ids
            ]
        )
        sender.start()
        (session,) = [
            session
            for session in cloud.application.hub_door._live.values()
            if session.device_id == hub_device.name
        ]
        wait_for(lambda: session._telemetry._paused, "back-pressure")
        time.sleep(0.1)
        # One read of 64 KiB may still come on top of what made it pause.
        assert session._telemetry._uncommitted < 1000 + 65_536 // 2000 + 2
        release.set()
        # One thread at a time: a TLS connection of the ssl module is not for two. What is
        # acknowledged meanwhile is small enough to wait on its way.
        sender.join()
        acknowledged = [raw.expect(PUBACK).packet_id for _ in ids]

    assert acknowledged == ids
    wait_for(  # the last PUBACK leaves before it is counted
        lambda: session._telemetry._uncommitted == session._telemetry._uncommitted_bytes == 0,
        "that all is counted",
    )


def test_publish_of_many_devices_faster_than_the_disk_cuts_nobody_off(
    cloud: CloudThread, make_device: MakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "CROWDED_BYTES", 2 * MIB)
    monkeypatch.setattr(writer, "MAX_QUEUED_BYTES", 8 * MIB)
    assert cloud.application is not None
    devices = [make_device() for _ in range(8)]
    for device in devices:
        cloud.add_device(device.name, device.thumbprint)
    release = threading.Event()
    body = b"x" * 255 * 1024
    outcomes: list[list[int]] = []

    def publish(device: Device, raw: RawMqtt) -> None:
        for number in range(1, 9):
            raw.send(raw.format_publish(events_topic(device), body, packet_id=number))
        outcomes.append([raw.expect(PUBACK).packet_id for _ in range(8)])

    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(device.at_hub()) for device in devices]
        blocked = threading.Event()
        cloud.call(
            cloud.application.database.submit,
            lambda connection: (blocked.set(), release.wait(30)),
            lambda result, error: None,
        )
        assert blocked.wait(10)
        threads = [
            threading.Thread(target=publish, args=pair) for pair in zip(devices, links, strict=True)
        ]
        for thread in threads:
            thread.start()
        sessions = [
            session
            for session in cloud.application.hub_door._live.values()
            if session.device_id in {device.name for device in devices}
        ]
        # A device that came first may have got all of its eight through before it was crowded.
        wait_for(
            lambda: all(
                session._telemetry._paused or session._telemetry._uncommitted == 8
                for session in sessions
            ),
            "back-pressure",
        )
        assert any(session._telemetry._paused for session in sessions)
        release.set()
        for thread in threads:
            thread.join(30)

    assert outcomes == [list(range(1, 9))] * 8
    assert not cloud.application.hub.telemetry.is_crowded


def test_publish_that_cannot_be_stored_ends_the_connection_unacknowledged(
    cloud: CloudThread, hub_device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.application is not None

    def full(source: object, messages: object, done: Callable[[BaseException], None]) -> None:
        done(StorageFull("no space is left", "free some"))

    with hub_device.at_hub() as raw:
        monkeypatch.setattr(cloud.application.hub.telemetry, "append_batch", full)
        raw.publish(events_topic(hub_device), b"x")
        assert ended(raw)
        monkeypatch.undo()

    assert newest_failure(hub_device) == ("store", "storage-full")
    assert stored(hub_device) == []


def test_leave_without_disconnect_sends_the_will(hub_device: Device) -> None:
    with hub_device.dial() as raw:
        raw.send(connect_packet(hub_device, will=(events_topic(hub_device, "a=b"), b"gone")))
        assert raw.expect(CONNACK).return_code == 0

    (event,) = wait_for(lambda: stored(hub_device))
    assert event["body"] == "gone"
    assert event["properties"] == {"a": "b", "iothub-MessageType": "Will"}


def test_leave_with_disconnect_discards_the_will(cloud: CloudThread, hub_device: Device) -> None:
    with hub_device.dial() as raw:
        raw.send(connect_packet(hub_device, will=(events_topic(hub_device), b"gone")))
        raw.expect(CONNACK)
        raw.disconnect()
    wait_for(
        lambda: (
            cloud.get(f"hubs/hub/devices/{hub_device.name}")["connectionState"] == "Disconnected"
        )
    )

    assert stored(hub_device) == []


# -- breaches -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        ("devices/somebody/messages/events/", "topic-of-another-device"),
        ("devices/{name}/messages/events", "topic-malformed"),
        ("devices/{name}/modules/m/messages/events/", "topic-of-another-device"),
        ("anything", "topic-malformed"),
        ("$iothub/twin/GET/", "topic-malformed"),
        ("$dps/registrations/PUT/iotdps-register/?$rid=1", "topic-malformed"),
        ("devices/{name}/messages/events/a=%ff", "property-bag-malformed"),
        ("devices/{name}/messages/events/=x", "property-bag-malformed"),
        ("devices/{name}/messages/events/a+b=c", "topic-wildcard"),
        ("devices/{name}/messages/events/#", "topic-wildcard"),
    ],
)
def test_publish_to_a_topic_that_is_not_its_own_ends_the_connection(
    hub_device: Device, topic: str, code: str
) -> None:
    with hub_device.at_hub() as raw:
        raw.send(
            raw.format_publish(events_topic(hub_device), b"good", packet_id=1)
            + raw.format_publish(topic.format(name=hub_device.name), b"bad", packet_id=2)
        )
        # The good one may be acknowledged or not; the bad one is not.
        assert all(packet_id == 1 for packet_id in acknowledged_until_end(raw))

    assert newest_failure(hub_device) == ("publish", code)
    assert [event["body"] for event in wait_for(lambda: stored(hub_device))] == ["good"]


def test_publish_of_a_message_too_large_ends_the_connection(hub_device: Device) -> None:
    with hub_device.at_hub() as raw:
        raw.publish(events_topic(hub_device), b"x" * 262_145)
        assert ended(raw)

    assert newest_failure(hub_device) == ("publish", "message-too-large")


def test_publish_at_qos_2_ends_the_connection(hub_device: Device) -> None:
    with hub_device.at_hub() as raw:
        raw.send(packet(PUBLISH, 4, text(events_topic(hub_device)) + b"\0\1x"))
        assert ended(raw)

    assert newest_failure(hub_device) == ("publish", "qos-2")
    assert stored(hub_device) == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xf0\x00", "mqtt-packet-malformed"),
        (packet(CONNACK, 0, b"\0\0"), "mqtt-protocol-violation"),
        (b"\x32\xff\xff\xff\x7f", "mqtt-packet-too-large"),
        (packet(6, 2, b"\0\1"), "qos-2"),
    ],
)
def test_bytes_that_break_mqtt_end_the_connection(
    hub_device: Device, data: bytes, code: str
) -> None:
    with hub_device.at_hub() as raw:
        raw.send(raw.format_publish(events_topic(hub_device), b"good", packet_id=None) + data)
        assert ended(raw)

    assert newest_failure(hub_device)[1] == code
    assert [event["body"] for event in wait_for(lambda: stored(hub_device))] == ["good"]


def test_publish_is_measured_by_its_decoded_properties(hub_device: Device) -> None:
    # 262,000 of body, 44 of key, 100 of value: 262,144. Percent-encoded it is 200 bytes more.
    bag = "k" * 44 + "=" + "%20" * 100
    with hub_device.at_hub() as raw:
        raw.publish(events_topic(hub_device, bag), b"x" * 262_000)
        raw.expect(PUBACK)
        raw.publish(events_topic(hub_device, "k" + bag), b"x" * 262_000)
        assert ended(raw)

    assert len(stored(hub_device)) == 1
    assert newest_failure(hub_device) == ("publish", "message-too-large")
