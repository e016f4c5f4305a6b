"""OpenSSL as the guide uses it, and as a second opinion on what Mooring makes and judges."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.x509 import NOW, SERVER_AUTH, Made, key_of, make_ca, make_leaf

from mooring.pki.certificates import common_name, describe, dump_certificate, load_certificate
from mooring.pki.issuing import (
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
from mooring.pki.keys import KeyAlgorithm, dump_key
from mooring.pki.names import Subject
from mooring.pki.pem import key_matches, take_certificates, take_private_key
from mooring.pki.possession import check_possession, new_verification_code
from mooring.pki.verifier import CaSet, ChainRefused, ChainVerifier

OpenSsl = Callable[..., str]

# The answers to the guide's prompts: C, ST, L, O, OU, CN, e-mail; a period is blank.
ANSWERS = "IT\n.\nAmaro\nQuay\n.\nquaygw01\n.\n"


def guide_root(openssl: OpenSsl, *more: str) -> None:
    """Make root-cert.pem and root-private-key.pem with the guide's own command."""
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-keyout", "root-private-key.pem"),
        *(more or ("-nodes",)),
        *("-out", "root-cert.pem"),
        answers=ANSWERS,
    )


def sign(openssl: OpenSsl, common_name: str, file: str, key: str) -> None:
    """Make a key and a certificate signed by the root, without an extension file."""
    openssl(
        *("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", "request.csr"),
        *("-subj", f"/O=Quay/CN={common_name}"),
    )
    openssl(
        *("x509", "-req", "-in", "request.csr", "-CA", "root-cert.pem"),
        *("-CAkey", "root-private-key.pem", "-CAcreateserial", "-days", "30", "-sha256"),
        *("-out", file),
    )


def test_guides_commands_when_run_make_certificates_that_everything_accepts(
    openssl: OpenSsl, tmp_path: Path
) -> None:
    guide_root(openssl)
    now = datetime.now(UTC)
    root = take_certificates((tmp_path / "root-cert.pem").read_bytes())
    root_key = take_private_key((tmp_path / "root-private-key.pem").read_bytes())
    assert root.repairs == root_key.repairs == ()
    assert key_matches(root.leaf, root_key.key)
    assert common_name(root.leaf) == "quaygw01"
    # The individual way: the root is the device's certificate.
    ChainVerifier().verify_pinned(root.leaf, at=now)

    code = new_verification_code()
    sign(openssl, code, "verification.crt", "verification-private-key.pem")
    proof = load_certificate((tmp_path / "verification.crt").read_bytes())
    check_possession(root.leaf, proof, code=code, code_made_at=now, now=now)

    sign(openssl, "edge01", "device.crt", "device-private-key.pem")
    device = take_certificates((tmp_path / "device.crt").read_bytes())
    key = take_private_key((tmp_path / "device-private-key.pem").read_bytes())
    assert key_matches(device.leaf, key.key)
    path = ChainVerifier().verify(device.certificates, CaSet(root.certificates), at=now)
    assert path.known == root.certificates
    assert common_name(path.leaf) == "edge01"


def test_guides_root_when_made_by_openssl_can_sign_with_mooring(
    openssl: OpenSsl, tmp_path: Path
) -> None:
    guide_root(openssl, "-passout", "pass:harbour")
    now = datetime.now(UTC)
    root = load_certificate((tmp_path / "root-cert.pem").read_text())
    key = take_private_key((tmp_path / "root-private-key.pem").read_text(), passphrase=b"harbour")
    assert key.encrypted
    device = issue_device(
        Subject(common_name="edge01", organization="Quay"), Issuer(root, key.key), now=now
    )
    # The guide's root lives 30 days; nothing that it signs may live longer.
    assert device.certificate.not_valid_after_utc == root.not_valid_after_utc
    assert ChainVerifier().verify([device.certificate], CaSet([root]), at=now)


def test_plain_x509_req_when_run_here_makes_version_1_or_3_and_both_are_accepted(
    openssl: OpenSsl, tmp_path: Path
) -> None:
    guide_root(openssl)
    sign(openssl, "edge01", "device.crt", "device-private-key.pem")
    printed = openssl("x509", "-in", "device.crt", "-noout", "-text")
    version = 1 if "Version: 1 (0x0)" in printed else 3
    assert version == 1 or "Version: 3 (0x2)" in printed
    leaf = load_certificate((tmp_path / "device.crt").read_bytes())
    assert describe(leaf).version == version
    root = load_certificate((tmp_path / "root-cert.pem").read_bytes())
    assert ChainVerifier().verify([leaf], CaSet([root]), at=datetime.now(UTC))


def test_x509_req_when_asked_for_version_3_is_accepted(openssl: OpenSsl, tmp_path: Path) -> None:
    guide_root(openssl)
    (tmp_path / "extensions").write_text("basicConstraints=CA:FALSE\n")
    sign(openssl, "edge01", "unused.crt", "device-private-key.pem")
    openssl(
        *("x509", "-req", "-in", "request.csr", "-CA", "root-cert.pem"),
        *("-CAkey", "root-private-key.pem", "-days", "30", "-extfile", "extensions"),
        *("-out", "device.crt"),
    )
    leaf = load_certificate((tmp_path / "device.crt").read_bytes())
    assert describe(leaf).version == 3
    root = load_certificate((tmp_path / "root-cert.pem").read_bytes())
    assert ChainVerifier().verify([leaf], CaSet([root]), at=datetime.now(UTC))


