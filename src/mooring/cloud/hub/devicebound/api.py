"""Admin routes of cloud-to-device messages: send, look, purge, feedback.

Azure sends over AMQP alone, so this way of sending is Mooring's own.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Response

from mooring.cloud.api.context import Limit, Services
from mooring.cloud.hub.devicebound.documents import (
    MessageBody,
    feedback_to_json,
    message_to_json,
)
from mooring.cloud.hub.throttling.model import HubLimit
from mooring.protocol.azure.json_documents import encode_json

router = APIRouter(prefix="/hubs/{hub_name}", tags=["hub"])

_QUEUE = "/devices/{device_id}/messages/devicebound"
DEFAULT_RECORDS = 100


@router.post(_QUEUE, status_code=201)
async def send_message(
    hub_name: str, device_id: str, body: MessageBody, services: Services
) -> dict[str, Any]:
    """Send a message to a device: it is in the device's queue, on disk, when this answers."""
    hub, draft = services.hub.hubs.get(hub_name), body.to_draft()
    throttle = services.hub.throttling.of(hub)
    throttle.admit(HubLimit.CLOUD_TO_DEVICE_SENDS)
    sequence_number = await services.hub.devicebound.send(hub, device_id, draft)
    throttle.charge(len(draft.body))
    return {"messageId": draft.system["message-id"], "sequenceNumber": sequence_number}


@router.get(_QUEUE)
async def list_messages(hub_name: str, device_id: str, services: Services) -> Response:
    """Show a device's queue, oldest first; the device still gets all of it."""
    messages = await services.hub.devicebound.messages(services.hub.hubs.get(hub_name), device_id)
    # Fifty bodies of 64 KB take most of a second to describe, which no device is to wait.
    encoded = await asyncio.to_thread(
        lambda: b",".join([encode_json(message_to_json(*message)) for message in messages])
    )
    return Response(b'{"value":[' + encoded + b"]}", media_type="application/json")


@router.delete(_QUEUE)
async def purge_messages(hub_name: str, device_id: str, services: Services) -> dict[str, Any]:
    """Delete all messages of a device; feedback says Purged to who asked for it."""
    purged = await services.hub.devicebound.purge(services.hub.hubs.get(hub_name), device_id)
    return {"totalMessagesPurged": purged, "deviceId": device_id}


@router.get("/messages/feedback")
async def list_feedback(hub_name: str, services: Services, limit: Limit = None) -> dict[str, Any]:
    """Show the feedback that no back end has settled yet, oldest first; nothing is settled."""
    records = await services.hub.devicebound.feedback.list(
        services.hub.hubs.get(hub_name), limit=limit or DEFAULT_RECORDS
    )
    return {"value": [feedback_to_json(record) for record in records]}
