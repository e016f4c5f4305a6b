"""A device's side of its twin, with the Azure SDK for Python.

The same contract as ``node/twin.js``: reads its twin, reports, is refused once, waits to be told
of a desired property ``rate``, and reads its twin again. One JSON document as argument, one JSON
line per fact on standard output.
"""

from __future__ import annotations

import json
import queue
import sys
from pathlib import Path
from typing import Any

from azure.iot.device import X509, IoTHubDeviceClient
from azure.iot.device.exceptions import ClientError

WAIT_S = 60


def tell(event: str, **facts: Any) -> None:
    """Print one fact."""
    print(json.dumps({"event": event, **facts}), flush=True)


def main(options: dict[str, Any]) -> None:
    """Connect, and do what there is to do with a twin."""
    device = IoTHubDeviceClient.create_from_x509_certificate(
        x509=X509(cert_file=options["certFile"], key_file=options["keyFile"]),
        hostname=options["hub"],
        device_id=options["deviceId"],
        server_verification_cert=Path(options["caFile"]).read_text(),
        websockets=options["websockets"],
    )
    changes: queue.Queue[dict[str, Any]] = queue.Queue()
    device.on_twin_desired_properties_patch_received = changes.put
    device.connect()
    tell("twin", twin=device.get_twin())
    device.patch_twin_reported_properties({"fw": "1.4", "net": {"rssi": -61}, "gerät": "ä"})
    try:
        device.patch_twin_reported_properties({"bad.key": 1})
    except ClientError:
        tell("refused")
    device.patch_twin_reported_properties({"net": None, "ready": True})
    while "old" not in (change := changes.get(timeout=WAIT_S)):
        pass  # what the SDK catches up on when it connects
    tell("desired", change=change)
    tell("twin", twin=device.get_twin())
    device.shutdown()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
