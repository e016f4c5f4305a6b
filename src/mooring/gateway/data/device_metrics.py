"""This machine's figures, under the names that Eurotech's ``Diagnostic_Service;3`` publishes.

Source: interface ``dtmi:Eurotech:Diagnostic_Service;3`` in the public IoT Plug and Play model
repository. Utilisation and usage are percent, uptime seconds, the counters bytes or operations
since boot.
"""

from __future__ import annotations

import re
import time

import psutil

from mooring.gateway.data.payload import KuraPayload, Metric
from mooring.runtime.clock import Clock

MAX_INTERFACES = 16
"""Network interfaces reported: a machine full of containers has hundreds that nobody watches."""

_PSEUDO = re.compile(r"[^A-Za-z0-9]+")


class DeviceMetrics:
    """Reads the figures; processor utilisation is that since the last reading."""

    def __init__(self, clock: Clock) -> None:
        """Begin to measure now."""
        self._clock = clock
        self._process = psutil.Process()
        psutil.cpu_percent(interval=None)
        self._process.cpu_percent(interval=None)

    def read(self) -> KuraPayload:
        """Return the figures of now. Takes milliseconds; what a platform lacks is left out."""
        metrics: dict[str, Metric] = {
            "diag_cpu_util": psutil.cpu_percent(interval=None),
            "diag_cpu_util_kura": self._process.cpu_percent(interval=None),
            "diag_mem_usg": psutil.virtual_memory().percent,
            "diag_sys_uptime": max(0.0, time.time() - psutil.boot_time()),
            "diag_files_opened_kura": self._process.num_fds(),
        }
        metrics |= _file_systems()
        metrics |= _disks()
        metrics |= _interfaces()
        temperature = _internal_temperature()
        if temperature is not None:
            metrics["temperature_temperature_internal"] = temperature
        return KuraPayload(sent_on=self._clock.now(), metrics=metrics)


def _file_systems() -> dict[str, Metric]:
    usage: dict[str, Metric] = {}
    for partition in psutil.disk_partitions(all=False):
        # The interface names the disk's own file system by its type alone: diag_fs_usg_ext4.
        name = f"diag_fs_usg_{_PSEUDO.sub('_', partition.fstype)}"
        try:
            usage.setdefault(name, round(psutil.disk_usage(partition.mountpoint).percent))
        except OSError:
            continue
    return usage


def _disks() -> dict[str, Metric]:
    counters = psutil.disk_io_counters()
    if counters is None:
        return {}
    return {
        "diag_disk_rd_cnt": counters.read_bytes,
        "diag_disk_rd_ops": counters.read_count,
        "diag_disk_wt_cnt": counters.write_bytes,
        "diag_disk_wt_ops": counters.write_count,
    }


def _interfaces() -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    interfaces = sorted(psutil.net_io_counters(pernic=True).items())
    for name, counters in interfaces[:MAX_INTERFACES]:
        label = _PSEUDO.sub("_", name)
        metrics[f"diag_net_rx_{label}"] = counters.bytes_recv
        metrics[f"diag_net_tx_{label}"] = counters.bytes_sent
    return metrics


def _internal_temperature() -> int | None:
    """Return the first processor sensor in thousandths of a degree Celsius, if there is one."""
    try:
        sensors = psutil.sensors_temperatures()
    except (AttributeError, OSError):
        return None
    for readings in sensors.values():
        for reading in readings:
            if reading.current is not None:
                return round(reading.current * 1000)
    return None
