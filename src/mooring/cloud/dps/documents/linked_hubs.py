"""Linked hubs."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from mooring.cloud.dps.documents.base import Document
from mooring.cloud.dps.model import LinkedHub


class LinkedHubBody(Document):
    """A linked hub as a caller sends it."""

    allocation_weight: int = Field(default=1, ge=1, le=1000)
    apply_allocation_policy: bool = True


def linked_hub_to_json(hub: LinkedHub) -> dict[str, Any]:
    """Return a linked hub as Azure's resource API has it."""
    return {
        "name": hub.host_name,
        "allocationWeight": hub.allocation_weight,
        "applyAllocationPolicy": hub.apply_allocation_policy,
    }
