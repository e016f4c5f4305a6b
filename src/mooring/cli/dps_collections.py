"""Individual enrollments and groups alike: get, change, switch, delete by the service API."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from mooring.cli.api import ApiError
from mooring.cli.azure_api import AzureApi
from mooring.cli.calls import DpsCall
from mooring.cli.output import UsageError
from mooring.cli.records import path_to

MAX_TRIES = 10
"""Each time another client was quicker; more in a row is no accident."""

MAX_PAUSE_S = 0.05
"""Longest pause before the next try, times those before it. By chance, so that clients that were
in step with each other get out of it."""

HTTP_PRECONDITION_FAILED = 412

Change = Callable[[dict[str, Any]], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Collection:
    """One of the service API's two collections of enrollments.

    Attributes:
        path: Its path, and its name in the body of a bulk operation.
        id_member: What its records are named by.
        noun: What one of them is called.
        commands: The command line's group for them.
    """

    path: str
    id_member: str
    noun: str
    commands: str


INDIVIDUAL = Collection("enrollments", "registrationId", "individual enrollment", "enrollment")
GROUP = Collection("enrollmentGroups", "enrollmentGroupId", "enrollment group", "group")


def change(
    api: AzureApi, collection: Collection, name: str, apply: Change, if_match: str | None = None
) -> dict[str, Any]:
    """Apply a change to a record as it is now, and return what came of it.

    When another client was quicker the change is applied to what that made of the record; with
    `if_match` it is refused.

    Raises:
        ApiError: There is none of that name, the change is refused, or others change it all the
            time.
    """
    where = path_to(collection.path, name)

    def attempt() -> dict[str, Any]:
        found: dict[str, Any] = api.get_json(where)
        etag = if_match or found["etag"]
        apply(found)
        changed: dict[str, Any] = api.put_json(where, found, if_match=etag)
        return changed

    return attempt() if if_match else until_quickest(attempt)


def until_quickest(attempt: Callable[[], T]) -> T:
    """Return what `attempt` does, tried again while another client was quicker.

    Raises:
        ApiError: `attempt` is refused, or others are always quicker.
    """
    for number in range(1, MAX_TRIES):
        try:
            return attempt()
        except ApiError as error:
            if error.status != HTTP_PRECONDITION_FAILED:
                raise
        time.sleep(random.uniform(0, MAX_PAUSE_S * number))  # noqa: S311 - not a secret
    return attempt()


def nothing_to_change() -> UsageError:
    """Return the refusal of an update that is told nothing."""
    return UsageError(
        "nothing-to-change",
        "It is not said what is to be changed.",
        "Give what is to be changed: see --help.",
    )


def switch(call: DpsCall, collection: Collection, name: str, provisioning_status: str) -> None:
    """Set ``provisioningStatus`` of one record."""

    def apply(record: dict[str, Any]) -> None:
        record["provisioningStatus"] = provisioning_status

    with call.api() as api:
        found = change(api, collection, name, apply)
    call.say(found, f"{name} is {found['provisioningStatus']}.")


def delete(call: DpsCall, collection: Collection, name: str, if_match: str | None) -> None:
    """Delete one record."""
    with call.api() as api:
        api.delete(path_to(collection.path, name), if_match=if_match)
    call.say({"deleted": name}, f"deleted {name}.")


def mechanism(api: AzureApi, collection: Collection, name: str) -> dict[str, Any]:
    """Return the attestation mechanism of a record, which has the symmetric keys."""
    found: dict[str, Any] = api.post_json(path_to(collection.path, name, "attestationmechanism"))
    return found
