"""The MQTT user name: it says whether a device wants DPS or a hub, and as whom.

DPS   ``{idScope}/registrations/{registrationId}/api-version=…[&ClientVersion=…]``
hub   ``{host}/{deviceId}[/{moduleId}]/?api-version=…[&DeviceClientType=…][&model-id=…]``
older ``{host}/{deviceId}`` and ``{host}/{deviceId}/api-version=…``

Ids and host are never percent-encoded, query values are; key names ignore case, unknown keys are
ignored, and a key that comes twice counts with its last value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote, unquote

from mooring.protocol.azure.api_versions import (
    OLDEST_DPS_API_VERSION,
    is_api_version,
    is_dps_api_version,
)
from mooring.protocol.azure.errors import UserNameMalformed, quoted

MAX_USER_NAME_CHARS = 4096
"""An agent string of a few hundred characters and two ids of 128 fit many times over."""

DPS_API_VERSION = "2019-03-31"
"""What the Python, Node, Java and .NET device SDKs send to DPS; the gateway does as well."""

HUB_API_VERSION = "2021-04-12"
"""What the current Node SDK sends to a hub; it knows model ids. The gateway sends it too."""

_REGISTRATIONS = "registrations"


@dataclass(frozen=True, slots=True)
class DpsUserName:
    """Who asks which DPS instance; `client_version` is the decoded agent text or None."""

    id_scope: str
    registration_id: str
    api_version: str
    client_version: str | None = None


@dataclass(frozen=True, slots=True)
class HubUserName:
    """Who connects to which hub.

    `api_version` is None in the oldest form. `parameters` holds every query value, decoded, by
    lower-case key, also those that have a field of their own.
    """

    host: str
    device_id: str
    module_id: str | None = None
    api_version: str | None = None
    client_type: str | None = None
    model_id: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)

    @property
    def client_id(self) -> str:
        """The MQTT client id that must come with this user name."""
        if self.module_id is None:
            return self.device_id
        return f"{self.device_id}/{self.module_id}"


def parse_user_name(text: str) -> DpsUserName | HubUserName:
    """Return what `text` says; the whole text must fit one of the forms above.

    Characters of ids are not judged here (``identifiers`` does), their presence is.

    Raises:
        UserNameMalformed: No such form; the message names the part at fault.
    """
    if len(text) > MAX_USER_NAME_CHARS:
        raise _malformed(f"has {len(text)} characters; at most {MAX_USER_NAME_CHARS} are allowed")
    if not text.isprintable():
        # Nothing legitimate needs them, and they would reach logs and pages.
        raise _malformed(f"{quoted(text)} holds control characters")
    parts = text.split("/", 3)
    # A hub's query follows "/?", a provisioning service's follows "/" alone: that tells a device
    # called "registrations", or a module of it, from a registration.
    is_hub = len(parts) < 3 or any(part.startswith("?") for part in parts[2:])
    if parts[1:2] == [_REGISTRATIONS] and not is_hub:
        return _parse_dps(text, parts)
    return _parse_hub(text)


def _parse_dps(text: str, parts: list[str]) -> DpsUserName:
    id_scope, _, registration_id, *rest = parts
    if not id_scope:
        raise _malformed(f"{quoted(text)} has no ID scope before the first '/'")
    if not registration_id:
        raise _malformed(f"{quoted(text)} has no registration id")
    parameters = _parse_query(rest[0]) if rest else {}
    api_version = _check_api_version(text, parameters)
    if api_version is None:
        raise _malformed(f"{quoted(text)} has no api-version")
    if not is_dps_api_version(api_version):
        raise _malformed(f"{quoted(text)} has an api-version from before {OLDEST_DPS_API_VERSION}")
    return DpsUserName(id_scope, registration_id, api_version, parameters.get("clientversion"))


def _parse_hub(text: str) -> HubUserName:
    host, _, rest = text.partition("/")
    # The last one: an id may begin with a question mark, values are percent-encoded.
    identity, separator, query = rest.rpartition("/?")
    if not separator:
        identity, _, query = rest.partition("?")
        identity = identity.removesuffix("/")
    pieces = identity.split("/")
    if len(pieces) > 1 and pieces[-1].lower().startswith("api-version="):
        query = pieces.pop()
    if not host:
        raise _malformed(f"{quoted(text)} has no host name before the first '/'")
    if not all(pieces):
        raise _malformed(f"{quoted(text)} has no device id, or an empty module id")
    if len(pieces) > 2:
        raise _malformed(f"{quoted(text)} has more parts than host, device and module")
    parameters = _parse_query(query)
    return HubUserName(
        host=host,
        device_id=pieces[0],
        module_id=pieces[1] if len(pieces) > 1 else None,
        api_version=_check_api_version(text, parameters),
        client_type=parameters.get("deviceclienttype"),
        model_id=parameters.get("model-id") or None,
        parameters=MappingProxyType(parameters),
    )


def _parse_query(query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for piece in query.split("&"):
        key, _, value = piece.partition("=")
        if key:
            # Never unquote_plus: an agent string may hold a bare '+'.
            parameters[unquote(key).lower()] = unquote(value)
    return parameters


def _check_api_version(text: str, parameters: Mapping[str, str]) -> str | None:
    api_version = parameters.get("api-version")
    if api_version is not None and not is_api_version(api_version):
        raise _malformed(f"{quoted(text)} has api-version {quoted(api_version)}, not a date")
    return api_version


def _malformed(fault: str) -> UserNameMalformed:
    return UserNameMalformed(
        f"user name {fault}",
        remedy="Send {idScope}/registrations/{registrationId}/api-version=2019-03-31 to DPS, "
        "{host}/{deviceId}/?api-version=2021-04-12 to a hub.",
        field="userName",
    )


def format_dps_user_name(
    id_scope: str,
    registration_id: str,
    *,
    api_version: str = DPS_API_VERSION,
    client_version: str | None = None,
) -> str:
    """Return the user name for DPS; `client_version` (unencoded agent text) only if given."""
    text = f"{id_scope}/{_REGISTRATIONS}/{registration_id}/api-version={api_version}"
    if client_version is not None:
        text += f"&ClientVersion={quote(client_version, safe='')}"
    return text


def format_hub_user_name(
    host: str,
    device_id: str,
    *,
    module_id: str | None = None,
    api_version: str = HUB_API_VERSION,
    client_type: str | None = None,
    model_id: str | None = None,
) -> str:
    """Return the user name for a hub; `client_type` and `model_id` unencoded, only if given."""
    identity = device_id if module_id is None else f"{device_id}/{module_id}"
    text = f"{host}/{identity}/?api-version={api_version}"
    if client_type is not None:
        text += f"&DeviceClientType={quote(client_type, safe='')}"
    if model_id is not None:
        text += f"&model-id={quote(model_id, safe='')}"
    return text
