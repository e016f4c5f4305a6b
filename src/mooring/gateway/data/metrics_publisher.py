"""Publishes the device metrics while the connection is up."""

from __future__ import annotations

import asyncio
import contextlib
import uuid

import psutil

from mooring.gateway.data.device_metrics import DeviceMetrics
from mooring.gateway.data.message import TelemetryMessage
from mooring.gateway.data.payload import encode_payload
from mooring.gateway.data.service import DataService
from mooring.gateway.errors import GatewayError
from mooring.runtime.clock import Clock
from mooring.runtime.logs import get_logger

ACKNOWLEDGED_WITHIN_S = 60.0
"""Figures older than this are no longer worth a second try."""

_log = get_logger("gateway.data")


class MetricsPublisher:
    """A task that reads and sends the figures at an interval; off until `configure`."""

    def __init__(self, pid: str, data: DataService, clock: Clock) -> None:
        """Publish for the connection `pid` through `data`."""
        self._pid = pid
        self._data = data
        self._clock = clock
        self._interval_s: int | None = None
        self._task: asyncio.Task[None] | None = None

    async def configure(self, *, interval_s: int | None) -> None:
        """Publish every `interval_s` seconds from now on, or not at all for None."""
        if interval_s == self._interval_s:
            return
        await self.close()
        self._interval_s = interval_s
        if interval_s is not None:
            self._task = asyncio.get_running_loop().create_task(
                self._run(interval_s), name=f"device metrics of {self._pid}"
            )

    async def close(self) -> None:
        """Stop publishing."""
        task, self._task = self._task, None
        self._interval_s = None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self, interval_s: int) -> None:
        metrics = DeviceMetrics(self._clock)
        while True:
            await asyncio.sleep(interval_s)
            if not self._data.is_attached:
                # Figures of an outage would all arrive at once when nobody needs them.
                continue
            try:
                payload = await asyncio.to_thread(metrics.read)
                await self._data.publish(
                    TelemetryMessage(
                        encode_payload(payload),
                        content_type="application/json",
                        content_encoding="utf-8",
                        message_id=str(uuid.uuid4()),
                    ),
                    timeout_s=ACKNOWLEDGED_WITHIN_S,
                )
            except GatewayError as error:
                _log.warning("device metrics not published", pid=self._pid, reason=error.message)
            except (psutil.Error, OSError) as error:
                _log.warning("device metrics not read", pid=self._pid, reason=str(error))
