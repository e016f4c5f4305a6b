"""``api-version``: a date, perhaps with ``-preview``; it says which shapes a client knows.

Mooring serves every version of a service in one shape, the newest that all clients can read, so
that only the form is checked, and that a version is not older than the service.
"""

from __future__ import annotations

import re

OLDEST_DPS_API_VERSION = "2017-08-31-preview"
"""What the first clients of the Device Provisioning Service sent."""

_API_VERSION = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(?:-preview)?", re.ASCII)
_DATE_CHARS = 10


def is_api_version(text: str) -> bool:
    """Return whether `text` is like ``2019-03-31`` or ``2018-09-01-preview``."""
    return _API_VERSION.fullmatch(text) is not None


def is_dps_api_version(text: str) -> bool:
    """Return whether `text` is an api-version that the provisioning service may be asked with."""
    return is_api_version(text) and text[:_DATE_CHARS] >= OLDEST_DPS_API_VERSION[:_DATE_CHARS]
