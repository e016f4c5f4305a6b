"""Every client certificate reaches the application, and the one verifier judges it there."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL
from tests.support.certificates import DAY, Credential, certify, certify_server, key_of
from tests.support.tlspeers import (
    WAIT_S,
    Applications,
    RecordingApplication,
    StartListener,
    client_context,
    connect,
    echo,
    hang_up,
    read_all,
)

from mooring.pki.certificates import Certificate, load_certificate
from mooring.pki.verifier import CaSet, ChainRefused, ChainVerifier
from mooring.transport.server_connection import ServerConnection
from mooring.transport.server_tls import ServerTls

VECTORS = Path(__file__).parent.parent / "vectors" / "x509"
VECTOR_CLOCK = datetime(2026, 12, 1, tzinfo=UTC)

WELCOME = "welcome device7"


class VerdictApplication(RecordingApplication):
    """Tells the peer what the verifier says about it, and closes."""

    def __init__(self, known: Sequence[Certificate], at: datetime | None = None) -> None:
        super().__init__()
        self._known = CaSet(known)
        self._at = at

    def connection_made(self, connection: ServerConnection) -> None:
        presented = cast("tuple[Certificate, ...]", connection.presented)
        try:
            path = ChainVerifier().verify(presented, self._known, at=self._at or datetime.now(UTC))
            names = path.leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            verdict = f"welcome {names[0].value!s}"
        except ChainRefused as refused:
            verdict = refused.code
        connection.write(verdict.encode())
        connection.close()


class Scene:
    """A root, an intermediate below it, and what devices may hold; `kind` is the devices' key."""

    def __init__(self, kind: str) -> None:
        self.key = key_of(f"{kind}#device")
        self.root = certify("root", key_of(f"{kind}#root"), ca=True)
        self.intermediate = certify("plant", key_of(f"{kind}#plant"), self.root, ca=True)
        self.leaf = certify("device7", self.key, self.intermediate)


Case = tuple[list[Credential], list[Credential], str]
"""What the device presents, what the server knows, and the verdict."""


def _appended_namesake(scene: Scene, *, appended: bool) -> Case:
    namesake = certify("root", key_of("ec#namesake"), ca=True)
    leaf = certify("device7", scene.key, namesake)
    return [leaf, namesake] if appended else [leaf], [scene.root], "bad-signature"


def _issuer_without_ca(scene: Scene) -> Case:
    fake = certify("plant", scene.intermediate.key, scene.root, ca=False)
    return [certify("device7", scene.key, fake), fake], [scene.root], "issuer-not-ca"


def _long_path(scene: Scene) -> Case:
    short = certify("root", scene.root.key, ca=True, path_length=0)
    below = certify("plant", scene.intermediate.key, short, ca=True)
    return [certify("device7", scene.key, below), below], [short], "path-length-exceeded"


def _leaf(verdict: str, **options: Any) -> Callable[[Scene], Case]:
    """Return the case of a leaf right below the known root, made with `options`."""
    return lambda s: ([certify("device7", s.key, s.root, **options)], [s.root], verdict)


NOW = datetime.now(UTC)

CASES: dict[str, Callable[[Scene], Case]] = {
    "none": lambda s: ([], [s.root], "no-certificate"),
    "self-signed": lambda s: ([certify("device7", s.key)], [s.root], "unknown-ca"),
    "chain": lambda s: ([s.leaf, s.intermediate], [s.root], WELCOME),
    "chain with root": lambda s: ([s.leaf, s.intermediate, s.root], [s.root], WELCOME),
    "leaf only, intermediate known": lambda s: ([s.leaf], [s.intermediate], WELCOME),
    "leaf only, intermediate missing": lambda s: ([s.leaf], [s.root], "unknown-ca"),
    "expired": _leaf("expired", not_after=NOW - DAY),
    "not yet valid": _leaf("not-yet-valid", not_before=NOW + DAY),
    "extended key usage without clientAuth": _leaf(
        "wrong-key-usage", usages=[ExtendedKeyUsageOID.SERVER_AUTH]
    ),
    "key usage without digitalSignature": _leaf("wrong-key-usage", digital_signature=False),
    "issuer is no CA": _issuer_without_ca,
    "path length exceeded": _long_path,
    "forged: unknown leaf with a known CA appended": lambda s: (
        [certify("device7", s.key), s.intermediate],
        [s.intermediate],
        "unknown-ca",
    ),
    "same-named CA with another key": partial(_appended_namesake, appended=False),
    "same-named CA with another key, appended": partial(_appended_namesake, appended=True),
    "broken signature on the leaf": lambda s: (
        [s.leaf.broken(), s.intermediate],
        [s.root],
        "bad-signature",
    ),
    "broken signature on the intermediate": lambda s: (
        [s.leaf, s.intermediate.broken()],
        [s.root],
        "bad-signature",
    ),
}


