"""Tables of MQTT 3.1.1 wire bytes, laid out by hand from the specification.

`LEGAL`: bytes, and the packet they mean; encoding it gives the same bytes.
`LEGAL_ODD`: legal bytes that this side would encode otherwise.
`MALFORMED`: bytes that never become a packet, the clause they break, and after how many bytes a
decoder can know.
"""

from __future__ import annotations

from mooring.protocol.mqtt import (
    ConnAck,
    Connect,
    ConnectReturnCode,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)

LEGAL: dict[str, tuple[str, Packet]] = {
    "CONNECT with the least": (
        "100d 0004 4d515454 04 02 003c 0001 61",
        Connect("a", clean_session=True, keep_alive_s=60),
    ),
    "CONNECT with empty client id and clean session": (
        "100c 0004 4d515454 04 02 0000 0000",
        Connect("", clean_session=True, keep_alive_s=0),
    ),
    "CONNECT with user name and no password": (
        "1010 0004 4d515454 04 80 003c 0001 61 0001 75",
        Connect("a", clean_session=False, keep_alive_s=60, user_name="u"),
    ),
    "CONNECT with empty password": (
        "1012 0004 4d515454 04 c0 003c 0001 61 0001 75 0000",
        Connect("a", clean_session=False, keep_alive_s=60, user_name="u", password=b""),
    ),
    "CONNECT with password that is no UTF-8": (
        "1014 0004 4d515454 04 c2 003c 0001 61 0001 75 0002 ff00",
        Connect("a", clean_session=True, keep_alive_s=60, user_name="u", password=b"\xff\x00"),
    ),
    "CONNECT with everything": (
        "101a 0004 4d515454 04 f6 ffff 0001 61 0001 74 0002 6869 0001 75 0001 70",
        Connect(
            "a",
            clean_session=True,
            keep_alive_s=65535,
            user_name="u",
            password=b"p",
            will=Will("t", b"hi", qos=2, retain=True),
        ),
    ),
    "CONNECT with empty will message": (
        "1012 0004 4d515454 04 06 003c 0001 61 0001 74 0000",
        Connect("a", clean_session=True, keep_alive_s=60, will=Will("t", b"")),
    ),
    "CONNACK 0": ("20020000", ConnAck()),
    "CONNACK 0 with session": ("20020100", ConnAck(session_present=True)),
    "CONNACK 5": ("20020005", ConnAck(ConnectReturnCode.NOT_AUTHORIZED)),
    "PUBLISH QoS 0": ("3005 0001 74 6869", Publish("t", b"hi")),
    "PUBLISH QoS 0 without payload": ("3003 0001 74", Publish("t", b"")),
    "PUBLISH QoS 1": ("3207 0001 74 0001 6869", Publish("t", b"hi", qos=1, packet_id=1)),
    "PUBLISH QoS 1 without payload": (
        "3205 0001 74 ffff",
        Publish("t", b"", qos=1, packet_id=65535),
    ),
    "PUBLISH QoS 2, DUP, RETAIN": (
        "3d06 0001 74 0100 00",
        Publish("t", b"\0", qos=2, retain=True, dup=True, packet_id=256),
    ),
    "PUBLISH under a topic with U+FEFF first": (
        "3006 0004 efbbbf 74",
        Publish("﻿t", b""),
    ),
    "PUBLISH of 128 bytes": ("308001 0001 74" + "78" * 125, Publish("t", b"x" * 125)),
    "PUBLISH of 16384 bytes": ("30808001 0001 74" + "78" * 16381, Publish("t", b"x" * 16381)),
    "PUBACK": ("40020001", PubAck(1)),
    "PUBREC": ("50020100", PubRec(256)),
    "PUBREL": ("6202ffff", PubRel(65535)),
    "PUBCOMP": ("70020001", PubComp(1)),
    "SUBSCRIBE": ("8206 0001 0001 74 01", Subscribe(1, (Subscription("t", 1),))),
    "SUBSCRIBE to three": (
        "8212 0102 0001 23 00 0003 2b2f23 01 0003 612f2b 02",
        Subscribe(258, (Subscription("#", 0), Subscription("+/#", 1), Subscription("a/+", 2))),
    ),
    "SUBACK": ("9003 0001 00", SubAck(1, (0,))),
    "SUBACK with every code": ("9006 0001 00010280", SubAck(1, (0, 1, 2, 0x80))),
    "UNSUBSCRIBE": ("a205 0001 0001 74", Unsubscribe(1, ("t",))),
    "UNSUBSCRIBE from two": ("a20a 0001 0001 74 0003 2f2b2f", Unsubscribe(1, ("t", "/+/"))),
    "UNSUBACK": ("b0020001", UnsubAck(1)),
    "PINGREQ": ("c000", PingReq()),
    "PINGRESP": ("d000", PingResp()),
    "DISCONNECT": ("e000", Disconnect()),
}

