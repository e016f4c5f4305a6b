"""The CLI's way to the service API of a hub: twins, methods, queries, as back ends have them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from mooring.cli.api import ApiClient, Refusal
from mooring.cli.api_access import find_token, open_api, read_facts, trusted_file
from mooring.cli.azure_api import (
    PAGE_ITEMS,
    REMEDIES,
    AzureApi,
    check_https,
    https_here,
    spelled_here,
)
from mooring.cli.output import CommandError, UsageError
from mooring.protocol.azure.error_bodies import decode_error_body

API_VERSION = "2021-04-12"
"""Azure: IoT Hub service API; a hub takes any."""

BULK_FAILED = "BulkRegistryOperationFailure"
"""Azure: some devices of a bulk operation were refused; the body says which."""

_SEE_MESSAGE = "Do as the message says; `mooring hub --help` has the commands."
_REMEDIES = {
    "DeviceNotFound": "See the devices that there are: mooring hub device list.",
    "DeviceNotOnline": "See whether it is connected: mooring hub device list. To wait for it, give "
    "--connect-timeout SECONDS.",
    "GatewayTimeout": "See whether the device handles the method, or give --timeout SECONDS.",
    "DeviceAlreadyExists": "Choose another id, or delete that device first: mooring hub device "
    "delete.",
    "PreconditionFailed": REMEDIES[412],
}
"""By Azure's name of the error."""

_OPTIONS = {
    "responseTimeoutInSeconds": "--timeout",
    "connectTimeoutInSeconds": "--connect-timeout",
    "methodName": "METHOD",
}
"""What members of a body are called on the command line."""
_STATUSES = {401, 403, 429, 500, 503}
"""For which the remedies of DPS are those of a hub too."""


class HubApi(ApiClient):
    """A client of one hub: paths as in Azure's documentation, errors as `ApiError`."""

    def __init__(
        self, base_url: str, token: str, *, host_name: str | None = None, trust: Path | None = None
    ) -> None:
        """Prepare calls to `base_url`, e.g. ``https://127.0.0.1``, with the bearer `token`.

        `host_name` is the hub's, which tells it from others at that address; None where that of
        `base_url` does so.
        """
        super().__init__("cloud", base_url, token, trust=trust)
        self.host_name = host_name or urlsplit(base_url).hostname or ""
        self._host = {} if host_name is None else {"Host": host_name}

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
        """Call as the base class does, with the api-version and for the hub."""
        return super().exchange(
            method,
            path,
            body=body,
            parameters={"api-version": API_VERSION, **(parameters or {})},
            headers={**self._host, **(headers or {})},
            timeout_s=timeout_s,
        )

    def query(self, text: str, *, limit: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what each row of a query is, ``Twin`` or ``Raw``, and the row; at most `limit`."""
        headers = {"x-ms-max-item-count": str(min(PAGE_ITEMS, limit or PAGE_ITEMS))}
        found = 0
        while True:
            rows, answered = self.exchange(
                "POST", "devices/query", body={"query": text}, headers=headers
            )
            for row in rows:
                yield answered.get("x-ms-item-type", ""), row
                found += 1
                if found == limit:
                    return
            if not answered.get("x-ms-continuation"):
                return
            headers["x-ms-continuation"] = answered["x-ms-continuation"]

    def bulk(self, items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Create, update or delete devices by ``importMode``; return what was refused."""
        answer = self.post_json("devices", list(items))
        found: list[dict[str, Any]] = answer.get("errors") or []
        return found

    def _is_answer(self, response: httpx.Response) -> bool:
        return response.is_success or response.headers.get("iothub-errorcode") == BULK_FAILED

    def _read_refusal(self, response: httpx.Response) -> Refusal:
        name = response.headers["iothub-errorcode"]
        body = decode_error_body(response.content)
        text = body.message
        if text.startswith("{"):  # twins and methods: JSON in the text
            text = str(json.loads(text)["message"])
        for member, option in _OPTIONS.items():
            text = text.replace(member, option)
        status = response.status_code
        return Refusal(
            spelled_here(name),
            text.removeprefix(f"ErrorCode:{name};"),
            _REMEDIES.get(name) or (REMEDIES[status] if status in _STATUSES else _SEE_MESSAGE),
            tracking_id=response.headers.get("x-ms-request-id"),
        )


def open_hub_api(
    state: Path,
    url: str | None = None,
    token: str | None = None,
    trust: Path | None = None,
    hub: str | None = None,
) -> HubApi:
    """Return a client of a hub of the cloud in `state`, or of the one that `url` names.

    `hub` is its name; with `url` its host name.

    Raises:
        CommandError: The cloud never ran there, has no such hub, or there is no token for it.
        UsageError: A `url`, a `token` or a host name that cannot be.
    """
    if url is not None:
        check_https(url)
        if hub is not None and not (hub.isascii() and hub.isprintable() and hub):
            raise UsageError(
                "host-name-malformed",
                f"--hub {hub!r} is no host name.",
                "With --url, give the hub's host name.",
                field="--hub",
            )
        return HubApi(url, find_token("cloud", state, token), host_name=hub, trust=trust)
    facts = read_facts(state, "cloud")
    return HubApi(
        https_here(state, facts),
        find_token("cloud", state, token),
        host_name=_hub_here(state, token, trust, hub)["hostName"],
        trust=trust or trusted_file(facts),
    )


def open_hub_resource_api(
    state: Path,
    url: str | None = None,
    token: str | None = None,
    trust: Path | None = None,
    hub: str | None = None,
) -> AzureApi:
    """Return a client of the resource API for the hub of that name, or for the first one.

    Raises:
        CommandError: The cloud never ran there, has no such hub, or there is no token for it.
        UsageError: A `url` or a `token` that cannot be, or a `url` without the name of the hub.
    """
    from mooring.cloud.facts import hub_resource_id  # not for `mooring --help`

    if url is not None:
        check_https(url)
        if hub is None:
            raise UsageError(
                "hub-missing",
                "--hub: with --url it has to be said which hub is meant.",
                "Give the hub's name: `mooring hub list` shows it, where its cloud is.",
                field="--hub",
            )
        where, name = url, hub
    else:
        facts = read_facts(state, "cloud")
        where, trust = https_here(state, facts), trust or trusted_file(facts)
        name = _hub_here(state, token, trust, hub)["name"]
    return AzureApi(
        where, find_token("cloud", state, token), resource_id=hub_resource_id(name), trust=trust
    )


def _hub_here(
    state: Path, token: str | None, trust: Path | None, hub: str | None
) -> dict[str, Any]:
    """Return the hub of that name of the cloud in `state`, or its first. Raises CommandError."""
    with open_api("cloud", state, token=token, trust=trust) as admin:
        hubs: list[dict[str, Any]] = admin.get_json("hubs")["value"]
    for row in hubs:
        if hub is None or row["name"].lower() == hub.lower():
            return row
    raise CommandError(
        "hub-not-found",
        f"There is no hub {hub!r}." if hub is not None else "The cloud has no hub.",
        "See `mooring hub list`, or create one with `mooring hub create`.",
        field="--hub",
    )
