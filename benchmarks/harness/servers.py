"""The servers that are compared, each behind one shape: where it listens, what it is told.

Every server has a P-256 certificate, asks for a client certificate and refuses to go on without
one; what each does with it is its own and is described at its class.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.credentials import Credentials
from harness.processes import ServerProcess, free_port
from harness.tools import amqtt_python, find_tool

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ServiceApi:
    """Where a back end calls a hub over HTTPS, at the server's address, and how it is let in."""

    port: int
    host_name: str
    authorization: str


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and how the load generator speaks to it ("{n}" = number of the client)."""

    name: str
    process: ServerProcess
    host: str
    port: int
    client_id: str = "bench-{n}"
    user: str | None = None
    topic: str = "bench/{n}"
    speaks_mqtt: bool = True
    service_api: ServiceApi | None = None


@contextmanager
def openssl_s_server(folder: Path, credentials: Credentials, core: int) -> Iterator[Server]:
    """Run ``openssl s_server``: the bare handshake with verification of the chain, no MQTT.

    It serves one connection at a time and sends no session tickets.
    """
    port = free_port(LOOPBACK)
    command = [
        *(find_tool("openssl"), "s_server", "-quiet", "-accept", f"{LOOPBACK}:{port}"),
        *("-cert", str(credentials.server_file), "-key", str(credentials.server_key_file)),
        *("-CAfile", str(credentials.ca_file), "-Verify", "4", "-verify_return_error"),
        *("-num_tickets", "0", "-no_cache", "-no_ticket"),
    ]
    with ServerProcess(command, core=core, log_file=folder / "s_server.log") as process:
        process.wait_until_listening(LOOPBACK, port)
        yield Server("openssl s_server", process, LOOPBACK, port, speaks_mqtt=False)


def mosquitto(folder: Path, credentials: Credentials, core: int) -> AbstractContextManager[Server]:
    """Run mosquitto: the chain verified, QoS 1 acknowledged, nothing stored."""
    return _mosquitto(folder, credentials, core, "persistence false")


def mosquitto_persistent(
    folder: Path, credentials: Credentials, core: int
) -> AbstractContextManager[Server]:
    """Run mosquitto with sessions that outlive it: written to its file when it ends."""
    state = folder / "mosquitto-state"
    state.mkdir()
    return _mosquitto(folder, credentials, core, f"persistence true\npersistence_location {state}/")


@contextmanager
def _mosquitto(
    folder: Path, credentials: Credentials, core: int, persistence: str
) -> Iterator[Server]:
    port = free_port(LOOPBACK)
    configuration = folder / "mosquitto.conf"
    configuration.write_text(
        f"""\
user root
per_listener_settings false
allow_anonymous true
{persistence}
log_type error
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
listener {port} {LOOPBACK}
cafile {credentials.ca_file}
certfile {credentials.server_file}
keyfile {credentials.server_key_file}
require_certificate true
"""
    )
    command = [find_tool("mosquitto"), "-c", str(configuration)]
    with ServerProcess(command, core=core, log_file=folder / "mosquitto.log") as process:
        process.wait_until_listening(LOOPBACK, port)
        yield Server("mosquitto", process, LOOPBACK, port)


@contextmanager
def amqtt(folder: Path, credentials: Credentials, core: int) -> Iterator[Server]:
    """Run amqtt's broker: another MQTT server in Python, on asyncio's own TLS."""
    port = free_port(LOOPBACK)
    configuration = folder / "amqtt.yaml"
    configuration.write_text(
        f"""\
listeners:
  default:
    type: tcp
    bind: {LOOPBACK}:{port}
    max_connections: 10000
    ssl: true
    cafile: {credentials.ca_file}
    certfile: {credentials.server_file}
    keyfile: {credentials.server_key_file}
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: true
"""
    )
    command = [str(amqtt_python().parent / "amqtt"), "-c", str(configuration)]
    with ServerProcess(command, core=core, log_file=folder / "amqtt.log") as process:
        process.wait_until_listening(LOOPBACK, port)
        # amqtt hands every message to its own log of retained topics only; nobody subscribes.
        yield Server("amqtt", process, LOOPBACK, port)
