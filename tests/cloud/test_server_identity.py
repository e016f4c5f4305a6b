"""The cloud's own certificates: made once, renewed in time, named after every name in use."""

from __future__ import annotations

import ssl
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mooring.cloud.errors import ServerIdentityBroken
from mooring.cloud.server_identity import CA_FILE, CA_KEY_FILE, ServerIdentity
from mooring.pki.keys import KeyAlgorithm, describe_key

NAMES = ("localhost", "127.0.0.1", "::1")


class SettableClock:
    """Stands still until told otherwise."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC).replace(microsecond=0)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


def identity(folder: Path, clock: SettableClock, **options: KeyAlgorithm) -> ServerIdentity:
    """Return an identity in `folder`."""
    return ServerIdentity(folder, clock=clock, **options)


def handshake(server: ServerIdentity, name: str) -> None:
    """Shake hands in memory, as strictly as OpenSSL can."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(server.certificate_file, server.key_file)
    client_context = ssl.create_default_context(cafile=str(server.ca_file))
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    pipes = [ssl.MemoryBIO() for _ in range(2)]
    ends = [
        client_context.wrap_bio(pipes[0], pipes[1], server_hostname=name),
        server_context.wrap_bio(pipes[1], pipes[0], server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue


def test_ensure_makes_a_chain_that_strict_clients_take_under_every_name(
    tmp_path: Path, clock: SettableClock
) -> None:
    made = identity(tmp_path, clock)

    assert made.ensure(NAMES)

    for name in NAMES:
        handshake(made, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made, "elsewhere.example")
    life = made.certificate.not_valid_after_utc - clock.moment
    assert timedelta(days=360) < life <= timedelta(days=366)


def test_ensure_keeps_keys_closed_to_others(tmp_path: Path, clock: SettableClock) -> None:
    made = identity(tmp_path, clock)
    made.ensure(NAMES)

    for path in (made.key_file, tmp_path / CA_KEY_FILE):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_ensure_again_changes_nothing(tmp_path: Path, clock: SettableClock) -> None:
    identity(tmp_path, clock).ensure(NAMES)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    again = identity(tmp_path, clock)

    assert not again.ensure(("LOCALHOST", "127.0.0.1"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_add_host_name_issues_anew_under_the_same_ca_and_says_so(
    tmp_path: Path, clock: SettableClock
) -> None:
    made = identity(tmp_path, clock)
    made.ensure(NAMES)
    ca = made.ca_file.read_bytes()
    told: list[bool] = []
    made.on_change = lambda: told.append(True)

    assert made.add_host_name("hub2.example")
    assert not made.add_host_name("Hub2.Example")

    assert told == [True]
    assert made.ca_file.read_bytes() == ca
    for name in (*NAMES, "hub2.example"):
        handshake(made, name)


def test_renew_happens_when_two_thirds_of_life_are_over_and_not_before(
    tmp_path: Path, clock: SettableClock
) -> None:
    made = identity(tmp_path, clock)
    made.ensure(NAMES)
    first = made.certificate

    clock.moment += timedelta(days=240)
    assert not made.renew_if_due()
    clock.moment += timedelta(days=5)
    assert made.renew_if_due()

    assert made.certificate.serial_number != first.serial_number
    assert made.certificate.not_valid_after_utc > first.not_valid_after_utc


@pytest.mark.parametrize("damage", ["missing", "garbage", "other key"])
def test_ensure_replaces_a_damaged_server_pair(
    tmp_path: Path, clock: SettableClock, damage: str
) -> None:
    made = identity(tmp_path, clock)
    made.ensure(NAMES)
    if damage == "missing":
        made.certificate_file.unlink()
    elif damage == "garbage":
        made.key_file.write_text("garbage")
    else:
        made.key_file.write_bytes((tmp_path / CA_KEY_FILE).read_bytes())

    again = identity(tmp_path, clock)

    assert again.ensure(NAMES)
    handshake(again, "localhost")


def test_ensure_replaces_a_certificate_of_another_ca(tmp_path: Path, clock: SettableClock) -> None:
    made = identity(tmp_path, clock)
    made.ensure(NAMES)
    (tmp_path / CA_FILE).unlink()
    (tmp_path / CA_KEY_FILE).unlink()

    again = identity(tmp_path, clock)

    assert again.ensure(NAMES)
    handshake(again, "localhost")


@pytest.mark.parametrize("damage", ["no key", "no certificate", "garbage", "other key", "expired"])
def test_ensure_with_a_broken_ca_is_refused_and_touches_nothing(
    tmp_path: Path, clock: SettableClock, damage: str
) -> None:
    made = identity(tmp_path, clock)
    made.ensure(NAMES)
    match damage:
        case "no key":
            (tmp_path / CA_KEY_FILE).unlink()
        case "no certificate":
            (tmp_path / CA_FILE).unlink()
        case "garbage":
            (tmp_path / CA_FILE).write_text("garbage")
        case "other key":
            (tmp_path / CA_KEY_FILE).write_bytes(made.key_file.read_bytes())
        case "expired":
            clock.moment += timedelta(days=3653)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(ServerIdentityBroken) as caught:
        identity(tmp_path, clock).ensure(NAMES)

    assert CA_FILE in caught.value.message
    assert CA_FILE in caught.value.remedy
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_ensure_after_a_first_start_that_was_cut_off_makes_a_ca(
    tmp_path: Path, clock: SettableClock
) -> None:
    identity(tmp_path, clock).ensure(NAMES)
    for name in (CA_FILE, "server.pem", "server-key.pem"):
        (tmp_path / name).unlink()

    again = identity(tmp_path, clock)

    assert again.ensure(NAMES)
    handshake(again, "localhost")


def test_add_host_name_from_several_threads_names_them_all(
    tmp_path: Path, clock: SettableClock
) -> None:
    made = identity(tmp_path, clock)
    made.ensure(NAMES)
    added = [f"hub{number}.example" for number in range(12)]

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(made.add_host_name, added))

    for name in added:
        handshake(made, name)


def test_ensure_with_rsa_makes_an_rsa_key(tmp_path: Path, clock: SettableClock) -> None:
    made = identity(tmp_path, clock, algorithm=KeyAlgorithm.RSA_2048)
    made.ensure(NAMES)

    assert describe_key(made.certificate.public_key()) == "RSA 2048"
    handshake(made, "localhost")
