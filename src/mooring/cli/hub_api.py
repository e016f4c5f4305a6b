"""The CLI's way to the service API of a hub: twins, methods, queries, as back ends have them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from mooring.cli.api import ApiClient, Refusal
from mooring.cli.api_access import find_token, open_api, read_facts, trusted_file
from mooring.cli.azure_api import PAGE_ITEMS, REMEDIES, check_https, https_here, spelled_here
from mooring.cli.output import CommandError, UsageError
from mooring.protocol.azure.error_bodies import decode_error_body

API_VERSION = "2021-04-12"
"""Azure: IoT Hub service API; a hub takes any."""

_SEE_MESSAGE = "Do as the message says; `mooring hub --help` has the commands."
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

    def _read_refusal(self, response: httpx.Response) -> Refusal:
        name = response.headers["iothub-errorcode"]
        body = decode_error_body(response.content)
        text = body.message
        if text.startswith("{"):  # twins and methods: JSON in the text
            text = str(json.loads(text)["message"])
        return Refusal(
            spelled_here(name),
            text.removeprefix(f"ErrorCode:{name};"),
            REMEDIES[response.status_code] if response.status_code in _STATUSES else _SEE_MESSAGE,
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
    with open_api("cloud", state, token=token, trust=trust) as admin:
        hubs = admin.get_json("hubs")["value"]
    named = [row for row in hubs if hub is None or row["name"].lower() == hub.lower()]
    if not named:
        raise CommandError(
            "hub-not-found",
            f"There is no hub {hub!r}." if hub is not None else "The cloud has no hub.",
            "See `mooring hub list`, or create one with `mooring hub create`.",
            field="--hub",
        )
    return HubApi(
        https_here(state, facts),
        find_token("cloud", state, token),
        host_name=named[0]["hostName"],
        trust=trust or trusted_file(facts),
    )
