"""Keys and certificates of a benchmark, made with the openssl program for all servers alike."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.tools import find_tool

DAYS = "30"


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A device's certificate with its issuer behind it, and its key."""

    name: str
    chain_file: Path
    key_file: Path
    sha256_thumbprint: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """A CA with an intermediate, a server certificate, and one client of each kind of key."""

    ca_file: Path
    server_file: Path
    server_key_file: Path
    clients: dict[str, ClientCredentials]


def make_credentials(folder: Path) -> Credentials:
    """Issue everything into `folder`: P-256 CA, intermediate and server; P-256 and RSA clients."""
    maker = _Maker(folder, find_tool("openssl"))
    maker.self_signed("root", "/CN=Bench root")
    maker.issue("line", "/CN=Bench line", issuer="root", key="ec", extensions=_CA)
    maker.issue("server", "/CN=localhost", issuer="root", key="ec", extensions=_SERVER)
    clients = {}
    for name in ("ec", "rsa"):
        maker.issue(
            f"device-{name}", "/CN=bench/O=Quay", issuer="line", key=name, extensions=_CLIENT
        )
        leaf = (folder / f"device-{name}.pem").read_text()
        chain_file = folder / f"device-{name}-chain.pem"
        chain_file.write_text(leaf + (folder / "line.pem").read_text())
        clients[name] = ClientCredentials(
            name=name,
            chain_file=chain_file,
            key_file=folder / f"device-{name}-key.pem",
            sha256_thumbprint=maker.thumbprint(f"device-{name}"),
        )
    return Credentials(
        ca_file=folder / "root.pem",
        server_file=folder / "server.pem",
        server_key_file=folder / "server-key.pem",
        clients=clients,
    )


_CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
_SERVER = (
    "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n"
    "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
)
_CLIENT = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n"
_KEYS = {
    "ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
}


class _Maker:
    def __init__(self, folder: Path, openssl: str) -> None:
        self._folder = folder
        self._openssl = openssl

    def _run(self, *arguments: str) -> bytes:
        done = subprocess.run(
            [self._openssl, *arguments], cwd=self._folder, capture_output=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.decode()[-500:]}")
        return done.stdout

    def _key(self, name: str, kind: str) -> None:
        self._run("genpkey", *_KEYS[kind], "-out", f"{name}-key.pem")

    def self_signed(self, name: str, subject: str) -> None:
        self._key(name, "ec")
        self._run(
            *("req", "-new", "-x509", "-key", f"{name}-key.pem", "-subj", subject),
            *("-days", DAYS, "-out", f"{name}.pem"),
        )

    def issue(self, name: str, subject: str, *, issuer: str, key: str, extensions: str) -> None:
        self._key(name, key)
        (self._folder / f"{name}.ext").write_text(extensions)
        self._run(
            *("req", "-new", "-key", f"{name}-key.pem", "-subj", subject, "-out", f"{name}.csr")
        )
        self._run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem"),
            *("-CAkey", f"{issuer}-key.pem", "-CAcreateserial", "-days", DAYS, "-sha256"),
            *("-extfile", f"{name}.ext", "-out", f"{name}.pem"),
        )

    def thumbprint(self, name: str) -> str:
        der = self._run("x509", "-in", f"{name}.pem", "-outform", "DER")
        return hashlib.sha256(der).hexdigest().upper()
