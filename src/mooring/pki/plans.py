"""Turning what a certificate is to hold into a signed certificate: the one place that signs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509

from mooring.pki.certificates import Certificate, dump_certificate, is_self_issued
from mooring.pki.errors import ValidityInvalid
from mooring.pki.issuers import (
    Issuer,
    authority_key_identifier,
    check_issuer,
    signature_digest,
)
from mooring.pki.keys import KeyAlgorithm, PrivateKey, generate_key

BACKDATE = timedelta(minutes=5)
"""Validity begins this long ago: the other side's clock may be behind ours, and a device without
a battery-backed clock usually is."""

MAX_DAYS = 36_500
"""A hundred years. Longer is a slip of the keyboard, and X.509 ends at the year 9999."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A new certificate with its new key.

    Attributes:
        certificate: The new certificate.
        key: Its private key.
        chain: The new certificate first, then its issuer, and so on upwards as far as known.
    """

    certificate: Certificate
    key: PrivateKey = field(repr=False)
    chain: tuple[Certificate, ...]

    @property
    def presented_chain(self) -> tuple[Certificate, ...]:
        """What a TLS peer sends: the chain without a root above the leaf, which the other side
        has or will not believe."""
        head, *above = self.chain
        return (head, *(certificate for certificate in above if not is_self_issued(certificate)))

    @property
    def certificate_pem(self) -> str:
        """The new certificate alone as PEM."""
        return dump_certificate(self.certificate)

    @property
    def chain_pem(self) -> str:
        """`presented_chain` as PEM, leaf first."""
        return "".join(dump_certificate(certificate) for certificate in self.presented_chain)

    def as_issuer(self) -> Issuer:
        """Return the new certificate as one that signs others."""
        return Issuer(self.certificate, self.key, self.chain[1:])


@dataclass(frozen=True, slots=True)
class CertificatePlan:
    """What is to be in a certificate."""

    name: x509.Name
    algorithm: KeyAlgorithm
    days: int
    now: datetime
    is_ca: bool = False
    path_length: int | None = None
    digital_signature: bool = False
    key_encipherment: bool = False
    extended_key_usage: x509.ObjectIdentifier | None = None
    alternative_names: tuple[x509.GeneralName, ...] = ()

    def sign(self, issuer: Issuer | None) -> Issued:
        """Make the key and the certificate, signed by `issuer` or by itself."""
        if self.now.tzinfo is None:
            raise ValueError("now must be aware: a naive time means another moment elsewhere")
        if not 1 <= self.days <= MAX_DAYS:
            raise ValidityInvalid(
                f"A validity of {self.days} days is not between 1 and {MAX_DAYS}.",
                "Give the number of days, such as 365.",
                field="days",
            )
        now = self.now.astimezone(UTC).replace(microsecond=0)
        start = now - BACKDATE
        end = now + timedelta(days=self.days)
        if issuer is not None:
            check_issuer(issuer, now=now, for_ca=self.is_ca, path_length=self.path_length)
            # A certificate that outlives its issuer is refused from then on, unexplained.
            start = max(start, issuer.certificate.not_valid_before_utc)
            end = min(end, issuer.certificate.not_valid_after_utc)
        key = generate_key(self.algorithm)
        certificate = self._build(key, issuer, start, end)
        above = () if issuer is None else (issuer.certificate, *issuer.chain)
        return Issued(certificate, key, (certificate, *above))

    def _build(
        self, key: PrivateKey, issuer: Issuer | None, start: datetime, end: datetime
    ) -> Certificate:
        public_key = key.public_key()
        signing_key = key if issuer is None else issuer.key
        key_identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
        if issuer is None:
            authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                key_identifier
            )
        else:
            authority = authority_key_identifier(issuer.certificate)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(self.name if issuer is None else issuer.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(self.is_ca, self.path_length), critical=True)
            .add_extension(self._key_usage(), critical=True)
            .add_extension(key_identifier, critical=False)
            .add_extension(authority, critical=False)
        )
        if self.extended_key_usage is not None:
            usage = x509.ExtendedKeyUsage([self.extended_key_usage])
            builder = builder.add_extension(usage, critical=False)
        if self.alternative_names:
            names = x509.SubjectAlternativeName(self.alternative_names)
            builder = builder.add_extension(names, critical=False)
        return builder.sign(signing_key, signature_digest(signing_key))

    def _key_usage(self) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=self.digital_signature,
            content_commitment=False,
            key_encipherment=self.key_encipherment,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=self.is_ca,
            crl_sign=self.is_ca,
            encipher_only=False,
            decipher_only=False,
        )
