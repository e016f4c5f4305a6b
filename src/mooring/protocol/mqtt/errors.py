"""What can go wrong, by who is at fault: the peer, its verdict on us, or our own caller.

Every error has a stable `code`, a `message` that names the field and the fault, a `remedy`,
and, where a rule of the specification was broken, its `clause` (``"MQTT-3.1.2-22"`` or a section
such as ``"§2.2.3"``).
"""

from __future__ import annotations

from typing import Any, ClassVar

from mooring.protocol.mqtt.codes import ConnectReturnCode, PacketType


class MqttError(Exception):
    """Root of all errors of this package."""

    code: str = "mqtt-error"
    default_remedy: ClassVar[str] = ""

    def __init__(
        self, message: str, *, clause: str | None = None, remedy: str | None = None
    ) -> None:
        """Keep the parts; the sentence is `message` with the clause behind it."""
        super().__init__(message)
        self.message = message
        self.clause = clause
        self.remedy = self.default_remedy if remedy is None else remedy

    def __str__(self) -> str:
        """Return message and clause in one line."""
        return self.message if self.clause is None else f"{self.message} [{self.clause}]"


class PeerError(MqttError):
    """The peer broke a rule: the connection has to be closed [MQTT-4.8.0-1].

    Attributes:
        preceding: Packets or events that arrived before the fault in the same bytes. They are
            sound, and the caller may still act on them.
        reply: Bytes to send before closing; empty where the specification grants no answer.
        packet_type: Of the packet at fault; None where its first byte names none.
    """

    code = "mqtt-peer-error"
    default_remedy = "Close the connection; the peer's MQTT 3.1.1 implementation is at fault."

    def __init__(
        self,
        message: str,
        *,
        clause: str | None = None,
        remedy: str | None = None,
        reply: bytes = b"",
    ) -> None:
        """Keep the parts."""
        super().__init__(message, clause=clause, remedy=remedy)
        self.preceding: tuple[Any, ...] = ()
        self.reply = reply
        self.packet_type: PacketType | None = None


class PacketMalformed(PeerError):
    """Bytes that no continuation can make a legal packet."""

    code = "mqtt-packet-malformed"


class PacketTooLarge(PeerError):
    """A packet, or a field of it, is larger than this side takes.

    Attributes:
        field: ``"packet"``, ``"client id"``, ``"topic name"``, …
        size_bytes, limit_bytes: What was announced, and what is taken.
    """

    code = "mqtt-packet-too-large"

    def __init__(self, field: str, size_bytes: int, limit_bytes: int) -> None:
        """Keep the numbers."""
        super().__init__(
            f"{field} has {size_bytes} bytes, more than the limit of {limit_bytes}",
            remedy=f"Send a {field} of at most {limit_bytes} bytes.",
        )
        self.field = field
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class ProtocolViolation(PeerError):
    """A well-formed packet that the rules forbid here and now."""

    code = "mqtt-protocol-violation"


class ProtocolLevelUnsupported(ProtocolViolation):
    """A CONNECT of another MQTT version; `reply` is CONNACK 1 [MQTT-3.1.2-2].

    Attributes:
        protocol_name, protocol_level: As the client sent them, e.g. ``"MQTT"`` and 5.
    """

    code = "mqtt-protocol-level-unsupported"

    def __init__(self, protocol_name: str, protocol_level: int) -> None:
        """Keep what the client speaks."""
        super().__init__(
            f"protocol {protocol_name!r} level {protocol_level} is not spoken here, only "
            "'MQTT' level 4 (MQTT 3.1.1)",
            clause="MQTT-3.1.2-2",
            remedy="Set the client to MQTT version 3.1.1.",
            reply=b"\x20\x02\x00\x01",
        )
        self.protocol_name = protocol_name
        self.protocol_level = protocol_level


class ClientIdMissing(ProtocolViolation):
    """An empty client id together with clean session 0; `reply` is CONNACK 2 [MQTT-3.1.3-8]."""

    code = "mqtt-client-id-missing"

    def __init__(self) -> None:
        """Say it."""
        super().__init__(
            "client id is empty although clean session is 0",
            clause="MQTT-3.1.3-8",
            remedy="Set a client id.",
            reply=b"\x20\x02\x00\x02",
        )


class LocalMisuse(MqttError):
    """This side's own code asked for what the rules forbid; nothing was sent."""

    code = "mqtt-local-misuse"


class PacketInvalid(LocalMisuse):
    """A packet with values that cannot be encoded.

    Attributes:
        field: Name of the packet's field at fault, e.g. ``"topic"``.
    """

    code = "mqtt-packet-invalid"

    def __init__(self, field: str, fault: str, *, clause: str | None = None) -> None:
        """Name field and fault."""
        super().__init__(
            f"{field} {fault}", clause=clause, remedy=f"Correct {field} and send again."
        )
        self.field = field


class CallOutOfTurn(LocalMisuse):
    """A machine was asked for something that its state does not allow.

    Attributes:
        call, state: What was asked, and the name of the state.
    """

    code = "mqtt-call-out-of-turn"

    def __init__(self, call: str, state: str, *, clause: str | None = None) -> None:
        """Name call and state."""
        super().__init__(f"{call} is not possible while {state}", clause=clause)
        self.call = call
        self.state = state


class PacketIdUnknown(LocalMisuse):
    """An answer to a packet identifier that nothing waits for."""

    code = "mqtt-packet-id-unknown"

    def __init__(self, call: str, packet_id: int) -> None:
        """Name both."""
        super().__init__(f"{call}: nothing waits for packet id {packet_id}")
        self.packet_id = packet_id


class InFlightWindowFull(LocalMisuse):
    """As many messages as allowed await their acknowledgement: send again after one came."""

    code = "mqtt-in-flight-window-full"

    def __init__(self, window: int) -> None:
        """Name the window, in messages."""
        super().__init__(
            f"{window} messages await their acknowledgement, which is the window",
            remedy="Wait for an acknowledgement, then send again.",
        )
        self.window = window


class ConnectRefused(MqttError):
    """The server answered CONNECT with a return code other than 0, and closes [MQTT-3.2.2-5].

    Attributes:
        return_code: The verdict; `code` carries its name, e.g. ``"connack-not-authorized"``.
    """

    def __init__(self, return_code: ConnectReturnCode) -> None:
        """Say what the code means and what can be done about it."""
        meaning, remedy = _REFUSALS[return_code]
        super().__init__(
            f"the server refused the connection with return code {int(return_code)}: {meaning}",
            remedy=remedy,
        )
        self.return_code = return_code
        self.code = f"connack-{return_code.name.lower().replace('_', '-')}"


_REFUSALS = {
    ConnectReturnCode.UNACCEPTABLE_PROTOCOL_VERSION: (
        "unacceptable protocol version",
        "Connect to a server that speaks MQTT 3.1.1.",
    ),
    ConnectReturnCode.IDENTIFIER_REJECTED: (
        "client id rejected",
        "Check that the client id is the one that the server expects for this user name.",
    ),
    ConnectReturnCode.SERVER_UNAVAILABLE: (
        "server unavailable",
        "Try again later.",
    ),
    ConnectReturnCode.BAD_USER_NAME_OR_PASSWORD: (
        "bad user name or password",
        "Check user name and password.",
    ),
    ConnectReturnCode.NOT_AUTHORIZED: (
        "not authorized",
        "Check that the server knows this identity, and that certificate or password are its own.",
    ),
}
