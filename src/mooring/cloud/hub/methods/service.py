"""Direct methods: sent to a connected device, answered by it, nothing kept.

The timeouts belong to the caller; the device never hears of them. An answer that comes too late,
or to a call that nobody made, is dropped (Azure does the same).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from mooring.cloud.hub.errors import (
    DeviceConnectionLost,
    DeviceNotOnline,
    DeviceResponseInvalid,
    DeviceResponseTimeout,
    InputInvalid,
    MethodsInFlight,
    PayloadTooLarge,
)
from mooring.cloud.hub.methods.model import (
    MAX_IN_FLIGHT_PER_DEVICE,
    MAX_METHOD_NAME_CHARS,
    MAX_PAYLOAD_BYTES,
    MAX_TIMEOUT_S,
    MIN_RESPONSE_TIMEOUT_S,
    DeviceKey,
    MethodCall,
    MethodResult,
    MethodTarget,
)
from mooring.cloud.hub.model import Hub
from mooring.cloud.hub.registry import DeviceRegistry
from mooring.protocol.azure.errors import AzureError, quoted
from mooring.protocol.azure.hub_topics import format_method_topic
from mooring.protocol.azure.json_documents import decode_json

FindTarget = Callable[[int, str], MethodTarget | None]


@dataclass(slots=True)
class _Waiting:
    """A call without an answer yet."""

    target: MethodTarget
    answer: asyncio.Future[MethodResult]


class MethodService:
    """Direct methods of all hubs' devices."""

    def __init__(self, devices: DeviceRegistry) -> None:
        """Call only what `devices` knows; `serve_by` says how they are reached."""
        self._devices = devices
        self._find: FindTarget = lambda _hub_id, _device_id: None
        self._rids = itertools.count(1)
        self._calls: dict[DeviceKey, dict[str, _Waiting]] = {}
        self._arrivals: dict[DeviceKey, set[asyncio.Future[None]]] = {}

    def serve_by(self, find: FindTarget) -> None:
        """Reach devices by `find`, which returns a connection that takes methods, or None."""
        self._find = find

    async def invoke(self, hub: Hub, device_id: str, call: MethodCall) -> MethodResult:
        """Have a device run a method.

        Raises:
            InputInvalid: The name or a timeout is bad.
            PayloadTooLarge: More than 128 KB.
            DeviceNotFound: The hub has no such device.
            DeviceNotOnline: It did not connect and subscribe within the connect timeout.
            MethodsInFlight: It has too many calls without an answer.
            DeviceResponseTimeout: It did not answer in time.
            DeviceConnectionLost: Its connection ended before it answered.
            DeviceResponseInvalid: Its answer is no JSON, or too large.
        """
        _check(call)
        await self._devices.get(hub, device_id)
        key = (hub.hub_id, device_id)
        target = self._find(*key) or await self._arrival(key, device_id, call.connect_timeout_s)
        calls = self._calls.setdefault(key, {})
        if len(calls) >= MAX_IN_FLIGHT_PER_DEVICE:
            raise MethodsInFlight(
                f"Device {device_id!r} has {len(calls)} direct methods without an answer.",
                "Wait for some of them.",
            )
        rid = f"{next(self._rids):x}"
        waiting = _Waiting(target, asyncio.get_running_loop().create_future())
        calls[rid] = waiting
        try:
            if not target.send(format_method_topic(call.name, rid), call.payload):
                raise _not_online(device_id, call.connect_timeout_s)
            async with asyncio.timeout(call.response_timeout_s):
                return await waiting.answer
        except TimeoutError:
            raise DeviceResponseTimeout(
                f"Device {device_id!r} did not answer {call.name!r} within "
                f"{call.response_timeout_s} s.",
                "See whether the device handles the method, or allow it more time with "
                "responseTimeoutInSeconds.",
            ) from None
        finally:
            del calls[rid]
            if not calls and self._calls.get(key) is calls:
                del self._calls[key]

    # -- from the devices' connections ---------------------------------------------------------

    def ready(self, key: DeviceKey) -> None:
        """Note that a device takes methods now."""
        for arrival in self._arrivals.pop(key, ()):
            if not arrival.done():
                arrival.set_result(None)

    def answered(self, target: MethodTarget, rid: str, status: int, payload: bytes) -> None:
        """Take a device's answer; one that nobody waits for any more is dropped."""
        waiting = self._calls.get(target.key, {}).get(rid)
        if waiting is None or waiting.target is not target or waiting.answer.done():
            return
        fault = _fault_of(payload)
        if fault is None:
            waiting.answer.set_result(MethodResult(status, payload))
        else:
            waiting.answer.set_exception(
                DeviceResponseInvalid(
                    f"Device {target.key[1]!r} answered with status {status}, and its payload "
                    f"{fault}.",
                    f"Have it answer with JSON of at most {MAX_PAYLOAD_BYTES} bytes, or nothing.",
                )
            )

    def lost(self, target: MethodTarget) -> None:
        """Note that a connection ended: what it has not answered, it never will."""
        for waiting in list(self._calls.get(target.key, {}).values()):
            if waiting.target is target and not waiting.answer.done():
                waiting.answer.set_exception(
                    DeviceConnectionLost(
                        f"The connection of device {target.key[1]!r} ended before it answered.",
                        "The device may have run the method; call again when it is connected.",
                    )
                )

    async def _arrival(
        self, key: DeviceKey, device_id: str, connect_timeout_s: int
    ) -> MethodTarget:
        """Wait for a connection that takes methods. Raises DeviceNotOnline."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + connect_timeout_s
        while (remaining_s := ends_at - loop.time()) > 0:
            arrival: asyncio.Future[None] = loop.create_future()
            arrivals = self._arrivals.setdefault(key, set())
            arrivals.add(arrival)
            try:
                async with asyncio.timeout(remaining_s):
                    await arrival
            except TimeoutError:
                break
            finally:
                arrivals.discard(arrival)
                if not arrivals and self._arrivals.get(key) is arrivals:
                    del self._arrivals[key]
            target = self._find(*key)
            if target is not None:
                return target
        raise _not_online(device_id, connect_timeout_s)


def _check(call: MethodCall) -> None:
    if not call.name or len(call.name) > MAX_METHOD_NAME_CHARS or not call.name.isprintable():
        raise InputInvalid(
            f"methodName: {quoted(call.name)} cannot name a method.",
            f"Give 1 to {MAX_METHOD_NAME_CHARS} printable characters.",
            field="methodName",
        )
    for name, value, least in (
        ("responseTimeoutInSeconds", call.response_timeout_s, MIN_RESPONSE_TIMEOUT_S),
        ("connectTimeoutInSeconds", call.connect_timeout_s, 0),
    ):
        if not least <= value <= MAX_TIMEOUT_S:
            raise InputInvalid(
                f"{name}: {value} must be within [{least}; {MAX_TIMEOUT_S}].",
                "Give a whole number of seconds in that range.",
                field=name,
            )
    if len(call.payload) > MAX_PAYLOAD_BYTES:
        raise PayloadTooLarge(
            f"payload: {len(call.payload)} bytes of JSON; at most {MAX_PAYLOAD_BYTES} are allowed.",
            "Send less, or have the device fetch it.",
            field="payload",
        )


def _fault_of(payload: bytes) -> str | None:
    """Return what is wrong with a device's payload, None if it can be passed on."""
    if not payload.strip():
        return None
    try:
        decode_json(payload, max_bytes=MAX_PAYLOAD_BYTES, field="payload")
    except AzureError as error:
        return str(error).removeprefix("payload ")
    return None


def _not_online(device_id: str, connect_timeout_s: int) -> DeviceNotOnline:
    waited = f" within {connect_timeout_s} s" if connect_timeout_s else ""
    return DeviceNotOnline(
        f"Device {device_id!r} is not connected and subscribed to direct methods{waited}.",
        "See whether it is connected, and whether its software takes direct methods; to wait for "
        "it, give connectTimeoutInSeconds.",
    )
