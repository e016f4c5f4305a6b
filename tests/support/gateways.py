"""A running gateway for tests, driven over its REST as the command line does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from mooring.gateway.application import GatewayApplication
from mooring.gateway.settings import GatewaySettings
from mooring.pki.certificates import Certificate, dump_certificate
from mooring.pki.issuers import Issuer
from mooring.pki.issuing import issue_device, issue_root
from mooring.pki.keys import KeyAlgorithm, PrivateKey, dump_key
from mooring.pki.names import Subject
from mooring.runtime.clock import SYSTEM_CLOCK

PID = "AzureDpsX509"
TRANSPORT = "X509MqttDataTransport"
ID_SCOPE = "0ne00HAWSER"


@dataclass(frozen=True)
class Device:
    """What is pasted into the two boxes."""

    certificate: Certificate
    key: PrivateKey
    certificate_pem: str
    key_pem: str


def self_signed(
    common_name: str = "gw01", *, now: datetime | None = None, days: int = 365
) -> Device:
    """Return a root used as device, as on the individual way."""
    issued = issue_root(
        Subject(common_name, organization="Quay"),
        now=now or SYSTEM_CLOCK.now(),
        algorithm=KeyAlgorithm.EC_P256,
        days=days,
        any_subject=True,
    )
    return _device(issued.certificate, issued.key)


def root(common_name: str = "quayroot") -> Issuer:
    """Return a CA for the group way."""
    issued = issue_root(
        Subject(common_name, organization="Quay"),
        now=SYSTEM_CLOCK.now(),
        algorithm=KeyAlgorithm.EC_P256,
    )
    return Issuer(issued.certificate, issued.key)


def signed_by(issuer: Issuer, common_name: str) -> Device:
    """Return a device certificate under `issuer`."""
    issued = issue_device(
        Subject(common_name, organization="Quay"),
        issuer,
        now=SYSTEM_CLOCK.now(),
        algorithm=KeyAlgorithm.EC_P256,
    )
    return _device(issued.certificate, issued.key)


def expired(common_name: str = "gw01") -> Device:
    """Return a self-signed device whose certificate ended yesterday."""
    return self_signed(common_name, now=SYSTEM_CLOCK.now() - timedelta(days=31), days=30)


def _device(certificate: Certificate, key: PrivateKey) -> Device:
    return Device(certificate, key, dump_certificate(certificate), dump_key(key).decode())


class Gateway:
    """A running gateway and a client of its REST."""

    def __init__(self, application: GatewayApplication, client: httpx.AsyncClient) -> None:
        self.application = application
        self.client = client

    async def call(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """Call REST, check the HTTP status, return the decoded body."""
        response = await self.client.request(method, path, json=body)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    async def trust(self, pem: str) -> None:
        """Trust a server CA."""
        await self.call("POST", "trust", {"name": "server", "certificate": pem}, status=201)

    async def create(self, pid: str = PID) -> None:
        """Create a connection."""
        await self.call("POST", "connections", {"pid": pid}, status=201)

    async def apply(
        self,
        device: Device | None = None,
        *,
        pid: str = PID,
        endpoint: str | None = None,
        data: dict[str, Any] | None = None,
        status: int = 200,
        **values: Any,
    ) -> Any:
        """Apply transport values (`__` in a name stands for a dot) and DataService values."""
        transport = {name.replace("__", "."): value for name, value in values.items()}
        if device is not None:
            transport |= {
                "device.certificate": device.certificate_pem,
                "device.private.key": device.key_pem,
            }
        if endpoint is not None:
            transport |= {"global.endpoint": endpoint, "scope.id": ID_SCOPE} | transport
        tabs: dict[str, Any] = {}
        if transport:
            tabs[TRANSPORT] = transport
        if data:
            tabs["DataService"] = data
        return await self.call(
            "PUT", f"connections/{pid}/configuration", {"tabs": tabs}, status=status
        )

    async def connect(self, *, pid: str = PID, wait_s: float = 20) -> dict[str, Any]:
        """Press Connect and return the status when the attempt has ended."""
        status: dict[str, Any] = await self.call(
            "POST", f"connections/{pid}/connect?wait_s={wait_s}"
        )
        return status

    async def status(self, *, pid: str = PID) -> dict[str, Any]:
        """Return the status."""
        status: dict[str, Any] = await self.call("GET", f"connections/{pid}/status")
        return status

    async def until(self, state: str, *, pid: str = PID, timeout_s: float = 20) -> dict[str, Any]:
        """Wait until the connection is in `state` and return its status."""
        async with asyncio.timeout(timeout_s):
            status = await self.status(pid=pid)
            while status["state"] != state:
                status = await self.call(
                    "GET",
                    f"connections/{pid}/status?wait_s={timeout_s}&revision={status['revision']}",
                )
        return status

    async def attempts(self, *, pid: str = PID) -> list[dict[str, Any]]:
        """Return the attempt records, newest first."""
        attempts: list[dict[str, Any]] = (await self.call("GET", f"connections/{pid}/attempts"))[
            "attempts"
        ]
        return attempts

    async def publish(self, *, pid: str = PID, status: int = 200, **message: Any) -> dict[str, Any]:
        """Publish a message."""
        answer: dict[str, Any] = await self.call(
            "POST", f"connections/{pid}/publish", message or {"text": "ahoy"}, status=status
        )
        return answer


@asynccontextmanager
async def running_gateway(state_dir: Path) -> AsyncIterator[Gateway]:
    """Run a gateway on `state_dir` and a free port."""
    application = await GatewayApplication.start(GatewaySettings(state_dir=state_dir, port=0))
    facts = json.loads((state_dir / "gateway" / "gateway.json").read_text())
    token = (state_dir / "gateway" / "owner-token").read_text().strip()
    try:
        async with httpx.AsyncClient(
            base_url=facts["api_url"] + "/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
            trust_env=False,
        ) as client:
            yield Gateway(application, client)
    finally:
        await application.close()
