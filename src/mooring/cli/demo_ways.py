"""The ways of the procedure as the demo walks them: by the REST APIs, as everybody would."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mooring.cli.api import ApiClient
from mooring.cli.api_access import cloud_api, gateway_api
from mooring.cli.azure_api import ANY, AzureApi, open_azure_api
from mooring.cli.demo_table import CONNECTING, Progress, StageResult
from mooring.cli.output import CommandError

CONNECT_TIMEOUT_S = 60.0
"""The guide allows two minutes; here all is on one machine."""

TELEMETRY_TIMEOUT_S = 15.0

POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Apis:
    """The APIs that a way goes by: the DPS's, and those of cloud and gateway."""

    dps: AzureApi
    cloud: ApiClient
    gateway: ApiClient


@dataclass
class Stand:
    """What the ways share: the running cloud and gateway, and the start of all connections."""

    state: Path
    facts: dict[str, Any]
    start_line: threading.Barrier

    @contextmanager
    def apis(self) -> Iterator[Apis]:
        """Open a client of each API."""
        with (
            open_azure_api(self.state) as dps,
            cloud_api(self.state) as cloud,
            gateway_api(self.state) as gateway,
        ):
            yield Apis(dps, cloud, gateway)


def walk(way: Progress, stand: Stand) -> None:
    """Walk `way` to its end; a failure is kept in it, not raised."""
    began = time.monotonic()
    try:
        WAYS[way.name][1](way, stand)
        way.ok = True
    except (CommandError, threading.BrokenBarrierError) as error:
        way.ok = False
        failed = next((stage for stage in way.stages if stage.ok is False), None)
        if failed is not None and not failed.detail:
            failed.detail = (
                f"{error.message} {error.remedy}"
                if isinstance(error, CommandError)
                else "Another way failed before its connection."
            )
    finally:
        if not way.ok:
            # Nobody waits at the start line for one that will not come.
            stand.start_line.abort()
        way.seconds = time.monotonic() - began


def _individual(way: Progress, stand: Stand) -> None:
    """Way 1: the self-signed root is the device's certificate (rows C1, D1, D2, D5, G1-G5)."""
    from mooring.pki.issuing import issue_root
    from mooring.pki.names import Subject

    name = f"gateway{secrets.token_hex(3)}"
    way.facts["registration_id"] = name
    with way.stage("certificates") as row:
        root = issue_root(Subject(common_name=name, organization="Demo"), now=datetime.now(UTC))
        certificate, key = _pem(root)
        row.detail = f"root, CN={name}"
    with stand.apis() as apis:
        with way.stage("enrollment"):
            slots = {"primary": {"certificate": certificate}}
            apis.dps.put_json(
                f"enrollments/{name}",
                {
                    "registrationId": name,
                    "attestation": {"type": "x509", "x509": {"clientCertificates": slots}},
                },
            )
        _connect(way, stand, apis.gateway, "AzureDpsX509-individual", certificate, key)
        with way.stage("registration status") as row:
            enrollment = apis.dps.get_json(f"enrollments/{name}")
            _expect_assigned(enrollment["registrationState"], row)
        _telemetry(way, apis, "AzureDpsX509-individual", name)


def _group(way: Progress, stand: Stand) -> None:
    """Way 2: a device certificate under a verified root (rows C6, C7, D3, D4, D6)."""
    from mooring.pki.issuing import Issuer, issue_device, issue_root, issue_verification
    from mooring.pki.names import Subject

    suffix = secrets.token_hex(3)
    name, authority = f"gateway{suffix}", f"root{suffix}"
    way.facts["registration_id"] = name
    now = datetime.now(UTC)
    with way.stage("certificates") as row:
        root = issue_root(Subject(common_name=authority, organization="Demo"), now=now)
        issuer = Issuer(root.certificate, root.key)
        device = issue_device(Subject(common_name=name, organization="Demo"), issuer, now=now)
        certificate, key = _pem(device)
        row.detail = f"root, CN={authority}; device, CN={name}"
    with stand.apis() as apis:
        dps, uploaded = apis.dps, apis.dps.resource("certificates", authority)
        with way.stage("CA upload"):
            dps.put_json(uploaded, {"properties": {"certificate": _pem(root)[0]}})
        with way.stage("proof of possession"):
            found = dps.post_json(f"{uploaded}/generateVerificationCode", if_match=ANY)
            code = found["properties"]["verificationCode"]
            proof = issue_verification(code, issuer, now=now)
            found = dps.post_json(
                f"{uploaded}/verify", {"certificate": _pem(proof)[0]}, if_match=ANY
            )
            _expect(found["properties"]["isVerified"], "the root is not verified")
        with way.stage("enrollment"):
            dps.put_json(
                f"enrollmentGroups/plant-{suffix}",
                {
                    "enrollmentGroupId": f"plant-{suffix}",
                    "attestation": {
                        "type": "x509",
                        "x509": {"caReferences": {"primary": authority}},
                    },
                },
            )
        _connect(way, stand, apis.gateway, "AzureDpsX509-group", certificate, key)
        with way.stage("registration status") as row:
            records = list(dps.query(f"registrations/plant-{suffix}"))
            _expect(bool(records), "the group has no registration record")
            _expect_assigned(records[0], row)
        _telemetry(way, apis, "AzureDpsX509-group", name)


