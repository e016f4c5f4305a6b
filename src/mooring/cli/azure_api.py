"""The CLI's way to the HTTPS APIs of a cloud: DPS's service API and its resource API.

Both are Azure's, so that every command does what any of Azure's clients can do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from mooring.cli.api import ApiClient, Refusal
from mooring.cli.api_access import find_token, read_facts, trusted_file
from mooring.cli.output import CommandError, UsageError
from mooring.protocol.azure.error_bodies import decode_error_body
from mooring.protocol.azure.error_codes import DpsErrorCode

SERVICE_API_VERSION = "2021-10-01"
"""Azure: DPS service API, the first with all members that are shown here."""

RESOURCE_API_VERSION = "2022-12-12"
"""Azure: DPS resource API, the version of its management SDKs."""

PAGE_ITEMS = 1_000
"""Asked for at a time; the service may give fewer."""

ANY = "*"
"""The If-Match of whoever means the record as it is now, whichever that is."""


class AzureApi(ApiClient):
    """A client of both APIs: paths as in Azure's documentation, errors as `ApiError`."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        resource_id: str,
        trust: Path | None = None,
    ) -> None:
        """Prepare calls to `base_url`, e.g. ``https://localhost``, with the bearer `token`.

        `resource_id` is the path of the DPS in the resource API.
        """
        super().__init__("cloud", base_url, token, trust=trust)
        self._resource_path = resource_id.strip("/")

    def resource(self, *names: str) -> str:
        """Return a path of the resource API: of the DPS itself, or of what `names` leads to."""
        return "/".join((self._resource_path, *(quote(name, safe="") for name in names)))

    def exchange(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 0.0,
    ) -> tuple[Any, Mapping[str, str]]:
        """Call as the base class does, with the api-version that goes with `path`."""
        of_resources = path.startswith(self._resource_path)
        version = RESOURCE_API_VERSION if of_resources else SERVICE_API_VERSION
        return super().exchange(
            method,
            path,
            body=body,
            parameters={"api-version": version, **(parameters or {})},
            headers=headers,
            timeout_s=timeout_s,
        )

    def query(self, path: str, *, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield what is in the collection at `path`, page after page, at most `limit`."""
        continuation: str | None = None
        found = 0
        while True:
            wanted = PAGE_ITEMS if limit is None else min(PAGE_ITEMS, limit - found)
            headers = {"x-ms-max-item-count": str(wanted)}
            if continuation:
                headers["x-ms-continuation"] = continuation
            rows, answered = self.exchange(
                "POST", f"{path}/query", body={"query": "SELECT *"}, headers=headers
            )
            for row in rows if limit is None else rows[:wanted]:
                found += 1
                yield row
            continuation = answered.get("x-ms-continuation")
            if not continuation or found == limit:
                return

    def _read_refusal(self, response: httpx.Response) -> Refusal:
        document = response.json()
        if "error" in document:
            return _read_resource_refusal(document["error"])
        body = decode_error_body(response.content)
        info = body.info
        code = _code_of(body.error_code, response.status_code)
        return Refusal(
            info.get("code") or code,
            info.get("message") or body.message,
            info.get("remedy") or REMEDIES.get(response.status_code, _SEE_MESSAGE),
            field=info.get("field"),
            tracking_id=body.tracking_id,
        )


def _read_resource_refusal(error: Mapping[str, Any]) -> Refusal:
    """Return what Azure Resource Manager's error says; Mooring's has message and remedy apart."""
    more: Mapping[str, Any] = {}
    for entry in error.get("additionalInfo") or ():
        more = entry.get("info") or more
    return Refusal(
        str(error["code"]),
        str(more.get("message") or error["message"]),
        str(more.get("remedy") or _SEE_MESSAGE),
        field=error.get("target"),
        tracking_id=more.get("trackingId"),
    )


def _code_of(error_code: int | None, status: int) -> str:
    """Return the name of Azure's number, or else the HTTP status."""
    name = next((code.wire_name for code in DpsErrorCode if code == error_code), None)
    return f"http-{status}" if name is None else spelled_here(name)


def spelled_here(name: str) -> str:
    """Return Azure's name of an error as codes are spelled here: ``enrollment-exists``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


_SEE_MESSAGE = "Do as the message says; `mooring dps --help` has the commands."
REMEDIES = {
    401: "Give a token that is valid: --token, or the owner's by --state.",
    403: "Use the owner token, or a policy with that right.",
    404: "Correct the name; the list shows those that there are.",
    409: "Choose another name, or replace what is there.",
    412: "Read it again, and apply the change to what it is now.",
    429: "Wait a few seconds, then try again.",
    500: "Look for the tracking id in the log of the cloud.",
    503: "Try again in a few seconds; `mooring cloud info` says how the storage is.",
}
"""What to do by HTTP status, where a service gives no remedy apart from the message."""


def _url_here(facts: Mapping[str, Any]) -> str:
    """Return the address of a cloud on its own machine.

    By number: its host name may be one that only its devices can look up, while its certificate
    is for every address that it listens on.
    """
    address = ip_address(facts["addresses"][0])
    if address.is_unspecified:
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")
    host = str(address) if address.version == 4 else f"[{address}]"
    return f"https://{host}:{facts['ports']['https']}"


def open_azure_api(
    state: Path,
    url: str | None = None,
    token: str | None = None,
    trust: Path | None = None,
) -> AzureApi:
    """Return a client of the HTTPS APIs of the cloud in `state`, or of the one that `url` names.

    Raises:
        CommandError: It never ran there, there is no token for it, or `trust` cannot be read.
        UsageError: A `url` or a `token` that cannot be.
    """
    from mooring.cloud.facts import RESOURCE_ID  # not for `mooring --help`

    resource_id = RESOURCE_ID
    if url is None:
        facts = read_facts(state, "cloud")
        resource_id = str(facts.get("resource_id") or RESOURCE_ID)
        url, trust = https_here(state, facts), trust or trusted_file(facts)
    check_https(url)
    return AzureApi(url, find_token("cloud", state, token), resource_id=resource_id, trust=trust)


def https_here(state: Path, facts: Mapping[str, Any]) -> str:
    """Return the HTTPS address of the cloud in `state`, which wrote `facts`.

    Raises:
        CommandError: It has none.
    """
    try:
        return _url_here(facts)
    except (KeyError, IndexError):
        raise CommandError(
            "cloud-outdated",
            f"The cloud in {state} was started by an older version, without HTTPS.",
            "Start it again.",
        ) from None


def check_https(url: str) -> None:
    """Return if `url` is one of HTTPS. Raises UsageError."""
    if not url.lower().startswith("https://"):
        raise UsageError(
            "url-not-https",
            f"--url {url!r} does not begin with https://.",
            "Give the address of the cloud's HTTPS port: service_url of `mooring cloud info`.",
            field="--url",
        )
