"""What queries are refused for, besides their text."""

from __future__ import annotations

from mooring.cloud.hub.errors import HubError, InputInvalid
from mooring.protocol.azure.error_codes import HubErrorCode


class QueryNotServed(HubError):
    """A query over what Mooring does not have: modules, jobs."""

    code = "query-not-served"
    error_code = HubErrorCode.NOT_IMPLEMENTED


class QueryTooLarge(InputInvalid):
    """An aggregate over more than one answer can be made of."""

    code = "query-too-large"


class ContinuationInvalid(InputInvalid):
    """A continuation that the query did not give."""

    code = "continuation-invalid"


class QueriesFull(HubError):
    """As many queries wait already as may."""

    code = "queries-full"
    error_code = HubErrorCode.THROTTLED

    retry_after_s = 1
    """Seconds until the caller may try again: a query takes some tenths of one."""
