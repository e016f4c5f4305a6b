"""Hypothesis strategies for every packet of MQTT 3.1.1, and ways to cut a byte stream."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

from mooring.protocol.mqtt import (
    ConnAck,
    Connect,
    ConnectReturnCode,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    SubAckCode,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)

# No U+0000, no surrogates; a byte order mark and characters beyond the first plane are legal.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
topic_names = st.text(
    st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1, max_size=60
)
packet_ids = st.integers(1, 65535)
qualities = st.integers(0, 2)
payloads = st.binary(max_size=400)

_levels = st.one_of(
    st.just("+"), st.text(st.characters(exclude_characters="\0+#/", exclude_categories=["Cs"]))
)
topic_filters = st.builds(
    lambda levels, rest: "/".join([*levels, "#"] if rest else levels),
    st.lists(_levels, min_size=1, max_size=5),
    st.booleans(),
).filter(bool)

wills = st.builds(Will, topic_names, payloads, qualities, st.booleans())


@st.composite
def connects(draw: st.DrawFn) -> Connect:
    """Draw a CONNECT that may be sent."""
    client_id = draw(texts)
    user_name = draw(st.none() | texts)
    return Connect(
        client_id=client_id,
        clean_session=draw(st.booleans()) or not client_id,
        keep_alive_s=draw(st.integers(0, 65535)),
        user_name=user_name,
        password=None if user_name is None else draw(st.none() | payloads),
        will=draw(st.none() | wills),
    )


@st.composite
def publishes(draw: st.DrawFn, *, max_qos: int = 2) -> Publish:
    """Draw a PUBLISH that may be sent."""
    qos = draw(st.integers(0, max_qos))
    return Publish(
        topic=draw(topic_names),
        payload=draw(payloads),
        qos=qos,
        retain=draw(st.booleans()),
        dup=draw(st.booleans()) if qos else False,
        packet_id=draw(packet_ids) if qos else None,
    )


connacks = st.one_of(
    st.builds(ConnAck, st.just(ConnectReturnCode.ACCEPTED), st.booleans()),
    st.builds(ConnAck, st.sampled_from(list(ConnectReturnCode))),
)
subscribes = st.builds(
    Subscribe,
    packet_ids,
    st.lists(st.builds(Subscription, topic_filters, qualities), min_size=1, max_size=4).map(tuple),
)
unsubscribes = st.builds(
    Unsubscribe, packet_ids, st.lists(topic_filters, min_size=1, max_size=4).map(tuple)
)
subacks = st.builds(
    SubAck, packet_ids, st.lists(st.sampled_from(SubAckCode), min_size=1, max_size=4).map(tuple)
)

packets: st.SearchStrategy[Packet] = st.one_of(
    connects(),
    connacks,
    publishes(),
    st.builds(PubAck, packet_ids),
    st.builds(PubRec, packet_ids),
    st.builds(PubRel, packet_ids),
    st.builds(PubComp, packet_ids),
    subscribes,
    subacks,
    unsubscribes,
    st.builds(UnsubAck, packet_ids),
    st.just(PingReq()),
    st.just(PingResp()),
    st.just(Disconnect()),
)
"""Every packet type."""


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Yield `data` in pieces of `sizes`, used over and over; the last may be shorter."""
    position = index = 0
    while position < len(data):
        size = sizes[index % len(sizes)]
        yield data[position : position + size]
        position += size
        index += 1