# -- OpenSSL's opinion on what Mooring makes ----------------------------------------------------


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_P256, KeyAlgorithm.RSA_2048])
def test_issued_chains_when_judged_by_openssl_pass_its_strict_checks(
    openssl: OpenSsl, tmp_path: Path, algorithm: KeyAlgorithm
) -> None:
    now = datetime.now(UTC)
    root = issue_root(
        Subject(common_name="quayroot", organization="Quay"), now=now, algorithm=algorithm
    )
    ca = issue_intermediate(
        Subject(common_name="Pier"), root.as_issuer(), now=now, algorithm=algorithm
    )
    device = issue_device(
        Subject(common_name="edge01", organization="Quay"),
        ca.as_issuer(),
        now=now,
        algorithm=algorithm,
    )
    proof = issue_verification("AB12", root.as_issuer(), now=now, algorithm=algorithm)
    write(tmp_path / "root.pem", root, CertificatePurpose.ROOT)
    write(tmp_path / "ca.pem", ca, CertificatePurpose.INTERMEDIATE)
    write(tmp_path / "device.crt", device, CertificatePurpose.DEVICE)
    write(tmp_path / "proof.crt", proof, CertificatePurpose.VERIFICATION)
    strict = ("verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "ca.pem")
    openssl(*strict, "-purpose", "sslclient", "device.crt")
    openssl(*strict, "proof.crt")
    openssl("verify", "-x509_strict", "-CAfile", "root.pem", "root.pem")
    # On the individual way the root itself is the TLS client's certificate.
    openssl("verify", "-CAfile", "root.pem", "-purpose", "sslclient", "root.pem")


def test_issued_server_chain_when_judged_by_openssl_passes_for_its_hosts(
    openssl: OpenSsl, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    ca = issue_server_ca("Mooring server CA", now=now)
    server = issue_server_certificate(
        ca.as_issuer(), host_names=["localhost", "127.0.0.1"], now=now
    )
    write(tmp_path / "ca.pem", ca, CertificatePurpose.SERVER_CA)
    write(tmp_path / "server.pem", server, CertificatePurpose.SERVER)
    strict = ("verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", "sslserver")
    openssl(*strict, "-verify_hostname", "localhost", "server.pem")
    openssl(*strict, "-verify_ip", "127.0.0.1", "server.pem")


@pytest.mark.parametrize("passphrase", [None, b"harbour"])
def test_dumped_key_when_read_by_openssl_opens(
    openssl: OpenSsl, tmp_path: Path, passphrase: bytes | None
) -> None:
    (tmp_path / "key.pem").write_bytes(dump_key(key_of("p256"), passphrase=passphrase))
    given = ("-passin", f"pass:{passphrase.decode()}") if passphrase else ()
    assert "BEGIN PUBLIC KEY" in openssl("pkey", "-in", "key.pem", "-pubout", *given)


def write(file: Path, issued: Issued, purpose: CertificatePurpose) -> None:
    file.write_text(purpose_text(purpose, issued.certificate) + issued.certificate_pem)


# -- OpenSSL's opinion on what Mooring judges ---------------------------------------------------


def chain_cases() -> dict[str, tuple[bool, Made, list[Made], list[Made]]]:
    """Return by name: whether it is good, leaf, presented others, known CAs."""
    root = make_ca("root")
    ca = make_ca("intermediate", root, path_length=0)
    lower = make_ca("lower", ca)
    device = make_leaf("device", root)
    expired_ca = make_ca("expired", root, end=NOW - timedelta(hours=1))
    return {
        "below root": (True, device, [], [root]),
        "below intermediate": (True, make_leaf("edge", ca), [ca], [root]),
        "intermediate known alone": (True, make_leaf("edge", ca), [], [ca]),
        "intermediate missing": (False, make_leaf("edge", ca), [], [root]),
        "forged": (False, make_leaf("edge", make_ca("stranger")), [root], [root]),
        "namesake": (False, make_leaf("edge", make_ca("root")), [], [root]),
        "expired": (False, make_leaf("e", root, end=NOW - timedelta(hours=1)), [], [root]),
        "early": (False, make_leaf("e", root, start=NOW + timedelta(hours=1)), [], [root]),
        "expired ca": (False, make_leaf("e", expired_ca), [expired_ca], [root]),
        "path length": (False, make_leaf("edge", lower), [lower, ca], [root]),
        "device as issuer": (False, make_leaf("edge", device), [device], [root]),
        "server only": (False, make_leaf("edge", root, usages=[SERVER_AUTH]), [], [root]),
    }


@pytest.mark.parametrize("case", chain_cases())
def test_verify_when_openssl_is_asked_too_both_agree(
    openssl: OpenSsl, tmp_path: Path, case: str
) -> None:
    good, leaf, others, known = chain_cases()[case]
    presented = [leaf.certificate, *(one.certificate for one in others)]
    try:
        ChainVerifier().verify(presented, CaSet(one.certificate for one in known), at=NOW)
    except ChainRefused:
        mooring = False
    else:
        mooring = True
    for file, members in (("leaf.pem", [leaf]), ("others.pem", others), ("known.pem", known)):
        text = "".join(dump_certificate(one.certificate) for one in members)
        (tmp_path / file).write_text(text)
    untrusted = ("-untrusted", "others.pem") if others else ()
    printed = openssl(
        *("verify", "-partial_chain", "-purpose", "sslclient"),
        *("-attime", str(int(NOW.timestamp())), "-trusted", "known.pem", *untrusted, "leaf.pem"),
        expected={0, 2},
    )
    assert mooring == good
    assert ("leaf.pem: OK" in printed) == good
