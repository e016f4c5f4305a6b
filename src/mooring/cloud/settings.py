"""Settings of a cloud: name, type, unit, default and help in one place.

Read from keyword arguments, then from the environment (``MOORING_CLOUD_…``), then defaulted.
Lists come as comma-separated text in the environment.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mooring.cloud.dps.model import SubjectRules
from mooring.cloud.dps.throttling import ThrottlingMode
from mooring.runtime import settings
from mooring.transport.limits import MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS

LOOPBACK_ADDRESSES = ("127.0.0.1", "::1")
MAX_RETENTION_S = 100 * 365 * 86_400
"""A hundred years: for ever, and still a time that can be counted back from now."""

MAX_HOST_NAME_CHARS = 253  # RFC 1035 §2.3.4, without the final dot
_HOST_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")


class ServerKeyAlgorithm(StrEnum):
    """Key of the server certificate."""

    EC_P256 = "ec-p256"
    RSA_2048 = "rsa-2048"


def _split_list(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def _check_address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value.strip().strip("[]")))
    except ValueError:
        raise ValueError(
            f"{value!r} is not an IP address; give one such as 127.0.0.2, ::1 or 0.0.0.0"
        ) from None


def check_host_name(value: str) -> str:
    """Return `value` in lower case if it can be a host name or an IP address.

    Raises:
        ValueError: It has a port, a scheme, or characters that no host name has.
    """
    text = value.strip().lower().rstrip(".")
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        pass
    if (
        not text.isascii()
        or len(text) > MAX_HOST_NAME_CHARS
        or not _HOST_NAME.fullmatch(text)
        or text.rpartition(".")[2].isdigit()  # a mistyped address (RFC 3696 §2)
    ):
        raise ValueError(
            f"{value!r} is not a host name; give a bare name such as hub1.example, "
            "without scheme and port"
        )
    return text


def _each_once(addresses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(addresses))


Address = Annotated[str, AfterValidator(_check_address)]
Addresses = Annotated[tuple[Address, ...], Field(min_length=1), AfterValidator(_each_once)]
HostName = Annotated[str, AfterValidator(check_host_name)]
Port = Annotated[int, Field(ge=0, le=65535)]


def default_state_dir() -> Path:
    """Return the platform's folder for a user's data of Mooring."""
    return platformdirs.user_data_path("mooring")


class CloudSettings(BaseSettings):
    """Everything that can be set on a cloud when it starts."""

    model_config = SettingsConfigDict(
        env_prefix="MOORING_CLOUD_", extra="forbid", frozen=True, validate_default=True
    )

    state_dir: Path = Field(
        default_factory=default_state_dir,
        description="Folder of everything that is written; deleting it is a factory reset.",
        json_schema_extra={"default_text": "the platform's folder for user data"},
    )
    bind: Annotated[Addresses, NoDecode, BeforeValidator(_split_list)] = Field(
        default=LOOPBACK_ADDRESSES,
        description="Addresses on which devices are served; ::1 is left out without IPv6.",
    )
    mqtt_port: Port = Field(
        default=8883,
        description="Port of MQTT over TLS; Azure's SDKs dial 8883 and nothing else. 0 picks one.",
    )
    https_port: Port | None = Field(
        default=None,
        description="Port of HTTPS and of MQTT over WebSocket; most SDKs dial 443 and nothing "
        "else. A port that is given is never replaced. 0 picks one.",
        json_schema_extra={"default_text": "443, or 9443 where 443 is not permitted"},
    )
    admin_bind: Annotated[Addresses, NoDecode, BeforeValidator(_split_list)] | None = Field(
        default=None,
        description="Addresses of the admin API; the same as `bind` unless given. "
        "Plain HTTP on loopback, TLS elsewhere.",
    )
    admin_port: Port = Field(default=8081, description="Port of the admin API. 0 picks one.")
    host_name: HostName | None = Field(
        default=None,
        description="Host name of the DPS and of the first hub; `localhost`, or the bind address "
        "when bound elsewhere, unless given.",
    )
    retry_after_s: int = Field(
        default=3,
        ge=2,
        le=5,  # Azure's Java SDK takes 2…5 only
        description="How long DPS tells a device to wait before it polls.",
        json_schema_extra={"unit": "s"},
    )
    subject_rules: SubjectRules = Field(
        default=SubjectRules.AZURE,
        description="Rules for the subject of device certificates: Azure's own, or the guide's.",
    )
    check_chain_validity: bool = Field(
        default=True,
        description="Refuse a device whose certificate, or a CA above it, has expired or is not "
        "yet valid, at DPS (groups, CA references) and at hubs alike.",
    )
    check_pinned_validity: bool = Field(
        default=True,
        description="Refuse a certificate that has expired or is not yet valid although an "
        "individual enrollment, or a thumbprint at a hub, means this very certificate.",
    )
    throttling: ThrottlingMode = Field(
        default=ThrottlingMode.OFF,
        description="off, or azure: 1,000 registrations and 1,000 service operations a minute, "
        "5 polls of one device in 10 s; beyond, 429 with retry-after.",
    )
    durability: Literal["FULL", "NORMAL"] = Field(
        default="FULL",
        description="FULL: what was acknowledged survives a power cut; NORMAL: a killed process.",
    )
    server_key_algorithm: ServerKeyAlgorithm = Field(
        default=ServerKeyAlgorithm.EC_P256,
        description="Key of the server certificate; RSA for devices that cannot do ECDSA.",
    )
    telemetry_retention_s: int = Field(
        default=86_400,
        ge=60,
        le=MAX_RETENTION_S,
        description="Telemetry older than this is dropped.",
        json_schema_extra={"unit": "s"},
    )
    telemetry_retention_bytes: int = Field(
        default=1 << 30,
        ge=1 << 20,
        description="The oldest telemetry is dropped beyond this size, all hubs together.",
        json_schema_extra={"unit": "bytes"},
    )
    max_connections: int = Field(
        default=MAX_CONNECTIONS,
        ge=1,
        description="Connections open at one time, on the MQTT and on the HTTPS port each.",
    )
    max_connections_per_address: int = Field(
        default=MAX_CONNECTIONS_PER_ADDRESS,
        ge=1,
        description="The same from one address.",
    )
    drain_s: float = Field(
        default=5.0,
        ge=0.0,
        le=60.0,
        description="How long open connections may take to finish at shutdown.",
        json_schema_extra={"unit": "s"},
    )

    @model_validator(mode="after")
    def _ports_differ(self) -> CloudSettings:
        served = [
            ("mqtt_port", self.mqtt_port, self.bind),
            ("https_port", self.https_port, self.bind),
            ("admin_port", self.admin_port, self.admin_addresses),
        ]
        for (one, port, here), (other, other_port, there) in itertools.combinations(served, 2):
            shared = set(here) & set(there)
            if shared and port == other_port and port:
                raise ValueError(
                    f"{one} and {other} are both {port} on {min(shared)}; give them different ports"
                )
        return self

    @property
    def cloud_dir(self) -> Path:
        """Return the cloud's own folder inside the state folder."""
        return self.state_dir / "cloud"

    @property
    def admin_addresses(self) -> tuple[str, ...]:
        """Return the addresses of the admin API."""
        return self.bind if self.admin_bind is None else self.admin_bind

    @property
    def first_host_name(self) -> str:
        """Return the host name of the DPS and of the first hub."""
        if self.host_name is not None:
            return self.host_name
        address = self.bind[0]
        return "localhost" if address in (*LOOPBACK_ADDRESSES, "0.0.0.0", "::") else address  # noqa: S104 - compared, not bound


def describe_settings() -> list[dict[str, Any]]:
    """Return one row per setting: name, environment variable, type, unit, default, help."""
    return settings.describe_settings(CloudSettings)
