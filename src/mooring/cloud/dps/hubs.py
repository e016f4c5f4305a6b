"""The port through which DPS sees IoT hubs; the composition root wires the hub service to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mooring.cloud.dps.model import InitialTwin, SymmetricKeys
from mooring.cloud.work import Work


@dataclass(frozen=True, slots=True)
class PinnedLeaf:
    """Credentials of a device that proved itself by certificate.

    Azure makes it ``selfSigned`` for individual and group enrollments alike, with the SHA-256
    thumbprint of the presented leaf in both slots.
    """

    sha256_thumbprint: str


@dataclass(frozen=True, slots=True)
class DeviceAssignment:
    """The device that a hub is to have.

    `initial_twin` counts only when the device is new there, or when `reset_twin` asks for a
    fresh start. `migrate_from` names the hub whose device of the same id gives its twin and
    capabilities to the new one, if it is still there; the caller removes it afterwards.
    Symmetric keys are the device's own.
    """

    device_id: str
    credentials: PinnedLeaf | SymmetricKeys
    initial_twin: InitialTwin | None
    reset_twin: bool
    iot_edge: bool
    migrate_from: str | None = None


class LinkedHubs(Protocol):
    """What DPS may do to hubs."""

    def has_hub(self, host_name: str) -> bool:
        """Return whether a hub of that name exists now."""
        ...

    def prepare_device(self, host_name: str, assignment: DeviceAssignment) -> Work[object]:
        """Prepare to create the device, or to give one of that id its authentication.

        Hand what the work returns to `prepared` after the commit.
        """
        ...

    def prepare_removal(self, host_name: str, device_id: str) -> Work[object]:
        """Prepare to remove a device that moved to another hub; one that is gone is no fault.

        Hand what the work returns to `removed` after the commit.
        """
        ...

    def prepared(self, host_name: str, device_id: str, outcome: object) -> None:
        """Have a connection closed that the device's former credentials opened."""
        ...

    def removed(self, host_name: str, device_id: str, outcome: object) -> None:
        """Have the connection closed of a device that was removed."""
        ...
