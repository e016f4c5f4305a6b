"""From what `ssl` raises on the client side to the error that says what to do about it."""

from __future__ import annotations

import ssl
from datetime import datetime
from typing import Any

from mooring.transport.errors import (
    ClientCertificateRefused,
    HandshakeCutOff,
    NotTlsServer,
    ServerCertificateExpired,
    ServerCertificateNotYetValid,
    ServerCertificateRefused,
    ServerNameWrong,
    ServerNotTrusted,
    TlsError,
    TlsFailed,
    TlsVersionMismatch,
)

# OpenSSL's X509_V_ERR_… (x509_vfy.h); `ssl` gives them as numbers only.
_NOT_YET_VALID = 9
_EXPIRED = 10
_NAME_MISMATCH = {62, 64}  # host name, IP address
_NO_TRUSTED_ISSUER = {2, 18, 19, 20, 21, 27}

# RFC 8446 §6.2: what a server answers to a client certificate that it does not want. OpenSSL
# keeps the older names of those that SSL 3 already had.
_CERTIFICATE_ALERTS = {
    "SSLV3_ALERT_BAD_CERTIFICATE": "bad certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "unsupported certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "certificate revoked",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "certificate expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "certificate unknown",
    "TLSV1_ALERT_UNKNOWN_CA": "unknown CA",
    "TLSV1_ALERT_ACCESS_DENIED": "access denied",
    "TLSV1_ALERT_DECRYPT_ERROR": "decrypt error",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "certificate required",
}
_VERSION_REASONS = {"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW"}
_NOT_TLS_REASONS = {
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "HTTPS_PROXY_REQUEST",
    "UNKNOWN_PROTOCOL",
    "RECORD_LAYER_FAILURE",
    "PACKET_LENGTH_TOO_LONG",
    "BAD_RECORD_TYPE",
    "UNEXPECTED_MESSAGE",
    "INVALID_ALERT",
}


def explain_handshake_failure(
    error: Exception, *, where: str, server_name: str, now: datetime
) -> TlsError:
    """Return the typed error for what a handshake raised.

    Args:
        error: `ssl.SSLError` or another `OSError`.
        where: Whom we dialled, e.g. ``"localhost:8883"``.
        server_name: The name the server was to prove.
        now: This machine's time, for hints at a wrong clock.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_verification(error, where=where, name=server_name, now=now)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return explain_alert(error, where=where) or _explain_protocol(error, where=where)
    return HandshakeCutOff(
        f"{where} closed the connection in the middle of the TLS handshake",
        "Check that the port is one for TLS (MQTT: 8883) and that no firewall or proxy cuts the "
        "connection; a server at its limits does this too.",
    )


def find_tls_error(error: BaseException) -> ssl.SSLError | None:
    """Return the error of `ssl` behind what an HTTP library raised, None if there is none."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return cause


def explain_alert(error: ssl.SSLError, *, where: str) -> ClientCertificateRefused | None:
    """Return the error for an alert about our certificate, None if it is not one."""
    alert = _CERTIFICATE_ALERTS.get(error.reason or "")
    if alert is None:
        return None
    return ClientCertificateRefused(
        f"{where} refused the client certificate in TLS ({alert})",
        "Check that a certificate is configured, that it is valid now, that its chain is sent, "
        "and that the server knows it or its issuer.",
    )


def _explain_protocol(error: ssl.SSLError, *, where: str) -> TlsError:
    reason = error.reason or ""
    if reason in _VERSION_REASONS:
        return TlsVersionMismatch(
            f"{where} and this client have no TLS version in common (1.2 or 1.3 is needed)",
            "Enable TLS 1.2 or later on the server.",
        )
    if reason in _NOT_TLS_REASONS:
        return NotTlsServer(
            f"{where} answered, but not in TLS ({_words(reason)})",
            "Check the port: MQTT over TLS is 8883, 1883 is plain text.",
        )
    return TlsFailed(
        f"the TLS handshake with {where} failed: {_words(reason) or error}",
        "Check that the server offers TLS 1.2 or later with ECDHE, and whether it asks for a "
        "client certificate; its own log has the other half of the story.",
    )


def _explain_verification(
    error: ssl.SSLCertVerificationError, *, where: str, name: str, now: datetime
) -> TlsError:
    presented: list[dict[str, Any]] = getattr(error, "presented", [])
    leaf = presented[0] if presented else {}
    clock = f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC"
    if error.verify_code in _NAME_MISMATCH:
        names = certificate_names(leaf)
        listed = f"but for {', '.join(names)}"
        if not names:
            listed = "and names no host (no subjectAltName)" if leaf else "but for other names"
        return ServerNameWrong(
            f"the certificate of {where} is not for {name!r} {listed}",
            f"Connect by a name that the certificate has, or have {name} added to it.",
            server_names=names,
        )
    if error.verify_code == _EXPIRED:
        return ServerCertificateExpired(
            f"the certificate of {where} has expired{_period(leaf, 'notAfter')}; {clock}",
            "If the clock is right, the server's operator must renew it; if not, set the clock.",
        )
    if error.verify_code == _NOT_YET_VALID:
        return ServerCertificateNotYetValid(
            f"the certificate of {where} is not valid yet{_period(leaf, 'notBefore')}; {clock}",
            "Most likely this machine's clock is behind: set it (NTP).",
        )
    if error.verify_code in _NO_TRUSTED_ISSUER:
        issuer = _issuer(presented[-1]) if presented else ""
        chain = f": nobody trusted issued {issuer!r}" if issuer else ""
        return ServerNotTrusted(
            f"the certificate of {where} leads to no trusted certificate authority"
            f"{chain} ({error.verify_message})",
            "Add the server's CA certificate to the trust store, after checking it is the right "
            "one; a server that omits its intermediate certificates fails likewise.",
        )
    return ServerCertificateRefused(
        f"the certificate of {where} fails verification: {error.verify_message}",
        "The server's operator must have the certificate issued anew.",
    )


def certificate_names(certificate: dict[str, Any]) -> tuple[str, ...]:
    """Return the DNS names and IP addresses of a certificate in `ssl`'s dictionary form."""
    alternatives = certificate.get("subjectAltName", ())
    return tuple(str(value) for kind, value in alternatives if kind in {"DNS", "IP Address"})


def certificate_name(certificate: dict[str, Any], field: str) -> str:
    """Return ``subject`` or ``issuer`` as e.g. ``"CN=localhost, O=Quay"``."""
    short = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU"}
    parts = [pair for relative in certificate.get(field, ()) for pair in relative]
    return ", ".join(f"{short.get(key, key)}={value}" for key, value in reversed(parts))


def _issuer(certificate: dict[str, Any]) -> str:
    return certificate_name(certificate, "issuer")


def _period(leaf: dict[str, Any], bound: str) -> str:
    """Return the leaf's own bound as a hint; a certificate above it may be the one at fault."""
    return f" (its own {bound} is {leaf[bound]})" if bound in leaf else ""


def _words(reason: str) -> str:
    return reason.replace("_", " ").lower()
