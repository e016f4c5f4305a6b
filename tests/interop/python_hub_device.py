"""A device at a hub with azure-iot-device from PyPI, which does what it is told line by line.

The same contract as ``node/hub_device.js``: one JSON document as argument; then JSON lines on
standard input, each answered by one on standard output (``{"event": "done", "step": …}``); what
the hub sends is told as it comes. Methods are answered with their own name and payload.
"""

from __future__ import annotations

import json
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure.iot.device import X509, IoTHubDeviceClient, Message, MethodResponse

_lock = threading.Lock()


def tell(event: str, **facts: Any) -> None:
    """Print one fact."""
    with _lock:
        print(json.dumps({"event": event, **facts}), flush=True)


def make_client(options: dict[str, Any]) -> IoTHubDeviceClient:
    """Return a client that stays connected by itself."""
    shared = {
        "server_verification_cert": Path(options["caFile"]).read_text(),
        "websockets": options["websockets"],
        "connection_retry_interval": 1,
        "keep_alive": 10,
    }
    if "symmetricKey" in options:
        return IoTHubDeviceClient.create_from_symmetric_key(
            options["symmetricKey"], options["host"], options["deviceId"], **shared
        )
    return IoTHubDeviceClient.create_from_x509_certificate(
        X509(cert_file=options["certFile"], key_file=options["keyFile"]),
        options["host"],
        options["deviceId"],
        **shared,
    )


class Device:
    """The client, and its steps."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.client = client = make_client(options)
        client.on_message_received = self._message
        client.on_method_request_received = self._method
        client.on_twin_desired_properties_patch_received = lambda patch: tell(
            "desired", patch=patch
        )
        client.on_connection_state_change = lambda: tell("connection", up=client.connected)

    def _message(self, message: Message) -> None:
        tell(
            "message",
            body=message.data.decode(),
            properties=dict(message.custom_properties),
            messageId=message.message_id,
            correlationId=message.correlation_id,
            contentType=message.content_type,
            contentEncoding=message.content_encoding,
            ack=message.ack,
        )

    def _method(self, request: Any) -> None:
        tell("method", name=request.name, payload=request.payload)
        answer = {"name": request.name, "payload": request.payload}
        response = MethodResponse.create_from_method_request(request, 207, answer)
        self.client.send_method_response(response)

    def connect(self) -> None:
        self.client.connect()

    def send(self, body: str, **system: Any) -> None:
        message = Message(
            body,
            message_id=system.get("messageId"),
            content_encoding=system.get("contentEncoding"),
            content_type=system.get("contentType"),
        )
        message.correlation_id = system.get("correlationId")
        message.user_id = system.get("userId")
        message.expiry_time_utc = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
        message.custom_properties = system["properties"]
        self.client.send_message(message)

    def twin(self) -> Any:
        return self.client.get_twin()

    def report(self, patch: dict[str, Any]) -> None:
        self.client.patch_twin_reported_properties(patch)

    def close(self) -> None:
        self.client.shutdown()


def main() -> None:
    """Do each step."""
    device = Device(json.loads(sys.argv[1]))
    for line in sys.stdin:
        step, arguments = json.loads(line)
        try:
            result = getattr(device, step)(**arguments)
        except Exception as error:
            tell("failed", step=step, name=type(error).__name__, message=str(error))
        else:
            tell("done", step=step, result=result)


if __name__ == "__main__":
    main()
