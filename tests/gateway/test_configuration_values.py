"""Validation where the value arrives: types, ranges, endpoint, model ids, PIDs."""

from __future__ import annotations

from typing import Any

import pytest

from mooring.gateway.configuration.endpoint import Endpoint, parse_endpoint
from mooring.gateway.configuration.factories import AZURE_DPS_X509, FACTORIES, find_factory
from mooring.gateway.configuration.model_ids import KNOWN_MODELS, ModelId, parse_model_id
from mooring.gateway.configuration.schema import (
    Option,
    Property,
    PropertyType,
    ValueRefused,
)
from mooring.gateway.configuration.tabs import DATA_SERVICE, X509_MQTT_DATA_TRANSPORT
from mooring.gateway.errors import FactoryUnknown, PidMalformed, TabUnknown

NUMBER = Property("n", "Number", PropertyType.INTEGER, "", minimum=1, maximum=10, unit="s")
SWITCH = Property("b", "Switch", PropertyType.BOOLEAN, "")
TEXT = Property("t", "Text", PropertyType.STRING, "", max_length=5)
CHOICE = Property(
    "c", "Choice", PropertyType.STRING, "", options=(Option("a", "A"), Option("b", "B"))
)


@pytest.mark.parametrize(
    ("definition", "given", "taken"),
    [
        (NUMBER, 1, 1),
        (NUMBER, 10, 10),
        (NUMBER, " 7 ", 7),
        (SWITCH, True, True),
        (SWITCH, "False", False),
        (TEXT, "five5", "five5"),
        (CHOICE, "b", "b"),
    ],
)
def test_check_when_the_value_fits_returns_it_typed(
    definition: Property, given: object, taken: object
) -> None:
    value = definition.check(given)
    assert (value, type(value)) == (taken, type(taken))


@pytest.mark.parametrize(
    ("definition", "given", "fault"),
    [
        (NUMBER, 0, "range"),
        (NUMBER, 11, "range"),
        (NUMBER, "9" * 40, "type"),
        (NUMBER, "1_0", "type"),
        (NUMBER, "٧", "type"),
        (NUMBER, 1.0, "type"),
        (NUMBER, True, "type"),
        (NUMBER, [], "type"),
        (SWITCH, 1, "type"),
        (SWITCH, "yes", "type"),
        (TEXT, "six666", "length"),
        (TEXT, 5, "type"),
        (TEXT, "\ud800", "type"),
        (CHOICE, "c", "option"),
    ],
)
def test_check_when_the_value_does_not_fit_names_field_fault_and_remedy(
    definition: Property, given: object, fault: str
) -> None:
    with pytest.raises(ValueRefused) as refused:
        definition.check(given)
    assert (refused.value.field, refused.value.fault) == (definition.id, fault)
    assert definition.label in refused.value.message
    assert refused.value.remedy


def test_check_when_out_of_range_says_the_range_with_its_unit() -> None:
    with pytest.raises(ValueRefused, match="from 1 to 10 s"):
        NUMBER.check(11)


@pytest.mark.parametrize(
    ("text", "host", "port", "notes"),
    [
        ("global.azure-devices-provisioning.net", "global.azure-devices-provisioning.net", None, 0),
        ("localhost:18883", "localhost", 18883, 0),
        ("  localhost \n", "localhost", None, 1),
        ("https://dps.example/", "dps.example", None, 2),
        ("mqtts://dps.example:8883/path?x", "dps.example", 8883, 2),
        ("dps.example.", "dps.example", None, 1),
        ("127.0.0.1:1", "127.0.0.1", 1, 0),
        ("::1", "::1", None, 0),
        ("[::1]:8884", "::1", 8884, 0),
        ("[fe80::1]", "fe80::1", None, 0),
    ],
)
def test_endpoint_when_usable_is_normalised_and_says_what_it_removed(
    text: str, host: str, port: int | None, notes: int
) -> None:
    endpoint, said = parse_endpoint(text)
    assert endpoint == Endpoint(host, port)
    assert endpoint.dial_port == (port or 8883)
    assert len(said) == notes
    assert parse_endpoint(str(endpoint)) == (endpoint, [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://",
        "a..b",
        "-a.example",
        "host:0",
        "host:65536",
        "host:x",
        "[::1",
        "[::1]x",
        "exa mple:12:13x",
        "a" * 64,
        ".".join(["abcdefgh"] * 40),
        "übung.example",
        "host:99999999999",
    ],
)
def test_endpoint_when_no_host_is_left_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_endpoint(text)


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("None", None),
        ("", None),
        (" none ", None),
        ("dtmi:com:example:Gateway", ModelId("dtmi:com:example:Gateway", None)),
        ("dtmi:a:B_1;12", ModelId("dtmi:a:B_1", 12)),
        *((model, ModelId(model, None)) for model, _ in KNOWN_MODELS),
    ],
)
def test_model_id_when_well_formed_is_taken(text: str, model: ModelId | None) -> None:
    assert parse_model_id(text) == model


