"""Attempts that began with a register request and go on with a poll on some other connection.

Over MQTT a registration is one connection, whose session holds its attempt. Over HTTPS each
request may come on a connection of its own, so the attempt waits here, by its operation id.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from mooring.runtime.attempts import Attempt, AttemptRecorder
from mooring.runtime.clock import Clock

PATIENCE_S = 120.0
"""How long a device may go without a poll. It is told to come back within 5 s, and its own
time-outs are 30 to 60 s."""

MAX_BEGUN = 10_000
"""Attempts that wait at one time, some 3 KB each. Beyond, the oldest is recorded as it stands:
what the device asked for was done, only its collecting the result is not seen."""


class BegunAttempts:
    """Holds the recorders of registrations whose result was not collected yet."""

    def __init__(
        self,
        record: Callable[[Attempt], None],
        *,
        clock: Clock,
        max_begun: int = MAX_BEGUN,
    ) -> None:
        """Give each attempt to `record` when it is over."""
        self._record = record
        self._clock = clock
        self._max_begun = max_begun
        self._begun: OrderedDict[str, tuple[AttemptRecorder, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._begun)

    def keep(self, operation_id: str, recorder: AttemptRecorder) -> None:
        """Hold `recorder` until the result of `operation_id` is collected."""
        self.expire()
        if len(self._begun) >= self._max_begun:
            _, (oldest, _) = self._begun.popitem(last=False)
            oldest.context["detail"] = "too many registrations at one time to see its end"
            oldest.finish()
            self._record(oldest.snapshot())
        self._begun[operation_id] = (recorder, self._clock.monotonic())

    def find(self, operation_id: str) -> AttemptRecorder | None:
        """Return the recorder of an operation that is being polled, if it is held."""
        found = self._begun.get(operation_id)
        if found is None:
            return None
        self._begun[operation_id] = (found[0], self._clock.monotonic())
        self._begun.move_to_end(operation_id)
        return found[0]

    def settle(self, operation_id: str) -> None:
        """Record the attempt of an operation if it is over now, and hold it no more."""
        found = self._begun.get(operation_id)
        if found is not None and found[0].is_over:
            del self._begun[operation_id]
            self._record(found[0].snapshot())

    def expire(self) -> None:
        """Give up on devices that do not come for their result; call from time to time."""
        before = self._clock.monotonic() - PATIENCE_S
        while self._begun:
            recorder, seen = next(iter(self._begun.values()))
            if seen > before:
                return
            self._begun.popitem(last=False)
            self._fail(
                recorder,
                "gone-before-result",
                "the device did not ask for the result",
                "see the device's own log; if it gave up after a timeout, its network is slow or "
                "it could not read an answer",
            )

    def close(self) -> None:
        """Record what waits: the cloud ends."""
        while self._begun:
            _, (recorder, _) = self._begun.popitem(last=False)
            self._fail(
                recorder,
                "shutting-down",
                "the server shut down before the device asked for the result",
                "poll again in a moment: the result is kept",
            )

    def _fail(self, recorder: AttemptRecorder, code: str, cause: str, remedy: str) -> None:
        recorder.fail(code, cause, remedy)
        self._record(recorder.snapshot())
