"""Proof of possession: each way to be wrong has its own code."""

from __future__ import annotations

import string
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from tests.support.x509 import (
    NOW,
    VECTOR_TIME,
    Made,
    key_of,
    make,
    make_ca,
    make_leaf,
    name,
    vector,
    with_broken_signature,
)

from mooring.pki import possession
from mooring.pki.errors import PkiError
from mooring.pki.possession import (
    CLOCK_SKEW,
    CODE_LIFETIME,
    CaUploadedInstead,
    CodeExpired,
    CodeMissing,
    CodeOutdated,
    CommonNameNotCode,
    NotSignedByCa,
    PossessionNotProven,
    SignatureWeak,
    SignatureWrong,
    VerificationExpired,
    VerificationNotYetValid,
    check_possession,
    new_verification_code,
)

CODE = "0123456789ABCDEF0123456789ABCDEF01234567"
SECOND = timedelta(seconds=1)


def check(ca: x509.Certificate, proof: x509.Certificate, **changes: Any) -> None:
    arguments: dict[str, Any] = {"code": CODE, "code_made_at": NOW, "now": NOW, **changes}
    check_possession(ca, proof, **arguments)


def test_new_verification_code_when_made_is_160_random_bits_in_upper_hex() -> None:
    codes = {new_verification_code() for _ in range(100)}
    assert len(codes) == 100
    for code in codes:
        assert len(code) == 40
        assert set(code) <= set(string.digits + "ABCDEF")


@pytest.mark.parametrize("kind", ["p256", "rsa2048"])
def test_check_possession_when_signed_with_the_cas_key_accepts(kind: str) -> None:
    ca = make_ca("root", key=key_of(kind))
    check(ca.certificate, make_leaf(name(CODE, None), ca).certificate)


def test_check_possession_when_ca_is_an_intermediate_accepts(intermediate: Made) -> None:
    check(intermediate.certificate, make(CODE, intermediate).certificate)


def test_check_possession_when_version_1_accepts() -> None:
    proof = vector("v1-verification.pem")
    assert proof.version is x509.Version.v1
    check(vector("v1-root.pem"), proof, code_made_at=VECTOR_TIME, now=VECTOR_TIME)


@pytest.mark.parametrize("lacking", [{"code": None}, {"code": ""}, {"code_made_at": None}])
def test_check_possession_when_no_code_was_generated_refuses(
    root: Made, lacking: dict[str, Any]
) -> None:
    with pytest.raises(CodeMissing):
        check(root.certificate, make(CODE, root).certificate, **lacking)


def test_check_possession_when_code_is_a_day_old_refuses(root: Made) -> None:
    proof = make(CODE, root).certificate
    check(root.certificate, proof, code_made_at=NOW - CODE_LIFETIME)
    with pytest.raises(CodeExpired, match="24 hours"):
        check(root.certificate, proof, code_made_at=NOW - CODE_LIFETIME - SECOND)


def test_check_possession_when_the_ca_itself_is_given_refuses(root: Made) -> None:
    with pytest.raises(CaUploadedInstead) as caught:
        check(root.certificate, root.certificate)
    assert CODE in caught.value.remedy


@pytest.mark.parametrize("common_name", ["other", CODE.lower(), CODE + "0", CODE[:-1]])
def test_check_possession_when_common_name_differs_shows_both(root: Made, common_name: str) -> None:
    with pytest.raises(CommonNameNotCode) as caught:
        check(root.certificate, make(common_name, root).certificate)
    assert caught.value.code == "common-name-not-code"
    assert repr(common_name) in caught.value.message
    assert CODE in caught.value.message


def test_check_possession_when_there_is_no_common_name_refuses(root: Made) -> None:
    with pytest.raises(CommonNameNotCode, match="is none"):
        check(root.certificate, make(name(None), root).certificate)


def test_check_possession_when_code_was_replaced_says_so(root: Made) -> None:
    former = "F" * 40
    with pytest.raises(CodeOutdated) as caught:
        check(
            root.certificate,
            make(former, root).certificate,
            former_codes=("E" * 40, former),
        )
    assert caught.value.code == "verification-code-outdated"


def test_check_possession_when_another_ca_issued_it_refuses(root: Made) -> None:
    with pytest.raises(NotSignedByCa, match="CN=other") as caught:
        check(root.certificate, make(CODE, make_ca("other")).certificate)
    assert "self-signed" not in caught.value.message


def test_check_possession_when_self_signed_says_so(root: Made) -> None:
    with pytest.raises(NotSignedByCa, match="self-signed"):
        check(root.certificate, make(CODE).certificate)


@pytest.mark.parametrize("kind", ["p256", "rsa2048"])
def test_check_possession_when_ca_has_the_name_but_another_key_refuses(kind: str) -> None:
    ca = make_ca("root", key=key_of(kind))
    impostor = make_ca("root", key=key_of(kind + "#impostor"))
    with pytest.raises(SignatureWrong):
        check(ca.certificate, make(CODE, impostor).certificate)
    other_kind = make_ca("root", key=key_of("p384"))
    with pytest.raises(SignatureWrong):
        check(ca.certificate, make(CODE, other_kind).certificate)


def test_check_possession_when_signature_is_broken_refuses(root: Made) -> None:
    with pytest.raises(SignatureWrong):
        check(root.certificate, with_broken_signature(make(CODE, root).certificate))


def test_check_possession_when_signed_with_sha1_refuses() -> None:
    with pytest.raises(SignatureWeak, match="SHA1"):
        check(
            vector("sha1-root.pem"),
            vector("sha1-leaf.pem"),
            code="sha1leaf",
            code_made_at=VECTOR_TIME,
            now=VECTOR_TIME,
        )


def test_check_possession_when_proof_is_expired_refuses(root: Made) -> None:
    end = NOW - CLOCK_SKEW
    check(root.certificate, make(CODE, root, end=end).certificate)
    with pytest.raises(VerificationExpired):
        check(root.certificate, make(CODE, root, end=end - SECOND).certificate)


def test_check_possession_when_proof_is_not_yet_valid_refuses(root: Made) -> None:
    start = NOW + CLOCK_SKEW
    check(root.certificate, make(CODE, root, start=start).certificate)
    with pytest.raises(VerificationNotYetValid):
        check(root.certificate, make(CODE, root, start=start + SECOND).certificate)


@pytest.mark.parametrize(
    "naive",
    [{"now": datetime(2030, 1, 1)}, {"code_made_at": datetime(2030, 1, 1)}],  # noqa: DTZ001 - naive on purpose
)
def test_check_possession_when_a_time_is_naive_is_an_error(
    root: Made, naive: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="aware"):
        check(root.certificate, make(CODE, root).certificate, **naive)


def test_codes_of_refusals_when_compared_are_distinct() -> None:
    classes = [
        kind
        for kind in vars(possession).values()
        if isinstance(kind, type) and issubclass(kind, PossessionNotProven)
    ]
    assert len({kind.code for kind in classes}) == len(classes) == 11
    assert all(issubclass(kind, PkiError) for kind in classes)
