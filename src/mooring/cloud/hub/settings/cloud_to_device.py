"""Settings of cloud-to-device messages as JSON (Azure: ``cloudToDevice`` of a hub's properties)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from mooring.cloud.hub.devicebound.model import CloudToDeviceSettings, FeedbackSettings
from mooring.cloud.hub.errors import InputInvalid
from mooring.protocol.azure.durations import format_duration, parse_duration
from mooring.protocol.azure.json_documents import JsonValue
from mooring.protocol.azure.json_members import Members

TTL_RANGE = (timedelta(minutes=1), timedelta(days=2))
LOCK_RANGE = (timedelta(seconds=5), timedelta(seconds=300))
MAX_DELIVERY_COUNT = 100
"""Azure: "Understand cloud-to-device messaging", configuration options."""


def cloud_to_device_to_json(settings: CloudToDeviceSettings) -> dict[str, JsonValue]:
    """Return `settings` as a document; ``lockExpiryCounts`` is Mooring's own."""
    feedback = settings.feedback
    return {
        "defaultTtlAsIso8601": format_duration(settings.default_ttl),
        "maxDeliveryCount": settings.max_delivery_count,
        "lockExpiryCounts": settings.lock_expiry_counts,
        "feedback": {
            "ttlAsIso8601": format_duration(feedback.ttl),
            "lockDurationAsIso8601": format_duration(feedback.lock_duration),
            "maxDeliveryCount": feedback.max_delivery_count,
        },
    }


def read_cloud_to_device(document: Members, former: CloudToDeviceSettings) -> CloudToDeviceSettings:
    """Return `former` with what `document` asks for; members that are not there stay.

    Raises:
        InputInvalid, AzureError: A value is wrong; names it.
    """
    ttl = _duration(document, "defaultTtlAsIso8601", *TTL_RANGE)
    count = _count(document)
    lock_expiry_counts = document.boolean("lockExpiryCounts")
    feedback = document.members("feedback")
    return replace(
        former,
        default_ttl=ttl or former.default_ttl,
        max_delivery_count=count or former.max_delivery_count,
        lock_expiry_counts=former.lock_expiry_counts
        if lock_expiry_counts is None
        else lock_expiry_counts,
        feedback=former.feedback if feedback is None else _read_feedback(feedback, former.feedback),
    )


def _read_feedback(document: Members, former: FeedbackSettings) -> FeedbackSettings:
    return replace(
        former,
        ttl=_duration(document, "ttlAsIso8601", *TTL_RANGE) or former.ttl,
        lock_duration=_duration(document, "lockDurationAsIso8601", *LOCK_RANGE)
        or former.lock_duration,
        max_delivery_count=_count(document) or former.max_delivery_count,
    )


def _duration(document: Members, name: str, least: timedelta, most: timedelta) -> timedelta | None:
    text = document.text(name)
    if text is None:
        return None
    field = document.field(name)
    duration = parse_duration(text, field=field)
    if not least <= duration <= most:
        raise InputInvalid(
            f"{field}: {text} is not between {format_duration(least)} and {format_duration(most)}.",
            "Give a duration in that range.",
            field=field,
        )
    return duration


def _count(document: Members) -> int | None:
    count = document.integer("maxDeliveryCount")
    if count is not None and not 1 <= count <= MAX_DELIVERY_COUNT:
        field = document.field("maxDeliveryCount")
        raise InputInvalid(
            f"{field}: {count} is not between 1 and {MAX_DELIVERY_COUNT}.",
            "Give a whole number in that range.",
            field=field,
        )
    return count