@pytest.mark.parametrize(
    "text",
    [
        "gateway",
        "dtmi:",
        "dtmi:1a",
        "dtmi:a_",
        "dtmi:a:b;0",
        "dtmi:a;1;2",
        "dtmi:a b",
        "dtmi:" + "a" * 130,
        "dtmi:a;x",
        "dtmi:a;1234567890",
    ],
)
def test_model_id_when_no_dtmi_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_model_id(text)


@pytest.mark.parametrize("pid", ["AzureDpsX509", "AzureDpsX509-2", "AzureDpsX509-Dock7"])
def test_pid_when_base_with_or_without_suffix_is_taken(pid: str) -> None:
    AZURE_DPS_X509.check_pid(pid)


@pytest.mark.parametrize(
    "pid",
    [
        "",
        "azuredpsx509",
        "AzureDpsX509-",
        "AzureDpsX509-a-b",
        "AzureDpsX509-../x",
        "Other",
        "AzureDpsX509\n",
        "AzureDpsX509-" + "a" * 49,
        "AzureDpsX509-ü",
    ],
)
def test_pid_when_malformed_is_refused_with_an_example(pid: str) -> None:
    with pytest.raises(PidMalformed) as refused:
        AZURE_DPS_X509.check_pid(pid)
    assert "AzureDpsX509-2" in refused.value.remedy


def test_tabs_carry_the_suffix_of_the_pid_and_are_found_with_and_without_it() -> None:
    pid = "AzureDpsX509-2"
    names = [AZURE_DPS_X509.tab_name(tab, pid) for tab in AZURE_DPS_X509.tabs]
    assert names == ["AzureDpsX509-2", "DataService-2", "X509MqttDataTransport-2"]
    for name in ("DataService", "DataService-2"):
        assert AZURE_DPS_X509.find_tab(name, pid) is DATA_SERVICE
    with pytest.raises(TabUnknown, match="DataService-2"):
        AZURE_DPS_X509.find_tab("DataService-3", pid)


def test_factory_when_unknown_is_refused_with_those_there_are() -> None:
    assert find_factory("AzureDpsX509") is AZURE_DPS_X509
    with pytest.raises(FactoryUnknown, match="AzureDpsX509"):
        find_factory("AzureTPM")


def test_transport_tab_has_the_labels_of_the_guide_in_its_order() -> None:
    labels = [definition.label for definition in X509_MQTT_DATA_TRANSPORT.properties]
    assert labels[:4] == ["Global Endpoint", "Scope ID", "Device Certificate", "Device Private Key"]
    assert {"Device Model ID", "Device Model ID Version"} <= set(labels)


def _all_properties() -> list[Property]:
    return [p for f in FACTORIES.values() for tab in f.tabs for p in tab.properties]


@pytest.mark.parametrize("definition", _all_properties(), ids=lambda p: p.id)
def test_every_definition_takes_its_own_default_and_describes_itself(definition: Property) -> None:
    assert definition.label
    assert definition.description.endswith(".")
    if definition.default is not None:
        assert definition.check(definition.default) == definition.default
    document: dict[str, Any] = definition.to_json()
    assert document["id"] == definition.id
    if definition.secret:
        assert document["default"] is None
