"""A cloud connection's configuration: as stored, and as the parts that run read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mooring.gateway.configuration.endpoint import Endpoint, parse_endpoint
from mooring.gateway.configuration.model_ids import parse_model_id
from mooring.gateway.configuration.schema import Value
from mooring.gateway.configuration.tabs import DATA_SERVICE, ENDPOINT, X509_MQTT_DATA_TRANSPORT
from mooring.gateway.errors import ConfigurationMissing

TabValues = Mapping[str, Value]
"""Values by property id."""


@dataclass(frozen=True, slots=True)
class StoredConnection:
    """What is kept of a connection.

    `tabs` holds the values that were applied, by tab name without suffix; secrets are never in
    it. `entry_id` names the keystore entry of certificate and key, None before the transport
    tab has been applied.
    """

    pid: str
    factory_pid: str
    created_at: datetime
    tabs: Mapping[str, TabValues]
    entry_id: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One numbered state of the whole configuration; numbers only grow."""

    snapshot_id: int
    taken_at: datetime


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """The endpoint tab, typed."""

    metrics_enabled: bool
    metrics_interval_s: int


@dataclass(frozen=True, slots=True)
class DataServiceSettings:
    """The DataService tab, typed; times in seconds."""

    auto_connect: bool
    retry_interval_s: int
    retry_interval_max_s: int
    quiesce_timeout_s: int
    in_flight_max: int
    capacity: int


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """The X509MqttDataTransport tab, typed, without the secrets; times in seconds.

    `model_id` is the whole DTMI with its version, or None for no model.
    """

    endpoint: Endpoint
    id_scope: str
    model_id: str | None
    strict_subject_rules: bool
    keep_alive_s: int
    timeout_s: int
    entry_id: str


def endpoint_settings(connection: StoredConnection) -> EndpointSettings:
    """Return the endpoint tab of `connection`, defaults where nothing was applied."""
    values = ENDPOINT.defaults() | dict(connection.tabs.get(ENDPOINT.name, {}))
    return EndpointSettings(
        metrics_enabled=_boolean(values, "metrics.publisher.enabled"),
        metrics_interval_s=_integer(values, "metrics.publisher.interval"),
    )


def data_service_settings(connection: StoredConnection) -> DataServiceSettings:
    """Return the DataService tab of `connection`, defaults where nothing was applied."""
    values = DATA_SERVICE.defaults() | dict(connection.tabs.get(DATA_SERVICE.name, {}))
    return DataServiceSettings(
        auto_connect=_boolean(values, "connect.auto-on-startup"),
        retry_interval_s=_integer(values, "connect.retry-interval"),
        retry_interval_max_s=_integer(values, "connect.retry-interval.max"),
        quiesce_timeout_s=_integer(values, "disconnect.quiesce-timeout"),
        in_flight_max=_integer(values, "in-flight-messages.max-number"),
        capacity=_integer(values, "store.capacity"),
    )


def is_configured(connection: StoredConnection) -> bool:
    """Return whether the transport tab has been applied, so that connecting can be tried."""
    return connection.entry_id is not None


def transport_settings(connection: StoredConnection) -> TransportSettings:
    """Return the transport tab of `connection`.

    Raises:
        ConfigurationMissing: The tab has not been applied yet.
    """
    if connection.entry_id is None:
        raise ConfigurationMissing(
            f"The connection {connection.pid} has no certificate, private key and Scope ID yet.",
            "Fill in the X509MqttDataTransport tab and press Apply.",
            field=X509_MQTT_DATA_TRANSPORT.name,
        )
    values = X509_MQTT_DATA_TRANSPORT.defaults() | dict(
        connection.tabs.get(X509_MQTT_DATA_TRANSPORT.name, {})
    )
    return TransportSettings(
        endpoint=parse_endpoint(_text(values, "global.endpoint"))[0],
        id_scope=_text(values, "scope.id"),
        model_id=announced_model(values),
        strict_subject_rules=_boolean(values, "strict.subject.rules"),
        keep_alive_s=_integer(values, "keep-alive"),
        timeout_s=_integer(values, "timeout"),
        entry_id=connection.entry_id,
    )


def announced_model(values: TabValues) -> str | None:
    """Return the DTMI with version that checked transport values announce, or None."""
    model = parse_model_id(_text(values, "device.model.id"))
    if model is None:
        return None
    return f"{model.model};{_integer(values, 'device.model.id.version')}"


def _boolean(values: TabValues, property_id: str) -> bool:
    value = values[property_id]
    assert isinstance(value, bool)
    return value


def _integer(values: TabValues, property_id: str) -> int:
    value = values[property_id]
    assert isinstance(value, int)
    return value


def _text(values: TabValues, property_id: str) -> str:
    value = values[property_id]
    assert isinstance(value, str)
    return value