LEGAL_ODD: dict[str, tuple[str, Packet]] = {
    "remaining length 0 in four bytes": ("c080808000", PingReq()),
    "remaining length 2 in three bytes": ("40828000 0001", PubAck(1)),
}

# name: (bytes, clause, bytes that suffice to know)
MALFORMED: dict[str, tuple[str, str | None, int]] = {
    # Fixed header.
    "packet type 0": ("00", "§2.2.1", 1),
    "packet type 15": ("f0", "§2.2.1", 1),
    "CONNECT with flags": ("11", "MQTT-2.2.2-2", 1),
    "CONNACK with flags": ("21", "MQTT-2.2.2-2", 1),
    "PUBACK with flags": ("42", "MQTT-2.2.2-2", 1),
    "PUBREC with flags": ("51", "MQTT-2.2.2-2", 1),
    "PUBREL without flags": ("60", "MQTT-2.2.2-2", 1),
    "PUBCOMP with flags": ("78", "MQTT-2.2.2-2", 1),
    "SUBSCRIBE without flags": ("80", "MQTT-2.2.2-2", 1),
    "SUBSCRIBE with DUP, as in 3.1": ("8a", "MQTT-2.2.2-2", 1),
    "SUBACK with flags": ("91", "MQTT-2.2.2-2", 1),
    "UNSUBSCRIBE without flags": ("a0", "MQTT-2.2.2-2", 1),
    "UNSUBACK with flags": ("b1", "MQTT-2.2.2-2", 1),
    "PINGREQ with flags": ("c1", "MQTT-2.2.2-2", 1),
    "PINGRESP with flags": ("d1", "MQTT-2.2.2-2", 1),
    "DISCONNECT with flags": ("e1", "MQTT-2.2.2-2", 1),
    "PUBLISH with QoS 3": ("36", "MQTT-3.3.1-4", 1),
    "PUBLISH with QoS 3 and DUP": ("3e", "MQTT-3.3.1-4", 1),
    "PUBLISH with QoS 0 and DUP": ("38", "MQTT-3.3.1-2", 1),
    "remaining length of five bytes": ("30 80808080", "§2.2.3", 5),
    # Remaining length against type.
    "CONNECT without client id": ("100a", "MQTT-4.8.0-1", 2),
    "CONNACK of 3 bytes": ("2003", "MQTT-4.8.0-1", 2),
    "CONNACK of 1 byte": ("2001", "MQTT-4.8.0-1", 2),
    "PUBACK of 3 bytes": ("4003", "MQTT-4.8.0-1", 2),
    "PUBACK of 0 bytes": ("4000", "MQTT-4.8.0-1", 2),
    "PINGREQ with a body": ("c001", "MQTT-4.8.0-1", 2),
    "DISCONNECT with a body, as in 5.0": ("e001", "MQTT-4.8.0-1", 2),
    "SUBSCRIBE without a filter": ("8202", "MQTT-3.8.3-3", 2),
    "UNSUBSCRIBE without a filter": ("a202", "MQTT-3.10.3-2", 2),
    "SUBACK without a code": ("9002", "MQTT-4.8.0-1", 2),
    "PUBLISH without a topic": ("3002", "MQTT-4.7.3-1", 2),
    "PUBLISH QoS 1 too short": ("3204", "MQTT-4.7.3-1", 2),
    # CONNECT.
    "CONNECT of another protocol": (
        "100d 0004 48545450 04 02 003c 0001 61", "MQTT-3.1.2-1", 15,
    ),
    "CONNECT that is all protocol name": (
        "100c 000a 4d515454 4d515454 4d51", "MQTT-3.1.2-1", 14,
    ),
    "CONNECT with the reserved flag": (
        "100d 0004 4d515454 04 03 003c 0001 61", "MQTT-3.1.2-3", 15,
    ),
    "CONNECT with will QoS and no will": (
        "100d 0004 4d515454 04 0a 003c 0001 61", "MQTT-3.1.2-13", 15,
    ),
    "CONNECT with will retain and no will": (
        "100d 0004 4d515454 04 22 003c 0001 61", "MQTT-3.1.2-15", 15,
    ),
    "CONNECT with will QoS 3": (
        "1012 0004 4d515454 04 1e 003c 0001 61 0001 74 0000", "MQTT-3.1.2-14", 20,
    ),
    "CONNECT with password and no user name": (
        "1010 0004 4d515454 04 42 003c 0001 61 0001 70", "MQTT-3.1.2-22", 18,
    ),
    "CONNECT with a password and no flag for it": (
        "1013 0004 4d515454 04 82 003c 0001 61 0001 75 0001 70", "MQTT-3.1.4-1", 21,
    ),
    "CONNECT without the user name of its flag": (
        "100d 0004 4d515454 04 82 003c 0001 61", "§1.5.2", 15,
    ),
    "CONNECT with a client id that overruns": (
        "100d 0004 4d515454 04 02 003c 0002 61", "§1.5.3", 15,
    ),
    "CONNECT with a client id that is no UTF-8": (
        "100d 0004 4d515454 04 02 003c 0001 ff", "MQTT-1.5.3-1", 15,
    ),
    "CONNECT with a client id with U+0000": (
        "100d 0004 4d515454 04 02 003c 0001 00", "MQTT-1.5.3-2", 15,
    ),
    "CONNECT with a user name with a surrogate": (
        "1012 0004 4d515454 04 82 003c 0001 61 0003 eda080", "MQTT-1.5.3-1", 20,
    ),
    "CONNECT with an empty will topic": (
        "1011 0004 4d515454 04 06 003c 0001 61 0000 0000", "MQTT-4.7.3-1", 19,
    ),
    "CONNECT with a wildcard in its will topic": (
        "1012 0004 4d515454 04 06 003c 0001 61 0001 2b 0000", "MQTT-3.3.2-2", 20,
    ),
    # CONNACK.
    "CONNACK with reserved flags": ("2002 0200", "§3.2.2.1", 4),
    "CONNACK with return code 6": ("2002 0006", "§3.2.2.3", 4),
    "CONNACK that refuses with a session": ("2002 0105", "MQTT-3.2.2-4", 4),
    # PUBLISH.
    "PUBLISH with an empty topic": ("3003 0000 61", "MQTT-4.7.3-1", 5),
    "PUBLISH with + in its topic": ("3005 0003 612f2b", "MQTT-3.3.2-2", 7),
    "PUBLISH with # in its topic": ("3005 0003 612f23", "MQTT-3.3.2-2", 7),
    "PUBLISH with U+0000 in its topic": ("3005 0003 610062", "MQTT-1.5.3-2", 7),
    "PUBLISH with an overlong encoding in its topic": ("3004 0002 c0af", "MQTT-1.5.3-1", 6),
    "PUBLISH with a surrogate in its topic": ("3005 0003 eda080", "MQTT-1.5.3-1", 7),
    "PUBLISH with a topic that overruns": ("3003 0002 61", "§3.3.2.1", 5),
    "PUBLISH QoS 1 that ends within its packet id": (
        "3205 0002 6162 00", "§3.3.2.2", 7,
    ),
    "PUBLISH QoS 1 with packet id 0": ("3205 0001 74 0000", "MQTT-2.3.1-1", 7),
    # Packet identifiers.
    "PUBACK 0": ("40020000", "MQTT-2.3.1-1", 4),
    "PUBREC 0": ("50020000", "MQTT-2.3.1-1", 4),
    "PUBREL 0": ("62020000", "MQTT-2.3.1-1", 4),
    "PUBCOMP 0": ("70020000", "MQTT-2.3.1-1", 4),
    "SUBSCRIBE 0": ("8206 0000 0001 74 01", "MQTT-2.3.1-1", 8),
    "SUBACK 0": ("9003 0000 00", "MQTT-2.3.1-1", 5),
    "UNSUBSCRIBE 0": ("a205 0000 0001 74", "MQTT-2.3.1-1", 7),
    "UNSUBACK 0": ("b0020000", "MQTT-2.3.1-1", 4),
    # SUBSCRIBE, UNSUBSCRIBE, SUBACK.
    "SUBSCRIBE with QoS 3": ("8206 0001 0001 74 03", "MQTT-3.8.3-4", 8),
    "SUBSCRIBE with reserved QoS bits": ("8206 0001 0001 74 81", "MQTT-3.8.3-4", 8),
    "SUBSCRIBE that ends before a QoS": ("8206 0001 0002 7474", "§3.8.3", 8),
    "SUBSCRIBE with an empty filter": ("8206 0001 0000 00 00", "MQTT-4.7.3-1", 8),
    "SUBSCRIBE to a/#/b": ("820a 0001 0005 612f232f62 01", "MQTT-4.7.1-2", 12),
    "SUBSCRIBE to a#": ("8207 0001 0002 6123 01", "MQTT-4.7.1-2", 9),
    "SUBSCRIBE to a+/b": ("8209 0001 0004 612b2f62 01", "MQTT-4.7.1-3", 11),
    "SUBSCRIBE to a filter that is no UTF-8": ("8206 0001 0001 80 01", "MQTT-1.5.3-1", 8),
    "SUBSCRIBE that ends before its second QoS": (
        "820a 0001 0001 74 01 0002 7474", "§3.8.3", 12,
    ),
    "SUBSCRIBE whose second filter overruns": (
        "8209 0001 0001 74 01 0002 74", "§1.5.3", 11,
    ),
    "UNSUBSCRIBE from an empty filter": ("a205 0001 0000 00", "MQTT-4.7.3-1", 7),
    "UNSUBSCRIBE with a byte too many": ("a206 0001 0001 74 00", "§1.5.2", 8),
    "SUBACK with code 3": ("9003 0001 03", "MQTT-3.9.3-2", 5),
}  # fmt: skip


def wire(text: str) -> bytes:
    """Return the bytes of a table's hex text; blanks group it for the reader."""
    return bytes.fromhex(text)
