"""One MQTT connection over one TLS connection: pumps bytes, pairs answers, keeps alive.

The machine says what is legal, the connection moves bytes; this file only joins them. It is used
towards DPS and towards the hub.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from mooring.protocol.mqtt.client import ClientEvent, ClientMachine, SubscriptionAnswered
from mooring.protocol.mqtt.errors import PeerError
from mooring.protocol.mqtt.keepalive import KeepAlive
from mooring.protocol.mqtt.packets import ConnAck, PubAck, Publish
from mooring.runtime.clock import Clock
from mooring.transport.client import ServerFacts
from mooring.transport.errors import ConnectError

_Result = TypeVar("_Result")

MAX_PING_ANSWER_S = 15.0
"""How long PINGRESP may take; half the keep-alive where that is less. Longer than any network
that still carries telemetry, shorter than a server's own patience."""


class ByteStream(Protocol):
    """What a link needs of a TLS connection."""

    @property
    def facts(self) -> ServerFacts:
        """Return what was learnt while connecting."""
        ...

    async def read(self) -> bytes:
        """Return the next bytes, ``b""`` at the end."""
        ...

    def write(self, data: bytes) -> None:
        """Queue bytes for sending."""
        ...

    async def close(self) -> None:
        """Close in order."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


@dataclass(frozen=True, slots=True)
class LinkLoss:
    """Why a link is gone, or did not come about."""

    code: str
    cause: str
    remedy: str


class LinkFailed(Exception):
    """The link was lost, or the server did not answer, before something was done."""

    def __init__(self, loss: LinkLoss) -> None:
        """Keep the reason."""
        super().__init__(loss.cause)
        self.loss = loss


class MqttLink:
    """A live MQTT connection; made by `open`."""

    def __init__(
        self,
        stream: ByteStream,
        machine: ClientMachine,
        *,
        keep_alive_s: int,
        clock: Clock,
        on_message: Callable[[Publish], bool],
    ) -> None:
        """Join `stream` and `machine`; use `open`."""
        self._stream = stream
        self._machine = machine
        self._keep_alive_s = keep_alive_s
        self._clock = clock
        self._on_message = on_message
        self._keep_alive = KeepAlive(keep_alive_s, now=clock.monotonic())
        self._acknowledged: dict[int, asyncio.Future[None]] = {}
        self._subscribed: dict[int, asyncio.Future[SubscriptionAnswered]] = {}
        # What earlier links of this machine left without PUBACK, by packet id.
        self._held = {message.packet_id: message for message in machine.unacknowledged()}
        self._reader: asyncio.Task[None] | None = None
        self.lost: asyncio.Future[LinkLoss] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(
        cls,
        stream: ByteStream,
        machine: ClientMachine,
        *,
        client_id: str,
        user_name: str,
        clean_session: bool,
        keep_alive_s: int,
        timeout_s: float,
        clock: Clock,
        on_message: Callable[[Publish], bool],
    ) -> MqttLink:
        """Send CONNECT and return the link after CONNACK; on failure the stream is closed.

        Args:
            stream: A TLS connection; this link's from now on.
            machine: A client machine without a connection; this link's until it is lost.
            client_id: MQTT client id.
            user_name: MQTT user name.
            clean_session: Whether the server is to forget what it knew of this client.
            keep_alive_s: Keep-alive announced to the server.
            timeout_s: How long CONNACK may take.
            clock: Source of time.
            on_message: Called with each message of the server; True acknowledges it.

        Raises:
            ConnectRefused: CONNACK with another return code than 0.
            LinkFailed: No CONNACK, or something else.
        """
        link = cls(stream, machine, keep_alive_s=keep_alive_s, clock=clock, on_message=on_message)
        stream.write(
            machine.connect(
                client_id,
                user_name=user_name,
                clean_session=clean_session,
                keep_alive_s=keep_alive_s,
            )
        )
        try:
            async with asyncio.timeout(timeout_s):
                following = await link._read_connack()
        except TimeoutError:
            loss = LinkLoss(
                "no-connack",
                f"The server did not answer CONNECT within {timeout_s:g} s.",
                "Check that it is an MQTT server; it may also be overloaded. Trying again is the "
                "usual cure.",
            )
            link._abandon()
            raise LinkFailed(loss) from None
        except BaseException:
            link._abandon()
            raise
        link._keep_alive = KeepAlive(
            keep_alive_s,
            now=clock.monotonic(),
            answer_s=min(keep_alive_s / 2, MAX_PING_ANSWER_S),
        )
        link._reader = asyncio.get_running_loop().create_task(
            link._run(following), name=f"mqtt link of {client_id}"
        )
        return link

    @property
    def facts(self) -> ServerFacts:
        """Return what was learnt of the server while connecting."""
        return self._stream.facts

    async def subscribe(self, topic_filter: str, *, timeout_s: float) -> None:
        """Subscribe at QoS 1 and wait for the server's consent.

        Raises:
            LinkFailed: Refused, no answer in time, or the link was lost.
        """
        data, packet_id = self._machine.subscribe([(topic_filter, 1)])
        answered = self._subscribed[packet_id] = asyncio.get_running_loop().create_future()
        self._send(data)
        answer = await self.unless_lost(answered, timeout_s=timeout_s, what="SUBSCRIBE")
        if answer.refused:
            raise LinkFailed(
                LinkLoss(
                    "subscription-refused",
                    f"The server refused the subscription of {topic_filter}.",
                    "Check that the endpoint is a device provisioning service.",
                )
            )

    def publish(self, topic: str, payload: bytes) -> tuple[asyncio.Future[None], int]:
        """Send at QoS 1; return what PUBACK resolves, and the packet id.

        Raises:
            InFlightWindowFull: Wait for an acknowledgement first.
        """
        data, packet_id = self._machine.publish(topic, payload, qos=1)
        assert packet_id is not None
        self._send(data)
        return self._await_acknowledgement(packet_id), packet_id

    def holds(self, packet_id: int) -> bool:
        """Return whether a message of an earlier link still awaits its acknowledgement."""
        return packet_id in self._held

    def send_again(self, packet_id: int) -> asyncio.Future[None]:
        """Send a message that `holds` knows again; return what its acknowledgement resolves."""
        self._send(self._held.pop(packet_id).encode(literal_wildcards=True))
        return self._await_acknowledgement(packet_id)

    async def unless_lost(
        self, future: asyncio.Future[_Result], *, timeout_s: float, what: str
    ) -> _Result:
        """Return the result of `future`; `what` names the request in messages.

        Raises:
            LinkFailed: The link was lost, or `timeout_s` seconds went by.
        """
        either: set[asyncio.Future[Any]] = {future, self.lost}
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return future.result()
        future.cancel()
        if self.lost.done():
            raise LinkFailed(self.lost.result())
        raise LinkFailed(
            LinkLoss(
                "no-answer",
                f"The server did not answer {what} within {timeout_s:g} s.",
                "The server may be overloaded; trying again is the usual cure.",
            )
        )

    async def close(self) -> None:
        """Send DISCONNECT and close; no error if the link is gone already."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        if not self.lost.done():
            self._send(self._machine.disconnect())
            self._end(LinkLoss("closed", "The gateway closed the connection.", ""))
        await self._stream.close()

    def _send(self, data: bytes) -> None:
        self._stream.write(data)
        self._keep_alive.sent(self._clock.monotonic())

    def _await_acknowledgement(self, packet_id: int) -> asyncio.Future[None]:
        future = self._acknowledged[packet_id] = asyncio.get_running_loop().create_future()
        return future

    async def _read_connack(self) -> list[ClientEvent]:
        """Read until CONNACK; return what came behind it in the same bytes.

        Raises:
            ConnectRefused, LinkFailed: No consent.
        """
        while True:
            try:
                data = await self._stream.read()
                events = self._machine.receive(data)
            except ConnectError as error:
                raise LinkFailed(_of_connect_error(error)) from error
            except PeerError as error:
                raise LinkFailed(_of_peer_error(error)) from error
            if not data:
                raise LinkFailed(
                    LinkLoss(
                        "closed-before-connack",
                        "The server closed the connection without answering CONNECT.",
                        "Servers do this to a client certificate or user name that they refuse, "
                        "or when they are overloaded. Check Scope ID and certificate.",
                    )
                )
            if events:
                assert isinstance(events[0], ConnAck)
                return events[1:]

    async def _run(self, following: list[ClientEvent]) -> None:
        """Read until the end; every end resolves `lost`."""
        try:
            self._dispatch(following)
            while True:
                data = await self._read_or_ping()
                if data is None:
                    continue
                if not data:
                    loss = LinkLoss(
                        "closed-by-server",
                        "The server closed the connection.",
                        "The gateway connects again by itself. If it happens repeatedly, look "
                        "for a second client with the same device id, and in the hub's log.",
                    )
                    break
                self._keep_alive.received(self._clock.monotonic())
                self._dispatch(self._machine.receive(data))
        except ConnectError as error:
            loss = _of_connect_error(error)
        except PeerError as error:
            self._dispatch(list(error.preceding))
            loss = _of_peer_error(error)
        except LinkFailed as failed:
            loss = failed.loss
        self._end(loss)
        self._stream.abort()

    async def _read_or_ping(self) -> bytes | None:
        """Return bytes, or None after a ping was sent because none came.

        Raises:
            LinkFailed: The server does not answer pings.
        """
        ping_at, answer_by = self._keep_alive.next_ping_due(), self._keep_alive.answer_due()
        due = answer_by if ping_at is None else ping_at
        delay_s = None if due is None else max(0.0, due - self._clock.monotonic())
        try:
            async with asyncio.timeout(delay_s):
                return await self._stream.read()
        except TimeoutError:
            now = self._clock.monotonic()
            answer_by, ping_at = self._keep_alive.answer_due(), self._keep_alive.next_ping_due()
            if answer_by is not None and now >= answer_by:
                raise LinkFailed(
                    LinkLoss(
                        "server-silent",
                        "The server has not answered a keep-alive ping: the connection is dead.",
                        "The gateway connects again by itself. If it happens repeatedly, a "
                        "firewall on the way drops idle connections: lower the keep-alive.",
                    )
                ) from None
            if ping_at is not None and now >= ping_at:
                self._stream.write(self._machine.ping())
                self._keep_alive.ping_sent(now)
            return None

    def _dispatch(self, events: list[ClientEvent]) -> None:
        for event in events:
            match event:
                case Publish():
                    if self._on_message(event) and event.packet_id is not None:
                        self._send(self._machine.puback(event.packet_id))
                case PubAck(packet_id):
                    self._held.pop(packet_id, None)
                    waiting = self._acknowledged.pop(packet_id, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(None)
                case SubscriptionAnswered(packet_id):
                    answered = self._subscribed.pop(packet_id, None)
                    if answered is not None and not answered.done():
                        answered.set_result(event)
                case _:
                    pass

    def _end(self, loss: LinkLoss) -> None:
        self._machine.connection_lost()
        if not self.lost.done():
            self.lost.set_result(loss)

    def _abandon(self) -> None:
        self._end(LinkLoss("closed", "The gateway closed the connection.", ""))
        self._stream.abort()


def _of_connect_error(error: ConnectError) -> LinkLoss:
    return LinkLoss(error.code, sentence(error.message), error.remedy)


def _of_peer_error(error: PeerError) -> LinkLoss:
    return LinkLoss(
        error.code,
        sentence(f"the server broke MQTT: {error}"),
        "Check that the endpoint is Azure's or Mooring's; report it to the server's operator.",
    )


def sentence(text: str) -> str:
    """Return `text` with a capital at its beginning and a full stop at its end."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
