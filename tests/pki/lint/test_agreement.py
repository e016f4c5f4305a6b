"""The checks and the cloud's verifier agree: what a check calls an error, the verifier refuses."""

from __future__ import annotations

import pytest
from tests.support.lint_cases import CASES, NOW, context, device, good_device, root, vector

from mooring.pki.chainfacts import ChainRefused
from mooring.pki.lint import LintContext
from mooring.pki.verifier import CaSet, ChainVerifier

KNOWN = CaSet([root().certificate, vector("root-sha1.pem").certificate])
LIMITED = CaSet([root(path_length=1).certificate])
"""The root of the path length case; beside `KNOWN`, which has the same key, it would not limit."""

REFUSED = {
    "e_chain_signature_wrong": "bad-signature",
    "e_issuer_not_ca": "issuer-not-ca",
    "e_path_length_exceeded": "path-length-exceeded",
    "e_eku_without_client_auth": "wrong-key-usage",
    "e_key_usage_without_digital_signature": "wrong-key-usage",
    "e_rsa_below_2048": "weak-key",
    "e_unknown_curve": "weak-key",
    "e_unknown_key_kind": "weak-key",
    "e_sha1_signature": "weak-signature",
    "e_unknown_critical_extension": "critical-extension",
}
"""Rule, and the verifier's code for its bad case."""


def verify(case: LintContext, known: CaSet = KNOWN) -> None:
    ChainVerifier().verify(case.chain, known, at=NOW)


@pytest.mark.parametrize("case", [good_device(), context(device())], ids=["chain", "leaf alone"])
def test_what_passes_the_checks_is_accepted(case: LintContext) -> None:
    verify(case)


@pytest.mark.parametrize("rule", REFUSED)
def test_what_a_check_calls_an_error_is_refused_for_the_same_reason(rule: str) -> None:
    with pytest.raises(ChainRefused) as refused:
        verify(CASES[rule][1](), LIMITED if rule == "e_path_length_exceeded" else KNOWN)
    assert refused.value.code == REFUSED[rule]


def test_version_1_device_is_a_warning_and_accepted() -> None:
    known = CaSet([vector("root.pem").certificate])
    ChainVerifier().verify([vector("device-v1.pem").certificate], known, at=NOW)
