"""The tabs of a cloud connection and their properties. Only what has an effect is offered.

Labels of `X509_MQTT_DATA_TRANSPORT` are those of the guide; ids, types, limits and defaults of
`DATA_SERVICE` are Kura's DataService's, except where docs/divergences.md says otherwise.
"""

from __future__ import annotations

from mooring.gateway.configuration.model_ids import (
    KNOWN_MODELS,
    MAX_DTMI_LENGTH,
    MAX_MODEL_VERSION,
    NO_MODEL,
)
from mooring.gateway.configuration.schema import Option, Property, PropertyType, TabSchema

AZURE_GLOBAL_ENDPOINT = "global.azure-devices-provisioning.net"
"""The global device endpoint of Azure's DPS."""

MAX_PEM_LENGTH = 65_536
"""Characters of a pasted PEM: a chain of ten RSA-4096 certificates takes about 25,000."""

ENDPOINT = TabSchema(
    "AzureDpsX509",
    "The connection itself, and what it publishes on its own.",
    (
        Property(
            "metrics.publisher.enabled",
            "Publish device metrics",
            PropertyType.BOOLEAN,
            "Send processor, memory, file-system, disk and network figures of this machine as "
            "telemetry while connected.",
            default=False,
        ),
        Property(
            "metrics.publisher.interval",
            "Device metrics interval",
            PropertyType.INTEGER,
            "Time between two publications of the device metrics.",
            default=60,
            minimum=1,
            maximum=86_400,
            unit="s",
        ),
    ),
)

DATA_SERVICE = TabSchema(
    "DataService",
    "When to connect, how to come back, and how many messages may be under way.",
    (
        Property(
            "connect.auto-on-startup",
            "Connect Auto-on-startup",
            PropertyType.BOOLEAN,
            "Connect when the gateway starts. Switching it on begins connecting at once; "
            "switching it off leaves a live connection alone.",
            default=False,
        ),
        Property(
            "connect.retry-interval",
            "Connect Retry-interval",
            PropertyType.INTEGER,
            "Longest wait before the first new attempt after a failure; it doubles with each "
            "further failure, and the wait is random up to that bound.",
            default=5,
            minimum=1,
            maximum=86_400,
            unit="s",
        ),
        Property(
            "connect.retry-interval.max",
            "Connect Retry-interval maximum",
            PropertyType.INTEGER,
            "Longest wait between two attempts, however many have failed.",
            default=120,
            minimum=1,
            maximum=86_400,
            unit="s",
        ),
        Property(
            "disconnect.quiesce-timeout",
            "Disconnect Quiesce-timeout",
            PropertyType.INTEGER,
            "Time given to messages under way to be acknowledged before a disconnect.",
            default=10,
            minimum=0,
            maximum=3_600,
            unit="s",
        ),
        Property(
            "in-flight-messages.max-number",
            "In-flight-messages Max-number",
            PropertyType.INTEGER,
            "Messages sent and not yet acknowledged at any time.",
            default=9,
            minimum=1,
            maximum=1_000,
            unit="messages",
        ),
        Property(
            "store.capacity",
            "Store Capacity",
            PropertyType.INTEGER,
            "Messages that may wait to be acknowledged. They wait in memory and are lost when "
            "the gateway ends.",
            default=10_000,
            minimum=1,
            maximum=1_000_000,
            unit="messages",
        ),
    ),
)

X509_MQTT_DATA_TRANSPORT = TabSchema(
    "X509MqttDataTransport",
    "How to register through DPS, and with which certificate.",
    (
        Property(
            "global.endpoint",
            "Global Endpoint",
            PropertyType.STRING,
            "The DPS's global device endpoint, from its overview page: a host name, or host:port "
            "where it does not listen on 8883. The hub is then dialled on the same port.",
            default=AZURE_GLOBAL_ENDPOINT,
            required=True,
            max_length=512,
        ),
        Property(
            "scope.id",
            "Scope ID",
            PropertyType.STRING,
            "The DPS's ID Scope, from its overview page.",
            required=True,
            max_length=64,
        ),
        Property(
            "device.certificate",
            "Device Certificate",
            PropertyType.TEXT,
            "The device's certificate as PEM text, from BEGIN to END line; intermediates may "
            "follow. Its common name is the registration id.",
            required=True,
            max_length=MAX_PEM_LENGTH,
        ),
        Property(
            "device.private.key",
            "Device Private Key",
            PropertyType.TEXT,
            "The certificate's private key as PEM text, from BEGIN to END line.",
            required=True,
            max_length=MAX_PEM_LENGTH,
            secret=True,
        ),
        Property(
            "device.private.key.passphrase",
            "Private Key Passphrase",
            PropertyType.STRING,
            "The passphrase of an encrypted private key.",
            max_length=1_024,
            secret=True,
        ),
        Property(
            "device.model.id",
            "Device Model ID",
            PropertyType.STRING,
            "The IoT Plug and Play model announced to the cloud, without its version.",
            default=NO_MODEL,
            max_length=MAX_DTMI_LENGTH,
            options=(
                Option(NO_MODEL, NO_MODEL),
                *(Option(model, f"{model} ({name})") for model, name in KNOWN_MODELS),
            ),
            free_text=True,
        ),
        Property(
            "device.model.id.version",
            "Device Model ID Version",
            PropertyType.INTEGER,
            "The version of the model.",
            default=1,
            minimum=1,
            maximum=MAX_MODEL_VERSION,
        ),
        Property(
            "strict.subject.rules",
            "Strict subject rules",
            PropertyType.BOOLEAN,
            "Refuse a certificate whose subject breaks the guide's rules (lower-case letters and "
            "digits in the common name, one more field filled) instead of warning.",
            default=False,
        ),
        Property(
            "keep-alive",
            "Keep-alive",
            PropertyType.INTEGER,
            "Longest silence on the line before the gateway asks whether the server is still "
            "there.",
            default=30,
            minimum=1,
            # Azure: a hub waits 1.5 times this, but never above 1767 s.
            maximum=1_177,
            unit="s",
        ),
        Property(
            "timeout",
            "Timeout",
            PropertyType.INTEGER,
            "Time given to each step of connecting: name, TCP, TLS, each answer of the server.",
            default=30,
            minimum=1,
            maximum=600,
            unit="s",
        ),
    ),
)
