"""What a sender may send, and what the device gets of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.cloud.hub.devicebound.errors import MessageTooLarge
from mooring.cloud.hub.devicebound.messages import new_message
from mooring.cloud.hub.devicebound.model import (
    MAX_MESSAGE_BYTES,
    Ack,
    CloudToDeviceSettings,
    MessageDraft,
)
from mooring.cloud.hub.devicebound.store import NewMessage
from mooring.cloud.hub.errors import InputInvalid
from mooring.protocol.azure.property_bag import parse_property_bag

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def made(draft: MessageDraft, device_id: str = "dock-07") -> NewMessage:
    return new_message(device_id, draft, settings=CloudToDeviceSettings(), now=NOW)


def test_properties_are_those_of_vector_t5() -> None:
    message = made(MessageDraft(b"go", {"message-id": "c-1"}, {"job": "42"}, ack=Ack.FULL))

    assert message.properties == (
        "%24.mid=c-1&%24.to=%2Fdevices%2Fdock-07%2Fmessages%2FdeviceBound&iothub-ack=full&job=42"
    )
    assert (message.message_id, message.ack, message.body) == ("c-1", Ack.FULL, b"go")
    assert message.expires_at == NOW + timedelta(hours=1)


def test_all_system_properties_and_none() -> None:
    system = {
        "content-encoding": "utf-8",
        "correlation-id": "c",
        "content-type": "text/plain",
        "user-id": "u",
        "message-id": "m",
        "creation-time": "2030-01-02T03:04:05Z",
    }
    draft = MessageDraft(
        b"", system, {"null": None, "empty": ""}, expires_at=NOW + timedelta(days=9)
    )

    message = made(draft, "a+b#c%")

    assert message.properties == (
        "%24.mid=m&%24.to=%2Fdevices%2Fa%2Bb%23c%25%2Fmessages%2FdeviceBound"
        "&%24.exp=2030-01-11T03%3A04%3A05.0000000Z&%24.cid=c&%24.uid=u&%24.ct=text%2Fplain"
        "&%24.ce=utf-8&%24.ctime=2030-01-02T03%3A04%3A05Z&null&empty="
    )
    assert message.expires_at == NOW + timedelta(days=9)
    assert made(MessageDraft(b"")).properties == (
        "%24.to=%2Fdevices%2Fdock-07%2Fmessages%2FdeviceBound"
    )


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"system": {"to": "/devices/other"}}, "to"),
        ({"system": {"absolute-expiry-time": "x"}}, "absolute-expiry-time"),
        ({"system": {"message-id": "x" * 129}}, "message-id"),
        ({"system": {"content-type": "a\r\nb"}}, "content-type"),
        ({"system": {"user-id": "\ud800"}}, "user-id"),
        ({"application": {"": "x"}}, "properties."),
        ({"application": {"a b": "x"}}, "properties.a b"),
        ({"application": {"é": "x"}}, "properties.é"),
        ({"application": {"$.to": "x"}}, "properties.$.to"),
        ({"application": {"iothub-ack": "full"}}, "properties.iothub-ack"),
        ({"application": {"a": "x\ny"}}, "properties.a"),
        ({"application": {"a": "\udfff"}}, "properties.a"),
        ({"application": {f"p{n}": "" for n in range(250)}}, "properties"),
    ],
)
def test_what_no_message_may_have_is_refused(members: dict[str, Any], field: str) -> None:
    with pytest.raises(InputInvalid) as refused:
        made(MessageDraft(b"", **members))
    assert refused.value.field == field
    assert refused.value.remedy


def test_body_and_properties_together_are_bounded() -> None:
    to = len("/devices/dock-07/messages/deviceBound")
    room = MAX_MESSAGE_BYTES - to - len("key") - len("value")
    made(MessageDraft(b"x" * room, application={"key": "value"}))
    with pytest.raises(MessageTooLarge):
        made(MessageDraft(b"x" * (room + 1), application={"key": "value"}))


def test_properties_fit_into_a_topic() -> None:
    with pytest.raises(MessageTooLarge) as refused:
        made(MessageDraft(b"", application={"key": " " * 22_000}))
    assert refused.value.field == "properties"


_text = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
_names = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=10).filter(
    lambda name: not name.startswith("$.") and name != "iothub-ack"
)


@given(
    st.text("ab+#%_.$&=/?", min_size=1, max_size=20),
    st.dictionaries(_names, st.none() | _text, max_size=8),
    _text,
)
def test_a_device_reads_what_was_sent_and_the_hubs_own_to(
    device_id: str, properties: dict[str, str | None], message_id: str
) -> None:
    draft = MessageDraft(b"", {"message-id": message_id}, properties, ack=Ack.POSITIVE)

    bag = parse_property_bag(made(draft, device_id).properties)

    assert bag.system == {
        "message-id": message_id,
        "to": f"/devices/{device_id}/messages/deviceBound",
    }
    assert bag.application == {"iothub-ack": "positive"} | properties
