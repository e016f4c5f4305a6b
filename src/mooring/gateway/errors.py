"""What the gateway refuses, and why: one root exception, one class per fact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from mooring.gateway.configuration.findings import Finding


class GatewayError(Exception):
    """Root of what the gateway refuses.

    `code` is stable kebab-case, `message` names the field and its fault, `remedy` says what to
    do, `field` is the property or parameter at fault, if one is.
    """

    code: ClassVar[str] = "gateway-error"

    def __init__(self, message: str, remedy: str, *, field: str | None = None) -> None:
        """Keep the fact; the sentence is `message`, then `remedy`."""
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy
        self.field = field

    def facts(self) -> dict[str, Any]:
        """Return what an API shows beside code, message, field and remedy; JSON-ready."""
        return {}


class PidMalformed(GatewayError):
    """A Cloud Connection Service PID breaks the factory's rule."""

    code = "pid-malformed"


class FactoryUnknown(GatewayError):
    """No cloud connection factory has this PID."""

    code = "factory-unknown"


class ConnectionExists(GatewayError):
    """A cloud connection with this PID exists already."""

    code = "connection-exists"


class ConnectionUnknown(GatewayError):
    """No cloud connection has this PID."""

    code = "connection-unknown"

    @classmethod
    def of(cls, pid: str) -> ConnectionUnknown:
        """Return the refusal for `pid`."""
        return cls(
            f"There is no cloud connection {pid!r}.",
            "List the connections to see their PIDs.",
            field="pid",
        )


class TabUnknown(GatewayError):
    """A cloud connection has no such tab."""

    code = "tab-unknown"


class ConfigurationRefused(GatewayError):
    """Apply found errors: nothing was changed. `findings` lists all of them and the warnings."""

    code = "configuration-refused"

    def __init__(self, findings: Sequence[Finding]) -> None:
        """Build the sentence from the first error among `findings`; keep them all."""
        errors = [finding for finding in findings if finding.severity == "error"]
        first = errors[0] if errors else findings[0]
        more = f" ({len(errors) - 1} more errors)" if len(errors) > 1 else ""
        super().__init__(f"{first.message}{more}", first.remedy, field=first.field)
        self.findings = tuple(findings)


class ConfigurationMissing(GatewayError):
    """The connection cannot be used before its transport tab has been applied."""

    code = "configuration-missing"


class KeystoreEntryUnusable(GatewayError):
    """A certificate or key that the configuration refers to is missing or unreadable."""

    code = "keystore-entry-unusable"


class TrustRefused(GatewayError):
    """A file offered to the trust store is not usable as a trust anchor."""

    code = "trust-refused"


class TrustUnknown(GatewayError):
    """The trust store holds no such certificate."""

    code = "trust-unknown"


class MessageMalformed(GatewayError):
    """A message to publish is not well formed."""

    code = "message-malformed"


class MessageTooLarge(GatewayError):
    """A message exceeds what a hub takes."""

    code = "message-too-large"


class NotConnected(GatewayError):
    """The connection is down and nothing will bring it up by itself."""

    code = "not-connected"


class QueueFull(GatewayError):
    """As many messages wait as the connection may hold."""

    code = "queue-full"


class NotAcknowledged(GatewayError):
    """The hub did not acknowledge the message in time."""

    code = "not-acknowledged"


class ConnectionRemoved(GatewayError):
    """The connection was deleted or the gateway ended while something waited for it."""

    code = "connection-removed"


class BindRefused(GatewayError):
    """The REST interface may not be bound to this address."""

    code = "bind-refused"


class AddressUnavailable(GatewayError):
    """The REST interface's address cannot be bound."""

    code = "address-unavailable"


class TokenRefused(GatewayError):
    """A request carries no token, or not the owner's."""

    code = "token-refused"


class AttemptUnknown(GatewayError):
    """No attempt record has this id."""

    code = "attempt-unknown"


class RequestTooLarge(GatewayError):
    """A request's body is larger than any operation needs."""

    code = "request-too-large"


class RequestMalformed(GatewayError):
    """A request's parameters contradict each other."""

    code = "request-malformed"
