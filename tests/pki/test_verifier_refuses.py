"""What the verifier refuses, with which code, and whom it names."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from OpenSSL import crypto
from OpenSSL._util import lib as openssl_library
from tests.support.x509 import (
    NOW,
    SERVER_AUTH,
    VECTOR_TIME,
    Made,
    key_of,
    make,
    make_ca,
    make_leaf,
    name,
    usage,
    vector,
    with_broken_signature,
)

from mooring.pki import chainfacts
from mooring.pki.certificates import certificate_der
from mooring.pki.verifier import (
    CLOCK_SKEW,
    MAX_PRESENTED_CERTIFICATES,
    CaSet,
    ChainRefused,
    ChainVerifier,
    RefusalCode,
)


def refused(presented: list[Any], known: list[x509.Certificate], *, at: Any = NOW) -> ChainRefused:
    """Return the refusal, after seeing that it says everything and leaves OpenSSL clean."""
    with pytest.raises(ChainRefused) as caught:
        ChainVerifier().verify(presented, CaSet(known), at=at)
    assert caught.value.message
    assert caught.value.remedy
    assert caught.value.code in set(RefusalCode)
    assert openssl_library.ERR_peek_error() == 0
    return caught.value


def test_verify_when_nothing_is_presented_refuses(root: Made) -> None:
    refusal = refused([], [root.certificate])
    assert refusal.code == "no-certificate"
    assert refusal.certificate_subject is None


def test_verify_when_no_ca_is_known_refuses(root: Made) -> None:
    leaf = make_leaf("edge01", root)
    assert refused([leaf.certificate], []).code == "unknown-ca"
    assert refused([leaf.certificate, root.certificate], []).code == "unknown-ca"


def test_verify_when_self_signed_leaf_is_unknown_refuses(root: Made) -> None:
    refusal = refused([make_leaf("edge01").certificate], [root.certificate])
    assert refusal.code == "unknown-ca"
    assert refusal.certificate_subject == "CN=edge01, O=Quay"
    assert "self-signed" in refusal.message


def test_verify_when_intermediate_is_missing_refuses(root: Made, intermediate: Made) -> None:
    leaf = make_leaf("edge01", intermediate)
    refusal = refused([leaf.certificate], [root.certificate])
    assert refusal.code == "unknown-ca"
    assert "CN=intermediate" in refusal.message


def test_verify_when_known_ca_is_appended_to_unknown_leaf_refuses(root: Made) -> None:
    # On a TLS server the peer chain does not hold the leaf; whoever mistakes chain[0] for it
    # judges what the stranger appended. This test stays for ever.
    forged = make_leaf("edge01", make_ca("strangers"))
    refusal = refused([forged.certificate, root.certificate], [root.certificate])
    assert refusal.code == "unknown-ca"
    assert refusal.certificate_subject == "CN=edge01, O=Quay"


def test_verify_when_genuine_chain_is_appended_to_unknown_leaf_refuses(
    root: Made, intermediate: Made
) -> None:
    forged = make_leaf("edge01")
    genuine = make_leaf("edge02", intermediate)
    presented = [
        forged.certificate,
        genuine.certificate,
        intermediate.certificate,
        root.certificate,
    ]
    assert refused(presented, [root.certificate]).code == "unknown-ca"


def test_verify_when_another_ca_has_the_name_of_a_known_one_refuses(root: Made) -> None:
    impostor = make_ca("root")
    leaf = make_leaf("edge01", impostor)
    for presented in (
        [leaf.certificate],
        [leaf.certificate, impostor.certificate],
        [leaf.certificate, impostor.certificate, root.certificate],
    ):
        refusal = refused(presented, [root.certificate])
        assert refusal.code == "bad-signature"
        assert refusal.certificate_subject == "CN=edge01, O=Quay"


def test_verify_when_leafs_signature_is_broken_refuses(root: Made) -> None:
    leaf = with_broken_signature(make_leaf("edge01", root).certificate)
    assert refused([leaf], [root.certificate]).code == "bad-signature"


@pytest.mark.parametrize("key", ["rsa2048", "p256"])
def test_verify_when_intermediates_signature_is_broken_refuses(key: str) -> None:
    top = make_ca("top", key=key_of(key))
    ca = make_ca("intermediate", top)
    leaf = make_leaf("edge01", ca)
    broken = with_broken_signature(ca.certificate)
    refusal = refused([leaf.certificate, broken], [top.certificate])
    assert refusal.code == "bad-signature"
    assert refusal.certificate_subject == "CN=intermediate, O=Quay"


def test_verify_when_ca_and_its_issuer_share_a_name_without_key_identifiers_refuses() -> None:
    # OpenSSL takes the trusted one of the two for the leaf's issuer, and does not look further.
    top = make_ca("same")
    ca = make_ca("same", top)
    leaf = make_leaf("edge01", ca)
    refusal = refused([leaf.certificate, ca.certificate], [top.certificate])
    assert refusal.code == "ambiguous-issuer"


# -- validity -----------------------------------------------------------------------------------

SECOND = timedelta(seconds=1)


def test_verify_when_leaf_is_expired_refuses(root: Made) -> None:
    leaf = make_leaf("edge01", root, end=NOW - CLOCK_SKEW - SECOND)
    refusal = refused([leaf.certificate], [root.certificate])
    assert refusal.code == "expired"
    assert refusal.certificate_subject == "CN=edge01, O=Quay"


def test_verify_when_leaf_is_not_yet_valid_refuses(root: Made) -> None:
    leaf = make_leaf("edge01", root, start=NOW + CLOCK_SKEW + SECOND)
    assert refused([leaf.certificate], [root.certificate]).code == "not-yet-valid"


@pytest.mark.parametrize("place", ["root", "intermediate"])
@pytest.mark.parametrize(
    ("dates", "code"),
    [
        ({"end": NOW - CLOCK_SKEW - SECOND}, "expired"),
        ({"start": NOW + CLOCK_SKEW + SECOND}, "not-yet-valid"),
    ],
    ids=["expired", "not-yet-valid"],
)
def test_verify_when_a_ca_on_the_path_is_not_valid_now_refuses_and_names_it(
    place: str, dates: dict[str, Any], code: str
) -> None:
    top = make_ca("root", **(dates if place == "root" else {}))
    ca = make_ca("intermediate", top, **(dates if place == "intermediate" else {}))
    leaf = make_leaf("edge01", ca)
    refusal = refused([leaf.certificate, ca.certificate], [top.certificate])
    assert refusal.code == code
    assert refusal.certificate_subject == f"CN={place}, O=Quay"


def test_verify_when_known_intermediate_alone_is_expired_refuses(root: Made) -> None:
    ca = make_ca("intermediate", root, end=NOW - CLOCK_SKEW - SECOND)
    leaf = make_leaf("edge01", ca)
    assert refused([leaf.certificate], [ca.certificate]).code == "expired"


def test_verify_when_validities_never_meet_refuses() -> None:
    # Each within the allowance of now, but no moment at which both are valid.
    ca = make_ca("ca", end=NOW - timedelta(minutes=2))
    leaf = make_leaf("edge01", ca, start=NOW + timedelta(minutes=2))
    assert refused([leaf.certificate], [ca.certificate]).code in {"expired", "not-yet-valid"}


# -- usages and CA flags ------------------------------------------------------------------------


def test_verify_when_extended_usage_lacks_client_auth_refuses(root: Made) -> None:
    leaf = make_leaf("edge01", root, usages=[SERVER_AUTH])
    refusal = refused([leaf.certificate], [root.certificate])
    assert refusal.code == "wrong-key-usage"
    assert "clientAuth" in refusal.message


def test_verify_when_key_usage_lacks_digital_signature_refuses(root: Made) -> None:
    leaf = make_leaf("edge01", root, key_usage=usage("key_encipherment"))
    refusal = refused([leaf.certificate], [root.certificate])
    assert refusal.code == "wrong-key-usage"
    assert "digitalSignature" in refusal.message


def test_verify_when_intermediate_is_for_servers_only_refuses(root: Made) -> None:
    ca = make_ca("intermediate", root, usages=[SERVER_AUTH])
    leaf = make_leaf("edge01", ca)
    refusal = refused([leaf.certificate, ca.certificate], [root.certificate])
    assert refusal.code == "wrong-key-usage"
    assert refusal.certificate_subject == "CN=intermediate, O=Quay"


@pytest.mark.parametrize(
    "flaws",
    [
        {"ca": False},
        {"ca": None},
        {"key_usage": usage("digital_signature")},
        {"ca": False, "key_usage": None},
        {"ca": None, "key_usage": None},
    ],
    ids=["ca-false", "no-constraints", "no-cert-sign", "ca-false-bare", "bare"],
)
@pytest.mark.parametrize("place", ["presented", "known"])
def test_verify_when_issuer_is_no_ca_refuses(root: Made, flaws: dict[str, Any], place: str) -> None:
    issuer = make_ca("issuer", root, **flaws)
    leaf = make_leaf("edge01", issuer)
    if place == "presented":
        refusal = refused([leaf.certificate, issuer.certificate], [root.certificate])
    else:
        refusal = refused([leaf.certificate], [issuer.certificate])
    assert refusal.code == "issuer-not-ca"
    assert refusal.certificate_subject == "CN=issuer, O=Quay"


def test_verify_when_a_device_issues_another_device_refuses(root: Made) -> None:
    device = make_leaf("edge01", root)
    below = make_leaf("edge02", device)
    refusal = refused([below.certificate, device.certificate], [root.certificate])
    assert refusal.code == "issuer-not-ca"


def test_verify_when_issuer_is_version_1_refuses() -> None:
    leaf, issuer = vector("below-v1.pem"), vector("v1-issuer.pem")
    for presented in ([leaf], [leaf, issuer]):
        refusal = refused(presented, [issuer], at=VECTOR_TIME)
        assert refusal.code == "issuer-not-ca"
        assert "version 1" in refusal.message


def test_verify_when_path_length_is_exceeded_refuses() -> None:
    top = make_ca("top", path_length=0)
    ca = make_ca("intermediate", top)
    leaf = make_leaf("edge01", ca)
    refusal = refused([leaf.certificate, ca.certificate], [top.certificate])
    assert refusal.code == "path-length-exceeded"


def test_verify_when_path_length_of_a_presented_ca_is_exceeded_refuses(
    root: Made, intermediate: Made
) -> None:
    lower = make_ca("lower", intermediate)
    leaf = make_leaf("edge01", lower)
    presented = [leaf.certificate, lower.certificate, intermediate.certificate]
    assert refused(presented, [root.certificate]).code == "path-length-exceeded"


# -- keys, hashes, extensions -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rsa1024", "secp256k1", "ed25519"])
def test_verify_when_leafs_key_is_weak_or_odd_refuses(root: Made, kind: str) -> None:
    leaf = make_leaf("edge01", root, key=key_of(kind))
    refusal = refused([leaf.certificate], [root.certificate])
    assert refusal.code == "weak-key"
    assert refusal.certificate_subject == "CN=edge01, O=Quay"


@pytest.mark.parametrize("kind", ["rsa1024", "secp256k1", "ed25519"])
@pytest.mark.parametrize("place", ["root", "intermediate"])
def test_verify_when_a_cas_key_is_weak_or_odd_refuses(kind: str, place: str) -> None:
    weak = key_of(kind)
    top = make_ca("root", key=weak if place == "root" else None)
    ca = make_ca("intermediate", top, key=weak if place == "intermediate" else None)
    leaf = make_leaf("edge01", ca)
    refusal = refused([leaf.certificate, ca.certificate], [top.certificate])
    assert refusal.code == "weak-key"
    assert refusal.certificate_subject == f"CN={place}, O=Quay"


@pytest.mark.parametrize("leaf", ["sha1-leaf.pem", "md5-leaf.pem"])
def test_verify_when_leafs_signature_is_weak_refuses(leaf: str) -> None:
    refusal = refused([vector(leaf)], [vector("sha1-root.pem")], at=VECTOR_TIME)
    assert refusal.code == "weak-signature"


def test_verify_when_intermediates_signature_is_weak_refuses() -> None:
    presented = [vector("below-sha1.pem"), vector("sha1-intermediate.pem")]
    refusal = refused(presented, [vector("sha1-root.pem")], at=VECTOR_TIME)
    assert refusal.code == "weak-signature"
    assert refusal.certificate_subject == "CN=sha1intermediate, O=Quay, C=IT"


def test_verify_when_signature_algorithm_is_unknown_refuses(root: Made) -> None:
    der = certificate_der(make_leaf("edge01", root).certificate)
    ecdsa_with_sha256, nothing = (
        bytes.fromhex("2a8648ce3d040302"),
        bytes.fromhex("2a8648ce3d040379"),
    )
    assert der.count(ecdsa_with_sha256) == 2
    leaf = x509.load_der_x509_certificate(der.replace(ecdsa_with_sha256, nothing))
    refusal = refused([leaf], [root.certificate])
    assert refusal.code == "weak-signature"
    assert "unknown kind" in refusal.message


def test_verify_when_topmost_known_ca_is_no_root_and_weakly_signed_refuses() -> None:
    refusal = refused([vector("below-sha1.pem")], [vector("sha1-intermediate.pem")], at=VECTOR_TIME)
    assert refusal.code == "weak-signature"


def test_verify_when_known_leaf_is_weakly_signed_by_another_refuses() -> None:
    leaf = vector("sha1-leaf.pem")
    assert refused([leaf], [leaf], at=VECTOR_TIME).code == "weak-signature"


def test_verify_when_leaf_has_an_unknown_critical_extension_refuses(root: Made) -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    leaf = make_leaf("edge01", root, extensions=[(odd, True)])
    assert refused([leaf.certificate], [root.certificate]).code == "critical-extension"


def test_verify_when_name_constraints_forbid_the_leaf_refuses() -> None:
    constraints = x509.NameConstraints(
        permitted_subtrees=[x509.DirectoryName(name(None, "Elsewhere"))], excluded_subtrees=None
    )
    ca = make_ca("ca", extensions=[(constraints, True)])
    leaf = make_leaf("edge01", ca)
    assert refused([leaf.certificate], [ca.certificate]).code == "name-constraint"


def test_verify_when_authority_key_identifier_points_elsewhere_refuses() -> None:
    ca = make_ca("ca", extensions=[(x509.SubjectKeyIdentifier(b"1" * 20), False)])
    elsewhere = x509.AuthorityKeyIdentifier(b"2" * 20, None, None)
    leaf = make_leaf("edge01", ca, extensions=[(elsewhere, False)])
    assert refused([leaf.certificate], [ca.certificate]).code == "chain-invalid"


# -- limits and broken certificates -------------------------------------------------------------


def test_verify_when_too_many_certificates_are_presented_refuses(root: Made) -> None:
    leaf = make_leaf("edge01", root)
    presented = [leaf.certificate] * (MAX_PRESENTED_CERTIFICATES + 1)
    assert refused(presented, [root.certificate]).code == "chain-too-long"
    ChainVerifier().verify(presented[:-1], CaSet([root.certificate]), at=NOW)


def test_verify_when_path_is_longer_than_allowed_refuses() -> None:
    # Known CAs do not count among the presented ones, so they can make up a longer path.
    cas = list(
        itertools.accumulate(
            range(10), lambda above, number: make_ca(f"ca{number}", above), initial=make_ca("top")
        )
    )
    leaf = make_leaf("edge01", cas[-1])
    presented = [leaf.certificate, *(ca.certificate for ca in cas[-9:])]
    refusal = refused(presented, [cas[0].certificate])
    assert refusal.code == "chain-too-long"


def test_verify_when_a_certificate_is_too_large_refuses(root: Made) -> None:
    huge = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x04\x84\x00\x00\x50\x00" + bytes(0x5000)
    )
    leaf = make_leaf("edge01", root, extensions=[(huge, False)])
    assert refused([leaf.certificate], [root.certificate]).code == "certificate-too-large"
    with pytest.raises(ChainRefused) as caught:
        ChainVerifier().verify_pinned(leaf.certificate, at=NOW)
    assert caught.value.code == "certificate-too-large"


NO_CONSTRAINTS = x509.UnrecognizedExtension(x509.oid.ExtensionOID.BASIC_CONSTRAINTS, b"\x31\x00")


def unreadable(issuer: Made | None) -> x509.Certificate:
    """Return a properly signed certificate with an extension that cannot be parsed."""
    garbage = x509.UnrecognizedExtension(x509.oid.ExtensionOID.EXTENDED_KEY_USAGE, b"\x31\x00")
    return make("edge01", issuer, extensions=[(garbage, False)]).certificate


def test_verify_when_leaf_cannot_be_read_refuses(root: Made) -> None:
    refusal = refused([unreadable(root)], [root.certificate])
    assert refusal.code == "malformed"
    assert refusal.certificate_subject == "CN=edge01, O=Quay"


def test_verify_when_subject_cannot_be_read_refuses(root: Made) -> None:
    der = certificate_der(make_leaf("edge01", root).certificate)
    leaf = x509.load_der_x509_certificate(der.replace(b"edge01", b"\xff\xfe\xfd\xfc\xfb\xfa"))
    refusal = refused([leaf], [root.certificate])
    assert refusal.code in {"malformed", "bad-signature"}
    assert refusal.certificate_subject == "(unreadable subject)"
    genuine = make_leaf("edge02", root).certificate
    assert ChainVerifier().verify([genuine, leaf], CaSet([root.certificate]), at=NOW)


def test_verify_when_openssl_cannot_read_what_cryptography_can_refuses(
    root: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise crypto.Error([])

    leaf = make_leaf("edge01", root)
    monkeypatch.setattr(crypto, "load_certificate", fail)
    assert refused([leaf.certificate], [root.certificate]).code == "malformed"


def test_verify_when_openssl_takes_a_shorter_way_refuses_the_longer(
    root: Made, intermediate: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not known to happen: the ways are found so that it cannot. A guard for what is not known.
    leaf = make_leaf("edge01", intermediate)
    monkeypatch.setattr(crypto.X509StoreContext, "get_verified_chain", lambda _: [None, None])
    presented = [leaf.certificate, intermediate.certificate]
    assert refused(presented, [root.certificate]).code == "chain-invalid"


def test_verify_when_openssl_left_an_error_behind_clears_it(root: Made) -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    leaf = make_leaf("edge01", root, extensions=[(odd, True)])
    openssl_library.ERR_put_error(20, 0, 1, b"somewhere", 1)
    assert openssl_library.ERR_peek_error() != 0
    refused([leaf.certificate], [root.certificate])


def test_verify_when_signature_checks_run_out_refuses(
    root: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.pki.chainpaths.MAX_SIGNATURE_CHECKS", 3)
    namesakes = [make_ca("root").certificate for _ in range(4)]
    leaf = make_leaf("edge01", root)
    refusal = refused([leaf.certificate, *namesakes, root.certificate], [])
    assert refusal.code == "chain-too-long"
    assert "too many possible issuers" in refusal.message


def test_verify_when_paths_run_out_accepts_those_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mooring.pki.chainpaths.MAX_PATHS", 2)
    key = key_of("p256#rolled")
    editions = [make_ca("root", key=key).certificate for _ in range(5)]
    leaf = make_leaf("edge01", make_ca("root", key=key))
    path = ChainVerifier().verify([leaf.certificate], CaSet(editions), at=NOW)
    assert len(path.known) == 2


def test_verify_when_an_extra_cannot_be_read_ignores_it(root: Made, intermediate: Made) -> None:
    leaf = make_leaf("edge01", intermediate)
    namesake = make("intermediate", root, extensions=[(NO_CONSTRAINTS, True)]).certificate
    presented = [leaf.certificate, namesake, intermediate.certificate]
    path = ChainVerifier().verify(presented, CaSet([root.certificate]), at=NOW)
    assert path.certificates[1] == intermediate.certificate


def test_ca_set_when_a_certificate_cannot_be_read_refuses(root: Made) -> None:
    broken = make("ca", root, extensions=[(NO_CONSTRAINTS, True)]).certificate
    with pytest.raises(ChainRefused) as caught:
        CaSet([broken])
    assert caught.value.code == "malformed"


def test_verify_when_cas_sign_each_other_in_every_way_ends_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # One name, one key, nine certificates: each vouches for each other, and none is known.
    checks = 0
    genuine = chainfacts.has_signed

    def counted(parent: x509.Certificate, child: x509.Certificate) -> bool:
        nonlocal checks
        checks += 1
        return genuine(parent, child)

    monkeypatch.setattr("mooring.pki.chainpaths.has_signed", counted)
    keys = [key_of(f"p256#knot{number}") for number in range(9)]
    knot = [
        make_ca(
            "knot",
            key=own,
            signer=keys[(number + 1) % 9],
            issuer_name=name("knot"),
        )
        for number, own in enumerate(keys)
    ]
    leaf = make_leaf("edge01", knot[0])
    refusal = refused([leaf.certificate, *(ca.certificate for ca in knot)], [])
    assert refusal.code in {"unknown-ca", "bad-signature", "chain-too-long"}
    assert checks <= 64


# -- pinned -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leaf", "code"),
    [
        (make_leaf("edge01", end=NOW - CLOCK_SKEW - SECOND).certificate, "expired"),
        (make_leaf("edge01", start=NOW + CLOCK_SKEW + SECOND).certificate, "not-yet-valid"),
        (make_leaf("edge01", key=key_of("rsa1024")).certificate, "weak-key"),
        (make_leaf("edge01", key=key_of("secp256k1")).certificate, "weak-key"),
    ],
    ids=["expired", "not-yet-valid", "rsa1024", "secp256k1"],
)
def test_verify_pinned_when_not_good_refuses(leaf: x509.Certificate, code: str) -> None:
    with pytest.raises(ChainRefused) as caught:
        ChainVerifier().verify_pinned(leaf, at=NOW)
    assert caught.value.code == code
    assert caught.value.certificate_subject == "CN=edge01, O=Quay"


def test_verify_pinned_when_it_cannot_be_read_refuses(root: Made) -> None:
    der = certificate_der(make_leaf("edge01", root).certificate)
    leaf = x509.load_der_x509_certificate(der.replace(b"edge01", b"\xff\xfe\xfd\xfc\xfb\xfa"))
    with pytest.raises(ChainRefused) as caught:
        ChainVerifier().verify_pinned(leaf, at=NOW)
    assert caught.value.code == "malformed"


@pytest.mark.parametrize("leaf", ["sha1-leaf.pem", "md5-leaf.pem"])
def test_verify_pinned_when_issued_with_a_weak_hash_refuses(leaf: str) -> None:
    with pytest.raises(ChainRefused) as caught:
        ChainVerifier().verify_pinned(vector(leaf), at=VECTOR_TIME)
    assert caught.value.code == "weak-signature"
