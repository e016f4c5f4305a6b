"""Our client towards a stranger: a real mosquitto over mutual TLS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.gateways import Device, root, signed_by
from tests.support.mosquitto import Mosquitto, MosquittoTls

from mooring.gateway.configuration.endpoint import Endpoint
from mooring.gateway.configuration.model import TransportSettings
from mooring.gateway.connections.assignments import Assignment
from mooring.gateway.connections.ports import AttemptFailed
from mooring.gateway.connections.states import ConnectionStage
from mooring.gateway.data.message import TelemetryMessage
from mooring.gateway.data.service import DataService
from mooring.gateway.keystore.entries import Keystore
from mooring.gateway.transports.mqtt_link import MqttLink
from mooring.gateway.transports.x509_mqtt import X509MqttDataTransport
from mooring.pki.certificates import dump_certificate
from mooring.pki.issuers import Issuer
from mooring.pki.issuing import issue_server_ca, issue_server_certificate
from mooring.pki.keys import dump_key
from mooring.pki.lint import preview_identity
from mooring.protocol.mqtt.client import ClientMachine
from mooring.protocol.mqtt.packets import Publish
from mooring.runtime.clock import SYSTEM_CLOCK
from mooring.transport.client import open_connection
from mooring.transport.client_tls import ClientCertificate, ClientTls

pytestmark = pytest.mark.interop

AUTHORITY = root("fleetroot")


class Stages:
    """Notes what a transport reports."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def enter(self, stage: ConnectionStage, detail: str = "") -> None:
        self.seen.append(stage.value)

    def note(self, detail: str) -> None: ...

    def saw(self, kind: str, wire_id: str) -> None: ...


@pytest.fixture(scope="module")
def server_ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's CA, certificate and key in one folder."""
    folder = tmp_path_factory.mktemp("server")
    now = SYSTEM_CLOCK.now()
    authority = issue_server_ca("Broker CA", now=now)
    issued = issue_server_certificate(
        Issuer(authority.certificate, authority.key), host_names=["127.0.0.1"], now=now
    )
    (folder / "ca.pem").write_text(dump_certificate(authority.certificate))
    (folder / "server.pem").write_text(dump_certificate(issued.certificate))
    (folder / "server-key.pem").write_bytes(dump_key(issued.key))
    (folder / "fleet.pem").write_text(dump_certificate(AUTHORITY.certificate))
    return folder


@pytest.fixture
def broker(server_ca: Path, tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that lets in only clients with a certificate of the fleet's CA."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    tls = MosquittoTls(
        certfile=server_ca / "server.pem",
        keyfile=server_ca / "server-key.pem",
        cafile=server_ca / "fleet.pem",
        require_certificate=True,
    )
    with Mosquitto.start(folder, tls=tls) as running:
        yield running


def transport_for(
    broker: Mosquitto, device: Device, server_ca: Path, tmp_path: Path
) -> X509MqttDataTransport:
    """Return the transport of a gateway whose hub is `broker`."""
    entry = Keystore(tmp_path / "keystore").add(
        "AzureDpsX509", device.certificate_pem, device.key_pem.encode(), None
    )
    settings = TransportSettings(
        endpoint=Endpoint(broker.host, broker.port),
        id_scope="0ne00HAWSER",
        model_id="dtmi:com:quay:Dock;1",
        strict_subject_rules=False,
        keep_alive_s=1,
        timeout_s=10,
        entry_id=entry.entry_id,
    )
    return X509MqttDataTransport(
        settings,
        entry,
        preview_identity([device.certificate]),
        trust_files=lambda: (server_ca / "ca.pem",),
        clock=SYSTEM_CLOCK,
    )


@contextlib.asynccontextmanager
async def listener(
    broker: Mosquitto, server_ca: Path, tmp_path: Path
) -> AsyncIterator[list[Publish]]:
    """Subscribe to everything with a client of its own; yield what arrives."""
    entry = signed_by(AUTHORITY, "watcher")
    folder = tmp_path / "watcher"
    folder.mkdir()
    (folder / "c.pem").write_text(entry.certificate_pem)
    (folder / "k.pem").write_text(entry.key_pem)
    stream = await open_connection(
        broker.host,
        broker.port,
        tls=ClientTls(
            trust_system=False,
            trust_files=(server_ca / "ca.pem",),
            certificate=ClientCertificate(folder / "c.pem", folder / "k.pem"),
        ),
    )
    arrived: list[Publish] = []

    def take(message: Publish) -> bool:
        arrived.append(message)
        return True

    link = await MqttLink.open(
        stream,
        ClientMachine(),
        client_id="watcher",
        user_name="watcher",
        clean_session=True,
        keep_alive_s=30,
        timeout_s=10,
        clock=SYSTEM_CLOCK,
        on_message=take,
    )
    await link.subscribe("devices/#", timeout_s=10)
    yield arrived
    await link.close()


