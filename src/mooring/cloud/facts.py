"""What a running cloud says of itself: to the file ``cloud.json``, and to `cloud info`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mooring import __version__
from mooring.cloud.hub.model import Hub
from mooring.runtime.statefolder import write_file

FACTS_FILE = "cloud.json"

ADMIN_PREFIX = "/admin/v1"
"""Path of the admin API; kept here, since importing that API takes long."""

STANDARD_MQTT_PORT = 8883


def global_endpoint(host_name: str, mqtt_port: int) -> str:
    """Return what a device is given as Global Endpoint: the host, with its port unless 8883."""
    host = f"[{host_name}]" if ":" in host_name else host_name
    return host if mqtt_port == STANDARD_MQTT_PORT else f"{host}:{mqtt_port}"


def cloud_facts(
    *,
    started_at: datetime,
    id_scope: str,
    host_name: str,
    addresses: Sequence[str],
    mqtt_port: int,
    admin_port: int,
    api_url: str,
    ca_file: Path,
    state_dir: Path,
    hubs: Sequence[Hub],
    retry_after_s: int,
) -> dict[str, Any]:
    """Return the public facts of a cloud: nothing in them is secret."""
    return {
        "version": __version__,
        "pid": os.getpid(),
        "started_at": started_at.isoformat(timespec="seconds"),
        "state": str(state_dir),
        "id_scope": id_scope,
        "global_endpoint": global_endpoint(host_name, mqtt_port),
        "host_name": host_name,
        "addresses": list(addresses),
        "ports": {"mqtt": mqtt_port, "admin": admin_port},
        "api_url": api_url,
        "ca_file": str(ca_file),
        "retry_after_s": retry_after_s,
        "hubs": [{"name": hub.name, "host_name": hub.host_name} for hub in hubs],
    }


def write_facts(cloud_dir: Path, facts: dict[str, Any]) -> None:
    """Keep the facts where the command line finds them."""
    write_file(cloud_dir / FACTS_FILE, json.dumps(facts, indent=2) + "\n")
