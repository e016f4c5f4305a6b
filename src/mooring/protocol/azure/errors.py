"""What can be wrong with Azure text and bytes; the wire's own codes are in ``error_codes``.

`AzureError` is the one root exception of this package. ``DpsErrorCode`` and ``HubErrorCode`` are
offered here too, so that a caller finds both kinds of error at one address.
"""

from __future__ import annotations

from typing import ClassVar

from mooring.protocol.azure.error_codes import DpsErrorCode, HubErrorCode

__all__ = [
    "AzureError",
    "BodyTooLarge",
    "ConnectionStringMalformed",
    "DpsErrorCode",
    "DurationMalformed",
    "HubErrorCode",
    "IdentifierMalformed",
    "JsonMalformed",
    "PayloadMalformed",
    "PropertyBagMalformed",
    "QueryMalformed",
    "SasExpired",
    "SasKeyMalformed",
    "SasMalformed",
    "SasRefused",
    "SasSignatureWrong",
    "TimestampMalformed",
    "TopicMalformed",
    "TopicOfAnotherDevice",
    "TwinTooLarge",
    "UserNameMalformed",
]

MAX_QUOTED_CHARS = 60
"""Characters of a peer's text repeated in a message: enough to recognise it, no flood."""


def quoted(text: str) -> str:
    """Return `text` in quotation marks, control characters escaped, cut to a bounded length."""
    if len(text) <= MAX_QUOTED_CHARS:
        return ascii(text)
    return ascii(text[:MAX_QUOTED_CHARS]) + "…"


class AzureError(Exception):
    """Text or bytes that break the Azure dialect.

    Attributes:
        code: Kebab-case, stable, e.g. ``"topic-malformed"``.
        message: Names the field and what is wrong with its value.
        remedy: What to do about it.
        field: Name of the field at fault in the wire's spelling, or None.
    """

    code: ClassVar[str] = "azure-error"

    def __init__(self, message: str, *, remedy: str, field: str | None = None) -> None:
        """Hold the facts; `str()` of the exception is `message`."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.field = field


class UserNameMalformed(AzureError):
    """An MQTT user name that is neither a DPS nor a hub user name."""

    code = "user-name-malformed"


class TopicMalformed(AzureError):
    """A topic outside the table of topics, or without a part that it must have."""

    code = "topic-malformed"


class TopicOfAnotherDevice(TopicMalformed):
    """A device topic that carries another identity than the connection's."""

    code = "topic-of-another-device"


class PropertyBagMalformed(AzureError):
    """Message properties in a topic that cannot be decoded, or break a limit."""

    code = "property-bag-malformed"


class PayloadMalformed(AzureError):
    """A body that is JSON but not the document that it should be."""

    code = "payload-malformed"


class JsonMalformed(PayloadMalformed):
    """A body that is not JSON, or JSON beyond what is accepted from a network."""

    code = "json-malformed"


class BodyTooLarge(PayloadMalformed):
    """A body above the size limit of its service."""

    code = "body-too-large"


class TwinTooLarge(PayloadMalformed):
    """Tags or properties above the size that a twin may have."""

    code = "twin-too-large"


class QueryMalformed(AzureError):
    """A query text beyond what is understood."""

    code = "query-malformed"


class DurationMalformed(AzureError):
    """Text that is not an ISO 8601 duration."""

    code = "duration-malformed"


class TimestampMalformed(AzureError):
    """Text that is not an ISO 8601 time with a zone."""

    code = "timestamp-malformed"


class IdentifierMalformed(AzureError):
    """An ID scope, registration id, device id, module id or DTMI that breaks its rule."""

    code = "identifier-malformed"


class ConnectionStringMalformed(AzureError):
    """A connection string without a part that it must have."""

    code = "connection-string-malformed"


class SasKeyMalformed(AzureError):
    """A symmetric key that is not base64, or has a length that is not accepted."""

    code = "sas-key-malformed"


class SasRefused(AzureError):
    """A shared-access-signature token that opens nothing; subclasses say why."""

    code = "sas-refused"


class SasMalformed(SasRefused):
    """A token without the parts ``sr``, ``sig`` and ``se`` in readable form."""

    code = "sas-malformed"


class SasExpired(SasRefused):
    """A token whose ``se`` lies in the past."""

    code = "sas-expired"


class SasSignatureWrong(SasRefused):
    """A token that none of the keys has signed."""

    code = "sas-signature-wrong"
