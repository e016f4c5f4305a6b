"""The port through which DPS asks a webhook for a hub; `webhook` is its adapter to HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mooring.cloud.dps.model import (
    CustomAllocation,
    EnrollmentGroup,
    IndividualEnrollment,
    InitialTwin,
    Registration,
)
from mooring.pki.certificates import Certificate


@dataclass(frozen=True, slots=True)
class AllocationQuestion:
    """What a webhook is told of a device that registers.

    Attributes:
        definition: The webhook itself.
        enrollment: What takes the device; its symmetric keys are not sent.
        registration_id: As the device spells it.
        former: The device's registration record, if it has one.
        certificate: The device's, None if it proved itself by symmetric key.
        payload: What the device sent with its request, any JSON; None for nothing.
        linked_hubs: Host names; the answer must be one of them.
    """

    definition: CustomAllocation
    enrollment: IndividualEnrollment | EnrollmentGroup
    registration_id: str
    former: Registration | None
    certificate: Certificate | None
    payload: Any = field(repr=False)
    linked_hubs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AllocationAnswer:
    """What a webhook decided.

    `http_status` is kept for messages; whether `host_name` is one of those offered is for the
    caller to see.
    """

    host_name: str
    initial_twin: InitialTwin | None
    payload: Mapping[str, Any] | None
    http_status: int


class WebhookFailed(Exception):
    """A webhook gave no answer, or none that can be used.

    Attributes:
        code: Kebab-case, stable.
        cause: For a person; never holds the query of the URL, which is secret.
        remedy: What to do.
        http_status: What it answered, None when nothing came.
    """

    def __init__(self, code: str, cause: str, remedy: str, http_status: int | None = None) -> None:
        """Hold the facts."""
        super().__init__(cause)
        self.code = code
        self.cause = cause
        self.remedy = remedy
        self.http_status = http_status


class AllocationWebhook(Protocol):
    """Asks webhooks."""

    async def ask(self, question: AllocationQuestion) -> AllocationAnswer:
        """Ask the webhook of `question`, once.

        Raises:
            WebhookFailed: The device's registration has failed.
            mooring.cloud.dps.errors.Overloaded: Too many are asked already; nothing was sent.
            mooring.cloud.dps.errors.ShuttingDown: The cloud is closing; the device comes again.
        """
        ...


class AskedOnce:
    """Asks the same question once: registering may have to decide anew, a webhook may not notice.

    Holds for one registration.
    """

    def __init__(self, webhook: AllocationWebhook) -> None:
        """Ask `webhook`."""
        self._webhook = webhook
        self._question: AllocationQuestion | None = None
        self._outcome: AllocationAnswer | WebhookFailed | None = None

    async def ask(self, question: AllocationQuestion) -> AllocationAnswer:
        """See `AllocationWebhook.ask`."""
        if self._outcome is None or question != self._question:
            try:
                self._outcome = await self._webhook.ask(question)
            except WebhookFailed as failed:
                self._outcome = failed
            self._question = question
        if isinstance(self._outcome, WebhookFailed):
            raise self._outcome
        return self._outcome
