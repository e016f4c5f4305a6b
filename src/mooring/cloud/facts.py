"""What a running cloud says of itself: to the file ``cloud.json``, and to `cloud info`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mooring import __version__
from mooring.cloud.dps.model import DPS_NAME
from mooring.cloud.hub.model import Hub
from mooring.runtime.statefolder import write_file

FACTS_FILE = "cloud.json"

ADMIN_PREFIX = "/admin/v1"
"""Path of the admin API; kept here, since importing that API takes long."""

STANDARD_MQTT_PORT = 8883
STANDARD_HTTPS_PORT = 443

_PROVIDER = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mooring"
    "/providers/Microsoft.Devices"
)
"""Where resources are in the resource API; any subscription and any resource group are as good."""

RESOURCE_ID = f"{_PROVIDER}/provisioningServices/{DPS_NAME}"
"""Path of the DPS in the resource API."""


def hub_resource_id(name: str) -> str:
    """Return the path of a hub in the resource API."""
    return f"{_PROVIDER}/IotHubs/{quote(name, safe='')}"


def global_endpoint(host_name: str, mqtt_port: int) -> str:
    """Return what a device is given as Global Endpoint: the host, with its port unless 8883."""
    return _authority(host_name, mqtt_port, STANDARD_MQTT_PORT)


def service_url(host_name: str, https_port: int) -> str:
    """Return the base of the HTTPS APIs: the host, with its port unless 443."""
    return f"https://{_authority(host_name, https_port, STANDARD_HTTPS_PORT)}"


def _authority(host_name: str, port: int, standard: int) -> str:
    host = f"[{host_name}]" if ":" in host_name else host_name
    return host if port == standard else f"{host}:{port}"


def cloud_facts(
    *,
    started_at: datetime,
    id_scope: str,
    host_name: str,
    addresses: Sequence[str],
    mqtt_port: int,
    https_port: int,
    https_fallback: Mapping[str, Any] | None,
    admin_port: int,
    api_url: str,
    ca_file: Path,
    state_dir: Path,
    hubs: Sequence[Hub],
    retry_after_s: int,
) -> dict[str, Any]:
    """Return the public facts of a cloud: nothing in them is secret.

    `https_fallback` says why HTTPS is not on 443, None if there is nothing to say.
    """
    return {
        "version": __version__,
        "pid": os.getpid(),
        "started_at": started_at.isoformat(timespec="seconds"),
        "state": str(state_dir),
        "id_scope": id_scope,
        "global_endpoint": global_endpoint(host_name, mqtt_port),
        "host_name": host_name,
        "addresses": list(addresses),
        "service_url": service_url(host_name, https_port),
        "resource_id": RESOURCE_ID,
        "ports": {"mqtt": mqtt_port, "https": https_port, "admin": admin_port},
        "https_fallback": https_fallback,
        "api_url": api_url,
        "ca_file": str(ca_file),
        "retry_after_s": retry_after_s,
        "hubs": [{"name": hub.name, "host_name": hub.host_name} for hub in hubs],
    }


def write_facts(cloud_dir: Path, facts: dict[str, Any]) -> None:
    """Keep the facts where the command line finds them."""
    write_file(cloud_dir / FACTS_FILE, json.dumps(facts, indent=2) + "\n")
