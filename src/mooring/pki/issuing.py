"""Issuing certificates: roots, intermediates, devices, proofs of possession, servers.

Nothing here is a public CA. What is made suits the guide's procedure and Mooring's own servers:
X.509 v3 with stated validity, key usage and key identifiers, RSA-2048 and SHA-256 by default.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from mooring.pki.certificates import Certificate, format_name
from mooring.pki.errors import CodeInvalid, HostNameInvalid, PathLengthInvalid
from mooring.pki.issuers import Issuer
from mooring.pki.keys import KeyAlgorithm
from mooring.pki.names import MAX_COMMON_NAME_CHARACTERS, Subject, check_identity_subject
from mooring.pki.plans import BACKDATE, MAX_DAYS, CertificatePlan, Issued

__all__ = [
    "BACKDATE",
    "MAX_DAYS",
    "CertificatePurpose",
    "Issued",
    "Issuer",
    "issue_device",
    "issue_intermediate",
    "issue_root",
    "issue_server_ca",
    "issue_server_certificate",
    "issue_verification",
    "purpose_text",
]

ROOT_DAYS = 3650
"""Ten years, in place of OpenSSL's silent 30 days that make the guide's certificates expire."""

INTERMEDIATE_DAYS = 1825
"""Five years: half of the root's."""

DEVICE_DAYS = 365
"""One year."""

VERIFICATION_DAYS = 2
"""A verification code lives 24 h; one day more for the way to the portal."""

SERVER_CA_DAYS = 3650
"""Ten years: every device that trusts it would have to be visited when it ends."""

SERVER_DAYS = 365
"""One year; reissued by the cloud long before."""

MAX_SERVER_NAMES = 100
"""Host names and addresses in one server certificate; keeps it small enough for devices."""

_DNS_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_MAX_DNS_CHARACTERS = 253  # RFC 1035 §2.3.4, without the trailing dot


class CertificatePurpose(StrEnum):
    """What a certificate made here is for."""

    ROOT = "root"
    INTERMEDIATE = "intermediate"
    VERIFICATION = "verification"
    DEVICE = "device"
    SERVER_CA = "server-ca"
    SERVER = "server"


_PURPOSE_TEXTS = {
    CertificatePurpose.ROOT: (
        "Root CA: signs device, intermediate and verification certificates; on the individual "
        "way it is itself the device's certificate."
    ),
    CertificatePurpose.INTERMEDIATE: "Intermediate CA: signs device and verification certificates.",
    CertificatePurpose.VERIFICATION: (
        "Verification certificate: proves once that its maker holds the CA's key. "
        "Throw away afterwards."
    ),
    CertificatePurpose.DEVICE: "Device certificate: a device's identity as a TLS client.",
    CertificatePurpose.SERVER_CA: "Server CA: devices trust it to know the cloud's servers.",
    CertificatePurpose.SERVER: "Server certificate: the cloud's TLS servers.",
}


def issue_root(
    subject: Subject,
    *,
    now: datetime,
    algorithm: KeyAlgorithm = KeyAlgorithm.RSA_2048,
    days: int = ROOT_DAYS,
    path_length: int | None = None,
    any_subject: bool = False,
) -> Issued:
    """Return a new self-signed CA certificate (procedure row C1).

    Args:
        subject: Obeys the guide's rules for a device's identity, because the individual way
            presents the root as the device's certificate.
        now: Aware; validity begins `BACKDATE` before it.
        algorithm: Kind of key.
        days: Validity, 1 to `MAX_DAYS`.
        path_length: How many intermediates may stand between it and a leaf; None for any.
        any_subject: Lift the guide's rules.

    Raises:
        PkiError: `check_identity_subject`'s, ValidityInvalid, PathLengthInvalid.
        ValueError: `now` is naive.
    """
    if not any_subject:
        check_identity_subject(subject)
    if path_length is not None and path_length < 0:
        raise _negative_path_length(path_length)
    plan = CertificatePlan(
        subject.to_name(),
        algorithm,
        days,
        now,
        is_ca=True,
        path_length=path_length,
        # Besides signing certificates the root may serve as TLS client certificate, which
        # needs digitalSignature (RFC 5246 §7.4.6).
        digital_signature=True,
    )
    return plan.sign(None)


