"""docs/allocation.md: the webhook of the page, as it stands, chooses a device's hub."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure.iot.device import X509, ProvisioningDeviceClient

from mooring.testing import ThrowAwayCloud

TEXT = (Path(__file__).parents[2] / "docs" / "allocation.md").read_text(encoding="utf-8")


@pytest.fixture
def webhook_port() -> Iterator[int]:
    (program,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PORT": str(port)},
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.interop
def test_webhook_of_the_page_chooses_the_hub(
    mooring_cloud_factory: Callable[[], ThrowAwayCloud], webhook_port: int
) -> None:
    cloud = mooring_cloud_factory()
    second = "second-hub.example"
    cloud.calls.admin("POST", "/hubs", {"name": "second", "hostName": second})
    device = cloud.enroll(
        allocationPolicy="custom",
        customAllocationDefinition={
            "webhookUrl": f"http://127.0.0.1:{webhook_port}/allocate?code=secret",
            "apiVersion": "2021-10-01",
        },
    )

    registered = ProvisioningDeviceClient.create_from_x509_certificate(
        provisioning_host=cloud.global_endpoint,
        registration_id=device.registration_id,
        id_scope=cloud.id_scope,
        x509=X509(cert_file=device.certificate_file, key_file=device.key_file),
        server_verification_cert=cloud.ca_pem,
    ).register()

    assert registered.registration_state.assigned_hub == second
    assert f'"welcome": "{device.registration_id}"' in str(registered.registration_state)


def test_failures_on_the_page_are_those_that_there_are() -> None:
    source = Path(__file__).parents[2] / "src" / "mooring" / "cloud" / "dps"
    codes = re.findall(r'"(webhook-\w+(?:-\w+)?)"', (source / "webhook.py").read_text())

    assert set(codes) == set(re.findall(r"`(webhook-[a-z-]+)`", TEXT))
