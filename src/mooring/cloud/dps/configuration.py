"""What the provisioning service itself is set to, and the one way to change it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from mooring.cloud.dps.errors import InputInvalid
from mooring.cloud.dps.inputs import check_if_match, etag_mismatch
from mooring.cloud.dps.model import AllocationPolicy, ServiceRecord
from mooring.cloud.dps.store import DpsStore
from mooring.cloud.preconditions import MAX_TRIES, RecordChanged
from mooring.cloud.work import Work

WHAT = "the provisioning service"

Change = Callable[[ServiceRecord], ServiceRecord]
Along = Callable[[], Awaitable[tuple[Work[None], ...]]]


async def nothing_else() -> tuple[Work[None], ...]:
    """Return no further change."""
    return ()


class Configuration:
    """Default allocation policy, linked hubs and tags of a service; known in memory.

    Attributes:
        current: As it is now. Whoever decides by it reads it at each decision.
    """

    def __init__(self, store: DpsStore, current: ServiceRecord) -> None:
        """Hold what `store` has as `current`."""
        self._store = store
        self.current = current

    async def set_default_policy(self, policy: AllocationPolicy) -> None:
        """Set the allocation policy of enrollments that name none.

        Raises:
            InputInvalid: ``custom``, which needs an enrollment's webhook.
        """
        check_default_policy(policy)
        await self.change(lambda record: replace(record, allocation_policy=policy))

    async def change(
        self, change: Change, *, if_match: str | None = None, along: Along = nothing_else
    ) -> ServiceRecord:
        """Apply `change` to the present record, and return what came of it once it is on disk.

        Args:
            change: Called with the present record, again when another was quicker.
            if_match: Etag of the record that the change was made for, or ``*``.
            along: Prepares changes of other services that are made together with this, or not
                at all; called again when another was quicker, since they may rest on what that
                changed.

        Raises:
            EtagMismatch: The service has changed since, or changes all the time.
        """
        for _ in range(MAX_TRIES):
            record = self.current
            check_if_match(if_match, record.etag, what=WHAT)
            changed = replace(change(record), version=record.version + 1)
            others = await along()
            try:
                await self._store.commit(
                    self._store.prepare_service(changed, replaces=record.version), *others
                )
            except RecordChanged:
                self._keep(await self._store.load_service())
                continue
            self._keep(changed)
            return changed
        raise etag_mismatch(WHAT)

    def _keep(self, record: ServiceRecord) -> None:
        # Of several under way at one time, the newest stays.
        if record.version > self.current.version:
            self.current = record


def check_default_policy(policy: AllocationPolicy) -> AllocationPolicy:
    """Return `policy` if a service may have it as its default. Raises InputInvalid."""
    if policy is AllocationPolicy.CUSTOM:
        raise InputInvalid(
            "allocationPolicy: custom allocation belongs to an enrollment, which has the webhook.",
            "Give Hashed, GeoLatency or Static, and custom to the enrollments.",
            field="allocationPolicy",
            code="custom-not-default",
        )
    return policy
