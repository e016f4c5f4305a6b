"""Issuing certificates."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.support.x509 import CLIENT_AUTH, NOW, SERVER_AUTH, Made, key_of, make_ca

from mooring.pki.certificates import common_name, load_certificate
from mooring.pki.errors import (
    CodeInvalid,
    CommonNameNotLowerAlphanumeric,
    HostNameInvalid,
    IssuerKeyMismatch,
    IssuerNotCa,
    IssuerNotValidNow,
    IssuerWeak,
    PathLengthExceeded,
    PathLengthInvalid,
    PkiError,
    SubjectOnlyCommonName,
    ValidityInvalid,
)
from mooring.pki.issuing import (
    BACKDATE,
    MAX_DAYS,
    CertificatePurpose,
    Issued,
    Issuer,
    issue_device,
    issue_intermediate,
    issue_root,
    issue_server_ca,
    issue_server_certificate,
    issue_verification,
    purpose_text,
)
from mooring.pki.keys import KeyAlgorithm, describe_key, dump_key
from mooring.pki.names import Subject
from mooring.pki.pem import key_matches, take_certificates
from mooring.pki.verifier import CaSet, ChainVerifier

P256 = KeyAlgorithm.EC_P256
ROOT_SUBJECT = Subject(common_name="quayroot", organization="Quay")
DEVICE_SUBJECT = Subject(common_name="edge01", organization="Quay")


@pytest.fixture(scope="module")
def root_ca() -> Issued:
    return issue_root(ROOT_SUBJECT, now=NOW, algorithm=P256)


def extension(certificate: x509.Certificate, kind: Any) -> Any:
    return certificate.extensions.get_extension_for_class(kind)


# -- what is made -------------------------------------------------------------------------------


def test_issue_root_when_nothing_is_said_is_rsa_2048_with_sha256() -> None:
    root = issue_root(ROOT_SUBJECT, now=NOW)
    assert describe_key(root.key) == "RSA 2048"
    assert root.certificate.signature_hash_algorithm.name == "sha256"
    assert key_matches(root.certificate, root.key)


def test_issue_root_when_made_is_a_ca_that_may_also_sign_in(root_ca: Issued) -> None:
    certificate = root_ca.certificate
    constraints = extension(certificate, x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=None)
    usage = extension(certificate, x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.digital_signature  # the individual way presents the root itself
    assert certificate.version is x509.Version.v3
    assert certificate.issuer == certificate.subject
    certificate.verify_directly_issued_by(certificate)
    assert root_ca.chain == (certificate,)
    assert certificate.not_valid_before_utc == NOW - BACKDATE
    assert certificate.not_valid_after_utc == NOW + timedelta(days=3650)


def test_issue_root_when_p384_signs_with_sha384() -> None:
    root = issue_root(ROOT_SUBJECT, now=NOW, algorithm=KeyAlgorithm.EC_P384)
    assert root.certificate.signature_hash_algorithm.name == "sha384"
    device = issue_device(DEVICE_SUBJECT, root.as_issuer(), now=NOW, algorithm=P256)
    assert device.certificate.signature_hash_algorithm.name == "sha384"


def test_issue_device_when_made_is_a_client_and_no_ca(root_ca: Issued) -> None:
    device = issue_device(DEVICE_SUBJECT, root_ca.as_issuer(), now=NOW, algorithm=P256)
    certificate = device.certificate
    assert extension(certificate, x509.BasicConstraints).value.ca is False
    usage = extension(certificate, x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert list(extension(certificate, x509.ExtendedKeyUsage).value) == [CLIENT_AUTH]
    assert common_name(certificate) == "edge01"
    assert device.chain == (certificate, root_ca.certificate)
    assert device.presented_chain == (certificate,)
    assert key_matches(certificate, device.key)


def test_issue_device_when_below_an_intermediate_carries_the_chain(root_ca: Issued) -> None:
    ca = issue_intermediate(Subject(common_name="Pier 1"), root_ca.as_issuer(), now=NOW)
    assert describe_key(ca.key) == "RSA 2048"
    assert extension(ca.certificate, x509.BasicConstraints).value.path_length == 0
    assert not extension(ca.certificate, x509.KeyUsage).value.digital_signature
    device = issue_device(DEVICE_SUBJECT, ca.as_issuer(), now=NOW, algorithm=P256)
    assert device.chain == (device.certificate, ca.certificate, root_ca.certificate)
    assert device.presented_chain == (device.certificate, ca.certificate)
    taken = take_certificates(device.chain_pem)
    assert taken.certificates == device.presented_chain
    assert taken.repairs == ()
    assert load_certificate(device.certificate_pem) == device.certificate
    path = ChainVerifier().verify(device.presented_chain, CaSet([root_ca.certificate]), at=NOW)
    assert path.certificates == device.chain


def test_issue_verification_when_made_has_the_code_as_common_name(root_ca: Issued) -> None:
    proof = issue_verification("AB12", root_ca.as_issuer(), now=NOW, algorithm=P256)
    assert common_name(proof.certificate) == "AB12"
    assert extension(proof.certificate, x509.BasicConstraints).value.ca is False
    assert proof.certificate.not_valid_after_utc == NOW + timedelta(days=2)


def test_issue_when_repeated_gives_other_serial_numbers(root_ca: Issued) -> None:
    issuer = root_ca.as_issuer()
    serials = {
        issue_device(DEVICE_SUBJECT, issuer, now=NOW, algorithm=P256).certificate.serial_number
        for _ in range(5)
    }
    assert len(serials) == 5
    assert all(serial > 1 << 64 for serial in serials)


def test_issued_when_shown_as_text_hides_the_key(root_ca: Issued) -> None:
    assert "key" not in repr(root_ca).lower().replace("mooring", "")
    assert "PrivateKey" not in repr(root_ca.as_issuer())


# -- validity -----------------------------------------------------------------------------------


def test_issue_device_when_issuer_ends_earlier_ends_with_it() -> None:
    root = issue_root(ROOT_SUBJECT, now=NOW, algorithm=P256, days=10)
    device = issue_device(DEVICE_SUBJECT, root.as_issuer(), now=NOW, algorithm=P256, days=365)
    assert device.certificate.not_valid_after_utc == root.certificate.not_valid_after_utc
    assert device.certificate.not_valid_before_utc == root.certificate.not_valid_before_utc


def test_issue_device_when_issuer_began_a_minute_ago_begins_with_it() -> None:
    ca = make_ca("ca", start=NOW - timedelta(minutes=1))
    device = device_by(ca.certificate, ca.key)
    assert device.certificate.not_valid_before_utc == NOW - timedelta(minutes=1)


@pytest.mark.parametrize("days", [0, -1, MAX_DAYS + 1])
def test_issue_when_days_are_out_of_range_refuses(root_ca: Issued, days: int) -> None:
    with pytest.raises(ValidityInvalid) as caught:
        issue_device(DEVICE_SUBJECT, root_ca.as_issuer(), now=NOW, days=days)
    assert caught.value.field == "days"


def test_issue_root_when_days_are_at_the_limit_makes_it() -> None:
    root = issue_root(ROOT_SUBJECT, now=NOW, algorithm=P256, days=MAX_DAYS)
    assert root.certificate.not_valid_after_utc == NOW + timedelta(days=MAX_DAYS)


def test_issue_when_time_is_naive_is_an_error(root_ca: Issued) -> None:
    naive = NOW.replace(tzinfo=None)
    issuer = root_ca.as_issuer()
    with pytest.raises(ValueError, match="aware"):
        issue_root(ROOT_SUBJECT, now=naive)
    with pytest.raises(ValueError, match="aware"):
        issue_device(DEVICE_SUBJECT, issuer, now=naive)
    with pytest.raises(ValueError, match="aware"):
        issue_verification("AB12", issuer, now=naive)
    with pytest.raises(ValueError, match="aware"):
        issue_server_ca("ca", now=naive)


# -- who may sign -------------------------------------------------------------------------------


def device_by(certificate: x509.Certificate, key: Any, *above: x509.Certificate) -> Issued:
    return issue_device(DEVICE_SUBJECT, Issuer(certificate, key, above), now=NOW, algorithm=P256)


def test_issue_when_key_is_not_the_issuers_refuses(root: Made) -> None:
    with pytest.raises(IssuerKeyMismatch):
        device_by(root.certificate, key_of("p256#another"))


@pytest.mark.parametrize(
    "flaws",
    [{"ca": False}, {"ca": None}, {"key_usage": None, "ca": None}],
    ids=["ca-false", "no-constraints", "bare"],
)
def test_issue_when_issuer_is_no_ca_refuses(flaws: dict[str, Any]) -> None:
    ca = make_ca("ca", **flaws)
    with pytest.raises(IssuerNotCa, match=r"not a CA|CA:FALSE"):
        device_by(ca.certificate, ca.key)


def test_issue_when_issuers_key_usage_forbids_it_refuses(root_ca: Issued) -> None:
    from tests.support.x509 import usage

    ca = make_ca("ca", key_usage=usage("digital_signature"))
    with pytest.raises(IssuerNotCa, match="keyCertSign"):
        device_by(ca.certificate, ca.key)


def test_issue_when_issuer_states_no_key_usage_makes_it() -> None:
    ca = make_ca("ca", key_usage=None)
    assert device_by(ca.certificate, ca.key)


@pytest.mark.parametrize("kind", ["rsa1024", "secp256k1"])
def test_issue_when_issuers_key_is_weak_refuses(kind: str) -> None:
    ca = make_ca("ca", key=key_of(kind))
    with pytest.raises(IssuerWeak):
        device_by(ca.certificate, ca.key)


def test_issue_when_issuer_is_expired_or_not_yet_valid_refuses() -> None:
    expired = make_ca("ca", end=NOW - timedelta(seconds=1))
    with pytest.raises(IssuerNotValidNow, match="expired"):
        device_by(expired.certificate, expired.key)
    early = make_ca("ca", start=NOW + timedelta(seconds=1))
    with pytest.raises(IssuerNotValidNow, match="not valid before"):
        device_by(early.certificate, early.key)


def test_issue_intermediate_when_issuer_allows_none_below_refuses(root_ca: Issued) -> None:
    ca = issue_intermediate(
        Subject(common_name="Pier"), root_ca.as_issuer(), now=NOW, algorithm=P256
    )
    with pytest.raises(PathLengthExceeded):
        issue_intermediate(Subject(common_name="Jetty"), ca.as_issuer(), now=NOW)
    assert issue_device(DEVICE_SUBJECT, ca.as_issuer(), now=NOW, algorithm=P256)


def test_issue_device_when_a_ca_further_up_forbids_it_refuses() -> None:
    top = make_ca("top", path_length=0)
    ca = make_ca("intermediate", top)  # somebody made it although the top forbids it
    with pytest.raises(PathLengthExceeded, match="CN=top"):
        device_by(ca.certificate, ca.key, top.certificate)
    assert device_by(ca.certificate, ca.key)  # the top is not in sight


def test_issue_device_when_something_further_up_states_no_constraints_does_not_mind() -> None:
    top = make_ca("top", ca=None)
    ca = make_ca("intermediate", top)
    assert device_by(ca.certificate, ca.key, top.certificate)


def test_issue_intermediate_when_path_length_has_no_room_refuses() -> None:
    root = issue_root(ROOT_SUBJECT, now=NOW, algorithm=P256, path_length=1)
    with pytest.raises(PathLengthInvalid, match="leaves room for 0"):
        issue_intermediate(Subject(common_name="Pier"), root.as_issuer(), now=NOW, path_length=1)
    assert issue_intermediate(
        Subject(common_name="Pier"), root.as_issuer(), now=NOW, algorithm=P256, path_length=0
    )


def test_issue_intermediate_when_issuer_is_self_issued_does_not_count_it() -> None:
    # RFC 5280 §4.2.1.9: self-issued certificates do not count.
    top = make_ca("same", path_length=1)
    link = make_ca("same", top)
    below = issue_intermediate(
        Subject(common_name="Pier"),
        Issuer(link.certificate, link.key, (top.certificate,)),
        now=NOW,
        algorithm=P256,
    )
    assert below


@pytest.mark.parametrize("path_length", [-1, -5])
def test_issue_when_path_length_is_negative_refuses(root_ca: Issued, path_length: int) -> None:
    with pytest.raises(PathLengthInvalid, match="negative"):
        issue_root(ROOT_SUBJECT, now=NOW, path_length=path_length)
    with pytest.raises(PathLengthInvalid, match="negative"):
        issue_intermediate(
            Subject(common_name="Pier"), root_ca.as_issuer(), now=NOW, path_length=path_length
        )


# -- subject rules ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "error"),
    [
        (Subject(common_name="Edge01", organization="Quay"), CommonNameNotLowerAlphanumeric),
        (Subject(common_name="edge01"), SubjectOnlyCommonName),
    ],
)
def test_issue_identity_when_subject_breaks_the_guide_refuses_unless_lifted(
    root_ca: Issued, subject: Subject, error: type[PkiError]
) -> None:
    issuer = root_ca.as_issuer()
    with pytest.raises(error):
        issue_root(subject, now=NOW)
    with pytest.raises(error):
        issue_device(subject, issuer, now=NOW)
    assert issue_root(subject, now=NOW, algorithm=P256, any_subject=True)
    assert issue_device(subject, issuer, now=NOW, algorithm=P256, any_subject=True)


@pytest.mark.parametrize("code", ["", " AB", "AB ", "A\nB", "A" * 65])
def test_issue_verification_when_code_does_not_fit_refuses(root_ca: Issued, code: str) -> None:
    with pytest.raises(CodeInvalid):
        issue_verification(code, root_ca.as_issuer(), now=NOW)


# -- servers ------------------------------------------------------------------------------------


def test_issue_server_certificate_when_made_names_every_host_once() -> None:
    ca = issue_server_ca("Mooring server CA 1", now=NOW)
    assert ca.certificate.not_valid_after_utc == NOW + timedelta(days=3650)
    server = issue_server_certificate(
        ca.as_issuer(),
        host_names=["localhost", "127.0.0.1", "::1", "dps.quay.example", "localhost"],
        now=NOW,
    )
    certificate = server.certificate
    names = extension(certificate, x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "dps.quay.example"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]
    assert list(extension(certificate, x509.ExtendedKeyUsage).value) == [SERVER_AUTH]
    assert certificate.not_valid_after_utc == NOW + timedelta(days=365)
    assert common_name(certificate) == "localhost"
    assert describe_key(server.key) == "EC secp256r1"


def test_issue_server_certificate_when_rsa_allows_key_transport() -> None:
    ca = issue_server_ca("ca", now=NOW)
    server = issue_server_certificate(
        ca.as_issuer(), host_names=["localhost"], now=NOW, algorithm=KeyAlgorithm.RSA_2048
    )
    assert extension(server.certificate, x509.KeyUsage).value.key_encipherment


def test_issue_server_certificate_when_names_are_long_still_has_a_common_name() -> None:
    ca = issue_server_ca("ca", now=NOW)
    long_name = ".".join(["a" * 30] * 4)
    server = issue_server_certificate(ca.as_issuer(), host_names=[long_name], now=NOW)
    assert common_name(server.certificate) == "server"


@pytest.mark.parametrize(
    "host_names",
    [
        [],
        [""],
        ["https://localhost"],
        ["localhost:8883"],
        ["-a.example"],
        ["a-.example"],
        ["a..example"],
        ["*.example"],
        ["città.example"],
        ["a" * 64],
        [".".join(["a" * 60] * 5)],
        ["1.2.3"],
        ["127.0.0.256"],
        [f"host{number}" for number in range(101)],
    ],
)
def test_issue_server_certificate_when_a_host_name_is_invalid_refuses(
    host_names: list[str],
) -> None:
    ca = issue_server_ca("ca", now=NOW)
    with pytest.raises(HostNameInvalid) as caught:
        issue_server_certificate(ca.as_issuer(), host_names=host_names, now=NOW)
    assert caught.value.field == "host_names"


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_P256, KeyAlgorithm.RSA_2048])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_server_chain_when_met_by_a_strict_client_passes(
    tmp_path: Path, algorithm: KeyAlgorithm, host: str
) -> None:
    from datetime import UTC, datetime

    now = datetime.now(UTC)  # the client's clock cannot be set
    ca = issue_server_ca("Mooring server CA", now=now)
    server = issue_server_certificate(
        ca.as_issuer(), host_names=["localhost", "127.0.0.1"], now=now, algorithm=algorithm
    )
    files = {"ca": tmp_path / "ca.pem", "chain": tmp_path / "s.pem", "key": tmp_path / "k.pem"}
    files["ca"].write_text(ca.certificate_pem)
    files["chain"].write_text(server.chain_pem)
    files["key"].write_bytes(dump_key(server.key))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(files["chain"], files["key"])
    dialling = ssl.create_default_context(cafile=str(files["ca"]))
    dialling.verify_flags |= ssl.VERIFY_X509_STRICT
    near, far = socket.socketpair()
    far.settimeout(10)
    near.settimeout(10)

    def serve() -> None:
        with serving.wrap_socket(far, server_side=True) as peer:
            peer.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with dialling.wrap_socket(near, server_hostname=host) as client:
            assert client.getpeercert()["subject"]
            client.send(b"x")
    finally:
        thread.join(timeout=10)


# -- what it is for -----------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", list(CertificatePurpose))
def test_purpose_text_when_above_pem_is_comments_that_readers_skip(
    root_ca: Issued, purpose: CertificatePurpose, tmp_path: Path
) -> None:
    text = purpose_text(purpose, root_ca.certificate)
    assert all(line.startswith("# ") for line in text.splitlines())
    assert text.endswith("\n")
    assert "testing and development only" in text
    assert "Valid until: 2040-05-29 12:00:00 UTC" in text
    file = tmp_path / "root-cert.pem"
    file.write_text(text + root_ca.certificate_pem)
    assert load_certificate(file.read_bytes()) == root_ca.certificate
    ssl.create_default_context().load_verify_locations(cafile=str(file))


def test_purpose_text_when_subject_is_hostile_stays_in_its_line() -> None:
    evil = make_ca(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a\n-----BEGIN X")]))
    text = purpose_text(CertificatePurpose.ROOT, evil.certificate)
    assert all(line.startswith("# ") for line in text.splitlines())


def test_issuer_when_chain_is_replaced_keeps_the_rest(root_ca: Issued) -> None:
    assert replace(root_ca.as_issuer(), chain=()).certificate == root_ca.certificate
