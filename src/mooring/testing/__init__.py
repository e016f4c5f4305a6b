"""For tests of programs that talk to Azure IoT: a real cloud, thrown away afterwards.

With pytest, take the fixture `mooring_cloud`; without it::

    from mooring.testing import ThrowAwayCloud

    with ThrowAwayCloud() as cloud:
        device = cloud.enroll("edge01")

Nothing here needs pytest but `mooring.testing.plugin`. docs/testing.md is the guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mooring.testing.cloud import ThrowAwayCloud
    from mooring.testing.credentials import Device
    from mooring.testing.enrolling import DeviceIssuer, KeyedDevice, KeyIssuer
    from mooring.testing.errors import (
        CloudNotRunning,
        CloudNotStarted,
        NotSeenInTime,
        Port443NotPermitted,
        RequestRefused,
        SettingRefused,
        ThrowAwayCloudError,
    )

__all__ = [
    "CloudNotRunning",
    "CloudNotStarted",
    "Device",
    "DeviceIssuer",
    "KeyIssuer",
    "KeyedDevice",
    "NotSeenInTime",
    "Port443NotPermitted",
    "RequestRefused",
    "SettingRefused",
    "ThrowAwayCloud",
    "ThrowAwayCloudError",
]

_HOMES = {
    "ThrowAwayCloud": "mooring.testing.cloud",
    "Device": "mooring.testing.credentials",
    "DeviceIssuer": "mooring.testing.enrolling",
    "KeyIssuer": "mooring.testing.enrolling",
    "KeyedDevice": "mooring.testing.enrolling",
}


if not TYPE_CHECKING:  # for a type checker there are the names above, and no others

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used.

        Every run of pytest in an environment with Mooring loads the plug-in, and with it this
        module; only those that use a cloud are to pay for it.
        """
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - see above

        return getattr(import_module(_HOMES.get(name, "mooring.testing.errors")), name)
