"""Connection strings: ``HostName=…;SharedAccessKeyName=…;SharedAccessKey=…`` and their kin."""

from __future__ import annotations

from dataclasses import dataclass, field

from mooring.protocol.azure.errors import ConnectionStringMalformed

MAX_CONNECTION_STRING_CHARS = 4096
"""Host, ids and two keys of 88 characters fit many times over."""

_REMEDY = "Copy it whole, e.g. HostName=…;SharedAccessKeyName=…;SharedAccessKey=…"

_FIELDS = {
    "hostname": "host_name",
    "deviceid": "device_id",
    "moduleid": "module_id",
    "sharedaccesskeyname": "shared_access_key_name",
    "sharedaccesskey": "shared_access_key",
    "sharedaccesssignature": "shared_access_signature",
    "gatewayhostname": "gateway_host_name",
    "x509": "x509",
    "endpoint": "endpoint",
    "entitypath": "entity_path",
}

_SPELLING = {
    "endpoint": "Endpoint",
    "host_name": "HostName",
    "device_id": "DeviceId",
    "module_id": "ModuleId",
    "shared_access_key_name": "SharedAccessKeyName",
    "shared_access_key": "SharedAccessKey",
    "shared_access_signature": "SharedAccessSignature",
    "gateway_host_name": "GatewayHostName",
    "entity_path": "EntityPath",
}


@dataclass(frozen=True, slots=True)
class ConnectionString:
    """The parts of a connection string; the secrets do not show in its `repr`.

    A service's has `host_name` and a policy, a device's `host_name` and `device_id`, an Event
    Hubs-compatible one `endpoint` (``sb://host/``) and a policy. Keys stay base64 text.
    """

    host_name: str | None = None
    device_id: str | None = None
    module_id: str | None = None
    shared_access_key_name: str | None = None
    shared_access_key: str | None = field(default=None, repr=False)
    shared_access_signature: str | None = field(default=None, repr=False)
    gateway_host_name: str | None = None
    x509: bool = False
    endpoint: str | None = None
    entity_path: str | None = None


def parse_connection_string(text: str) -> ConnectionString:
    """Return the parts of `text`; key names ignore case, unknown ones are ignored.

    Raises:
        ConnectionStringMalformed: A piece without ``=``, a key twice, or neither ``HostName``
            nor ``Endpoint``. The message never repeats a value.
    """
    if len(text) > MAX_CONNECTION_STRING_CHARS:
        raise _malformed(f"has {len(text)} characters; at most {MAX_CONNECTION_STRING_CHARS}")
    values: dict[str, str] = {}
    for position, piece in enumerate(text.strip().split(";"), start=1):
        if not piece.strip():
            continue
        # At the first '=' only: base64 ends in '='.
        key, separator, value = piece.partition("=")
        if not separator:
            raise _malformed(f"has no '=' in part {position}")
        name = _FIELDS.get(key.strip().lower())
        if name is None:
            continue
        if name in values:
            raise _malformed(f"holds {_SPELLING.get(name, name)} twice")
        values[name] = value.strip()
    if not values.get("host_name") and not values.get("endpoint"):
        raise _malformed("has no HostName")
    return ConnectionString(
        host_name=values.get("host_name"),
        device_id=values.get("device_id"),
        module_id=values.get("module_id"),
        shared_access_key_name=values.get("shared_access_key_name"),
        shared_access_key=values.get("shared_access_key"),
        shared_access_signature=values.get("shared_access_signature"),
        gateway_host_name=values.get("gateway_host_name"),
        x509=values.get("x509", "").lower() == "true",
        endpoint=values.get("endpoint"),
        entity_path=values.get("entity_path"),
    )


def format_connection_string(parts: ConnectionString) -> str:
    """Return `parts` as one line, in the order in which Azure's portal shows them.

    Raises:
        ConnectionStringMalformed: A value holds ``;`` and so would end too early.
    """
    pieces = []
    for name, spelling in _SPELLING.items():
        value: str | None = getattr(parts, name)
        if value is None:
            continue
        if ";" in value:
            raise _malformed(f"cannot hold ';' in {spelling}")
        pieces.append(f"{spelling}={value}")
    if parts.x509:
        pieces.append("x509=true")
    return ";".join(pieces)


def _malformed(fault: str) -> ConnectionStringMalformed:
    return ConnectionStringMalformed(
        f"connection string {fault}", remedy=_REMEDY, field="connection string"
    )