@pytest.fixture(scope="session", params=["ec", "rsa"])
def scene(request: pytest.FixtureRequest) -> Scene:
    """Devices with EC or with RSA keys."""
    return Scene(request.param)


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    """The TLS version that the client insists on."""
    return cast("ssl.TLSVersion", request.param)


async def verdict_on(
    start_listener: StartListener,
    known: Sequence[Certificate],
    certificate: tuple[Path, Path] | None,
    *,
    version: ssl.TLSVersion | None = None,
    at: datetime | None = None,
    weak: bool = False,
    **options: Any,
) -> str:
    """Connect with `certificate` and return what the application answered."""
    listener = await start_listener(lambda: VerdictApplication(known, at), **options)
    context = client_context(certificate, version=version, weak=weak)
    reader, writer = await connect(listener.port, context)
    answer = await read_all(reader)
    await hang_up(writer)
    return answer.decode()


@pytest.mark.parametrize("name", CASES)
async def test_verdict_when_certificate_presented_reaches_peer(
    scene: Scene,
    version: ssl.TLSVersion,
    name: str,
    start_listener: StartListener,
    tmp_path: Path,
) -> None:
    presented, known, expected = CASES[name](scene)
    certificate = presented[0].write(tmp_path, *presented[1:]) if presented else None
    verdict = await verdict_on(
        start_listener, [each.certificate for each in known], certificate, version=version
    )
    assert verdict == expected


@pytest.mark.parametrize("kind", ["ec", "rsa"])
async def test_verdict_when_server_key_is_either_kind_reaches_peer(
    kind: str,
    scene: Scene,
    version: ssl.TLSVersion,
    server_ca: Credential,
    start_listener: StartListener,
    tmp_path: Path,
) -> None:
    server = certify_server(["localhost"], server_ca, key=key_of(f"{kind}#server"))
    verdict = await verdict_on(
        start_listener,
        [scene.intermediate.certificate],
        scene.leaf.write(tmp_path),
        version=version,
        tls=ServerTls(*server.write(tmp_path)),
    )
    assert verdict == WELCOME


async def test_verdict_when_leaf_is_the_kept_version_1_vector_is_welcome(
    version: ssl.TLSVersion, start_listener: StartListener
) -> None:
    root = load_certificate((VECTORS / "root.pem").read_text())
    device = load_certificate((VECTORS / "device-v1.pem").read_text())
    assert device.version.name == "v1"
    verdict = await verdict_on(
        start_listener,
        [root],
        (VECTORS / "device-v1.pem", VECTORS / "device-v1-key.pem"),
        version=version,
        at=VECTOR_CLOCK,
    )
    assert verdict == "welcome tlsvectordevice"


