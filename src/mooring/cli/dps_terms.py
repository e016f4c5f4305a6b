"""What individual enrollments and groups have in common: their terms, as options and as facts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from mooring.cli.azure_api import SERVICE_API_VERSION
from mooring.cli.dps_inputs import initial_twin, masked_url
from mooring.cli.output import UsageError
from mooring.cli.rendering import short_time

_PANEL = "Terms"

WEBHOOK_API_VERSION = SERVICE_API_VERSION


class Allocation(StrEnum):
    """How a linked hub is chosen."""

    HASHED = "hashed"
    STATIC = "static"
    GEO_LATENCY = "geoLatency"
    CUSTOM = "custom"


class Reprovision(StrEnum):
    """What a later registration may change."""

    MIGRATE = "migrate"
    RESET = "reset"
    NEVER = "never"


_REPROVISION = {
    Reprovision.MIGRATE: {"updateHubAssignment": True, "migrateDeviceData": True},
    Reprovision.RESET: {"updateHubAssignment": True, "migrateDeviceData": False},
    Reprovision.NEVER: {"updateHubAssignment": False, "migrateDeviceData": False},
}


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The options of the terms; None is what was not given."""

    hubs: Annotated[
        list[str] | None,
        typer.Option(
            "--hub",
            rich_help_panel=_PANEL,
            help="Host name of a linked hub to assign to, again for each; all, unless given.",
        ),
    ] = None
    allocation: Annotated[
        Allocation | None,
        typer.Option(
            rich_help_panel=_PANEL,
            help="How the hub is chosen; as the service's own default, unless given.",
        ),
    ] = None
    webhook_url: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_PANEL, help="With --allocation custom: whom to ask, key included."
        ),
    ] = None
    webhook_api_version: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_PANEL,
            help="The shape of what the webhook is sent.",
            show_default=WEBHOOK_API_VERSION,
        ),
    ] = None
    reprovision: Annotated[
        Reprovision | None,
        typer.Option(
            rich_help_panel=_PANEL,
            help="On a later registration: migrate the twin, reset it, or never change the hub.",
        ),
    ] = None
    initial_twin: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_PANEL,
            help='First twin, {"tags": …, "properties": {"desired": …}}, or a file with it.',
        ),
    ] = None
    edge: Annotated[
        bool | None,
        typer.Option("--edge/--no-edge", rich_help_panel=_PANEL, help="An IoT Edge device."),
    ] = None

    def apply_to(self, document: dict[str, Any]) -> None:
        """Put what was given into an enrollment's `document`, and leave the rest.

        Raises:
            CommandError: A file cannot be read.
            UsageError: A twin that is none, or a webhook that nobody would ask.
        """
        if self.hubs is not None:
            document["iotHubs"] = self.hubs
        if self.allocation is not None:
            document["allocationPolicy"] = self.allocation.value
        if self.reprovision is not None:
            document["reprovisionPolicy"] = _REPROVISION[self.reprovision]
        if self.initial_twin is not None:
            document["initialTwin"] = initial_twin(self.initial_twin)
        if self.edge is not None:
            document["capabilities"] = {"iotEdge": self.edge}
        self._apply_webhook(document)

    def _apply_webhook(self, document: dict[str, Any]) -> None:
        if self.webhook_url is None and self.webhook_api_version is None:
            return
        if document.get("allocationPolicy") != Allocation.CUSTOM:
            raise UsageError(
                "webhook-without-custom",
                "--webhook-url: only custom allocation asks a webhook.",
                "Add --allocation custom, or leave the webhook out.",
                field="--webhook-url",
            )
        definition = {
            "apiVersion": WEBHOOK_API_VERSION,
            **(document.get("customAllocationDefinition") or {}),
        }
        if self.webhook_url is not None:
            definition["webhookUrl"] = self.webhook_url
        if self.webhook_api_version is not None:
            definition["apiVersion"] = self.webhook_api_version
        document["customAllocationDefinition"] = definition


def terms_facts(found: Mapping[str, Any]) -> dict[str, object]:
    """Return the terms of an enrollment for a person; those that are the default left out."""
    webhook = (found.get("customAllocationDefinition") or {}).get("webhookUrl")
    twin = found.get("initialTwin")
    reprovision = found.get("reprovisionPolicy")
    return {
        "allocation": found.get("allocationPolicy"),
        "webhook": webhook and masked_url(webhook),
        "IoT hubs": ", ".join(found.get("iotHubs") or ()) or None,
        "reprovisioning": reprovision and _reprovision_word(reprovision),
        "initial twin": None if twin is None else json.dumps(twin, ensure_ascii=False),
        "IoT Edge": "yes" if (found.get("capabilities") or {}).get("iotEdge") else None,
    }


def date_facts(found: Mapping[str, Any]) -> dict[str, object]:
    """Return when an enrollment was made and changed, and its etag."""
    return {
        "created": short_time(found.get("createdDateTimeUtc")),
        "last updated": short_time(found.get("lastUpdatedDateTimeUtc")),
        "etag": str(found["etag"]).strip('"'),
    }


def _reprovision_word(policy: Mapping[str, Any]) -> str:
    if not policy.get("updateHubAssignment"):
        return Reprovision.NEVER
    return Reprovision.MIGRATE if policy.get("migrateDeviceData") else Reprovision.RESET