WAYS: dict[str, tuple[str, Callable[[Progress, Stand], None]]] = {
    "dps-individual": ("DPS individual", _individual),
    "dps-group": ("DPS group", _group),
}
"""Title and steps of each way, by the name that the command line takes."""


def _connect(
    way: Progress, stand: Stand, gateway: ApiClient, pid: str, certificate: str, key: str
) -> None:
    with way.stage("cloud connection") as row:
        gateway.post_json("connections", {"factory_pid": "AzureDpsX509", "pid": pid})
        gateway.put_json(
            f"connections/{pid}/configuration",
            {
                "tabs": {
                    _transport_tab(gateway, pid): {
                        "global.endpoint": stand.facts["global_endpoint"],
                        "scope.id": stand.facts["id_scope"],
                        "device.certificate": certificate,
                        "device.private.key": key,
                    }
                }
            },
        )
        row.detail = pid
    with way.stage("wait for the other ways"):
        stand.start_line.wait(CONNECT_TIMEOUT_S)
    with way.stage(CONNECTING) as row:
        gateway.post_json(f"connections/{pid}/connect")
        try:
            _await_connected(gateway, pid, row)
        finally:
            row.took_s = row.seconds
            attempts = gateway.get_json(f"connections/{pid}/attempts", limit=1)["attempts"]
            way.stages += [
                StageResult(
                    stage["name"],
                    stage["outcome"] == "passed",
                    stage["detail"],
                    CONNECTING,
                    took_s=stage["duration_ms"] / 1000,
                )
                for attempt in attempts
                for stage in attempt["stages"]
            ]
        row.detail = f"DPS orders retry-after {stand.facts['retry_after_s']} s"


def _transport_tab(gateway: ApiClient, pid: str) -> str:
    """Return the name that the tab X509MqttDataTransport has on this connection."""
    tabs = gateway.get_json(f"connections/{pid}/configuration")["tabs"]
    return next(str(tab["name"]) for tab in tabs if tab["name"].startswith("X509MqttDataTransport"))


def _await_connected(gateway: ApiClient, pid: str, row: StageResult) -> None:
    while True:
        status = gateway.get_json(f"connections/{pid}/status")
        if status["state"] == "CONNECTED":
            return
        if status["cause"] is not None:
            raise CommandError(
                status["code"],
                f"Stage {status['failed_stage']}: {status['cause']}",
                status["remedy"],
            )
        if row.seconds > CONNECT_TIMEOUT_S:
            raise CommandError(
                "not-connected",
                f"Still {status['state']} after {CONNECT_TIMEOUT_S:.0f} s.",
                "See the stages.",
            )
        time.sleep(POLL_S)


def _expect_assigned(registration: dict[str, Any], row: StageResult) -> None:
    _expect(registration["status"] == "assigned", f"status is {registration['status']}")
    row.detail = f"assigned to {registration['assignedHub']}"


def _telemetry(way: Progress, apis: Apis, pid: str, device_id: str) -> None:
    mark = secrets.token_hex(8)
    with way.stage("telemetry acknowledged"):
        apis.gateway.post_json(f"connections/{pid}/publish", {"json": {"mark": mark}})
    with way.stage("telemetry read back") as row:
        hub = apis.cloud.get_json("hubs")["value"][0]["name"]
        deadline = time.monotonic() + TELEMETRY_TIMEOUT_S
        while True:
            events = apis.cloud.get_json(f"hubs/{hub}/telemetry", deviceId=device_id)["value"]
            if any(mark in str(event["body"]) for event in events):
                row.detail = f"{len(events)} message of {device_id}"
                return
            _expect(time.monotonic() < deadline, "the message is not in the hub's log")
            time.sleep(POLL_S)


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise CommandError("demo-failed", message, "This is a defect of Mooring: report it.")


def _pem(issued: Any) -> tuple[str, str]:
    from mooring.pki.certificates import dump_certificate
    from mooring.pki.keys import dump_key

    return dump_certificate(issued.certificate), dump_key(issued.key).decode()
