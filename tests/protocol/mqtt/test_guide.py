"""The programs in docs/protocol.md run as they stand there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mooring.protocol.mqtt import (
    ClientMachine,
    ConnAck,
    Connect,
    Decoder,
    PingResp,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
)

GUIDE = Path(__file__).parents[3] / "docs" / "protocol.md"
SERVER, CLIENT = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_server_of_the_guide_serves_a_client() -> None:
    written = bytearray()
    stored: list[Publish] = []
    closed: list[bool] = []
    names: dict[str, Any] = {
        "write": written.extend,
        "store": stored.append,
        "close": lambda: closed.append(True),
    }
    exec(compile(SERVER, str(GUIDE), "exec"), names)
    data_received: Callable[[bytes], None] = names["data_received"]

    client = ClientMachine()
    data_received(client.connect("a") + Subscribe(9, (Subscription("t", 2),)).encode())
    assert Decoder().feed(bytes(written)) == [ConnAck(), SubAck(9, (1,))]
    written.clear()
    data_received(Publish("t", b"x", 1, packet_id=5).encode() + b"\xc0\x00")
    assert Decoder().feed(bytes(written)) == [PingResp(), PubAck(5)]
    assert stored == [Publish("t", b"x", 1, packet_id=5)]
    assert not closed
    data_received(Publish("t", b"y", 1, packet_id=6).encode() + b"\xe0\x00")
    assert len(stored) == 2
    assert closed


def test_server_of_the_guide_ends_a_faulty_client() -> None:
    written = bytearray()
    stored: list[Publish] = []
    closed: list[bool] = []
    names: dict[str, Any] = {
        "write": written.extend,
        "store": stored.append,
        "close": lambda: closed.append(True),
    }
    exec(compile(SERVER, str(GUIDE), "exec"), names)
    names["data_received"](Connect("a").encode())
    written.clear()
    names["data_received"](Publish("t", b"x").encode() + b"\x00")
    assert stored == [Publish("t", b"x")]
    assert closed
    assert not written


def test_client_of_the_guide_talks_to_a_server() -> None:
    written = bytearray()
    used: list[Publish] = []
    message = Publish("t", b"x", 1, packet_id=5)
    names: dict[str, Any] = {
        "write": written.extend,
        "use": used.append,
        "read": lambda: ConnAck().encode() + message.encode(),
    }
    exec(compile(CLIENT, str(GUIDE), "exec"), names)
    assert Decoder().feed(bytes(written)) == [
        Connect("gw01", clean_session=False, keep_alive_s=60, user_name="…"),
        PubAck(5),
    ]
    assert used == [message]
