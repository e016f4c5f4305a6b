"""Loading trust, certificate and key on the client side, and naming what is wrong with them."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from tests.support.certificates import certify, key_of

from mooring.transport.client import open_connection
from mooring.transport.client_tls import ClientCertificate, ClientTls, load_client_context
from mooring.transport.errors import (
    ClientCertificateUnreadable,
    ClientCertificateWeak,
    ClientKeyMismatch,
    ClientKeyUnreadable,
    PassphraseMissing,
    PassphraseWrong,
    TlsError,
    TrustUnreadable,
)

EMPTY_BLOCK = "-----BEGIN {0}-----\nAAAA\n-----END {0}-----\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and its key."""
    return certify("device7", key_of("ec#device")).write(tmp_path)


def loading(certificate: ClientCertificate) -> TlsError:
    """Return the error that loading `certificate` must give."""
    with pytest.raises(TlsError) as error:
        load_client_context(ClientTls(trust_system=False, certificate=certificate))
    assert error.value.stage == "tls"
    assert error.value.remedy
    return error.value


def test_context_when_made_verifies_everything() -> None:
    context = load_client_context(ClientTls())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert load_client_context(ClientTls(trust_system=False)).get_ca_certs() == []


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_key_when_of_another_certificate_is_a_mismatch(
    kind: str, files: tuple[Path, Path], tmp_path: Path
) -> None:
    other = certify("other", key_of(f"{kind}#other")).write(tmp_path)[1]
    error = loading(ClientCertificate(files[0], other))
    assert isinstance(error, ClientKeyMismatch)
    assert error.code == "client-key-mismatch"
    assert str(other) in error.message
    assert str(files[0]) in error.message


def test_key_when_encrypted_needs_its_passphrase(files: tuple[Path, Path]) -> None:
    certificate_file, key_file = files
    key_file.write_bytes(certify("device7", key_of("ec#device")).key_pem(b"open sesame"))
    error = loading(ClientCertificate(certificate_file, key_file))
    assert isinstance(error, PassphraseMissing)
    assert error.code == "passphrase-missing"
    for wrong in ("close sesame", b"close sesame", "", "x" * 2000):
        error = loading(ClientCertificate(certificate_file, key_file, lambda text=wrong: text))
        assert isinstance(error, PassphraseWrong)
        assert "sesame" not in error.message
    right = ClientCertificate(certificate_file, key_file, lambda: b"open sesame")
    load_client_context(ClientTls(trust_system=False, certificate=right))


def test_passphrase_when_key_is_not_encrypted_is_not_asked_for(files: tuple[Path, Path]) -> None:
    def ask() -> str:
        raise AssertionError("asked")

    certificate = ClientCertificate(*files, ask)
    load_client_context(ClientTls(trust_system=False, certificate=certificate))


@pytest.mark.parametrize("content", [None, "nothing", EMPTY_BLOCK.format("CERTIFICATE")])
def test_certificate_when_unreadable_is_named(
    content: str | None, files: tuple[Path, Path]
) -> None:
    if content is None:
        files[0].unlink()
    else:
        files[0].write_text(content)
    error = loading(ClientCertificate(*files))
    assert isinstance(error, ClientCertificateUnreadable)
    assert str(files[0]) in error.message


@pytest.mark.parametrize("content", [None, "nothing", EMPTY_BLOCK.format("PRIVATE KEY")])
def test_key_when_unreadable_is_named(content: str | None, files: tuple[Path, Path]) -> None:
    if content is None:
        files[1].unlink()
    else:
        files[1].write_text(content)
    error = loading(ClientCertificate(*files))
    assert isinstance(error, ClientKeyUnreadable)
    assert str(files[1]) in error.message


def test_certificate_when_its_key_is_too_small_is_called_weak(tmp_path: Path) -> None:
    weak = certify("device7", key_of("rsa1024")).write(tmp_path)
    error = loading(ClientCertificate(*weak))
    assert isinstance(error, ClientCertificateWeak)
    assert "key too small" in error.message


@pytest.mark.parametrize("content", [None, "nothing", EMPTY_BLOCK.format("CERTIFICATE")])
def test_trust_file_when_unreadable_is_named(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "trust.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(TrustUnreadable) as error:
        load_client_context(ClientTls(trust_system=False, trust_files=(file,)))
    assert str(file) in error.value.message


@pytest.mark.parametrize("text", ["nothing", "näm", EMPTY_BLOCK.format("CERTIFICATE")])
def test_trust_text_when_unreadable_is_refused(text: str) -> None:
    with pytest.raises(TrustUnreadable) as error:
        load_client_context(ClientTls(trust_system=False, trust_pem=text))
    assert error.value.code == "trust-unreadable"


async def test_connect_when_key_does_not_fit_fails_before_the_network(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    other = certify("other", key_of("ec#other")).write(tmp_path)[1]
    tls = ClientTls(trust_system=False, certificate=ClientCertificate(files[0], other))
    with pytest.raises(ClientKeyMismatch):
        await open_connection("no-such-host.invalid", 8883, tls=tls)
