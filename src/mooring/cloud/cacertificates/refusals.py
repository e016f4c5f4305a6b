"""How the service that certificates belong to, DPS or a hub, refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class MakeError(Protocol):
    """Makes an error of the service; its own classes are such."""

    def __call__(
        self, message: str, remedy: str, *, field: str | None = None, code: str | None = None
    ) -> Exception:
        """Return the error that says `message`, and what to do about it."""
        ...


@dataclass(frozen=True, slots=True)
class Refusals:
    """The error for each way in which a request about CA certificates may fail."""

    input_invalid: MakeError
    already_exists: MakeError
    not_found: MakeError
    limit_reached: MakeError
    etag_mismatch: MakeError
    verification_failed: MakeError
