"""Tokens and shared access policies."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

POLICY_KEY_BYTES = 32
"""Bytes of a policy key: as many as HMAC-SHA256 puts out, and as Azure's keys have."""


class ResourceKind(StrEnum):
    """What a shared access policy opens."""

    DPS = "dps"
    HUB = "hub"


class Right(StrEnum):
    """Rights of Azure's shared access policies, spelled as Azure spells them."""

    SERVICE_CONFIG = "ServiceConfig"
    ENROLLMENT_READ = "EnrollmentRead"
    ENROLLMENT_WRITE = "EnrollmentWrite"
    REGISTRATION_STATUS_READ = "RegistrationStatusRead"
    REGISTRATION_STATUS_WRITE = "RegistrationStatusWrite"
    REGISTRY_READ = "RegistryRead"
    REGISTRY_WRITE = "RegistryWrite"
    SERVICE_CONNECT = "ServiceConnect"
    DEVICE_CONNECT = "DeviceConnect"


DEFAULT_POLICIES: dict[ResourceKind, dict[str, tuple[Right, ...]]] = {
    # Azure: DPS "How to control access", default policy
    ResourceKind.DPS: {
        "provisioningserviceowner": (
            Right.SERVICE_CONFIG,
            Right.ENROLLMENT_READ,
            Right.ENROLLMENT_WRITE,
            Right.REGISTRATION_STATUS_READ,
            Right.REGISTRATION_STATUS_WRITE,
            Right.DEVICE_CONNECT,
        ),
    },
    # Azure: IoT Hub "Control access with shared access signatures", default policies
    ResourceKind.HUB: {
        "iothubowner": (
            Right.REGISTRY_READ,
            Right.REGISTRY_WRITE,
            Right.SERVICE_CONNECT,
            Right.DEVICE_CONNECT,
        ),
        "service": (Right.SERVICE_CONNECT,),
        "device": (Right.DEVICE_CONNECT,),
        "registryRead": (Right.REGISTRY_READ,),
        "registryReadWrite": (Right.REGISTRY_READ, Right.REGISTRY_WRITE),
    },
}
OWNER_POLICY = {ResourceKind.DPS: "provisioningserviceowner", ResourceKind.HUB: "iothubowner"}
"""The policy whose connection string `cloud info` prints."""


def new_policy_key() -> str:
    """Return a fresh policy key in base64."""
    return base64.b64encode(secrets.token_bytes(POLICY_KEY_BYTES)).decode()


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """A named grant on one DPS or hub, with two keys that are equally good.

    `resource` is the ID scope of a DPS, the host name of a hub.
    """

    kind: ResourceKind
    resource: str
    name: str
    rights: tuple[Right, ...]
    primary_key: str
    secondary_key: str
    created_at: datetime

    def __repr__(self) -> str:
        """Show all but the keys."""
        return f"AccessPolicy(kind={self.kind}, resource={self.resource!r}, name={self.name!r})"

    def connection_string(self, host_name: str, *, secondary: bool = False) -> str:
        """Return what Azure's service SDKs take, with the primary key unless told otherwise."""
        key = self.secondary_key if secondary else self.primary_key
        return f"HostName={host_name};SharedAccessKeyName={self.name};SharedAccessKey={key}"


@dataclass(frozen=True, slots=True)
class AdminToken:
    """A revocable bearer token, of which only a digest is kept."""

    token_id: str
    name: str
    digest: bytes
    created_at: datetime

    def __repr__(self) -> str:
        """Show all but the digest."""
        return f"AdminToken(token_id={self.token_id!r}, name={self.name!r})"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a call."""

    name: str
    is_owner: bool
