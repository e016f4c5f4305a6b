"""Cloud-to-device messages in the service API: purging a queue, feedback.

Sending is not here: Azure has it over AMQP alone.
"""

from __future__ import annotations

from mooring.cloud.accounts.model import Right
from mooring.cloud.hub.devicebound.documents import feedback_to_json
from mooring.cloud.hub.service_api.requests import (
    Operation,
    ServiceAnswer,
    ServiceRequest,
    no_content,
)
from mooring.protocol.azure.timestamps import format_timestamp

FEEDBACK_MEDIA_TYPE = "application/vnd.microsoft.iothub.feedback.json"

_FEEDBACK = "/messages/serviceBound/feedback"


async def purge(request: ServiceRequest) -> ServiceAnswer:
    """Delete all messages of a device."""
    request.throttle.check_tier()
    device_id = request.ids["deviceId"]
    purged = await request.services.hub.devicebound.purge(request.hub, device_id)
    return ServiceAnswer({"totalMessagesPurged": purged, "deviceId": device_id, "moduleId": None})


async def receive_feedback(request: ServiceRequest) -> ServiceAnswer:
    """Give out the oldest feedback message, locked by the etag of the answer; 204 for none."""
    request.throttle.check_tier()
    message = await request.services.hub.devicebound.feedback.receive(request.hub)
    if message is None:
        return no_content()
    return ServiceAnswer(
        [feedback_to_json(record) for record in message.records],
        {
            "content-type": FEEDBACK_MEDIA_TYPE,
            "etag": f'"{message.lock_token}"',
            "iothub-userid": request.hub.host_name,
            "iothub-enqueuedtime": format_timestamp(message.enqueued_at),
            "iothub-deliverycount": str(message.delivery_count),
        },
    )


async def complete_feedback(request: ServiceRequest) -> ServiceAnswer:
    """Settle a feedback message."""
    request.throttle.check_tier()
    feedback = request.services.hub.devicebound.feedback
    await feedback.complete(request.hub, request.ids["lockToken"])
    return no_content()


async def abandon_feedback(request: ServiceRequest) -> ServiceAnswer:
    """Give a feedback message back."""
    request.throttle.check_tier()
    feedback = request.services.hub.devicebound.feedback
    await feedback.abandon(request.hub, request.ids["lockToken"])
    return no_content()


OPERATIONS = (
    Operation("DELETE", "/devices/{deviceId}/commands", Right.SERVICE_CONNECT, purge),
    Operation("GET", _FEEDBACK, Right.SERVICE_CONNECT, receive_feedback),
    Operation("DELETE", _FEEDBACK + "/{lockToken}", Right.SERVICE_CONNECT, complete_feedback),
    Operation("POST", _FEEDBACK + "/{lockToken}/abandon", Right.SERVICE_CONNECT, abandon_feedback),
)
