"""A DPS and hub that misbehave on order: what a real cloud does only on a bad day.

One listener serves both, told apart by the user name. Each `Script` field is a knob that a test
turns, also while clients are connected. It is no model of Azure: what is not under test is
answered in the shortest correct way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mooring.pki.certificates import Certificate, dump_certificate
from mooring.pki.issuers import Issuer
from mooring.pki.issuing import issue_server_ca, issue_server_certificate
from mooring.pki.keys import dump_key
from mooring.protocol.azure.dps_topics import (
    PollRequest,
    format_response_topic,
    parse_request_topic,
)
from mooring.protocol.azure.usernames import DpsUserName, HubUserName, parse_user_name
from mooring.protocol.mqtt.codes import ConnectReturnCode
from mooring.protocol.mqtt.packets import (
    Connect,
    Disconnect,
    PingReq,
    Publish,
    Subscribe,
    Unsubscribe,
)
from mooring.protocol.mqtt.server import ServerMachine
from mooring.runtime.clock import SYSTEM_CLOCK
from mooring.transport.listener import TlsListener
from mooring.transport.server_connection import ServerConnection
from mooring.transport.server_tls import ServerTls

OPERATION_ID = "4.0123456789abcdef.7d0f0000-1111-2222-3333-444455556666"


@dataclass
class Answer:
    """One answer of DPS: status, body, retry hint; `body` None is the usual one for the status."""

    status: int
    body: dict[str, Any] | None = None
    retry_after: int | None = None


def refusal(status: int, code: int, message: str, retry_after: int | None = None) -> Answer:
    """Return an error answer with a tracking id that tests look for."""
    body = {"errorCode": code, "trackingId": f"track-{code}", "message": message}
    return Answer(status, body, retry_after)


@dataclass
class Script:
    """How the server behaves from now on."""

    dps_connack: int = 0
    hub_connacks: list[int] = field(default_factory=list)
    """Return codes of the next hub connects; then 0."""

    register: list[Answer] = field(default_factory=list)
    """Answers to the next register requests; then 202 with `retry_after_s`."""

    polls: list[Answer] = field(default_factory=list)
    """Answers to the next polls; then 200, assigned."""

    retry_after_s: int = 0
    assigned_hub: str = "localhost"
    device_id: str | None = None
    answers_connect: bool = True
    answers_pings: bool = True
    acknowledges: bool = True
    drops_after_publish: int | None = None
    """Close the connection, without acknowledging, when this many messages have come over it."""

    closes_dps_after_register: bool = False


class ScriptedAzure:
    """The running server. What clients did is in the public lists."""

    def __init__(self, folder: Path) -> None:
        self.script = Script()
        self.folder = folder
        self.dps_connects: list[tuple[DpsUserName, Connect, tuple[Certificate, ...]]] = []
        self.hub_connects: list[tuple[HubUserName, Connect, tuple[Certificate, ...]]] = []
        self.registrations: list[dict[str, Any]] = []
        self.register_times: list[float] = []
        self.poll_times: list[float] = []
        self.telemetry: list[Publish] = []
        self.live: list[_Application] = []
        self.most_live_at_once = 0
        self.changed = asyncio.Event()
        self._listener: TlsListener | None = None
        self._port = 0

    @classmethod
    async def start(cls, folder: Path, *, host_names: tuple[str, ...] = ()) -> Self:
        """Start on a free loopback port, for `host_names` or those of this machine."""
        server = cls(folder)
        now = SYSTEM_CLOCK.now()
        authority = issue_server_ca("Scripted Azure", now=now)
        issued = issue_server_certificate(
            Issuer(authority.certificate, authority.key),
            host_names=host_names or ("localhost", "127.0.0.1", "::1"),
            now=now,
        )
        server.ca_pem = dump_certificate(authority.certificate)
        (folder / "server.pem").write_text(dump_certificate(issued.certificate))
        (folder / "server-key.pem").write_bytes(dump_key(issued.key))
        await server.listen()
        return server

    ca_pem: str = ""

    async def listen(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._listener = await TlsListener.start(
            lambda: _Application(self),
            host="127.0.0.1",
            port=self._port,
            tls=ServerTls(self.folder / "server.pem", self.folder / "server-key.pem"),
        )
        self._port = self._listener.port

    async def stop_listening(self) -> None:
        """Close the port and every connection."""
        if self._listener is not None:
            await self._listener.close(drain_s=0)
            self._listener = None

    @property
    def endpoint(self) -> str:
        """The Global Endpoint."""
        return f"localhost:{self._port}"

    @property
    def live_hub_clients(self) -> list[_Application]:
        """The clients that are connected to the hub now."""
        return [application for application in self.live if application.is_hub]

    async def until(self, condition: Callable[[], Any], *, timeout_s: float = 20.0) -> None:
        """Wait until `condition` holds; it is looked at after everything that happens."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def note(self) -> None:
        self.most_live_at_once = max(self.most_live_at_once, len(self.live_hub_clients))
        self.changed.set()


