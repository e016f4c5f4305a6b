"""Provisions a device through DPS with the Azure SDK for Python, then sends telemetry.

The same contract as ``node/device.js``: one JSON document as argument, one JSON line per fact on
standard output, exit status 1 and an ``error`` line if a step fails.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from azure.iot.device import X509, IoTHubDeviceClient, Message, ProvisioningDeviceClient


def tell(event: str, **facts: Any) -> None:
    """Print one fact."""
    print(json.dumps({"event": event, **facts}), flush=True)


def main(options: dict[str, Any]) -> None:
    """Register, connect, send."""
    trust = Path(options["caFile"]).read_text()
    websockets = options.get("websockets", False)
    key = options.get("symmetricKey")
    if key is None:
        make_provisioning = ProvisioningDeviceClient.create_from_x509_certificate
        make_device = IoTHubDeviceClient.create_from_x509_certificate
        credential = {"x509": X509(cert_file=options["certFile"], key_file=options["keyFile"])}
    else:
        make_provisioning = ProvisioningDeviceClient.create_from_symmetric_key
        make_device = IoTHubDeviceClient.create_from_symmetric_key
        credential = {"symmetric_key": key}
    provisioning = make_provisioning(
        provisioning_host=options["endpoint"],
        registration_id=options["registrationId"],
        id_scope=options["idScope"],
        server_verification_cert=trust,
        websockets=websockets,
        **credential,
    )
    if "payload" in options:
        provisioning.provisioning_payload = options["payload"]
    result = provisioning.register()
    state = result.registration_state
    tell(
        "registered",
        status=result.status,
        assignedHub=getattr(state, "assigned_hub", None),
        deviceId=getattr(state, "device_id", None),
        substatus=getattr(state, "sub_status", None),
        payload=json.loads(getattr(state, "response_payload", "null")),
    )
    if result.status != "assigned":
        raise SystemExit(1)
    device = make_device(
        hostname=state.assigned_hub,
        device_id=state.device_id,
        server_verification_cert=trust,
        connection_retry=False,
        websockets=websockets,
        **credential,
    )
    device.connect()
    tell("connected")
    count = options.get("messages", 1)
    for number in range(count):
        message = Message(json.dumps({"number": number}), message_id=f"python-{number}")
        message.content_type = "application/json"
        message.content_encoding = "utf-8"
        message.custom_properties["origin"] = "python & co"
        device.send_message(message)
    tell("sent", messages=count)
    device.shutdown()


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except Exception as error:
        causes = [error]
        while causes[-1].__cause__ is not None:
            causes.append(causes[-1].__cause__)
        tell("error", name=type(error).__name__, message=" / ".join(map(str, causes)))
        raise SystemExit(1) from None
