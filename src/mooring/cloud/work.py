"""Prepared writes, so that several services' changes are made in one transaction.

A registration touches the hub's device and DPS's record. Neither service may reach into the
other's store, so each *prepares* its change as a `Work`, and one commit carries both.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

ResultT_co = TypeVar("ResultT_co", covariant=True)


class Work(Protocol, Generic[ResultT_co]):
    """One change, prepared and not yet made; its result has the type in brackets.

    Only the adapters of the store that made it can run it, hence no method but a label.
    """

    @property
    def label(self) -> str:
        """Return what the change is, for logs: ``"registration"``."""
        ...


class Committer(Protocol):
    """Commits prepared works of one store."""

    async def commit(self, *works: Work[object]) -> tuple[object, ...]:
        """Run `works` in order in one transaction; return their results once it is on disk.

        When one raises, none is made and the exception is passed on.

        Raises:
            mooring.storage.errors.StorageUnavailable: Nothing was written: the disk is full or
                fails. A later call may succeed.
        """
        ...
