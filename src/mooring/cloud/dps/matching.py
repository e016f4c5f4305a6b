"""Which enrollment takes a device: attestation by X.509 (by symmetric key: `token_matching`).

An individual enrollment of the registration id decides alone, whatever groups say. Only without
one are groups tried, from the certificate's issuer upwards, and the first found decides
(dps.md 4.4, design section 6). Every refusal has a code, a cause and a remedy of its own.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from datetime import datetime

from mooring.cloud.dps.authorities import Authorities, GroupClaim
from mooring.cloud.dps.errors import RegistrationRefused
from mooring.cloud.dps.model import (
    CaReferences,
    ClientCertificates,
    EnrollmentGroup,
    ProvisioningStatus,
    RegisterCommand,
    SubjectRules,
)
from mooring.pki.certificates import (
    Certificate,
    common_name,
    format_name,
    is_self_issued,
)
from mooring.pki.verifier import ChainRefused, ChainVerifier, RefusalCode, VerifiedPath
from mooring.protocol.azure.errors import quoted
from mooring.protocol.azure.identifiers import fold_registration_id as fold

# The two texts that the real service was seen to send (dps.md 1.9).
INVALID_CERTIFICATE = "Invalid certificate."
CA_NOT_FOUND = "CA certificate not found."

_LOWER_ALPHANUMERIC = re.compile(r"[a-z0-9]+")
_CODES = {
    RefusalCode.EXPIRED: "certificate-expired",
    RefusalCode.NOT_YET_VALID: "certificate-not-yet-valid",
}


def check_common_name(registration_id: str, leaf: Certificate, rules: SubjectRules) -> None:
    """Return if the certificate says that it is the registration id's.

    Raises:
        RegistrationRefused: No common name, another one, or a subject that breaks the guide's
            rules where those are asked for.
    """
    name = common_name(leaf)
    if name is None:
        raise _refused(
            "common-name-missing",
            f"The device's certificate ({format_name(leaf.subject)}) does not have exactly one "
            "common name.",
            f"Issue it with the common name {registration_id!r}.",
        )
    if fold(name) != fold(registration_id):
        raise _refused(
            "common-name-not-registration-id",
            f"The device registers as {registration_id!r}, but its certificate's common "
            f"name is {quoted(name)}.",
            "Make both the same: correct the registration id in the device's configuration, or "
            f"issue a certificate with the common name {registration_id!r}.",
        )
    if rules is SubjectRules.GUIDE:
        _check_guide_rules(leaf, name)


def check_pinned(
    registration_id: str,
    certificates: ClientCertificates,
    leaf: Certificate,
    thumbprint: str,
    verifier: ChainVerifier,
    now: datetime,
) -> None:
    """Return if `leaf` is one of an individual enrollment's certificates and may be used now.

    Raises:
        RegistrationRefused: ``certificate-not-enrolled``, or why it may not be used.
    """
    enrolled = False
    for slot in (certificates.primary, certificates.secondary):
        if slot is not None:
            enrolled |= hmac.compare_digest(slot.sha256_thumbprint, thumbprint)
    if not enrolled:
        raise _refused(
            "certificate-not-enrolled",
            f"Individual enrollment {registration_id!r} is for another certificate: "
            f"the device presented SHA-256 {thumbprint}.",
            "Put the device's own certificate into the enrollment (not the CA that issued it), "
            "or delete the enrollment if a group is meant to take the device.",
        )
    try:
        verifier.verify_pinned(leaf, at=now, thumbprint=thumbprint)
    except ChainRefused as error:
        raise _chain_refused(error) from error


def check_references(
    command: RegisterCommand,
    references: CaReferences,
    authorities: Authorities,
    verifier: ChainVerifier,
    now: datetime,
) -> VerifiedPath:
    """Return the way from the device's certificate to a CA that its enrollment refers to.

    Raises:
        RegistrationRefused: ``certificate-not-enrolled``, ``ca-not-verified``, or what is wrong
            with the chain.
    """
    names = [name for name in (references.primary, references.secondary) if name is not None]
    said = " or ".join(map(repr, names))
    who = (
        f"Individual enrollment {command.registration_id!r} asks for a certificate under CA {said}"
    )
    try:
        path = verifier.verify(command.presented, authorities.known, at=now)
    except ChainRefused as error:
        if error.code == RefusalCode.UNKNOWN_CA:
            raise _chain_end(command.presented, f"{who}, and") from error
        raise _chain_refused(error) from error
    records = [authorities.certificates.get(fold(name)) for name in names]
    found = [
        record
        for record in records
        if record is not None and record.certificate.sha256_thumbprint in path.known_thumbprints
    ]
    if any(record.verified for record in found):
        return path
    if found:
        raise _not_verified(f"{who}, which is not verified.")
    raise _refused(
        "certificate-not-enrolled",
        f"{who}; the device's certificate hangs from another.",
        "Have that CA issue the device's certificate, or let the enrollment refer to the CA that "
        "did.",
    )


def find_path(
    command: RegisterCommand, authorities: Authorities, verifier: ChainVerifier, now: datetime
) -> VerifiedPath:
    """Return the way from the device's certificate up to CA certificates known here.

    Raises:
        RegistrationRefused: There is none, or something on it is wrong.
    """
    try:
        return verifier.verify(command.presented, authorities.known, at=now)
    except ChainRefused as error:
        if error.code == RefusalCode.UNKNOWN_CA:
            raise _unknown_ca(command, authorities) from error
        raise _chain_refused(error) from error


def find_group(
    command: RegisterCommand, path: VerifiedPath, authorities: Authorities
) -> EnrollmentGroup:
    """Return the group that decides about a device; it may be disabled.

    Walks the known CAs from the leaf's issuer upwards. A group counts when its certificate is
    vouched for: an uploaded CA must be verified, a group's own signing certificate must have a
    verified CA in its place or above it.

    Raises:
        RegistrationRefused: ``ca-not-verified`` or ``no-enrollment``.
    """
    known = path.known_thumbprints
    unvouched: EnrollmentGroup | None = None
    for level, thumbprint in enumerate(known):
        vouched = []
        for claim in authorities.claims.get(thumbprint, ()):
            if _is_vouched(claim, known[level:], authorities):
                vouched.append(claim.group)
                continue
            if _is_disabled(claim.group):
                # What is blocked stays blocked, proven CA or not: never go on to one above.
                raise _ca_not_verified(claim.group)
            unvouched = unvouched or claim.group
        if vouched:
            # Azure: of a certificate in a disabled and in an enabled group, disabled wins.
            return next(filter(_is_disabled, vouched), vouched[0])
    if unvouched is not None:
        raise _ca_not_verified(unvouched)
    names = ", ".join(repr(format_name(certificate.subject)) for certificate in path.known)
    raise _refused(
        "no-enrollment",
        f"There is no individual enrollment {command.registration_id!r}, and no enrollment group "
        f"for the CA that issued the device's certificate ({names or 'itself a CA'}).",
        "Create an enrollment group for that CA certificate, or an individual enrollment for the "
        "device.",
        wire=CA_NOT_FOUND,
    )


def _is_vouched(claim: GroupClaim, upwards: Sequence[str], authorities: Authorities) -> bool:
    if claim.by_reference:
        return upwards[0] in authorities.verified
    return any(thumbprint in authorities.verified for thumbprint in upwards)


def _is_disabled(group: EnrollmentGroup) -> bool:
    return group.terms.provisioning_status is ProvisioningStatus.DISABLED


def _check_guide_rules(leaf: Certificate, name: str) -> None:
    if not _LOWER_ALPHANUMERIC.fullmatch(name):
        raise _refused(
            "common-name-not-lower-alphanumeric",
            f"The certificate's common name {quoted(name)} is not of lower-case letters and "
            "digits only, which this service asks for (subject rules: guide).",
            "Issue a certificate whose common name is like edgegw01, or start the service with "
            "subject rules azure.",
        )
    if len(leaf.subject.rdns) < 2:
        raise _refused(
            "subject-only-common-name",
            "The certificate's subject has no field besides the common name, which this service "
            "asks for (subject rules: guide).",
            "Issue a certificate with, say, an organization too, or start the service with "
            "subject rules azure.",
        )


def _unknown_ca(command: RegisterCommand, authorities: Authorities) -> RegistrationRefused:
    presented = command.presented
    who = f"There is no individual enrollment {command.registration_id!r}, and"
    if is_self_issued(presented[0]):
        return _refused(
            "no-enrollment",
            f"{who} the device's certificate is self-signed, so that no group can take it.",
            "Create an individual enrollment with this certificate, or have the device use one "
            "that an enrolled CA issued.",
            wire=CA_NOT_FOUND,
        )
    if not authorities.claims:
        return _refused(
            "no-enrollment",
            f"{who} there is no enrollment group for certificates at all.",
            "Create an individual enrollment for the device, or upload and verify the CA that "
            "issued its certificate and create an enrollment group for it.",
            wire=CA_NOT_FOUND,
        )
    return _chain_end(presented, who)


def _chain_end(presented: tuple[Certificate, ...], who: str) -> RegistrationRefused:
    """Return the refusal of a chain that leads to no CA known here; `who` begins the sentence."""
    top = presented[0]
    for _ in presented:
        above = next(
            (
                other
                for other in presented
                if other.subject == top.issuer and not is_self_issued(top)
            ),
            None,
        )
        if above is None:
            break
        top = above
    if is_self_issued(top):
        return _refused(
            "ca-unknown",
            f"{who} the device's chain ends in {format_name(top.subject)!r}, which is none of the "
            "CA certificates here.",
            "Upload and verify that CA, or the one below it, and create an enrollment group for "
            "it; or have the device use a certificate that an enrolled CA issued.",
            wire=CA_NOT_FOUND,
        )
    return _refused(
        "chain-incomplete",
        f"{who} the way up from the device's certificate breaks off: {format_name(top.issuer)!r} "
        f"was not sent by the device (it sent {len(presented)}) and is none of the CA "
        "certificates here.",
        "Let the device send its certificate followed by every intermediate up to an enrolled "
        "CA, or upload and verify the missing one.",
        wire=CA_NOT_FOUND,
    )


def _ca_not_verified(group: EnrollmentGroup) -> RegistrationRefused:
    return _not_verified(
        f"The device belongs to enrollment group {group.enrollment_group_id!r}, but the CA "
        "certificate of that group is not verified."
    )


def _not_verified(message: str) -> RegistrationRefused:
    return _refused(
        "ca-not-verified",
        message,
        "Prove possession of the CA: generate a verification code, sign a certificate with it as "
        "common name, and verify (mooring dps certificate verify).",
        wire=CA_NOT_FOUND,
    )


def _chain_refused(error: ChainRefused) -> RegistrationRefused:
    code = next((text for known, text in _CODES.items() if known == error.code), error.code)
    return _refused(code, error.message, error.remedy)


def _refused(
    code: str, message: str, remedy: str, *, wire: str = INVALID_CERTIFICATE
) -> RegistrationRefused:
    return RegistrationRefused(message, remedy, field="certificate", code=code, wire_message=wire)
