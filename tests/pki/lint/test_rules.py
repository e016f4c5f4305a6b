"""Rules beyond their two cases: bounds, purposes, strictness, what they must not complain about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.support.lint_cases import (
    NOW,
    context,
    device,
    good_device,
    intermediate,
    key_of,
    key_usage,
    make,
    named,
    root,
    vector,
)

from mooring.pki.errors import CertificatesUnrelated, InputEmpty, WrongBox
from mooring.pki.lint import Field, Finding, LintContext, Purpose, Severity, lint
from mooring.pki.pem import Repair


def found(case: LintContext) -> dict[str, Finding]:
    """Return the findings by rule id."""
    return {finding.rule_id: finding for finding in lint(case)}


def test_lint_of_a_device_that_is_right_in_every_respect_finds_nothing() -> None:
    assert lint(good_device()) == []


def test_lint_with_a_naive_or_foreign_time_is_refused() -> None:
    with pytest.raises(ValueError, match="aware UTC"):
        LintContext(now=datetime(2030, 1, 1))  # noqa: DTZ001 - the naive time is the case


def test_lint_tells_the_weightiest_first() -> None:
    severities = [
        finding.severity
        for finding in lint(context(device("Edge GW"), root(), key=key_of("p256#other")))
    ]
    assert severities == sorted(severities, key=lambda s: -s.rank)
    assert {Severity.ERROR, Severity.WARNING, Severity.NOTE} == set(severities)


def test_finding_as_json_holds_its_parts() -> None:
    finding = found(context(device("Edge-GW")))["w_common_name_not_lower_alphanumeric"]
    document = finding.to_json()
    assert document["severity"] == "warning"
    assert document["field"] == "certificate"
    assert document["rule_id"] == finding.rule_id
    assert set(document) == {"rule_id", "severity", "field", "message", "remedy", "citation"}


def test_context_in_text_form_does_not_show_the_key() -> None:
    case = good_device()
    assert "PrivateKey" not in repr(case)


# -- the expiry matrix (the fake clock is NOW) ----------------------------------------------


@pytest.mark.parametrize(
    ("begins_days", "ends_days", "rule"),
    [
        (1, 365, "e_not_yet_valid"),
        (-1, 365, None),
        (-1, 31, None),
        (-1, 29, "w_expires_within_30_days"),
        (-1, 7, "w_expires_within_30_days"),
        (-1, 6, "w_expires_within_7_days"),
        (-1, 0, "w_expires_within_7_days"),
        (-30, -1, "e_expired"),
    ],
)
def test_validity_is_judged_by_exactly_one_rule(
    begins_days: int, ends_days: int, rule: str | None
) -> None:
    leaf = device(begins=timedelta(days=begins_days), ends=timedelta(days=ends_days))
    case = context(leaf, known_cas=(root().certificate,))
    assert set(found(case)) == (set() if rule is None else {rule})


def test_validity_of_an_issuer_in_the_chain_counts_and_is_named() -> None:
    line = make("quayold", issuer=root(), key="p256#old", ca=True, ends=timedelta(days=-1))
    finding = found(context(device(issuer=line), line))["e_expired"]
    assert "quayold" in finding.message
    assert "2030-05-31" in finding.message


def test_validity_with_a_clock_in_1970_blames_the_clock_alone() -> None:
    findings = found(good_device(now=datetime(1970, 1, 1, tzinfo=UTC)))
    assert set(findings) == {"e_clock_not_sane"}
    assert findings["e_clock_not_sane"].field is Field.CLOCK


# -- identity -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("common_name", "expected"),
    [
        ("edgegw01", set()),
        ("EdgeGw01", {"w_common_name_not_lower_alphanumeric"}),
        ("edge-gw-01", {"w_common_name_not_lower_alphanumeric"}),
        ("edge.gw:01_x", {"w_common_name_not_lower_alphanumeric"}),
        ("edge-", {"w_common_name_not_lower_alphanumeric"}),
        (
            "edge.",
            {"w_common_name_not_lower_alphanumeric", "e_common_name_not_registration_id"},
        ),
        (
            "edge gw",
            {"w_common_name_not_lower_alphanumeric", "e_common_name_not_registration_id"},
        ),
        (
            "gerät",
            {"w_common_name_not_lower_alphanumeric", "e_common_name_not_registration_id"},
        ),
        ("a" * 65, {"e_common_name_too_long"}),
        (
            "a" * 129,
            {"e_common_name_too_long", "e_common_name_not_registration_id"},
        ),
        ("  ", {"e_common_name_missing"}),
    ],
)
@pytest.mark.filterwarnings("ignore:Attribute's length:UserWarning")
def test_common_name_is_judged_by_the_guide_and_by_azure(
    common_name: str, expected: set[str]
) -> None:
    case = context(device(common_name), known_cas=(root().certificate,))
    assert set(found(case)) == expected


def test_common_name_that_is_refused_comes_with_the_one_that_would_do() -> None:
    findings = found(context(device("Gerät 7")))
    for rule in ("w_common_name_not_lower_alphanumeric", "e_common_name_not_registration_id"):
        assert "“gerat7”" in findings[rule].remedy


def test_common_name_of_which_nothing_can_be_kept_gets_the_general_remedy() -> None:
    findings = found(context(device("設備")))
    for rule in ("w_common_name_not_lower_alphanumeric", "e_common_name_not_registration_id"):
        assert "lower-case letters and digits" in findings[rule].remedy


def test_common_name_with_control_characters_is_shown_escaped() -> None:
    finding = found(context(device("edge\x1b[2Jgw")))["e_common_name_not_registration_id"]
    assert "\x1b" not in finding.message
    assert "\\x1b[2J" in finding.message


def test_common_name_missing_is_the_only_finding_about_the_name() -> None:
    case = context(
        device([(NameOID.ORGANIZATION_NAME, "Quay")]),
        registration_id="edgegw01",
        known_cas=(root().certificate,),
    )
    assert set(found(case)) == {"e_common_name_missing"}


def test_subject_without_any_field_is_not_called_a_common_name_only() -> None:
    assert set(found(context(make([])))) == {"e_common_name_missing", "n_testing_only"}


@pytest.mark.parametrize("purpose", [Purpose.DEVICE, Purpose.ROOT])
def test_subject_rules_under_strict_are_errors_for_identities(purpose: Purpose) -> None:
    name = named("Edge-GW", organization="")
    case = {"purpose": purpose}
    rules = ("w_common_name_not_lower_alphanumeric", "w_subject_only_common_name")
    lax = found(context(make(name, ca=True), **case))
    strict = found(context(make(name, ca=True), **case, strict_subject_rules=True))
    assert [lax[rule].severity for rule in rules] == [Severity.WARNING] * 2
    assert [strict[rule].severity for rule in rules] == [Severity.ERROR] * 2


@pytest.mark.parametrize("purpose", [Purpose.VERIFICATION, Purpose.INTERMEDIATE, Purpose.CHAIN])
def test_subject_rules_are_not_for_verification_and_intermediate(purpose: Purpose) -> None:
    leaf = make(named("Edge GW", organization=""), issuer=root(), key="p256#line", ca=True)
    case = context(leaf, purpose=purpose, strict_subject_rules=True, registration_id="other")
    assert set(found(case)) == set()


def test_registration_id_that_differs_only_in_case_is_a_warning() -> None:
    findings = found(good_device(registration_id="EDGEGW01"))
    assert set(findings) == {"w_registration_id_case_differs"}


def test_verification_without_a_common_name_has_no_code_to_compare() -> None:
    leaf = device([(NameOID.ORGANIZATION_NAME, "Quay")])
    case = context(leaf, purpose=Purpose.VERIFICATION, verification_code="7A3F")
    assert "e_common_name_missing" in found(case)
    assert "e_verification_code_mismatch" not in found(case)


# -- use and strength -----------------------------------------------------------------------


def test_root_as_device_with_a_long_life_is_a_note_not_a_warning() -> None:
    case = context(make("edgegw01", ca=True, ends=timedelta(days=3650)))
    assert set(found(case)) == {"n_ca_certificate_as_device", "n_testing_only"}


def test_certificate_without_usages_may_be_used_for_anything() -> None:
    case = context(make("edgegw01", issuer=root()), known_cas=(root().certificate,))
    assert set(found(case)) == set()


def test_extended_key_usage_with_client_auth_among_others_passes() -> None:
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    case = context(device(extended=both), known_cas=(root().certificate,))
    assert set(found(case)) == set()


def test_extended_key_usage_of_an_intermediate_limits_the_device_below_it() -> None:
    line = make(
        "quayline",
        issuer=root(),
        key="p256#line",
        ca=True,
        extended=[ExtendedKeyUsageOID.SERVER_AUTH],
    )
    finding = found(context(device(issuer=line), line))["e_eku_without_client_auth"]
    assert "quayline" in finding.message
    assert "serverAuth" in finding.message


def test_extended_key_usage_for_any_purpose_passes() -> None:
    usage = [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]
    case = context(device(extended=usage), known_cas=(root().certificate,))
    assert set(found(case)) == set()


def test_key_usage_in_the_finding_is_told_by_name() -> None:
    finding = found(context(device(usage=key_usage("key_encipherment", "key_agreement"))))[
        "e_key_usage_without_digital_signature"
    ]
    assert "keyEncipherment, keyAgreement" in finding.message


def test_usages_are_not_judged_where_no_device_is_meant() -> None:
    leaf = device("7A3F", usage=key_usage("key_encipherment"))
    assert set(found(context(leaf, purpose=Purpose.VERIFICATION))) == set()


def test_trust_bundle_with_a_leaf_in_it_names_the_leaf() -> None:
    case = context(root(), device(), purpose=Purpose.CHAIN)
    findings = found(case)
    assert set(findings) == {"e_ca_flag_missing"}
    assert "edgegw01" in findings["e_ca_flag_missing"].message


def test_path_of_an_intermediate_judges_its_issuers_as_issuers() -> None:
    case = context(intermediate(), root(), purpose=Purpose.INTERMEDIATE)
    assert set(found(case)) == set()


def test_sha1_root_is_left_alone_and_its_sha1_child_is_not() -> None:
    findings = found(context(vector("device-sha1.pem"), vector("root-sha1.pem")))
    assert "vectorshadevice" in findings["e_sha1_signature"].message
    assert "e_chain_signature_wrong" not in findings
    alone = context(vector("root-sha1.pem"), purpose=Purpose.ROOT)
    assert {f.severity for f in lint(alone)} <= {Severity.NOTE}


def test_key_of_another_kind_than_the_certificates_does_not_match() -> None:
    findings = found(context(device(), key=key_of("rsa2048")))
    assert findings["e_key_does_not_match"].field is Field.PRIVATE_KEY
    assert findings["e_key_does_not_match"].message.count("SHA-256") == 1


# -- the chain ------------------------------------------------------------------------------


def test_chain_that_begins_with_its_issuer_is_one_fault_not_three() -> None:
    findings = found(context(intermediate(), device(issuer=intermediate()), root()))
    assert {"e_leaf_not_first"} == {r for r in findings if r.startswith("e_")} - {
        "e_issuer_not_ca",
        "e_eku_without_client_auth",
    }


def test_chain_that_intake_found_unrelated_is_told_by_the_rule_of_the_order() -> None:
    refusal = CertificatesUnrelated("Certificate: two chains.", "Paste one.")
    findings = found(context(certificate_refusal=refusal))
    assert set(findings) == {"e_chain_order"}
    assert findings["e_chain_order"].remedy == "Paste one."


def test_chain_under_a_forged_root_is_incomplete_for_the_real_one() -> None:
    impostor = make("quayroot", key="p256#impostor", ca=True)
    case = context(device(issuer=impostor), known_cas=(root().certificate,))
    assert "w_chain_incomplete" in found(case)


def test_chain_that_holds_a_known_ca_itself_is_complete() -> None:
    case = context(device(), root(), known_cas=(root().certificate,))
    assert "w_chain_incomplete" not in found(case)


def test_path_length_does_not_count_self_issued_certificates() -> None:
    top = root(path_length=0)
    renewed = make("quayroot", issuer=top, key="p256#renewed", ca=True)
    case = context(device(issuer=renewed), renewed, top)
    assert "e_path_length_exceeded" not in found(case)


# -- texts and settings ---------------------------------------------------------------------


def test_wrong_box_twice_says_that_they_may_be_swapped() -> None:
    case = context(
        certificate_refusal=WrongBox("Certificate: holds a key.", "a"),
        key_refusal=WrongBox("Private key: holds a certificate.", "b"),
    )
    finding = found(case)["e_wrong_box"]
    assert "Certificate: holds a key. Private key: holds a certificate." in finding.message
    assert "swapped" in finding.remedy


def test_wrong_box_of_the_key_belongs_to_the_key() -> None:
    case = context(device(), key_refusal=WrongBox("Private key: a certificate.", "Swap it."))
    finding = found(case)["e_wrong_box"]
    assert finding.field is Field.PRIVATE_KEY
    assert finding.remedy == "Swap it."


def test_repairs_of_both_texts_are_told_apart() -> None:
    case = good_device(
        certificate_repairs=(Repair("a", "Blanks removed."), Repair("b", "Lines rewrapped.")),
        key_repairs=(Repair("c", "Converted."),),
    )
    assert found(case)["n_pem_repaired"].message == (
        "Certificate: Blanks removed. Lines rewrapped. Private key: Converted."
    )


def test_repairs_of_the_key_alone_belong_to_the_key() -> None:
    finding = found(good_device(key_repairs=(Repair("c", "Converted."),)))["n_pem_repaired"]
    assert finding.field is Field.PRIVATE_KEY


def test_both_texts_empty_are_two_findings() -> None:
    empty = InputEmpty("empty.", "Paste.")
    assert set(found(context(certificate_refusal=empty, key_refusal=empty))) == {
        "e_certificate_missing",
        "e_key_missing",
    }


@pytest.mark.parametrize(
    "endpoint",
    [
        "global.azure-devices-provisioning.net",
        " global.azure-devices-provisioning.net ",
        "localhost",
        "localhost:8883",
        "127.0.0.2:18883",
        "::1",
        "[::1]",
        "[::1]:8883",
        "dps.example.",
        "a" * 63 + ".example",
    ],
)
def test_endpoint_as_host_or_host_and_port_passes(endpoint: str) -> None:
    assert lint(good_device(endpoint=endpoint)) == []


@pytest.mark.parametrize(
    ("endpoint", "fault"),
    [
        ("https://dps.example", "scheme"),
        ("dps.example/", "path"),
        ("dps.example:0", "port"),
        ("dps.example:65536", "port"),
        ("dps.example:mqtt", "neither"),
        ("dps.example:", "neither"),
        ("dps example", "host name"),
        ("-dps.example", "host name"),
        ("dps..example", "host name"),
        ("a" * 64 + ".example", "host name"),
        (".".join(["a" * 60] * 5), "host name"),
        (":8883", "host name"),
        ("256.1.1.1", "IP address"),
        ("[dps.example]:8883", "IPv6"),
        ("1::2::3", "neither"),
    ],
)
def test_endpoint_that_names_no_host_is_refused_with_the_fault(endpoint: str, fault: str) -> None:
    findings = found(good_device(endpoint=endpoint))
    assert set(findings) == {"e_endpoint_not_hostname"}
    assert fault in findings["e_endpoint_not_hostname"].message


@pytest.mark.parametrize("scope_id", ["0ne00A1B2C3", " 0neDEADBEEF ", "0ne0012ab9f"])
def test_scope_id_of_the_usual_shape_passes(scope_id: str) -> None:
    assert lint(good_device(scope_id=scope_id)) == []


@pytest.mark.parametrize("scope_id", ["One00A1B2C3", "0ne00A1B2C", "0ne00A1B2C34", "quay"])
def test_scope_id_of_another_shape_is_a_warning(scope_id: str) -> None:
    assert set(found(good_device(scope_id=scope_id))) == {"w_scope_id_shape"}


def test_settings_that_were_not_given_are_not_judged() -> None:
    case = context(device(), known_cas=(root().certificate,))
    assert case.endpoint is None
    assert lint(case) == []


def test_every_message_ends_with_a_period_and_names_no_secret() -> None:
    case = context(device("Edge GW"), root(), key=key_of("p256#other"), endpoint="", scope_id="x")
    for finding in lint(case):
        assert finding.message.endswith(".")
        assert "PRIVATE KEY" not in finding.message


def test_now_of_the_cases_is_in_the_middle_of_their_validity() -> None:
    leaf = device().certificate
    assert leaf.not_valid_before_utc < NOW < leaf.not_valid_after_utc
