"""For every lint rule one case that it passes and one that it finds fault with.

`CASES` maps the rule's id to two makers of a `LintContext`, the good one first. In the good case
the rule must apply, so that "passed" never means "looked away".
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mooring.pki.certificates import certificate_der, load_certificate, load_der_certificate
from mooring.pki.errors import (
    InputEmpty,
    KeyEncrypted,
    KeyMalformed,
    PassphraseWrong,
    PemEndMissing,
    WrongBox,
)
from mooring.pki.lint import LintContext, Purpose
from mooring.pki.pem import Repair

NOW = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
VECTORS = Path(__file__).parent.parent / "vectors" / "lint"

Subject = Sequence[tuple[x509.ObjectIdentifier, str]]


@dataclass(frozen=True, slots=True)
class Made:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any


def named(common_name: str, **others: str) -> Subject:
    """Return a subject of CN and, unless told otherwise, an organization."""
    fields = {"organization": "Quay", **others}
    organization = fields["organization"]
    subject = [(NameOID.COMMON_NAME, common_name)]
    return [(NameOID.ORGANIZATION_NAME, organization), *subject] if organization else subject


@functools.cache
def key_of(kind: str) -> Any:
    """Return one key of `kind`, the same at every call; kinds are numbered to get more of one."""
    family = kind.partition("#")[0]
    match family:
        case "rsa1024" | "rsa2048":
            return rsa.generate_private_key(65537, int(family[3:]))
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p521":
            return ec.generate_private_key(ec.SECP521R1())
        case "secp256k1":
            return ec.generate_private_key(ec.SECP256K1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "dsa":
            return dsa.generate_private_key(2048)
    raise AssertionError(kind)


def key_usage(*asserted: str) -> x509.KeyUsage:
    """Return a key usage with only the `asserted` bits, named as cryptography names them."""
    bits = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{bit: bit in asserted for bit in bits})


def make(
    subject: Subject | str,
    *,
    issuer: Made | None = None,
    key: str = "p256",
    ca: bool | None = None,
    path_length: int | None = None,
    usage: x509.KeyUsage | None = None,
    extended: Sequence[x509.ObjectIdentifier] = (),
    critical: x509.ExtensionType | None = None,
    serial_number: int | None = None,
    begins: timedelta = timedelta(days=-30),
    ends: timedelta = timedelta(days=335),
) -> Made:
    """Return a certificate that is valid from `NOW` + `begins` to `NOW` + `ends`."""
    private = key_of(key)
    name = x509.Name(
        [
            x509.NameAttribute(oid, value, _validate=False)
            for oid, value in (named(subject) if isinstance(subject, str) else subject)
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if issuer is None else issuer.certificate.subject)
        .public_key(private.public_key())
        .serial_number(serial_number or x509.random_serial_number())
        .not_valid_before(NOW + begins)
        .not_valid_after(NOW + ends)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length), critical=True)
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    if critical is not None:
        builder = builder.add_extension(critical, critical=True)
    signer = private if issuer is None else issuer.key
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Made(builder.sign(signer, algorithm), private)


@functools.cache
def root(key: str = "p256#root", path_length: int | None = None) -> Made:
    """Return the root of the cases."""
    return make("quayroot", key=key, ca=True, path_length=path_length)


@functools.cache
def intermediate(path_length: int | None = None) -> Made:
    """Return an intermediate under a root with that path length."""
    return make("quayline", issuer=root(path_length=path_length), key="p256#line", ca=True)


def device(subject: Subject | str = "edgegw01", **options: Any) -> Made:
    """Return a device certificate that is right in every respect, but for `options`."""
    good = {
        "issuer": root(),
        "ca": False,
        "usage": key_usage("digital_signature"),
        "extended": [ExtendedKeyUsageOID.CLIENT_AUTH],
    }
    return make(subject, **{**good, **options})


def context(*made: Made, **options: Any) -> LintContext:
    """Return a context with the certificates of `made` as its chain."""
    chain = tuple(one.certificate for one in made)
    return LintContext(**{"now": NOW, "chain": chain, **options})


def good_device(**options: Any) -> LintContext:
    """Return a device with its key, intermediate and settings, all of them right."""
    line = intermediate()
    leaf = device(issuer=line)
    settings = {
        "key": leaf.key,
        "registration_id": "edgegw01",
        "endpoint": "global.azure-devices-provisioning.net",
        "scope_id": "0ne00A1B2C3",
    }
    return context(leaf, line, **{**settings, **options})


def patched(made: Made, old: str, new: str) -> Made:
    """Return the certificate of `made` with the hex `old` replaced in its DER, as often as it is.

    For what cannot be issued; the signature is then wrong.
    """
    before, after = bytes.fromhex(old), bytes.fromhex(new)
    der = certificate_der(made.certificate)
    assert before in der
    assert len(before) == len(after)
    return Made(load_der_certificate(der.replace(before, after)), made.key)


def vector(name: str) -> Made:
    """Return a kept certificate; its key is gone."""
    return Made(load_certificate((VECTORS / name).read_text()), None)


def _forged_chain() -> tuple[Made, Made]:
    impostor = make("quayroot", key="p256#impostor", ca=True)
    return device(issuer=impostor), root()


def _long_chain(path_length: int) -> tuple[Made, ...]:
    top = root(path_length=path_length)
    line = intermediate(path_length=path_length)
    cell = make("quaycell", issuer=line, key="p256#cell", ca=True)
    return device(issuer=cell), cell, line, top


Case = tuple[Callable[[], LintContext], Callable[[], LintContext]]

CASES: dict[str, Case] = {
    # the certificate's text
    "e_certificate_missing": (
        good_device,
        lambda: context(certificate_refusal=InputEmpty("Certificate: empty.", "Paste it.")),
    ),
    "e_wrong_box": (
        good_device,
        lambda: context(certificate_refusal=WrongBox("Certificate: holds a key.", "Swap.")),
    ),
    "e_pem_unreadable": (
        good_device,
        lambda: context(certificate_refusal=PemEndMissing("Certificate: no END.", "Again.")),
    ),
    "n_pem_repaired": (
        lambda: good_device(certificate_repairs=(Repair("chain-reordered", "Put in order."),)),
        lambda: good_device(certificate_repairs=(Repair("trailing-blanks", "Blanks removed."),)),
    ),
    # the key's text and fit
    "e_key_missing": (
        good_device,
        lambda: context(device(), key_refusal=InputEmpty("Private key: empty.", "Paste it.")),
    ),
    "e_key_unreadable": (
        good_device,
        lambda: context(device(), key_refusal=KeyMalformed("Private key: torn.", "Again.")),
    ),
    "e_key_encrypted_without_passphrase": (
        good_device,
        lambda: context(device(), key_refusal=KeyEncrypted("Private key: encrypted.", "Give it.")),
    ),
    "e_passphrase_wrong": (
        good_device,
        lambda: context(device(), key_refusal=PassphraseWrong("Private key: no.", "Again.")),
    ),
    "e_key_does_not_match": (good_device, lambda: context(device(), key=key_of("p256#other"))),
    # the chain
    "e_leaf_not_first": (good_device, lambda: context(root(), device())),
    "e_chain_order": (good_device, lambda: context(device(), intermediate())),
    "n_chain_reordered": (
        lambda: good_device(certificate_repairs=(Repair("trailing-blanks", "Blanks removed."),)),
        lambda: good_device(certificate_repairs=(Repair("chain-reordered", "Put in order."),)),
    ),
    "e_chain_signature_wrong": (good_device, lambda: context(*_forged_chain())),
    "e_issuer_not_ca": (
        good_device,
        lambda: context(device(issuer=device("other", key="p256#o")), device("other")),
    ),
    "e_path_length_exceeded": (
        lambda: context(*_long_chain(2)),
        lambda: context(*_long_chain(1)),
    ),
    "w_chain_incomplete": (
        lambda: good_device(known_cas=(root().certificate,)),
        lambda: context(device(issuer=intermediate()), known_cas=(root().certificate,)),
    ),
    "n_issuer_not_included": (lambda: context(make("edgegw01")), lambda: context(device())),
    # the name
    "e_common_name_missing": (
        good_device,
        lambda: context(device([(NameOID.ORGANIZATION_NAME, "Quay")])),
    ),
    "e_common_name_ambiguous": (
        good_device,
        lambda: context(
            device([(NameOID.COMMON_NAME, "edgegw01"), (NameOID.COMMON_NAME, "edgegw02")])
        ),
    ),
    "e_common_name_too_long": (
        lambda: context(device("a" * 64)),
        lambda: context(device("a" * 65)),
    ),
    "e_common_name_not_registration_id": (
        lambda: context(device("Edge_gw.01:a-")),
        lambda: context(device("edge gw 01")),
    ),
    "w_common_name_not_lower_alphanumeric": (good_device, lambda: context(device("Edge-GW-01"))),
    "w_subject_only_common_name": (
        good_device,
        lambda: context(device(named("edgegw01", organization=""))),
    ),
    "e_registration_id_mismatch": (
        lambda: good_device(registration_id="EdgeGw01"),
        lambda: good_device(registration_id="edgegw02"),
    ),
    "w_registration_id_case_differs": (
        good_device,
        lambda: good_device(registration_id="EdgeGw01"),
    ),
    "e_verification_code_mismatch": (
        lambda: context(device("7A3F"), purpose=Purpose.VERIFICATION, verification_code="7A3F"),
        lambda: context(device("7A3F"), purpose=Purpose.VERIFICATION, verification_code="7a3f"),
    ),
    # the time
    "e_clock_not_sane": (good_device, lambda: good_device(now=datetime(1970, 1, 1, tzinfo=UTC))),
    "e_not_yet_valid": (
        lambda: context(device(begins=timedelta(0))),
        lambda: context(device(begins=timedelta(seconds=1))),
    ),
    "e_expired": (
        lambda: context(device(ends=timedelta(0))),
        lambda: context(device(ends=timedelta(seconds=-1))),
    ),
    "w_expires_within_7_days": (
        lambda: context(device(ends=timedelta(days=7))),
        lambda: context(device(ends=timedelta(days=6, hours=23))),
    ),
    "w_expires_within_30_days": (
        lambda: context(device(ends=timedelta(days=30))),
        lambda: context(device(ends=timedelta(days=29, hours=23))),
    ),
    "w_validity_too_long": (
        lambda: context(device(begins=timedelta(0), ends=timedelta(days=1098))),
        lambda: context(device(begins=timedelta(0), ends=timedelta(days=1099))),
    ),
    # the use
    "e_root_not_self_signed": (
        lambda: context(root(), purpose=Purpose.ROOT),
        lambda: context(intermediate(), purpose=Purpose.ROOT),
    ),
    "e_ca_flag_missing": (
        lambda: context(root(), purpose=Purpose.ROOT),
        lambda: context(make("quayroot"), purpose=Purpose.ROOT),
    ),
    "e_ca_key_usage_without_cert_sign": (
        lambda: context(make("quayroot", ca=True, usage=key_usage("key_cert_sign"))),
        lambda: context(make("quayroot", ca=True, usage=key_usage("crl_sign"))),
    ),
    "n_ca_certificate_as_device": (good_device, lambda: context(root())),
    "e_eku_without_client_auth": (
        good_device,
        lambda: context(device(extended=[ExtendedKeyUsageOID.SERVER_AUTH])),
    ),
    "e_key_usage_without_digital_signature": (
        good_device,
        lambda: context(device(usage=key_usage("key_encipherment"))),
    ),
    "e_unknown_critical_extension": (
        lambda: context(device(critical=x509.OCSPNoCheck())),
        lambda: context(
            device(critical=x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"))
        ),
    ),
    "w_serial_number_not_positive": (
        good_device,
        lambda: context(
            patched(
                device(serial_number=0x1122334455667788),
                "02081122334455667788",
                "02089122334455667788",
            )
        ),
    ),
    "w_x509_v1": (good_device, lambda: context(vector("device-v1.pem"), vector("root.pem"))),
    "n_testing_only": (good_device, lambda: context(device(), root())),
    # the strength
    "e_rsa_below_2048": (
        lambda: context(device(key="rsa2048")),
        lambda: context(device(key="rsa1024")),
    ),
    "e_unknown_curve": (
        lambda: context(device(key="p521")),
        lambda: context(device(key="secp256k1")),
    ),
    "e_unknown_key_kind": (good_device, lambda: context(device(key="ed25519"))),
    "e_sha1_signature": (good_device, lambda: context(vector("device-sha1.pem"))),
    # the connection's settings
    "e_endpoint_missing": (good_device, lambda: good_device(endpoint="  ")),
    "e_endpoint_not_hostname": (good_device, lambda: good_device(endpoint="https://dps.example/")),
    "e_scope_id_missing": (good_device, lambda: good_device(scope_id="")),
    "w_scope_id_shape": (good_device, lambda: good_device(scope_id="One00A1B2C3")),
}
