"""The server side of TLS: the only place where a certificate is let through unverified.

Azure answers a device that it does not know with a CONNACK or an HTTP status, never with a TLS
alert. So TLS here proves only that the peer holds the private key of the certificate it shows;
whether that certificate is good is decided by the application, on every connect. Nothing in this
file may be used for a client.

The file is also the only one that reaches below pyOpenSSL's public surface, for one call
(`clear_error_queue`).
"""

from __future__ import annotations

from pathlib import Path

from OpenSSL import SSL

from mooring.transport.errors import ServerCertificateUnusable

# Azure: the documented suites of DPS and IoT Hub for TLS 1.2; those of 1.3 are OpenSSL's own.
CIPHER_SUITES = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA256", "AES256-SHA384")
    for key in ("ECDSA", "RSA")
)

OPTIONS = (
    SSL.OP_NO_TICKET  # each connect shows its certificate anew: a ticket would skip that
    | SSL.OP_NO_RENEGOTIATION  # a known way to make a server work; nobody needs it
    | SSL.OP_NO_COMPRESSION  # CRIME
    | SSL.OP_CIPHER_SERVER_PREFERENCE
)


def clear_error_queue() -> None:
    """Empty OpenSSL's error queue of this thread.

    OpenSSL before 4.0 demands an empty queue before each call whose outcome is then read by
    ``SSL_get_error`` (its manual page says so), and pyOpenSSL leaves that to its caller. An entry
    left behind, by a signature that did not verify, in whatever connection, turns "wants more
    bytes" into a failure. pyOpenSSL has no public name for this call.
    """
    SSL._lib.ERR_clear_error()  # type: ignore[attr-defined]  # private: see above


def _let_through(
    connection: SSL.Connection, certificate: object, error: int, depth: int, ok: int
) -> bool:
    """Accept any certificate; the application judges it.

    A signature that does not verify has just left its entry in the error queue, and the
    handshake goes on from here: see `clear_error_queue`.
    """
    clear_error_queue()
    return True


class ServerTls:
    """The TLS identity of a listener: certificate and key, replaceable while it runs."""

    def __init__(self, certificate_file: Path, key_file: Path) -> None:
        """Load the server's certificate chain and key, both PEM, the key not encrypted.

        Args:
            certificate_file: Server certificate, then its issuers without the root.
            key_file: Its private key.

        Raises:
            ServerCertificateUnusable: A file cannot be read, or the two do not fit.
        """
        self._certificate_file = certificate_file
        self._key_file = key_file
        self._context = _load_context(certificate_file, key_file)

    @property
    def context(self) -> SSL.Context:
        """Return the context for the next connection."""
        return self._context

    def reload(self, certificate_file: Path | None = None, key_file: Path | None = None) -> None:
        """Use other files, or the changed content of the same, from the next connection on.

        Connections that stand are not disturbed. When loading fails, nothing changes.

        Raises:
            ServerCertificateUnusable: A file cannot be read, or the two do not fit.
        """
        certificate_file = certificate_file or self._certificate_file
        key_file = key_file or self._key_file
        self._context = _load_context(certificate_file, key_file)
        self._certificate_file = certificate_file
        self._key_file = key_file


def _load_context(certificate_file: Path, key_file: Path) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHER_SUITES.encode())
    context.set_options(OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # VERIFY_PEER without FAIL_IF_NO_PEER_CERT: asked for, not required; SAS devices have none.
    context.set_verify(SSL.VERIFY_PEER, _let_through)
    # OpenSSL still builds and checks a path before it asks the callback. Its verdict is thrown
    # away, so the shortest path is enough: a tenth of a handshake less when a chain is shown.
    context.set_verify_depth(0)
    _load_identity(context, certificate_file, key_file)
    return context


def _load_identity(context: SSL.Context, certificate_file: Path, key_file: Path) -> None:
    for file in (certificate_file, key_file):
        try:
            file.open("rb").close()
        except OSError as error:
            raise ServerCertificateUnusable(
                f"server TLS file {file} cannot be read: {error.strerror}",
                "Make the file readable for this user, or have the certificate issued again.",
            ) from error
    try:
        context.use_certificate_chain_file(str(certificate_file))
    except SSL.Error as error:
        raise ServerCertificateUnusable(
            f"{certificate_file} holds no usable certificate: {describe(error)}",
            "The file must hold PEM certificates, the server's own first.",
        ) from error
    try:
        context.use_privatekey_file(str(key_file))
        context.check_privatekey()
    except SSL.Error as error:
        raise ServerCertificateUnusable(
            f"{key_file} holds no private key that fits {certificate_file}: {describe(error)}",
            "The file must hold the unencrypted PEM key the certificate was made for.",
        ) from error


def describe(error: SSL.Error) -> str:
    """Return the reason that OpenSSL gave, e.g. ``"http request"``, or the error's own name."""
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    text = "; ".join(entry[-1] for entry in reasons if entry[-1])
    return text or " ".join(str(part) for part in error.args) or type(error).__name__
