"""Where a running cloud is, how to trust it, and the calls to it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mooring.cloud.facts import FACTS_FILE
from mooring.testing.calls import CloudCalls
from mooring.testing.errors import CloudNotRunning


class CloudFacts:
    """What a cloud has written down of itself in its state folder, and what it says now."""

    def __init__(self, state: Path) -> None:
        """Describe the cloud in state folder `state`."""
        self.state = state
        self._calls: CloudCalls | None = None
        self._written: dict[str, Any] = {}

    @property
    def id_scope(self) -> str:
        """The ID scope of its DPS."""
        return str(self._fact("id_scope"))

    @property
    def global_endpoint(self) -> str:
        """The host that a device is given as Global Endpoint, or provisioning host."""
        return str(self._fact("global_endpoint"))

    @property
    def host_name(self) -> str:
        """The host name of its DPS and of its first hub."""
        return str(self._fact("host_name"))

    @property
    def ca_file(self) -> Path:
        """The CA certificate that clients are to trust, PEM."""
        return self.state / "cloud" / "server-ca.pem"

    @property
    def ca_pem(self) -> str:
        """The text of `ca_file`, e.g. for ``server_verification_cert`` of the Python SDK."""
        return self.ca_file.read_text()

    @property
    def owner_token(self) -> str:
        """The bearer token that opens every API of the cloud."""
        return (self.state / "cloud" / "owner-token").read_text().strip()

    @property
    def service_url(self) -> str:
        """The base of the HTTPS APIs: the DPS's device, service and resource API."""
        return str(self._fact("service_url"))

    @property
    def resource_id(self) -> str:
        """The path of the DPS in the resource API, below `service_url`."""
        return str(self._fact("resource_id"))

    @property
    def https_fallback(self) -> dict[str, Any] | None:
        """Why HTTPS is not on 443, which is None where it is: cause, remedy, unusable clients."""
        found: dict[str, Any] | None = self._fact("https_fallback")
        return found

    @property
    def api_url(self) -> str:
        """The base of the admin API, for `owner_token`."""
        return str(self._fact("api_url"))

    @property
    def facts(self) -> dict[str, Any]:
        """All that the cloud says of itself at this moment, as ``mooring cloud info --json``."""
        return self.calls.info()

    @property
    def dps_connection_string(self) -> str:
        """The connection string of the DPS, with all rights, for a service SDK."""
        return str(self.facts["dps_connection_string"])

    def hub_connection_string(self, name: str | None = None) -> str:
        """Return the connection string of a hub, with all rights; of the first unless named.

        Raises:
            LookupError: There is no hub `name`.
        """
        hubs = {hub["name"]: hub["connection_string"] for hub in self.facts["hubs"]}
        if name is not None and name not in hubs:
            raise LookupError(f"there is no hub {name!r}; there are: {', '.join(hubs)}")
        return str(hubs[name or self._first_hub])

    def environment(self) -> dict[str, str]:
        """Return the variables that make SDKs, in this process or another, trust this cloud.

        ``SSL_CERT_FILE`` is read by the Python device SDK, ``REQUESTS_CA_BUNDLE`` by the Python
        service SDKs, ``NODE_EXTRA_CA_CERTS`` by Node when it starts; ``NO_PROXY`` keeps a proxy
        away from an address that it cannot reach. While they are set, the first two trust this
        cloud alone.
        """
        around = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
        hosts = [host.strip() for host in around.split(",") if host.strip()]
        no_proxy = ",".join(dict.fromkeys([*hosts, self.host_name]))
        return {
            "SSL_CERT_FILE": str(self.ca_file),
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
            "NODE_EXTRA_CA_CERTS": str(self.ca_file),
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
        }

    @property
    def calls(self) -> CloudCalls:
        """The HTTP calls behind the above.

        Raises:
            CloudNotRunning: The cloud was not started, or has ended.
        """
        if self._calls is None:
            raise not_running()
        return self._calls

    def connected(self) -> None:
        """Begin to talk to the cloud, which runs now."""
        self._written = json.loads((self.state / "cloud" / FACTS_FILE).read_text())
        self._calls = CloudCalls(self._written, self.owner_token, self.ca_file)

    def disconnected(self) -> None:
        """Talk to the cloud no more."""
        if self._calls is not None:
            self._calls.close()
            self._calls = None

    @property
    def _first_hub(self) -> str:
        return str(self._fact("hubs")[0]["name"])

    def _fact(self, name: str) -> Any:
        if not self._written:
            raise not_running()
        return self._written[name]


def not_running() -> CloudNotRunning:
    """Return the error of one who asks a cloud that does not run."""
    return CloudNotRunning(
        "The cloud does not run: it was not started, or has ended.",
        "Use it inside its `with` block, or call start() first.",
    )
