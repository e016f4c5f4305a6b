"""Topics of the IoT Hub device API."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.protocol.azure.errors import PropertyBagMalformed, TopicMalformed, TopicOfAnotherDevice
from mooring.protocol.azure.hub_topics import (
    MAX_REQUEST_ID_CHARS,
    HubFilter,
    MethodResponse,
    ReportedPatch,
    Telemetry,
    TwinGet,
    devicebound_filter,
    format_desired_patch_topic,
    format_devicebound_topic,
    format_method_topic,
    format_telemetry_topic,
    format_twin_response_topic,
    parse_device_publish,
    parse_filter,
    parse_telemetry,
)
from mooring.protocol.azure.property_bag import EMPTY_BAG, PropertyBag

EVENTS = "devices/dock-07/messages/events/"

ids = st.text("abcXYZ019-.+%_#*?!(),=@$':", min_size=1, max_size=20)
bags = st.builds(
    PropertyBag,
    st.dictionaries(st.sampled_from(["message-id", "content-type"]), st.text(max_size=8)),
    st.dictionaries(st.text("abc é", min_size=1, max_size=4), st.none() | st.text(max_size=8)),
)


def test_telemetry_when_bag_is_empty_gives_the_empty_bag() -> None:
    assert parse_telemetry(EVENTS, "dock-07") is EMPTY_BAG


def test_telemetry_when_bag_is_given_decodes_it() -> None:
    bag = parse_telemetry(f"{EVENTS}%24.ct=application%2Fjson&zone=a%20b", "dock-07")
    assert bag == PropertyBag({"content-type": "application/json"}, {"zone": "a b"})


def test_telemetry_when_module_speaks_tolerates_the_slash_after_the_bag() -> None:
    topic = "devices/d/modules/m/messages/events/%24.on=out/"
    assert parse_telemetry(topic, "d", "m") == PropertyBag({"output-name": "out"})


def test_telemetry_when_device_speaks_keeps_a_slash_of_the_last_value() -> None:
    assert parse_telemetry(f"{EVENTS}path=/a/", "dock-07").application == {"path": "/a/"}


@pytest.mark.parametrize(
    ("topic", "device_id", "module_id"),
    [
        (EVENTS, "dock-08", None),
        (EVENTS, "DOCK-07", None),
        (EVENTS, "dock-0", None),
        (EVENTS, "dock-07", "m"),
        ("devices/d/modules/m/messages/events/", "d", None),
        ("devices/d/modules/m/messages/events/", "d", "n"),
        ("devices/+/messages/events/", "d", None),
        ("devices/#/messages/events/", "d", None),
    ],
)
def test_telemetry_when_topic_is_another_devices_is_refused_as_such(
    topic: str, device_id: str, module_id: str | None
) -> None:
    with pytest.raises(TopicOfAnotherDevice):
        parse_telemetry(topic, device_id, module_id)


def test_telemetry_when_id_holds_wildcards_compares_literally() -> None:
    assert parse_telemetry("devices/a+#/messages/events/", "a+#") is EMPTY_BAG


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "devices/dock-07/messages/events",
        "devices/dock-07/messages/eventsx/",
        "x/devices/dock-07/messages/events/",
        "/devices/dock-07/messages/events/",
        "devices/dock-07/messages/devicebound/",
        "$iothub/twin/GET",
        "$iothub/twin/GET/",
        "$iothub/twin/GET/?",
        "$iothub/twin/GET/?$rid=",
        "$iothub/twin/GET/?rid=1",
        f"$iothub/twin/GET/?$rid={'9' * (MAX_REQUEST_ID_CHARS + 1)}",
        "$iothub/twin/PATCH/properties/reported/",
        "$iothub/twin/PATCH/properties/reported/?$version=1",
        "$iothub/twin/PATCH/properties/reported/?$rid=1&$version=x",
        "$iothub/twin/PATCH/properties/reported/?$rid=1&$version=" + "9" * 19,
        "$iothub/twin/PATCH/properties/desired/?$rid=1",
        "$iothub/methods/res/?$rid=1",
        "$iothub/methods/res/ok/?$rid=1",
        "$iothub/methods/res/200/$rid=1",
        "$iothub/methods/res/200/?x=1",
        "$iothub/methods/res/2147483648/?$rid=1",
        "$iothub/methods/res/-2147483649/?$rid=1",
        "$iothub/methods/res/20000000000/?$rid=1",
        "$iothub/else",
    ],
)
def test_publish_when_topic_is_not_in_the_table_is_refused(topic: str) -> None:
    with pytest.raises(TopicMalformed) as refusal:
        parse_device_publish(topic, "dock-07")
    assert refusal.value.code == "topic-malformed"


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (EVENTS, Telemetry(EMPTY_BAG)),
        ("$iothub/twin/GET/?$rid=9", TwinGet("9")),
        ("$iothub/twin/PATCH/properties/reported/?$rid=10", ReportedPatch("10")),
        ("$iothub/twin/PATCH/properties/reported/?$rid=10&$version=4", ReportedPatch("10", 4)),
        ("$iothub/twin/PATCH/properties/reported/?$rid=10&$version=-1", ReportedPatch("10")),
        ("$iothub/methods/res/200/?$rid=1", MethodResponse("1", 200)),
        ("$iothub/methods/res/-1/?$rid=ab", MethodResponse("ab", -1)),
        ("$iothub/methods/res/2147483647/?$rid=1", MethodResponse("1", 2**31 - 1)),
    ],
)
def test_publish_when_topic_is_in_the_table_says_what_it_is(topic: str, expected: object) -> None:
    assert parse_device_publish(topic, "dock-07") == expected


@pytest.mark.parametrize(
    ("text", "module_id", "expected"),
    [
        ("devices/dock-07/messages/devicebound/#", None, HubFilter.DEVICEBOUND),
        ("$iothub/methods/POST/#", None, HubFilter.METHODS),
        ("$iothub/twin/res/#", None, HubFilter.TWIN_RESPONSES),
        ("$iothub/twin/PATCH/properties/desired/#", "m", HubFilter.DESIRED_PATCHES),
        ("devices/dock-07/modules/m/inputs/#", "m", HubFilter.INPUTS),
        ("devices/dock-07/modules/m/#", "m", HubFilter.INPUTS),
        ("devices/dock-07/modules/n/#", "m", None),
        ("devices/dock-07/messages/devicebound/#", "m", None),
        ("devices/+/messages/devicebound/#", None, None),
        ("devices/dock-08/messages/devicebound/#", None, None),
        ("devices/dock-07/#", None, None),
        ("#", None, None),
        ("$iothub/#", None, None),
        ("", None, None),
    ],
)
def test_filter_when_asked_is_granted_only_from_the_table(
    text: str, module_id: str | None, expected: HubFilter | None
) -> None:
    assert parse_filter(text, "dock-07", module_id) is expected


def test_hub_topics_when_formatted_match_the_table() -> None:
    assert format_twin_response_topic(200, "9") == "$iothub/twin/res/200/?$rid=9"
    assert (
        format_twin_response_topic(204, "10", version=2)
        == "$iothub/twin/res/204/?$rid=10&$version=2"
    )
    assert format_desired_patch_topic(3) == "$iothub/twin/PATCH/properties/desired/?$version=3"
    assert format_method_topic("lift", "1") == "$iothub/methods/POST/lift/?$rid=1"
    assert (
        format_method_topic("crane*lift up", "a") == "$iothub/methods/POST/crane*lift%20up/?$rid=a"
    )
    assert format_devicebound_topic("dock-07") == "devices/dock-07/messages/devicebound/"
    assert devicebound_filter("dock-07") == "devices/dock-07/messages/devicebound/#"


@given(ids, st.none() | ids, bags)
def test_telemetry_topic_when_formatted_parses_back(
    device_id: str, module_id: str | None, bag: PropertyBag
) -> None:
    topic = format_telemetry_topic(device_id, bag, module_id=module_id)
    assert parse_telemetry(topic, device_id, module_id) == bag
    assert parse_device_publish(topic, device_id, module_id) == Telemetry(bag)


@given(
    st.sampled_from(["", EVENTS, "$iothub/twin/GET/?", "$iothub/methods/res/", "$iothub/twin/"]),
    st.text(max_size=40) | st.text("$ridversion=&/?%0123-", max_size=40),
)
def test_parse_when_text_is_arbitrary_raises_nothing_else(prefix: str, text: str) -> None:
    parse_filter(prefix + text, "dock-07")
    with contextlib.suppress(TopicMalformed, PropertyBagMalformed):
        parse_device_publish(prefix + text, "dock-07")
