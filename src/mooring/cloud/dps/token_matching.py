"""Which enrollment takes a device: attestation by symmetric key, proved by a signed token.

An individual enrollment's keys are the device's own. A group's are not: each of its devices has
a key derived from them and its registration id, and a token signed with the group's key itself is
refused (dps.md 1.4). Every refusal has a code, a cause and a remedy of its own; the device is told
``Unauthorized`` whatever it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from mooring.cloud.dps.authorities import Authorities, KeyedGroup
from mooring.cloud.dps.errors import RegistrationRefused
from mooring.cloud.dps.model import ProvisioningStatus, RegisterCommand, SymmetricKeys
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.protocol.azure.errors import SasRefused, quoted
from mooring.protocol.azure.identifiers import fold_registration_id as fold
from mooring.protocol.azure.sas import (
    SasToken,
    check_not_expired,
    decode_key,
    derive_device_key,
    encode_key,
    is_signed_by,
    parse_sas_token,
)


def open_token(command: RegisterCommand) -> SasToken:
    """Return the device's token if it is one for this registration; who signed it is not asked.

    Raises:
        RegistrationRefused: ``sas-malformed``, ``sas-resource-wrong``.
    """
    try:
        token = parse_sas_token(command.sas_token or "")
    except SasRefused as error:
        raise _refused(error.code, f"The device's {error.message}.", error.remedy) from error
    wanted = f"{command.id_scope}/registrations/{command.registration_id}"
    # Registration ids ignore case, and so do SDKs that build the resource from one.
    if token.resource.rstrip("/").lower() != wanted.lower():
        raise _refused(
            "sas-resource-wrong",
            f"The device's token is for {quoted(token.resource)}, not for {wanted!r}.",
            "Sign a token for the ID scope and the registration id that the device registers with.",
        )
    return token


def check_keys(token: SasToken, keys: SymmetricKeys, *, owner: str, now: datetime) -> str:
    """Return which of an individual enrollment's keys signed `token`: ``primary``, ``secondary``.

    `owner` names the enrollment in messages.

    Raises:
        RegistrationRefused: ``sas-signature-wrong``, ``sas-expired``.
    """
    primary = is_signed_by(token, decode_key(keys.primary))
    secondary = is_signed_by(token, decode_key(keys.secondary))
    if not (primary or secondary):
        raise _refused(
            "sas-signature-wrong",
            f"The device's token is signed with neither the primary nor the secondary key of "
            f"{owner}.",
            "Copy one of the enrollment's two keys into the device's configuration; the key of "
            "an enrollment group does not count for a device with an enrollment of its own.",
        )
    _check_end(token, now)
    return "primary" if primary else "secondary"


def find_keyed_group(
    token: SasToken, registration_id: str, authorities: Authorities, *, now: datetime
) -> tuple[KeyedGroup, str]:
    """Return the group whose device key signed `token`, and which key: primary or secondary.

    The group may be disabled. Every key of every group is tried, so that time tells nothing.

    Raises:
        RegistrationRefused: ``no-enrollment``, ``sas-signature-wrong``, ``group-key-used``,
            ``device-key-of-another-spelling``, ``sas-expired``.
    """
    if not authorities.keyed:
        raise _refused(
            "no-enrollment",
            f"There is no individual enrollment {registration_id!r}, and no enrollment group of "
            "symmetric keys; the device proves itself by a shared access signature.",
            "Create an individual enrollment with a symmetric key for the device, or an "
            "enrollment group of symmetric keys.",
        )
    signers = []
    for keyed in authorities.keyed:
        primary = is_signed_by(token, derive_device_key(keyed.primary, registration_id))
        secondary = is_signed_by(token, derive_device_key(keyed.secondary, registration_id))
        if primary or secondary:
            signers.append((keyed, "primary" if primary else "secondary"))
    if not signers:
        raise _unsigned(token, registration_id, authorities.keyed)
    _check_end(token, now)
    # As with certificates: of one key in a disabled and in an enabled group, disabled wins.
    disabled = (
        signer
        for signer in signers
        if signer[0].group.terms.provisioning_status is ProvisioningStatus.DISABLED
    )
    return next(disabled, signers[0])


def device_keys(keyed: KeyedGroup, registration_id: str) -> SymmetricKeys:
    """Return the keys of one device of a group, for its hub."""
    return SymmetricKeys(
        encode_key(derive_device_key(keyed.primary, registration_id)),
        encode_key(derive_device_key(keyed.secondary, registration_id)),
    )


def _check_end(token: SasToken, now: datetime) -> None:
    try:
        check_not_expired(token, now=now)
    except SasRefused as error:
        raise _refused(error.code, f"The device's {error.message}.", error.remedy) from error


def _unsigned(
    token: SasToken, registration_id: str, groups: Iterable[KeyedGroup]
) -> RegistrationRefused:
    """Return why no group takes the token, told apart as well as can be."""
    for keyed in groups:
        name = repr(keyed.group.enrollment_group_id)
        for key in (keyed.primary, keyed.secondary):
            if is_signed_by(token, key):
                return _refused(
                    "group-key-used",
                    f"The device's token is signed with the key of enrollment group {name} "
                    "itself, which no device may have.",
                    "Give the device its own key: base64 of HMAC-SHA256 over the registration "
                    f"id {registration_id!r}, with the group's key, base64-decoded, as key. Then "
                    "make new keys for the group: its key has been on a device.",
                )
            if is_signed_by(token, derive_device_key(key, fold(registration_id))):
                return _refused(
                    "device-key-of-another-spelling",
                    f"The device's key was derived for {fold(registration_id)!r}, but the device "
                    f"registers as {registration_id!r}: upper and lower case count in a key.",
                    "Let the device register with the spelling that its key was derived for.",
                )
    return _refused(
        "sas-signature-wrong",
        f"There is no individual enrollment {registration_id!r}, and the device's token is signed "
        "with a key that no enrollment group gives this registration id.",
        "Derive the device's key from a key of its group and from the registration id exactly as "
        "the device sends it, or create an individual enrollment for the device.",
    )


def _refused(code: str, message: str, remedy: str) -> RegistrationRefused:
    return RegistrationRefused(
        message,
        remedy,
        field="sasToken",
        code=code,
        wire_message=DpsErrorCode.UNAUTHORIZED.text,
    )
