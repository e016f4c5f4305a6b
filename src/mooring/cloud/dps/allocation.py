"""Which linked hub a device is sent to."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mooring.cloud.dps.allocation_webhook import (
    AllocationAnswer,
    AllocationQuestion,
    AllocationWebhook,
    WebhookFailed,
)
from mooring.cloud.dps.attesting import Entitled
from mooring.cloud.dps.configuration import Configuration
from mooring.cloud.dps.hubs import LinkedHubs, PinnedLeaf
from mooring.cloud.dps.model import (
    AllocationPolicy,
    EnrollmentTerms,
    InitialTwin,
    LinkedHub,
    RegisterCommand,
    ReprovisionPolicy,
)
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.identifiers import fold_registration_id as fold

WEBHOOK_FAILED_TEXT = "Custom allocation failed with status code: {}"
"""What Azure tells the device (embedded C SDK's parser tests; "How to use custom allocation
policies")."""


class AllocationFailed(Exception):
    """No hub can take the device: its registration ends as ``failed``.

    Attributes:
        code: Kebab-case, stable.
        cause, remedy: For a person.
        error_code: Azure's: 400207, 400208, 400209.
        text: What the device is told.
    """

    def __init__(
        self,
        code: str,
        cause: str,
        remedy: str,
        *,
        error_code: DpsErrorCode = DpsErrorCode.HUB_NOT_SPECIFIED,
        text: str | None = None,
    ) -> None:
        """Hold the facts."""
        super().__init__(cause)
        self.code = code
        self.cause = cause
        self.remedy = remedy
        self.error_code = error_code
        self.text = text or error_code.text


@dataclass(frozen=True, slots=True)
class Allocation:
    """The hub of a device; the rest is what a webhook wants besides, if one chose."""

    host_name: str
    initial_twin: InitialTwin | None = None
    payload: Mapping[str, Any] | None = None


class Allocator:
    """Chooses hubs."""

    def __init__(self, hubs: LinkedHubs, configuration: Configuration) -> None:
        """Choose among the linked hubs of `configuration`; `hubs` knows which exist."""
        self._hubs = hubs
        self._configuration = configuration

    async def allocate(
        self,
        command: RegisterCommand,
        entitled: Entitled,
        reprovision: ReprovisionPolicy,
        webhook: AllocationWebhook,
    ) -> Allocation:
        """Return where the device goes; waits only when a webhook decides.

        Raises:
            AllocationFailed: No hub can take it.
            DpsError: As `AllocationWebhook.ask`.
        """
        terms = entitled.enrollment.terms
        policy = terms.allocation_policy or self._configuration.current.allocation_policy
        stays_at = None if reprovision.update_hub_assignment else entitled.current_hub
        candidates = self._candidates(terms, policy, stays_at)
        if policy is not AllocationPolicy.CUSTOM:
            if len(candidates) == 1:
                return Allocation(candidates[0].host_name)
            # geoLatency too: all hubs are here.
            return Allocation(_by_hash(command.registration_id, candidates).host_name)
        allocation = await _ask(command, entitled, candidates, webhook)
        # Seconds may have passed.
        still = self._candidates(terms, policy, stays_at)
        if all(hub.host_name != allocation.host_name for hub in still):
            raise AllocationFailed(
                "no-linked-hub",
                f"The allocation webhook chose {allocation.host_name}, which was unlinked or "
                "closed to allocation while it was asked.",
                "Let the device register again.",
            )
        return allocation

    def _candidates(
        self, terms: EnrollmentTerms, policy: AllocationPolicy, stays_at: str | None
    ) -> list[LinkedHub]:
        """Return the hubs that may be chosen, at least one. Raises AllocationFailed."""
        return self._open_hubs(terms, policy) if stays_at is None else [self._staying(stays_at)]

    def _staying(self, host_name: str) -> LinkedHub:
        if self._hubs.has_hub(host_name):
            return LinkedHub(host_name)
        raise AllocationFailed(
            "hub-gone",
            f"The device stays with {host_name!r} (re-provisioning policy: never), but there is "
            "no such hub any more.",
            "Delete the device's registration record, so that it is assigned anew, or change "
            "the re-provisioning policy.",
            error_code=DpsErrorCode.HUB_REFUSED,
        )

    def _open_hubs(self, terms: EnrollmentTerms, policy: AllocationPolicy) -> list[LinkedHub]:
        linked = self._configuration.current.linked_hubs
        names = {name.lower() for name in terms.hub_host_names}
        if policy is not AllocationPolicy.STATIC or len(names) == 1:
            has_hub = self._hubs.has_hub
            found = [
                hub
                for hub in linked
                if (not names or hub.host_name in names)
                and hub.apply_allocation_policy
                and has_hub(hub.host_name)
            ]
            if found:
                return found
        raise _no_hub(linked, names, policy)


def _no_hub(
    linked: Sequence[LinkedHub], names: set[str], policy: AllocationPolicy
) -> AllocationFailed:
    """Return why none of the `linked` hubs that an enrollment `names` can be chosen."""
    if not linked:
        return AllocationFailed(
            "no-linked-hub",
            "No hub is linked to this provisioning service.",
            "Link a hub, then let the device register again.",
        )
    if policy is AllocationPolicy.STATIC and len(names) != 1:
        # Said of an enrollment by itself when it is written; here it is the default policy.
        return AllocationFailed(
            "no-linked-hub",
            f"The enrollment names {len(names) or 'no'} hubs and leaves the allocation policy to "
            "the service, whose default is static: that needs one hub.",
            "Name the one hub in the enrollment, or give it another allocation policy.",
        )
    said = ", ".join(sorted(names)) or "all linked hubs"
    named = [hub for hub in linked if not names or hub.host_name in names]
    if not named:
        return AllocationFailed(
            "no-linked-hub",
            f"The enrollment assigns to {said}, which is not linked.",
            "Link that hub, or name a linked one in the enrollment.",
        )
    if not any(hub.apply_allocation_policy for hub in named):
        return AllocationFailed(
            "no-linked-hub",
            f"The enrollment assigns to {said}; what is linked of these is closed to allocation "
            "(applyAllocationPolicy: false).",
            "Open one of them to allocation, or name other linked hubs in the enrollment.",
        )
    return AllocationFailed(
        "hub-gone",
        f"The enrollment assigns to {said}; what is linked of these does not exist any more.",
        "Unlink hubs that are gone, and link or name one that exists.",
        error_code=DpsErrorCode.HUB_REFUSED,
    )


async def _ask(
    command: RegisterCommand,
    entitled: Entitled,
    candidates: Sequence[LinkedHub],
    webhook: AllocationWebhook,
) -> Allocation:
    definition = entitled.enrollment.terms.custom_allocation
    assert definition is not None, "an enrollment with the policy custom is not kept without"
    offered = {hub.host_name.lower(): hub.host_name for hub in candidates}
    try:
        answer = await webhook.ask(
            AllocationQuestion(
                definition=definition,
                enrollment=entitled.enrollment,
                registration_id=command.registration_id,
                former=entitled.former,
                certificate=command.presented[0]
                if isinstance(entitled.credentials, PinnedLeaf)
                else None,
                payload=command.payload,
                linked_hubs=tuple(offered.values()),
            )
        )
    except WebhookFailed as failed:
        raise _webhook_failed(failed) from failed
    host_name = offered.get(answer.host_name.lower())
    if host_name is None:
        raise _webhook_failed(_stranger(answer, offered))
    return Allocation(host_name, answer.initial_twin, answer.payload)


def _stranger(answer: AllocationAnswer, offered: Mapping[str, str]) -> WebhookFailed:
    return WebhookFailed(
        "webhook-hub-unknown",
        f"The allocation webhook chose {quoted(answer.host_name)}, which is none of the linked "
        f"hubs that it was offered: {', '.join(offered.values())}.",
        "Let the webhook answer with one of linkedHubs as iotHubHostName, or link that hub.",
        answer.http_status,
    )


def _webhook_failed(failed: WebhookFailed) -> AllocationFailed:
    text = (
        "Custom allocation failed: no answer from the webhook."
        if failed.http_status is None
        else WEBHOOK_FAILED_TEXT.format(failed.http_status)
    )
    return AllocationFailed(
        failed.code,
        failed.cause,
        failed.remedy,
        error_code=DpsErrorCode.CUSTOM_ALLOCATION_FAILED,
        text=text,
    )


def _by_hash(registration_id: str, hubs: Sequence[LinkedHub]) -> LinkedHub:
    """Return the hub by weighted rendezvous hashing.

    The same device and hubs give the same hub, shares follow the weights, and a hub that comes
    or goes moves only the devices that it gets or had.
    """
    key = fold(registration_id)

    def score(hub: LinkedHub) -> float:
        text = f"{key}\n{hub.host_name.lower()}".encode()
        digest = hashlib.blake2b(text, digest_size=8).digest()
        # Uniform in (0, 1): never 0, whose logarithm there is not.
        share = (int.from_bytes(digest, "big") + 0.5) / 2**64
        return hub.allocation_weight / -math.log(share)

    return max(hubs, key=lambda hub: (score(hub), hub.host_name))
