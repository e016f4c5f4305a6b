"""A hub's settings as JSON, spelled as Azure Resource Manager spells them where it has them."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TypeVar

from mooring.cloud.hub.errors import InputInvalid
from mooring.cloud.hub.settings.cloud_to_device import (
    cloud_to_device_to_json,
    read_cloud_to_device,
)
from mooring.cloud.hub.settings.model import (
    HUB_EVENTS,
    EventSource,
    HubSettings,
    HubThrottling,
    Sku,
)
from mooring.cloud.hub.throttling.documents import limits_to_json, read_limits
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.json_documents import JsonValue
from mooring.protocol.azure.json_members import Members

ChoiceT = TypeVar("ChoiceT", bound=StrEnum)


def settings_to_json(settings: HubSettings) -> dict[str, JsonValue]:
    """Return `settings` as a document."""
    return {
        "events": [source.value for source in HUB_EVENTS if source in settings.events],
        "disableLocalAuth": settings.disable_local_auth,
        "disableDeviceSAS": settings.disable_device_sas,
        "throttling": settings.throttling.value,
        "sku": {"name": settings.sku.value, "capacity": settings.units},
        "limits": limits_to_json(settings.limits),
        "cloudToDevice": cloud_to_device_to_json(settings.cloud_to_device),
    }


def read_settings(document: Members, former: HubSettings) -> HubSettings:
    """Return `former` with what `document` asks for; members that are not there stay.

    Raises:
        InputInvalid: A value cannot be had; names it.
        PayloadMalformed: A member has the wrong type.
    """
    settings = former
    events = document.texts("events")
    if events is not None:
        sources = (_choice(document.field("events"), text, EventSource) for text in events)
        settings = replace(settings, events=frozenset(map(_reportable, sources)))
    local_auth = document.boolean("disableLocalAuth")
    if local_auth is not None:
        settings = replace(settings, disable_local_auth=local_auth)
    device_sas = document.boolean("disableDeviceSAS")
    if device_sas is not None:
        settings = replace(settings, disable_device_sas=device_sas)
    throttling = document.text("throttling")
    if throttling is not None:
        chosen = _choice(document.field("throttling"), throttling, HubThrottling)
        settings = replace(settings, throttling=chosen)
    sku = document.members("sku")
    if sku is not None:
        name = sku.text("name")
        if name is not None:
            settings = replace(settings, sku=_choice(sku.field("name"), name, Sku))
        units = sku.integer("capacity")
        units = settings.units if units is None else units
        if not 1 <= units <= settings.sku.max_units:
            raise InputInvalid(
                f"{sku.field('capacity')}: {units} is not between 1 and "
                f"{settings.sku.max_units}, the most of {settings.sku}.",
                "Give a number of units in that range.",
                field=sku.field("capacity"),
            )
        settings = replace(settings, units=units)
    settings = replace(settings, limits=read_limits(document, settings.limits))
    cloud_to_device = document.members("cloudToDevice")
    if cloud_to_device is not None:
        changed = read_cloud_to_device(cloud_to_device, settings.cloud_to_device)
        settings = replace(settings, cloud_to_device=changed)
    return settings


def _choice(field: str, text: str, choices: type[ChoiceT]) -> ChoiceT:
    for choice in choices:
        if choice.value.lower() == text.lower():
            return choice
    raise InputInvalid(
        f"{field}: {quoted(text)} is not known.",
        f"Give {', '.join(choices)}.",
        field=field,
    )


def _reportable(source: EventSource) -> EventSource:
    if source in HUB_EVENTS:
        return source
    raise InputInvalid(
        f"events: {source.value} comes from devices, not from the hub.",
        f"Give {', '.join(HUB_EVENTS)}.",
        field="events",
    )