def issue_intermediate(
    subject: Subject,
    issuer: Issuer,
    *,
    now: datetime,
    algorithm: KeyAlgorithm = KeyAlgorithm.RSA_2048,
    days: int = INTERMEDIATE_DAYS,
    path_length: int = 0,
) -> Issued:
    """Return a new CA certificate signed by `issuer`, at most as long-lived as that.

    Args:
        subject: Any with at least one field; the guide's rules are not for intermediates.
        issuer: A CA that allows one more CA below it.
        now: Aware.
        algorithm: Kind of key.
        days: Validity, 1 to `MAX_DAYS`; cut at the issuer's end.
        path_length: How many further intermediates may stand below it.

    Raises:
        PkiError: What `issuer` may not do (IssuerNotCa, IssuerKeyMismatch, IssuerNotValidNow,
            IssuerWeak, PathLengthExceeded), ValidityInvalid, PathLengthInvalid.
        ValueError: `now` is naive.
    """
    if path_length < 0:
        raise _negative_path_length(path_length)
    plan = CertificatePlan(
        subject.to_name(), algorithm, days, now, is_ca=True, path_length=path_length
    )
    return plan.sign(issuer)


def issue_verification(
    code: str,
    issuer: Issuer,
    *,
    now: datetime,
    algorithm: KeyAlgorithm = KeyAlgorithm.RSA_2048,
    days: int = VERIFICATION_DAYS,
) -> Issued:
    """Return the certificate that proves possession of `issuer`'s key (procedure row C6).

    Args:
        code: The verification code exactly as shown; becomes the common name.
        issuer: The CA to be verified.
        now: Aware.
        algorithm: Kind of key.
        days: Validity, 1 to `MAX_DAYS`; cut at the issuer's end.

    Raises:
        PkiError: CodeInvalid, ValidityInvalid, and what `issuer` may not do.
        ValueError: `now` is naive.
    """
    if (
        not code
        or len(code) > MAX_COMMON_NAME_CHARACTERS
        or not code.isprintable()
        or code != code.strip()
    ):
        raise CodeInvalid(
            f"The verification code {code[:80]!r} is empty, has blanks around it or more than "
            f"{MAX_COMMON_NAME_CHARACTERS} characters.",
            "Copy the code again, exactly as it is shown.",
            field="verification code",
        )
    plan = CertificatePlan(
        Subject(common_name=code).to_name(), algorithm, days, now, digital_signature=True
    )
    return plan.sign(issuer)


def issue_device(
    subject: Subject,
    issuer: Issuer,
    *,
    now: datetime,
    algorithm: KeyAlgorithm = KeyAlgorithm.RSA_2048,
    days: int = DEVICE_DAYS,
    any_subject: bool = False,
) -> Issued:
    """Return a device's certificate (procedure row C7): no CA, for TLS clients.

    Args:
        subject: Its common name is the device's id; obeys the guide's rules.
        issuer: A CA.
        now: Aware.
        algorithm: Kind of key.
        days: Validity, 1 to `MAX_DAYS`; cut at the issuer's end.
        any_subject: Lift the guide's rules.

    Raises:
        PkiError: `check_identity_subject`'s, ValidityInvalid, and what `issuer` may not do.
        ValueError: `now` is naive.
    """
    if not any_subject:
        check_identity_subject(subject)
    plan = CertificatePlan(
        subject.to_name(),
        algorithm,
        days,
        now,
        digital_signature=True,
        extended_key_usage=ExtendedKeyUsageOID.CLIENT_AUTH,
    )
    return plan.sign(issuer)


