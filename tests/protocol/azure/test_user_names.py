"""User names as the SDKs send them, and everything else refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.protocol.azure.errors import UserNameMalformed
from mooring.protocol.azure.usernames import (
    MAX_USER_NAME_CHARS,
    DpsUserName,
    HubUserName,
    format_dps_user_name,
    format_hub_user_name,
    parse_user_name,
)

# Seen on the wire from the published packages (sdk-clients: versions named there).
PY_DPS = (
    "0ne00000001/registrations/gw1/api-version=2019-03-31"
    "&ClientVersion=azure-iot-device-provisioning-py%2F2.14.0%283.11.7%3BLinux%29"
)
NODE_DPS = (
    "0ne00000001/registrations/gw1/api-version=2019-03-31"
    "&ClientVersion=azure-iot-provisioning-device%2F1.9.1"
)
PY_HUB = (
    "localhost/gw1/?api-version=2019-10-01"
    "&DeviceClientType=azure-iot-device-iothub-py%2F2.14.0%283.11.7%3BLinux%29"
)
NODE_HUB = (
    "localhost/gw1/?api-version=2021-04-12"
    "&DeviceClientType=azure-iot-device%2F1.18.4%20(node%20v20.1%3B%20x64)"
)

names = st.text("abcXYZ019-._:", min_size=1, max_size=20)
api_versions = st.sampled_from(["2019-03-31", "2018-09-01-preview", "2031-12-31"])
agents = st.none() | st.text(max_size=30).filter(str.isprintable)


def test_parse_when_python_sdk_asks_dps_gives_its_parts() -> None:
    assert parse_user_name(PY_DPS) == DpsUserName(
        "0ne00000001",
        "gw1",
        "2019-03-31",
        "azure-iot-device-provisioning-py/2.14.0(3.11.7;Linux)",
    )


def test_parse_when_node_sdk_asks_dps_gives_its_parts() -> None:
    assert parse_user_name(NODE_DPS) == DpsUserName(
        "0ne00000001", "gw1", "2019-03-31", "azure-iot-provisioning-device/1.9.1"
    )


def test_parse_when_vector_without_agent_gives_none() -> None:
    text = "0ne00HAWSER/registrations/gw01/api-version=2019-03-31"
    assert parse_user_name(text) == DpsUserName("0ne00HAWSER", "gw01", "2019-03-31")


def test_parse_when_agent_is_not_encoded_keeps_it_whole() -> None:
    # C and Java paste their agent in as it is, slash and plus included.
    text = "0ne1/registrations/gw/api-version=2021-06-01&ClientVersion=C/1.14.0+x a=b"
    assert parse_user_name(text) == DpsUserName("0ne1", "gw", "2021-06-01", "C/1.14.0+x a=b")


def test_parse_when_keys_differ_in_case_and_unknown_ones_come_reads_the_known() -> None:
    text = "s/registrations/r/API-Version=2019-03-31&future=1&clientversion=x"
    assert parse_user_name(text) == DpsUserName("s", "r", "2019-03-31", "x")


def test_parse_when_key_comes_twice_takes_the_last() -> None:
    text = "s/registrations/r/api-version=2018-11-01&api-version=2019-03-31"
    assert parse_user_name(text) == DpsUserName("s", "r", "2019-03-31")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            PY_HUB,
            HubUserName(
                "localhost",
                "gw1",
                None,
                "2019-10-01",
                "azure-iot-device-iothub-py/2.14.0(3.11.7;Linux)",
            ),
        ),
        (
            NODE_HUB,
            HubUserName(
                "localhost", "gw1", None, "2021-04-12", "azure-iot-device/1.18.4 (node v20.1; x64)"
            ),
        ),
        (
            "hub.example/dock-07/?api-version=2020-09-30&DeviceClientType=moo%2F1&model-id=dtmi%3Aa%3B1",
            HubUserName("hub.example", "dock-07", None, "2020-09-30", "moo/1", "dtmi:a;1"),
        ),
        # lower-case escapes, as the C SDK writes them
        (
            "h/d/?api-version=2020-09-30&model-id=dtmi%3amooring%3aDock%3b1",
            HubUserName("h", "d", None, "2020-09-30", None, "dtmi:mooring:Dock;1"),
        ),
        ("h/d/m/?api-version=2021-04-12", HubUserName("h", "d", "m", "2021-04-12")),
        ("h/d", HubUserName("h", "d")),
        ("h/d/", HubUserName("h", "d")),
        ("h/d?api-version=2021-04-12", HubUserName("h", "d", None, "2021-04-12")),
        ("h/d/api-version=2016-11-14", HubUserName("h", "d", None, "2016-11-14")),
        ("h/d/m/api-version=2016-11-14", HubUserName("h", "d", "m", "2016-11-14")),
        ("h/d#+$/?api-version=2021-04-12", HubUserName("h", "d#+$", None, "2021-04-12")),
        ("h/a?b/?api-version=2021-04-12", HubUserName("h", "a?b", None, "2021-04-12")),
        # a module of a device called "registrations" is no registration
        (
            "h/registrations/m/?api-version=2021-04-12",
            HubUserName("h", "registrations", "m", "2021-04-12"),
        ),
        (
            "h/registrations/?api-version=2021-04-12",
            HubUserName("h", "registrations", None, "2021-04-12"),
        ),
    ],
)
def test_parse_when_hub_user_name_gives_its_parts(text: str, expected: HubUserName) -> None:
    assert parse_user_name(text) == expected


def test_parse_when_agent_holds_a_plus_does_not_make_it_a_space() -> None:
    parsed = parse_user_name("h/d/?api-version=2021-04-12&DeviceClientType=a+b%2Bc")
    assert isinstance(parsed, HubUserName)
    assert parsed.client_type == "a+b+c"


def test_parse_when_unknown_parameters_come_keeps_them_by_lower_case_key() -> None:
    parsed = parse_user_name("h/d/?api-version=2021-04-12&Auth-Chain=e1%3Be2&model-id=")
    assert isinstance(parsed, HubUserName)
    assert parsed.parameters == {
        "api-version": "2021-04-12",
        "auth-chain": "e1;e2",
        "model-id": "",
    }
    assert parsed.model_id is None


@pytest.mark.parametrize(
    ("user_name", "client_id"),
    [(HubUserName("h", "d"), "d"), (HubUserName("h", "d", "m"), "d/m")],
)
def test_client_id_when_device_or_module_is_what_the_hub_demands(
    user_name: HubUserName, client_id: str
) -> None:
    assert user_name.client_id == client_id


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "host name"),
        ("host", "device id"),
        ("/d/?api-version=2021-04-12", "host name"),
        ("h//?api-version=2021-04-12", "device id"),
        ("h/d//?api-version=2021-04-12", "module id"),
        ("h/d/m/x/?api-version=2021-04-12", "more parts"),
        ("h/d/m/x", "more parts"),
        ("h/d/?api-version=yesterday", "api-version"),
        ("h/d/?api-version=2021-04-12x", "api-version"),
        ("h/d\x00/?api-version=2021-04-12", "control characters"),
        ("h/d\n/?api-version=2021-04-12", "control characters"),
        ("/registrations/r/api-version=2019-03-31", "ID scope"),
        ("s/registrations//api-version=2019-03-31", "registration id"),
        ("s/registrations/r", "api-version"),
        ("s/registrations/r/ClientVersion=x", "api-version"),
        ("s/registrations/r/api-version=1", "api-version"),
        ("s/registrations/r/api-version=2019-03-32", "api-version"),
        ("s/registrations/r/api-version=2017-08-30", "2017-08-31-preview"),
        ("h/" + "d" * MAX_USER_NAME_CHARS, "at most"),
    ],
)
def test_parse_when_a_part_is_missing_names_it(text: str, named: str) -> None:
    with pytest.raises(UserNameMalformed, match=named) as refusal:
        parse_user_name(text)
    assert refusal.value.code == "user-name-malformed"
    assert refusal.value.field == "userName"
    assert refusal.value.remedy


def test_refusal_when_text_is_long_repeats_only_its_beginning() -> None:
    with pytest.raises(UserNameMalformed) as refusal:
        parse_user_name("x" * 3000)
    assert len(refusal.value.message) < 200


@given(names, names, api_versions, agents)
def test_dps_user_name_when_formatted_parses_back(
    scope: str, registration_id: str, api_version: str, agent: str | None
) -> None:
    text = format_dps_user_name(
        scope, registration_id, api_version=api_version, client_version=agent
    )
    assert parse_user_name(text) == DpsUserName(scope, registration_id, api_version, agent)


@given(names, names, st.none() | names, api_versions, agents, st.none() | names)
def test_hub_user_name_when_formatted_parses_back(
    host: str,
    device_id: str,
    module_id: str | None,
    api_version: str,
    agent: str | None,
    model_id: str | None,
) -> None:
    text = format_hub_user_name(
        host,
        device_id,
        module_id=module_id,
        api_version=api_version,
        client_type=agent,
        model_id=model_id,
    )
    if device_id == "registrations" and module_id is not None:
        return
    assert parse_user_name(text) == HubUserName(
        host, device_id, module_id, api_version, agent, model_id
    )


@given(st.text(max_size=80) | st.text("/?=&%registration-api-version2019", max_size=80))
def test_parse_when_text_is_arbitrary_raises_nothing_else(text: str) -> None:
    with contextlib.suppress(UserNameMalformed):
        parse_user_name(text)


@pytest.mark.parametrize("device_id", ["?", "?a", "a?", "a?b", "?/?m", "a/?m"])
def test_question_mark_in_an_id_does_not_begin_the_query(device_id: str) -> None:
    found = parse_user_name(f"hub/{device_id}/?api-version=2021-04-12&DeviceClientType=x%2F%3Fy")
    assert isinstance(found, HubUserName)
    assert found.client_id == device_id
    assert (found.api_version, found.client_type) == ("2021-04-12", "x/?y")
