"""Settings of the cloud: defaults, environment, refusals that name the field."""

from __future__ import annotations

from pathlib import Path

import pydantic
import pytest

from mooring.cloud.settings import CloudSettings, check_host_name, describe_settings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out."""
    for row in describe_settings():
        monkeypatch.delenv(row["environment"], raising=False)


def test_defaults_are_loopback_and_the_ports_that_azures_sdks_dial() -> None:
    settings = CloudSettings()

    assert settings.bind == settings.admin_addresses == ("127.0.0.1", "::1")
    assert (settings.mqtt_port, settings.admin_port) == (8883, 8081)
    assert settings.https_port is None  # 443 where it is permitted
    assert settings.first_host_name == "localhost"
    assert settings.retry_after_s == 3
    assert settings.durability == "FULL"


@pytest.mark.parametrize(
    ("bind", "host_name", "expected"),
    [
        (("127.9.8.7",), None, "127.9.8.7"),
        (("0.0.0.0",), None, "localhost"),
        (("::",), None, "localhost"),
        (("192.0.2.5", "127.0.0.1"), None, "192.0.2.5"),
        (("192.0.2.5",), "Cloud.Example.", "cloud.example"),
    ],
)
def test_first_host_name_follows_the_address_unless_given(
    bind: tuple[str, ...], host_name: str | None, expected: str
) -> None:
    assert CloudSettings(bind=bind, host_name=host_name).first_host_name == expected


def test_environment_is_read_with_lists_by_comma(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORING_CLOUD_BIND", "127.0.0.2, ::1")
    monkeypatch.setenv("MOORING_CLOUD_RETRY_AFTER_S", "2")
    monkeypatch.setenv("MOORING_CLOUD_SUBJECT_RULES", "guide")
    monkeypatch.setenv("MOORING_CLOUD_STATE_DIR", "/somewhere")

    settings = CloudSettings()

    assert settings.bind == ("127.0.0.2", "::1")
    assert settings.retry_after_s == 2
    assert settings.subject_rules == "guide"
    assert settings.cloud_dir == Path("/somewhere/cloud")


def test_argument_wins_over_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORING_CLOUD_MQTT_PORT", "1")

    assert CloudSettings(mqtt_port=2).mqtt_port == 2


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"bind": ()}, "bind"),
        ({"bind": ("localhost",)}, "bind"),
        ({"admin_bind": ()}, "admin_bind"),
        ({"admin_bind": ""}, "admin_bind"),
        ({"mqtt_port": 65536}, "mqtt_port"),
        ({"mqtt_port": -1}, "mqtt_port"),
        ({"https_port": 65536}, "https_port"),
        ({"host_name": "https://x"}, "host_name"),
        ({"host_name": "x:8883"}, "host_name"),
        ({"host_name": "x" * 64}, "host_name"),
        ({"host_name": ""}, "host_name"),
        ({"retry_after_s": 1}, "retry_after_s"),
        ({"retry_after_s": 6}, "retry_after_s"),
        ({"durability": "OFF"}, "durability"),
        ({"telemetry_retention_s": 0}, "telemetry_retention_s"),
        ({"telemetry_retention_s": 10**17}, "telemetry_retention_s"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_bad_value_is_refused_and_named(given: dict[str, object], field: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        CloudSettings(**given)

    assert caught.value.errors()[0]["loc"][0] == field


def test_address_named_twice_is_served_once() -> None:
    settings = CloudSettings(bind="::1, 127.0.0.1, 0:0::1", admin_bind=("127.0.0.2",) * 2)

    assert settings.bind == ("::1", "127.0.0.1")
    assert settings.admin_addresses == ("127.0.0.2",)


def test_equal_ports_on_one_address_are_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="mqtt_port and admin_port"):
        CloudSettings(mqtt_port=9000, admin_port=9000)

    with pytest.raises(pydantic.ValidationError, match="mqtt_port and https_port"):
        CloudSettings(mqtt_port=443, https_port=443)
    with pytest.raises(pydantic.ValidationError, match="https_port and admin_port"):
        CloudSettings(https_port=9000, admin_port=9000)

    CloudSettings(mqtt_port=9000, admin_port=9000, admin_bind=("127.0.0.2",))
    CloudSettings(mqtt_port=0, admin_port=0)


@pytest.mark.parametrize("name", ["a", "hub-1.example", "127.0.0.1", "::1", "[::1]", "LOCALHOST"])
def test_check_host_name_takes_names_and_addresses(name: str) -> None:
    assert check_host_name(name) == name.strip("[]").lower()


@pytest.mark.parametrize("name", ["-a", "a-", "a..b", "a_b", "1.2.3", "hôtel", "a/b", " "])
def test_check_host_name_refuses_others(name: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        check_host_name(name)


def test_describe_settings_says_everything_of_each() -> None:
    rows = {row["name"]: row for row in describe_settings()}

    assert rows.keys() == CloudSettings.model_fields.keys()
    assert all(row["help"] for row in rows.values())
    assert rows["bind"]["default"] == "127.0.0.1,::1"
    assert rows["drain_s"]["unit"] == "s"
    assert rows["check_chain_validity"]["type"] == "true or false"
    assert rows["retry_after_s"]["environment"] == "MOORING_CLOUD_RETRY_AFTER_S"


def test_documentation_has_the_line_of_every_setting() -> None:
    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()

    for row in describe_settings():
        default = "" if row["default"] is None else row["default"]
        line = (
            f"| `{row['name']}` | `{row['environment']}` | {row['type']} | {row['unit'] or ''} "
            f"| {default} | {row['help']} |"
        )
        assert line in text.splitlines(), line