class _Application:
    def __init__(self, server: ScriptedAzure) -> None:
        self.server = server
        self.machine = ServerMachine(literal_wildcards=True)
        self.connection: ServerConnection
        self.user: DpsUserName | HubUserName | None = None
        self.accepted = False
        self.published = 0
        self.disconnected_in_order = False

    @property
    def is_hub(self) -> bool:
        return self.accepted and isinstance(self.user, HubUserName)

    def connection_made(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.server.live.append(self)
        self.server.note()

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.live.remove(self)
        self.server.note()

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def drain(self) -> None:
        self.connection.close()

    def data_received(self, data: bytes) -> None:
        for event in self.machine.receive(data):
            self._take(event)
        self.server.note()

    def _take(self, event: Any) -> None:
        write = self.connection.write
        match event:
            case Connect():
                self._connect(event)
            case Subscribe(packet_id, subscriptions):
                write(self.machine.suback(packet_id, [qos for _, qos in subscriptions]))
            case Unsubscribe(packet_id, _):
                write(self.machine.unsuback(packet_id))
            case PingReq():
                if self.server.script.answers_pings:
                    write(self.machine.pingresp())
            case Publish():
                self._message(event)
            case Disconnect():
                self.disconnected_in_order = True
                self.connection.close()

    def _connect(self, packet: Connect) -> None:
        server, script = self.server, self.server.script
        self.user = parse_user_name(packet.user_name or "")
        presented = self.connection.presented
        if isinstance(self.user, DpsUserName):
            server.dps_connects.append((self.user, packet, presented))
            code = script.dps_connack
        else:
            server.hub_connects.append((self.user, packet, presented))
            code = script.hub_connacks.pop(0) if script.hub_connacks else 0
        if not script.answers_connect:
            return
        if code:
            self.connection.write(self.machine.refuse(ConnectReturnCode(code)))
            self.connection.close()
            return
        if isinstance(self.user, HubUserName):
            for other in server.live_hub_clients:
                if other.user.device_id == self.user.device_id:
                    other.connection.close()
                    other.accepted = False
        self.accepted = True
        self.connection.write(self.machine.accept())
        for event in self.machine.resume():
            self._take(event)

    def _message(self, message: Publish) -> None:
        if isinstance(self.user, HubUserName):
            self._telemetry(message)
        else:
            self._request(message)

    def _telemetry(self, message: Publish) -> None:
        script = self.server.script
        self.published += 1
        self.server.telemetry.append(message)
        if script.drops_after_publish is not None and self.published >= script.drops_after_publish:
            self.connection.close()
        elif script.acknowledges and message.packet_id is not None:
            self.connection.write(self.machine.pubacks([message.packet_id]))

    def _request(self, message: Publish) -> None:
        server, script = self.server, self.server.script
        assert message.packet_id is not None
        self.connection.write(self.machine.pubacks([message.packet_id]))
        request = parse_request_topic(message.topic)
        now = asyncio.get_running_loop().time()
        if isinstance(request, PollRequest):
            server.poll_times.append(now)
            answer = script.polls.pop(0) if script.polls else Answer(200)
        else:
            server.register_times.append(now)
            server.registrations.append(json.loads(message.payload))
            answer = (
                script.register.pop(0)
                if script.register
                else Answer(202, retry_after=script.retry_after_s)
            )
        body = answer.body or self._usual_body(answer.status)
        data, _ = self.machine.publish(
            format_response_topic(answer.status, request.rid, answer.retry_after),
            json.dumps(body).encode(),
            1,
        )
        self.connection.write(data)
        if script.closes_dps_after_register and not isinstance(request, PollRequest):
            self.connection.close()

    def _usual_body(self, status: int) -> dict[str, Any]:
        assert isinstance(self.user, DpsUserName)
        if status == 202:
            return {"operationId": OPERATION_ID, "status": "assigning"}
        script = self.server.script
        return {
            "operationId": OPERATION_ID,
            "status": "assigned",
            "registrationState": {
                "x509": {},
                "registrationId": self.user.registration_id,
                "createdDateTimeUtc": "2030-02-03T04:05:06.1000000Z",
                "assignedHub": script.assigned_hub,
                "deviceId": script.device_id or self.user.registration_id,
                "status": "assigned",
                "substatus": "initialAssignment",
                "lastUpdatedDateTimeUtc": "2030-02-03T04:05:06.4000000Z",
                "etag": "IjA3MDBhYSI=",
            },
        }