def issue_server_ca(
    name: str, *, now: datetime, algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256
) -> Issued:
    """Return the self-signed CA of the cloud's own server certificates, for `SERVER_CA_DAYS`.

    Args:
        name: Its common name; should differ from installation to installation.
        now: Aware.
        algorithm: Kind of key.

    Raises:
        SubjectFieldInvalid: `name` does not fit into a common name.
        ValueError: `now` is naive.
    """
    subject = Subject(common_name=name, organization="Mooring")
    plan = CertificatePlan(
        subject.to_name(), algorithm, SERVER_CA_DAYS, now, is_ca=True, path_length=0
    )
    return plan.sign(None)


def issue_server_certificate(
    issuer: Issuer,
    *,
    host_names: Sequence[str],
    now: datetime,
    algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256,
    days: int = SERVER_DAYS,
) -> Issued:
    """Return a TLS server's certificate that names every one of `host_names`.

    Args:
        issuer: The server CA.
        host_names: DNS names and IP addresses; doubles are dropped, order is kept.
        now: Aware.
        algorithm: Kind of key.
        days: Validity, 1 to `MAX_DAYS`; cut at the issuer's end.

    Raises:
        PkiError: HostNameInvalid, ValidityInvalid, and what `issuer` may not do.
        ValueError: `now` is naive.
    """
    names = [_general_name(name) for name in dict.fromkeys(host_names)]
    if not names or len(names) > MAX_SERVER_NAMES:
        raise HostNameInvalid(
            f"A server certificate needs 1 to {MAX_SERVER_NAMES} host names, not {len(names)}.",
            "Give every name and address under which clients dial the server.",
            field="host_names",
        )
    # Clients match the alternative names only (RFC 9525 §6.3); the common name is for people.
    common_name = next(
        (name for name in host_names if len(name) <= MAX_COMMON_NAME_CHARACTERS), "server"
    )
    plan = CertificatePlan(
        Subject(common_name=common_name, organization="Mooring").to_name(),
        algorithm,
        days,
        now,
        digital_signature=True,
        # TLS 1.2 cipher suites that transport the key by RSA (RFC 5246 §7.4.2).
        key_encipherment=algorithm.startswith("rsa"),
        extended_key_usage=ExtendedKeyUsageOID.SERVER_AUTH,
        alternative_names=tuple(dict.fromkeys(names)),
    )
    return plan.sign(issuer)


def purpose_text(purpose: CertificatePurpose, certificate: Certificate) -> str:
    """Return comment lines that say what `certificate` is for (procedure row C9).

    Meant to stand above the PEM block in a file: readers skip text outside the armour (RFC 7468
    §2). Each line begins with ``#``; a line feed at the end.
    """
    end = certificate.not_valid_after_utc
    lines = (
        "Made by Mooring for testing and development only.",
        _PURPOSE_TEXTS[purpose],
        f"Subject: {format_name(certificate.subject)}",
        f"Issuer: {format_name(certificate.issuer)}",
        f"Valid until: {end:%Y-%m-%d %H:%M:%S} UTC",
    )
    return "".join(f"# {line}\n" for line in lines)


def check_server_name(name: str) -> str:
    """Return the one spelling of a host name or address that a server certificate can hold.

    Raises:
        HostNameInvalid: It is neither.
    """
    return str(_general_name(name.lower()).value)


def _general_name(name: str) -> x509.GeneralName:
    if "%" not in name:  # a zone counts on one machine only, and has no place in a certificate
        try:
            return x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            pass
    labels = name.split(".")
    if (
        len(name) > _MAX_DNS_CHARACTERS
        or not all(_DNS_LABEL.fullmatch(label) for label in labels)
        or labels[-1].isdigit()  # a mistyped address, not a name (RFC 3696 §2)
    ):
        raise HostNameInvalid(
            f"{name[:_MAX_DNS_CHARACTERS]!r} is neither a DNS name nor an IP address.",
            "Give a name of letters, digits, hyphens and dots, or an address; no port, no scheme. "
            "An international name is given in its xn-- form.",
            field="host_names",
        )
    return x509.DNSName(name)


def _negative_path_length(path_length: int) -> PathLengthInvalid:
    return PathLengthInvalid(
        f"A path length of {path_length} is negative.",
        "Give how many intermediates may stand below: 0, 1, ...",
        field="path_length",
    )