async def test_connect_when_the_broker_knows_the_ca_publishes_and_stays_alive(
    broker: Mosquitto, server_ca: Path, tmp_path: Path
) -> None:
    transport = transport_for(broker, signed_by(AUTHORITY, "gw1"), server_ca, tmp_path)
    stages = Stages()
    link = await transport.connect(Assignment(broker.host, "gw1", SYSTEM_CLOCK.now()), stages)
    assert stages.seen == ["dns", "tcp", "tls", "mqtt"]
    assert link.facts.tls_version in ("TLSv1.2", "TLSv1.3")
    data = DataService(SYSTEM_CLOCK, window=9, capacity=1000)
    data.attach(link)
    async with listener(broker, server_ca, tmp_path) as arrived:
        sent = [
            TelemetryMessage(b"%d" % n, message_id=str(n), properties={"dock": "7 b"})
            for n in range(100)
        ]
        await asyncio.gather(*(data.publish(message, timeout_s=20) for message in sent))
        async with asyncio.timeout(10):
            while len(arrived) < len(sent):
                await asyncio.sleep(0.02)
        # Keep-alive is one second: the broker would have thrown out a silent client.
        await asyncio.sleep(2.5)
        assert not link.lost.done()
    assert [message.payload for message in arrived] == [message.body for message in sent]
    assert arrived[3].topic == "devices/gw1/messages/events/%24.mid=3&dock=7%20b"
    await link.disconnect()
    await link.disconnect()
    log = broker.log_text()
    assert "u'127.0.0.1/gw1/?api-version=2021-04-12&DeviceClientType=mooring-gateway" in log
    assert "model-id=dtmi%3Acom%3Aquay%3ADock%3B1" in log
    # Clean session 0, and an orderly end.
    assert "gw1 (p2, c0, k1" in log
    assert "Client gw1 disconnected" in log


async def test_connect_when_taken_over_reports_the_loss(
    broker: Mosquitto, server_ca: Path, tmp_path: Path
) -> None:
    transport = transport_for(broker, signed_by(AUTHORITY, "gw1"), server_ca, tmp_path)
    known = Assignment(broker.host, "gw1", SYSTEM_CLOCK.now())
    first = await transport.connect(known, Stages())
    other = transport_for(broker, signed_by(AUTHORITY, "gw1"), server_ca, tmp_path / "other")
    second = await other.connect(known, Stages())
    async with asyncio.timeout(10):
        fault = await first.lost
    assert (fault.stage, fault.code) == ("connected", "closed-by-server")
    await second.disconnect()


async def test_connect_when_the_broker_refuses_the_certificate_says_so(
    broker: Mosquitto, server_ca: Path, tmp_path: Path
) -> None:
    stranger = signed_by(root("strangeroot"), "gw1")
    transport = transport_for(broker, stranger, server_ca, tmp_path)
    with pytest.raises(AttemptFailed) as failed:
        await transport.connect(Assignment(broker.host, "gw1", SYSTEM_CLOCK.now()), Stages())
    fault = failed.value.fault
    # TLS 1.3 tells it only after a handshake that looked complete on this side, and the alert is
    # lost if the broker's reset overtakes it. Either way the certificate is named.
    assert fault.code in ("client-certificate-refused", "connection-lost")
    assert "certificate" in fault.cause + fault.remedy
    assert fault.stage in ("connecting.tls", "connecting.mqtt")


async def test_provision_when_the_server_is_no_dps_fails_instead_of_waiting_for_ever(
    broker: Mosquitto, server_ca: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.gateway.transports.registration.ANSWER_S", 0.5)
    transport = transport_for(broker, signed_by(AUTHORITY, "gw1"), server_ca, tmp_path)
    with pytest.raises(AttemptFailed) as failed:
        await transport.provision(Stages())
    assert failed.value.fault.stage == "provisioning.register"
    assert failed.value.fault.code == "no-answer"
    await transport.close()