async def test_verdict_when_leaf_is_made_by_plain_openssl_commands_is_welcome(
    version: ssl.TLSVersion, start_listener: StartListener, tmp_path: Path
) -> None:
    def openssl(*arguments: str) -> str:
        done = subprocess.run(
            ["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout

    request = ["req", "-newkey", "rsa:2048", "-nodes", "-subj"]
    openssl(*request, "/CN=root", "-x509", "-keyout", "root.key", "-out", "root.pem")
    openssl(*request, "/CN=device7", "-keyout", "device.key", "-out", "device.csr")
    signing = ["x509", "-req", "-in", "device.csr", "-CA", "root.pem", "-CAkey", "root.key"]
    openssl(*signing, "-CAcreateserial", "-out", "device.pem")

    device = load_certificate((tmp_path / "device.pem").read_text())
    shown = openssl("x509", "-in", "device.pem", "-noout", "-text")
    major, minor = (int(part) for part in openssl("version").split()[1].split(".")[:2])
    assert f"Version: {device.version.value + 1} (0x{device.version.value:x})" in shown
    if (major, minor) <= (3, 1):
        assert device.version.name == "v1"

    verdict = await verdict_on(
        start_listener,
        [load_certificate((tmp_path / "root.pem").read_text())],
        (tmp_path / "device.pem", tmp_path / "device.key"),
        version=version,
    )
    assert verdict == WELCOME


async def test_verdict_when_key_is_rsa_1024_reaches_peer(
    version: ssl.TLSVersion, start_listener: StartListener, tmp_path: Path
) -> None:
    root = certify("root", key_of("ec#root"), ca=True)
    weak = certify("device7", key_of("rsa1024"), root)
    verdict = await verdict_on(
        start_listener, [root.certificate], weak.write(tmp_path), version=version, weak=True
    )
    assert verdict == "weak-key"


async def test_verdict_when_signed_over_sha1_reaches_peer(
    version: ssl.TLSVersion, start_listener: StartListener, tmp_path: Path
) -> None:
    # `cryptography` no longer signs over SHA-1.
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -subj /CN=root -keyout root.key -out root.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=device7 -keyout device.key -out device.csr",
        "x509 -req -sha1 -in device.csr -CA root.pem -CAkey root.key -set_serial 7 -out device.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)
    verdict = await verdict_on(
        start_listener,
        [load_certificate((tmp_path / "root.pem").read_text())],
        (tmp_path / "device.pem", tmp_path / "device.key"),
        version=version,
        weak=True,
    )
    assert verdict == "weak-signature"


@pytest.mark.interop
@pytest.mark.parametrize("broken", [False, True], ids=["good", "broken signature"])
async def test_verdict_when_peer_is_openssl_s_client_reaches_it(
    broken: bool,
    scene: Scene,
    version: ssl.TLSVersion,
    start_listener: StartListener,
    tmp_path: Path,
) -> None:
    listener = await start_listener(lambda: VerdictApplication([scene.root.certificate]))
    leaf = scene.leaf.broken() if broken else scene.leaf
    leaf_file, key_file = leaf.write(tmp_path, scene.intermediate)
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{listener.port}"),
        *("-cert", str(leaf_file), "-key", str(key_file), "-cert_chain", str(leaf_file)),
        "-tls1_2" if version is ssl.TLSVersion.TLSv1_2 else "-tls1_3",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        answer = await process.stdout.read()
        await process.wait()
    assert answer.decode() == ("bad-signature" if broken else WELCOME)


async def test_connection_when_error_left_by_application_goes_on(
    version: ssl.TLSVersion, start_listener: StartListener
) -> None:
    def leave_error(application: RecordingApplication, data: bytes) -> None:
        SSL._lib.ERR_put_error(SSL._lib.ERR_LIB_EVP, 0, 1, b"", 0)
        echo(application, data)

    applications = Applications(on_data=leave_error)
    listener = await start_listener(applications)
    reader, writer = await connect(listener.port, client_context(version=version))
    for word in (b"one", b"two", b"three"):
        writer.write(word)
        assert await reader.readexactly(len(word)) == word
    await hang_up(writer)
    # Nor does it spoil the next peer's handshake.
    _, writer = await connect(listener.port, client_context(version=version))
    await hang_up(writer)
    assert listener.counters.handshakes_ok == 2


async def test_presented_when_peer_sends_chain_has_leaf_first_and_can_be_forgotten(
    scene: Scene, version: ssl.TLSVersion, start_listener: StartListener, tmp_path: Path
) -> None:
    applications = Applications(on_data=echo)
    listener = await start_listener(applications)
    certificate = scene.leaf.write(tmp_path, scene.intermediate, scene.root)
    reader, writer = await connect(listener.port, client_context(certificate, version=version))
    writer.write(b"there")
    await reader.readexactly(5)
    connection = applications[0].connection
    assert connection.presented == (
        scene.leaf.certificate,
        scene.intermediate.certificate,
        scene.root.certificate,
    )
    connection.forget_presented()
    assert connection.presented == ()
    await hang_up(writer)
