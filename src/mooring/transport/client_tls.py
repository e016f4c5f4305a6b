"""The client side of TLS: full verification of the server, and an own certificate if wanted.

Built on the standard library's `ssl` alone. Certificate and key are read by OpenSSL straight from
their files; the key is never copied, and its passphrase is asked for only when it is needed.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Where the client's certificate and key lie.

    Attributes:
        certificate_file: PEM, the client's own certificate first, then what else is to be sent.
        key_file: PEM private key, perhaps encrypted.
        passphrase: Asked once if, and only if, the key is encrypted; it runs in a worker thread.
    """

    certificate_file: Path
    key_file: Path
    passphrase: Callable[[], str | bytes] | None = None


@dataclass(frozen=True, slots=True)
class ClientTls:
    """Whom the client trusts and as whom it presents itself.

    Attributes:
        trust_system: Trust the certificate authorities of the system.
        trust_files: PEM files of further ones.
        trust_pem: Further ones as PEM text.
        certificate: The client's own, None to present none.
    """

    trust_system: bool = True
    trust_files: tuple[Path, ...] = ()
    trust_pem: str = ""
    certificate: ClientCertificate | None = None


def load_client_context(tls: ClientTls) -> ssl.SSLContext:
    """Return the context for connecting as `tls` says. Reads files, so it blocks a little.

    Raises:
        TlsError: Named by the fact: TrustUnreadable, ClientCertificateUnreadable,
            ClientCertificateWeak, ClientKeyUnreadable, ClientKeyMismatch, PassphraseMissing,
            PassphraseWrong.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain and host name
    context.hostname_checks_common_name = False  # RFC 9525 §6.3: alternative names only
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A trusted intermediate is enough, as the verifier on the other side has it too.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.sslobject_class = ObservedHandshake
    _load_trust(context, tls)
    if tls.certificate is not None:
        _load_certificate(context, tls.certificate)
    return context


class ObservedHandshake(ssl.SSLObject):
    """Keeps, on the error of a failed verification, what the server had presented.

    `ssl` gives the peer's certificate only after a handshake that succeeded, but "wrong name" is
    of little help without the names that the server does have.
    """

    def do_handshake(self) -> None:
        """Do as the base class, and add ``presented`` to a verification error."""
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as error:
            error.presented = self._presented()  # type: ignore[attr-defined]  # read by ours only
            raise

    def _presented(self) -> list[dict[str, Any]]:
        # Not public before Python 3.13 (and there only as DER), hence the care.
        session = getattr(self, "_sslobj", None)
        chain = getattr(session, "get_unverified_chain", lambda: None)()
        return [certificate.get_info() for certificate in chain or ()]


def _load_trust(context: ssl.SSLContext, tls: ClientTls) -> None:
    if tls.trust_system:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    for file in tls.trust_files:
        try:
            context.load_verify_locations(cafile=file)
        except OSError as error:  # ssl.SSLError is one too
            raise TrustUnreadable(
                f"trusted certificates in {file} cannot be read: {_reason(error)}",
                "Give a readable PEM file of CA certificates, or take it out of the trust store.",
            ) from error
    if tls.trust_pem:
        try:
            context.load_verify_locations(cadata=tls.trust_pem)
        except (OSError, ValueError, TypeError) as error:
            raise TrustUnreadable(
                f"the trusted certificates given as text cannot be read: {_reason(error)}",
                "Give PEM text from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.",
            ) from error


def _load_certificate(context: ssl.SSLContext, certificate: ClientCertificate) -> None:
    certificate_file, key_file = certificate.certificate_file, certificate.key_file
    _check_certificate_file(certificate_file)
    try:
        key_file.open("rb").close()
    except OSError as error:
        raise ClientKeyUnreadable(
            f"private key {key_file} cannot be read: {_reason(error)}",
            "Check the path, and that this user owns the file (mode 0600).",
        ) from error
    asked = False

    def passphrase() -> str | bytes:
        nonlocal asked
        asked = True
        # Without a callback of ours OpenSSL would ask on the terminal.
        return "" if certificate.passphrase is None else certificate.passphrase()

    try:
        context.load_cert_chain(certificate_file, key_file, passphrase)
    except ssl.SSLError as error:
        raise _key_error(error, certificate, asked=asked) from error
    except ValueError as error:  # "password cannot be longer than 1024 bytes"
        raise PassphraseWrong(
            f"the passphrase cannot open {key_file}: {error}",
            "Give the passphrase that the key was encrypted with.",
        ) from error


def _check_certificate_file(file: Path) -> None:
    """Tell a bad certificate from a bad key, which `load_cert_chain` reports alike."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except OSError as error:
        raise ClientCertificateUnreadable(
            f"client certificate {file} cannot be read: {_reason(error)}",
            "Give a readable PEM file that holds the client's certificate first.",
        ) from error


def _key_error(error: ssl.SSLError, certificate: ClientCertificate, *, asked: bool) -> TlsError:
    key_file = certificate.key_file
    if error.reason in {"EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "CA_KEY_TOO_SMALL"}:
        return ClientCertificateWeak(
            f"client certificate {certificate.certificate_file} is too weak for TLS: "
            f"{_reason(error)}",
            "Have it issued with a key of at least RSA-2048 or P-256, signed with SHA-256.",
        )
    # An RSA key beside an EC certificate is looked for in the RSA slot: "no certificate assigned".
    if error.reason in {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}:
        return ClientKeyMismatch(
            f"private key {key_file} does not belong to certificate {certificate.certificate_file}",
            "Use the key that the certificate was made with, or have a certificate issued for it.",
        )
    if asked and certificate.passphrase is None:
        return PassphraseMissing(
            f"private key {key_file} is encrypted and no passphrase was given",
            "Give its passphrase, or store the key without encryption (mode 0600).",
        )
    if asked:
        return PassphraseWrong(
            f"the passphrase cannot open {key_file}",
            "Give the passphrase that the key was encrypted with.",
        )
    return ClientKeyUnreadable(
        f"{key_file} holds no private key that can be used: {_reason(error)}",
        "Give a PEM file from -----BEGIN PRIVATE KEY----- (or RSA/EC) to its END line.",
    )


def _reason(error: OSError | ValueError | TypeError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
