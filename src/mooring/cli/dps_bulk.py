"""Bulk operations of the service API: ten records at a time, and what became of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mooring.cli.api import ApiError
from mooring.cli.azure_api import AzureApi
from mooring.cli.companies import in_companies, when_free
from mooring.cli.dps_collections import Collection
from mooring.protocol.azure.error_codes import DpsErrorCode

BULK_ITEMS = 10
"""Azure: items of one bulk operation."""

BULK_CHARS = 64 * 1024
"""Ours, below Azure's 96 KB of a message: records with large twins go in smaller companies."""

_ABOUT_THE_RECORDS = (400, 413)

Mode = Literal["create", "update"]


@dataclass(frozen=True, slots=True)
class Refused:
    """What the service has against one record; `exists` if it is that there is one already."""

    message: str
    exists: bool = False


class Bulk:
    """Creates and updates records of one collection in companies."""

    def __init__(
        self,
        api: AzureApi,
        collection: Collection,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Work on `collection` by `api`; `sleep` waits for a busy service."""
        self._api = api
        self._collection = collection
        self._sleep = sleep

    def companies(self, records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
        """Yield `records` in companies that one operation takes, in their order."""
        return in_companies(records, key=self.key, most=BULK_ITEMS, chars=BULK_CHARS)

    def key(self, record: dict[str, Any]) -> str:
        """Return what tells `record` from others; ids are compared without regard to case."""
        return str(record[self._collection.id_member]).lower()

    def send(self, mode: Mode, records: Sequence[dict[str, Any]]) -> dict[str, Refused]:
        """Create or update `records`, and return what was refused, by `key`.

        Raises:
            ApiError: It is not the records that are at fault.
            CommandError: The service cannot be reached.
        """
        try:
            answer = self._post({"mode": mode, self._collection.path: list(records)})
        except ApiError as error:
            if error.status not in _ABOUT_THE_RECORDS:
                raise
            return self._refused_together(mode, records, error)
        return {
            self.key(row): Refused(
                str(row.get("errorStatus") or row["errorCode"]),
                exists=row["errorCode"] == DpsErrorCode.ENROLLMENT_EXISTS,
            )
            for row in answer.get("errors") or ()
        }

    def _refused_together(
        self, mode: Mode, records: Sequence[dict[str, Any]], error: ApiError
    ) -> dict[str, Refused]:
        """Find out which of `records` were meant by a refusal of all of them."""
        if len(records) == 1:
            return {self.key(records[0]): Refused(f"{error.message} {error.remedy}".strip())}
        middle = len(records) // 2
        return self.send(mode, records[:middle]) | self.send(mode, records[middle:])

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = when_free(
            lambda: self._api.post_json(self._collection.path, body), self._sleep
        )
        return answer
