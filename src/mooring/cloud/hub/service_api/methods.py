"""Direct methods in the service API: ``POST /twins/{id}/methods``."""

from __future__ import annotations

from mooring.cloud.accounts.model import Right
from mooring.cloud.api.hub_errors import ErrorShape
from mooring.cloud.hub.methods.model import (
    DEFAULT_RESPONSE_TIMEOUT_S,
    MAX_PAYLOAD_BYTES,
    MethodCall,
)
from mooring.cloud.hub.service_api.requests import Operation, ServiceAnswer, ServiceRequest
from mooring.protocol.azure.json_documents import decode_json, encode_json
from mooring.protocol.azure.json_members import Members


async def invoke_method(request: ServiceRequest) -> ServiceAnswer:
    """Have a device run a method, and wait for its answer."""
    call = await request.reading(lambda: read_call(request))
    request.throttle.admit_method(len(call.payload))
    result = await request.services.hub.methods.invoke(request.hub, request.ids["deviceId"], call)
    request.throttle.charge(len(call.payload), len(result.payload))
    payload = None
    if result.payload.strip():
        payload = decode_json(result.payload, max_bytes=MAX_PAYLOAD_BYTES, field="payload")
    return ServiceAnswer({"status": result.status, "payload": payload})


OPERATIONS = (
    Operation(
        "POST",
        "/twins/{deviceId}/methods",
        Right.SERVICE_CONNECT,
        invoke_method,
        shape=ErrorShape.TWIN,
    ),
)


def read_call(request: ServiceRequest) -> MethodCall:
    """Return the call that the body asks for; without a payload the device gets an empty body.

    Raises:
        AzureError, InputInvalid: The body is no JSON object, or a member has a wrong type.
    """
    body = request.json_object()
    members = Members(body)
    response_timeout_s = members.integer("responseTimeoutInSeconds")
    if response_timeout_s is None:
        # Azure's command line and older SDKs say it so.
        response_timeout_s = members.integer("timeoutInSeconds")
    return MethodCall(
        name=members.text("methodName") or "",
        payload=encode_json(body["payload"]) if "payload" in body else b"",
        response_timeout_s=DEFAULT_RESPONSE_TIMEOUT_S
        if response_timeout_s is None
        else response_timeout_s,
        connect_timeout_s=members.integer("connectTimeoutInSeconds") or 0,
    )
