"""What tests ask of a running cloud."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mooring.cloud.paging import MAX_PAGE_ITEMS
from mooring.testing.credentials import Device, new_device
from mooring.testing.enrolling import (
    DEFAULT_ALGORITHM,
    DeviceIssuer,
    KeyedDevice,
    KeyIssuer,
    add_group,
    enroll_group,
    enroll_individual,
    enroll_symmetric_key,
    enroll_symmetric_key_group,
    fresh_key,
)
from mooring.testing.errors import NotSeenInTime, RequestRefused
from mooring.testing.facts import CloudFacts
from mooring.testing.hub import HubBackEnd

POLL_S = 0.05
"""How often something that is waited for is looked for."""


class RunningCloud(CloudFacts):
    """A cloud in a state folder: where it is, how to trust it, enrolling, looking at what came."""

    # -- enrolling ---------------------------------------------------------------------------

    def enroll(
        self,
        registration_id: str | None = None,
        certificate_pem: str | None = None,
        key_pem: str | None = None,
        *,
        algorithm: str = DEFAULT_ALGORITHM,
        **members: Any,
    ) -> Device:
        """Add an individual enrollment and return the device.

        Args:
            registration_id: Under which it asks DPS; a fresh one unless given.
            certificate_pem: The device's certificate, which may be followed by its chain; a
                self-signed one is made, with its key, unless given.
            key_pem: The key of the given certificate, if the test has use for it.
            algorithm: Of the key that is made: ``ec-p256``, ``ec-p384``, ``rsa-2048``, …
            members: Further members of the enrollment as Azure's service API spells them, such
                as ``deviceId="pump-1"`` or ``provisioningStatus="disabled"``.

        Raises:
            RequestRefused: The cloud refused, such as an id that is enrolled already.
            mooring.protocol.azure.errors.AzureError: `registration_id` cannot be one.
            mooring.pki.errors.PkiError: The certificate cannot be read or made.
        """
        return enroll_individual(
            self.calls,
            self.credentials_folder,
            registration_id,
            certificate_pem=certificate_pem,
            key_pem=key_pem,
            algorithm=algorithm,
            members=members,
        )

    def enroll_group(
        self, group_id: str | None = None, *, algorithm: str = DEFAULT_ALGORITHM, **members: Any
    ) -> DeviceIssuer:
        """Make a root, upload it as verified, add an enrollment group of it; return the issuer.

        Args:
            group_id: A fresh one unless given.
            algorithm: Of the root's key.
            members: As of `enroll`.

        Raises:
            RequestRefused: The cloud refused.
        """
        return enroll_group(
            self.calls, self.credentials_folder, group_id, algorithm=algorithm, members=members
        )

    def enroll_symmetric_key(
        self,
        registration_id: str | None = None,
        *,
        primary_key: str | None = None,
        secondary_key: str | None = None,
        **members: Any,
    ) -> KeyedDevice:
        """Add an individual enrollment with symmetric keys and return the device.

        Args:
            registration_id: A fresh one unless given.
            primary_key: Base64, 16 to 64 bytes; a fresh one unless given.
            secondary_key: The same.
            members: As of `enroll`.

        Raises:
            RequestRefused: The cloud refused.
        """
        keys = primary_key or fresh_key(), secondary_key or fresh_key()
        return enroll_symmetric_key(self.calls, registration_id, keys, members)

    def enroll_symmetric_key_group(
        self,
        group_id: str | None = None,
        *,
        primary_key: str | None = None,
        secondary_key: str | None = None,
        **members: Any,
    ) -> KeyIssuer:
        """Add an enrollment group with symmetric keys; return what derives its devices' keys.

        Args:
            group_id: A fresh one unless given.
            primary_key: Base64, 16 to 64 bytes; a fresh one unless given.
            secondary_key: The same.
            members: As of `enroll`.

        Raises:
            RequestRefused: The cloud refused.
        """
        keys = primary_key or fresh_key(), secondary_key or fresh_key()
        return enroll_symmetric_key_group(self.calls, group_id, keys, members)

    def unenrolled_device(
        self, registration_id: str | None = None, *, algorithm: str = DEFAULT_ALGORITHM
    ) -> Device:
        """Make a device with a self-signed certificate that the cloud knows nothing of.

        Args:
            registration_id: A fresh one unless given.
            algorithm: Of its key.

        Raises:
            mooring.protocol.azure.errors.AzureError: `registration_id` cannot be one.
            mooring.pki.errors.PkiError: It does not fit into a certificate.
        """
        return new_device(self.credentials_folder, registration_id, algorithm)

    def add_ca(self, name: str, certificate_pem: str, *, verified: bool = True) -> dict[str, Any]:
        """Upload a CA certificate of the test's own to the DPS, verified unless told otherwise.

        Raises:
            RequestRefused: The cloud refused.
        """
        return self.calls.put_certificate(name, certificate_pem, verified=verified)

    def add_group(self, group_id: str, ca_name: str, **members: Any) -> dict[str, Any]:
        """Add an enrollment group of an uploaded CA; `members` as of `enroll`.

        Raises:
            RequestRefused: The cloud refused.
        """
        return add_group(self.calls, group_id, ca_name, members)

    def add_device(
        self, device_id: str, thumbprint: str, *, hub: str | None = None
    ) -> dict[str, Any]:
        """Add a device to a hub (the first unless named) without DPS, pinned to a certificate.

        Args:
            device_id: Its id there.
            thumbprint: SHA-256 of its certificate, hex.
            hub: The hub's name.

        Raises:
            RequestRefused: The cloud refused.
        """
        pinned = {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": thumbprint}}
        document = {"deviceId": device_id, "authentication": pinned}
        return self.calls.put_device(hub or self._first_hub, device_id, document)

    @property
    def credentials_folder(self) -> Path:
        """The folder of the certificates and keys that were made for tests."""
        return self.state / "devices"

    # -- looking -----------------------------------------------------------------------------

    def get(self, path: str, **parameters: Any) -> Any:
        """GET `path` below the admin API, for what has no method here, e.g. ``"hubs/hub/devices"``.

        Raises:
            RequestRefused: The cloud refused.
        """
        return self.calls.admin("GET", path, **parameters)

    def get_enrollment(self, registration_id: str) -> dict[str, Any]:
        """Return an individual enrollment with its registration state, as the service API has it.

        Raises:
            RequestRefused: With `status` 404: there is none.
        """
        return self.calls.get_enrollment(registration_id)

    def get_group(self, group_id: str) -> dict[str, Any]:
        """Return an enrollment group, as the service API has it.

        Raises:
            RequestRefused: With `status` 404: there is none.
        """
        return self.calls.get_group(group_id)

    def registration(self, registration_id: str) -> dict[str, Any]:
        """Return the registration record of a device, as Azure's service API has it.

        Raises:
            RequestRefused: With `status` 404: it never registered.
        """
        return self.calls.get_registration(registration_id)

    def registrations(self, group_id: str) -> list[dict[str, Any]]:
        """Return the registration records of an enrollment group."""
        return self.calls.group_registrations(group_id)

    def get_device(self, device_id: str, *, hub: str | None = None) -> dict[str, Any]:
        """Return a device of a hub (of the first unless named), as Azure's service API has it.

        Raises:
            RequestRefused: With `status` 404: the hub has no such device.
        """
        return self.calls.get_device(hub or self._first_hub, device_id)

    def hub(self, name: str | None = None) -> HubBackEnd:
        """Return a hub (the first unless named) as back ends see it: twins, methods, messages."""
        hubs = self._fact("hubs")
        found = next((row for row in hubs if name in (None, row["name"])), None)
        if found is None:
            names = ", ".join(row["name"] for row in hubs)
            raise RequestRefused(
                404, "hub-not-found", f"There is no hub {name!r}.", f"There are {names}."
            )
        return HubBackEnd(self.calls, found["name"], found["host_name"])

    def telemetry(
        self,
        device_id: str | None = None,
        *,
        hub: str | None = None,
        at_least: int = 0,
        timeout_s: float = 10.0,
    ) -> list[dict[str, Any]]:
        """Return the oldest telemetry of a hub, at most 1000 messages, oldest first.

        What a device's SDK has reported as sent is there at once. For a program that sends in its
        own time, `at_least` waits for so many messages.

        Args:
            device_id: Only this device's.
            hub: The hub's name; the first unless given.
            at_least: How many messages to wait for.
            timeout_s: How long to wait, seconds.

        Returns:
            Messages with ``deviceId``, ``body`` (decoded as ``encoding`` says: json, text or
            base64), ``properties``, ``systemProperties``, ``enqueuedTimeUtc`` and others.

        Raises:
            NotSeenInTime: Fewer than `at_least` came in `timeout_s`; says what was tried.
        """

        def look() -> list[dict[str, Any]]:
            return self.calls.telemetry(
                hub or self._first_hub, deviceId=device_id, limit=MAX_PAGE_ITEMS
            )

        return self._await(look, at_least, timeout_s, f"messages of {device_id or 'any device'}")

    def attempts(
        self,
        registration_id: str | None = None,
        *,
        result: str | None = None,
        at_least: int = 0,
        timeout_s: float = 10.0,
        **filters: Any,
    ) -> list[dict[str, Any]]:
        """Return the cloud's records of what devices tried, newest first.

        Args:
            registration_id: Only this device's.
            result: Only ``succeeded``, or ``failed`` with its stage, cause and remedy.
            at_least: How many records to wait for.
            timeout_s: How long to wait, seconds.
            filters: Others of the admin API: `device_id`, `thumbprint`, `kind`,
                `source_address`, `wire_id`, `limit`.

        Raises:
            NotSeenInTime: Fewer than `at_least` came in `timeout_s`.
        """

        def look() -> list[dict[str, Any]]:
            return self.calls.attempts(registration_id=registration_id, result=result, **filters)

        return self._await(
            look, at_least, timeout_s, f"attempts of {registration_id or 'any device'}"
        )

    def _await(
        self,
        look: Callable[[], list[dict[str, Any]]],
        at_least: int,
        timeout_s: float,
        what: str,
    ) -> list[dict[str, Any]]:
        deadline = time.monotonic() + timeout_s
        while len(found := look()) < at_least:
            if time.monotonic() > deadline:
                raise NotSeenInTime(
                    f"Only {len(found)} of {at_least} {what} came within {timeout_s:g} s.",
                    explain_attempts(self.calls.attempts(limit=5)) or "No device tried anything.",
                )
            time.sleep(POLL_S)
        return found


def explain_attempts(attempts: list[dict[str, Any]]) -> str:
    """Return what devices tried as lines for a person: who, how far, cause and remedy."""
    lines = []
    for attempt in attempts:
        who = attempt["context"].get("registration_id") or attempt["context"].get("device_id")
        lines.append(f"{attempt['result']}  {who or 'unknown device'}  {attempt['kind']}")
        if failure := attempt["failure"]:
            lines += (f"  {name:6} {failure[name]}" for name in ("stage", "cause", "remedy"))
    return "\n".join(lines)
