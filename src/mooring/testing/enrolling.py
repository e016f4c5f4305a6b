"""Enrolling devices for tests: one by one, or all under a root."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mooring.pki.issuing import Issuer
from mooring.pki.keys import KeyAlgorithm
from mooring.protocol.azure.identifiers import check_registration_id
from mooring.protocol.azure.sas import MAX_KEY_BYTES, decode_key, derive_device_key, encode_key
from mooring.testing.calls import CloudCalls
from mooring.testing.credentials import (
    Device,
    fresh_name,
    new_device,
    self_signed,
    signed_by,
    write_device,
    write_pem,
    write_root,
)

DEFAULT_ALGORITHM = KeyAlgorithm.EC_P256
"""Made in a moment, and taken by every SDK; RSA 2048 takes up to a second."""


@dataclass(frozen=True, slots=True)
class DeviceIssuer:
    """A verified root with an enrollment group: whatever it signs may register.

    Attributes:
        group_id: The enrollment group.
        certificate_name: The root's name among the DPS's certificates.
        root_certificate_file: The root as PEM.
        root_key_file: Its private key as PEM, not encrypted.
    """

    group_id: str
    certificate_name: str
    root_certificate_file: Path
    root_key_file: Path
    _issuer: Issuer = field(repr=False)
    _folder: Path = field(repr=False)

    def device(
        self, registration_id: str | None = None, *, algorithm: str = DEFAULT_ALGORITHM
    ) -> Device:
        """Return a new device of the group; a fresh registration id unless one is given.

        Raises:
            mooring.protocol.azure.errors.AzureError: `registration_id` cannot be one.
            mooring.pki.errors.PkiError: It does not fit into a certificate.
        """
        name = registration_id or fresh_name("device")
        issued = signed_by(self._issuer, name, KeyAlgorithm(algorithm))
        return write_device(self._folder, name, issued)


@dataclass(frozen=True, slots=True)
class KeyedDevice:
    """A device with symmetric keys.

    Attributes:
        registration_id: Under which it asks DPS.
        primary_key: Base64; either key opens.
        secondary_key: Base64.
    """

    registration_id: str
    primary_key: str = field(repr=False)
    secondary_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyIssuer:
    """An enrollment group of symmetric keys, from which its devices' keys are derived.

    Attributes:
        group_id: The enrollment group.
        primary_key: The group's own, base64; no device may use it.
        secondary_key: Base64.
    """

    group_id: str
    primary_key: str = field(repr=False)
    secondary_key: str = field(repr=False)

    def device(self, registration_id: str | None = None) -> KeyedDevice:
        """Return a device of the group; a fresh registration id unless one is given.

        Raises:
            mooring.protocol.azure.errors.AzureError: `registration_id` cannot be one.
        """
        name = check_registration_id(registration_id or fresh_name("device"))
        derived = (
            encode_key(derive_device_key(decode_key(key), name))
            for key in (self.primary_key, self.secondary_key)
        )
        return KeyedDevice(name, *derived)


def enroll_individual(
    calls: CloudCalls,
    folder: Path,
    registration_id: str | None,
    *,
    certificate_pem: str | None,
    key_pem: str | None,
    algorithm: str,
    members: dict[str, Any],
) -> Device:
    """Add an individual enrollment; see `RunningCloud.enroll`."""
    if certificate_pem is None:
        device = new_device(folder, registration_id, algorithm)
    else:
        name = registration_id or fresh_name("device")
        device = write_pem(folder, name, certificate_pem, key_pem)
    calls.put_enrollment(
        device.registration_id,
        {
            "registrationId": device.registration_id,
            "attestation": {
                "type": "x509",
                "x509": {"clientCertificates": {"primary": {"certificate": device.own_pem}}},
            },
            **members,
        },
    )
    return device


def enroll_group(
    calls: CloudCalls,
    folder: Path,
    group_id: str | None,
    *,
    algorithm: str,
    members: dict[str, Any],
) -> DeviceIssuer:
    """Make a root, upload it verified, add a group of it; see `RunningCloud.enroll_group`."""
    name = group_id or fresh_name("group")
    certificate_name = fresh_name("root")
    root = self_signed(certificate_name, KeyAlgorithm(algorithm))
    certificate_file, key_file = write_root(folder, certificate_name, root)
    calls.put_certificate(certificate_name, root.certificate_pem)
    add_group(calls, name, certificate_name, members)
    return DeviceIssuer(
        name, certificate_name, certificate_file, key_file, root.as_issuer(), folder
    )


def enroll_symmetric_key(
    calls: CloudCalls,
    registration_id: str | None,
    keys: tuple[str, str],
    members: dict[str, Any],
) -> KeyedDevice:
    """Add an individual enrollment; see `RunningCloud.enroll_symmetric_key`."""
    device = KeyedDevice(registration_id or fresh_name("device"), *keys)
    document = {"registrationId": device.registration_id, "attestation": _of_keys(keys), **members}
    calls.put_enrollment(device.registration_id, document)
    return device


def enroll_symmetric_key_group(
    calls: CloudCalls, group_id: str | None, keys: tuple[str, str], members: dict[str, Any]
) -> KeyIssuer:
    """Add an enrollment group; see `RunningCloud.enroll_symmetric_key_group`."""
    issuer = KeyIssuer(group_id or fresh_name("group"), *keys)
    document = {"enrollmentGroupId": issuer.group_id, "attestation": _of_keys(keys), **members}
    calls.put_group(issuer.group_id, document)
    return issuer


def fresh_key() -> str:
    """Return a new symmetric key, as long as those that Azure makes."""
    return encode_key(secrets.token_bytes(MAX_KEY_BYTES))


def _of_keys(keys: tuple[str, str]) -> dict[str, Any]:
    primary, secondary = keys
    return {
        "type": "symmetricKey",
        "symmetricKey": {"primaryKey": primary, "secondaryKey": secondary},
    }


def add_group(
    calls: CloudCalls, group_id: str, ca_name: str, members: dict[str, Any]
) -> dict[str, Any]:
    """Add an enrollment group of an uploaded CA; see `RunningCloud.add_group`."""
    references = {"caReferences": {"primary": ca_name}}
    return calls.put_group(
        group_id,
        {
            "enrollmentGroupId": group_id,
            "attestation": {"type": "x509", "x509": references},
            **members,
        },
    )
