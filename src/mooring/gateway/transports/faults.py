"""From what goes wrong on the way to a hub to the fault that an operator reads.

What only a changed configuration of this gateway can mend is permanent. What somebody else may
mend (an enrollment, a verified CA, the network, a server's certificate) is tried again, no
sooner than `REFUSED_RETRY_S` where a person has to act first.
Classes of DPS answers: 300…428 are refusals, 429 and 500 and more are troubles of the moment
(Azure SDKs for Python, Node and C).
"""

from __future__ import annotations

from mooring.gateway.connections.model import Fault
from mooring.gateway.transports.mqtt_link import LinkLoss, sentence
from mooring.protocol.azure.dps_payloads import (
    ErrorBody,
    OperationStatus,
    RegistrationStatus,
    decode_error_body,
)
from mooring.protocol.azure.error_codes import DpsErrorCode
from mooring.protocol.azure.errors import AzureError
from mooring.protocol.mqtt.codes import ConnectReturnCode
from mooring.protocol.mqtt.errors import ConnectRefused
from mooring.transport.errors import (
    ClientCertificateUnreadable,
    ClientKeyMismatch,
    ClientKeyUnreadable,
    ConnectError,
    NameNotResolved,
    PassphraseMissing,
    PassphraseWrong,
)

REFUSED_RETRY_S = 15.0
"""Shortest wait after a refusal that a person has to mend: asking faster only costs quota."""

THROTTLED_RETRY_S = 5.0
"""Wait after a 429 or 5xx that carries no retry-after of its own."""

FIRST_TROUBLE_STATUS = 429
"""From this status on the same request may be repeated."""

_LOCAL_ERRORS = (
    ClientCertificateUnreadable,
    ClientKeyMismatch,
    ClientKeyUnreadable,
    PassphraseMissing,
    PassphraseWrong,
)

# Nobody but this gateway's configuration makes such a request.
_OWN_MISTAKES = frozenset({400, 405, 413, 415})

_ENROLLMENT_CODES = frozenset(
    {DpsErrorCode.ENROLLMENT_NOT_FOUND, DpsErrorCode.REGISTRATION_NOT_FOUND}
)


def of_connect_error(error: ConnectError, *, where: str) -> Fault:
    """Return the fault of name, TCP or TLS; `where` is the state, e.g. ``"provisioning"``."""
    stage = error.stage if error.stage in ("dns", "tcp", "tls") else "mqtt"
    return Fault(
        stage=f"{where}.{stage}",
        code=error.code,
        cause=sentence(error.message),
        remedy=sentence(error.remedy),
        permanent=isinstance(error, _LOCAL_ERRORS),
        # A hub whose name is gone was deleted or renamed; DPS knows where the device belongs now.
        assignment_suspect=isinstance(error, NameNotResolved),
    )


def of_link_loss(loss: LinkLoss, *, stage: str) -> Fault:
    """Return the fault of a link that was lost, or of an answer that did not come."""
    return Fault(stage=stage, code=loss.code, cause=loss.cause, remedy=loss.remedy)


def of_dps_connack(refused: ConnectRefused, *, id_scope: str) -> Fault:
    """Return the fault of a DPS that refused CONNECT."""
    code = refused.return_code
    remedy = refused.remedy
    if code in (ConnectReturnCode.BAD_USER_NAME_OR_PASSWORD, ConnectReturnCode.NOT_AUTHORIZED):
        remedy = (
            f"Compare the Scope ID {id_scope} with the DPS's overview page, and check that the "
            "Global Endpoint is that of a device provisioning service."
        )
    return Fault(
        stage="provisioning.mqtt",
        code=refused.code,
        cause=sentence(refused.message),
        remedy=remedy,
        permanent=code
        in (
            ConnectReturnCode.UNACCEPTABLE_PROTOCOL_VERSION,
            ConnectReturnCode.IDENTIFIER_REJECTED,
        ),
        retry_after_s=_retry_of_connack(code),
    )


def of_hub_connack(refused: ConnectRefused, *, hub: str, device_id: str) -> Fault:
    """Return the fault of a hub that refused CONNECT."""
    code = refused.return_code
    remedy = refused.remedy
    if code is ConnectReturnCode.NOT_AUTHORIZED:
        remedy = (
            f"Check in the hub {hub} that the device {device_id} exists and is enabled, and that "
            "its authentication is X.509 with this certificate (thumbprint) or its CA."
        )
    return Fault(
        stage="connecting.mqtt",
        code=refused.code,
        cause=sentence(refused.message.replace("the server", f"the hub {hub}", 1)),
        remedy=remedy,
        permanent=code is ConnectReturnCode.UNACCEPTABLE_PROTOCOL_VERSION,
        retry_after_s=_retry_of_connack(code),
        # IoT Hub answers 5 to unknown, disabled and mismatching identities alike; the others are
        # what a server says that does not know this device under this name.
        assignment_suspect=code
        in (
            ConnectReturnCode.IDENTIFIER_REJECTED,
            ConnectReturnCode.BAD_USER_NAME_OR_PASSWORD,
            ConnectReturnCode.NOT_AUTHORIZED,
        ),
    )


def read_error_body(payload: bytes) -> ErrorBody:
    """Return what an error body says; an unreadable one says nothing."""
    try:
        return decode_error_body(payload)
    except AzureError:
        return ErrorBody(error_code=None, message="")


def of_dps_refusal(
    status: int,
    body: ErrorBody,
    *,
    stage: str,
    retry_after_s: float | None,
    registration_id: str,
    id_scope: str,
) -> Fault:
    """Return the fault of a DPS answer with an error status."""
    said = f"DPS answered {status}"
    if body.error_code is not None:
        said += f" ({body.error_code})"
    if body.message:
        said += f": {body.message.rstrip('.')}"
    if body.tracking_id:
        said += f" (tracking id {body.tracking_id})"
    if status >= FIRST_TROUBLE_STATUS:
        throttled = status == FIRST_TROUBLE_STATUS
        return Fault(
            stage=stage,
            code="dps-throttled" if throttled else "dps-unavailable",
            cause=sentence(said),
            remedy="The gateway tries again when DPS allows it. "
            + ("Ask for a higher quota if it lasts." if throttled else "See the service's health."),
            retry_after_s=THROTTLED_RETRY_S if retry_after_s is None else retry_after_s,
        )
    code, remedy, permanent = _explain_refusal(
        status, body, registration_id=registration_id, id_scope=id_scope
    )
    return Fault(
        stage=stage,
        code=code,
        cause=sentence(said),
        remedy=remedy,
        permanent=permanent,
        retry_after_s=max(REFUSED_RETRY_S, retry_after_s or 0.0),
    )


def _explain_refusal(
    status: int, body: ErrorBody, *, registration_id: str, id_scope: str
) -> tuple[str, str, bool]:
    """Return code, remedy, and whether only this gateway's configuration can mend it."""
    if status == 404 and body.error_code not in _ENROLLMENT_CODES:
        remedy = (
            f"Copy the Scope ID from the DPS's overview page; {id_scope} is not known at this "
            "endpoint."
        )
        return "id-scope-unknown", remedy, True
    if status == 404:
        remedy = (
            f"Create an individual enrollment with the registration id {registration_id}, or an "
            "enrollment group for the CA that issued the device certificate."
        )
        return "enrollment-not-found", remedy, False
    if status == 401:
        return *_explain_unauthorized(body, registration_id, id_scope), False
    remedy = "Compare Scope ID, certificate and Device Model ID with what the DPS expects."
    return "registration-refused", remedy, status in _OWN_MISTAKES


def _explain_unauthorized(body: ErrorBody, registration_id: str, id_scope: str) -> tuple[str, str]:
    """Return code and remedy of a 401: one number for every proof, only the text differs."""
    text = body.message.lower()
    if "ca certificate" in text:
        return "certificate-not-enrolled", (
            "Upload and verify the CA that issued the device certificate and make an enrollment "
            f"group of it, or create an individual enrollment for {registration_id}. "
            "Intermediates have to be pasted behind the device certificate."
        )
    if "certificate" in text:
        return "certificate-refused", (
            f"Check that the individual enrollment {registration_id} holds this very certificate, "
            "and that it is valid now by the server's clock."
        )
    return "registration-unauthorized", (
        f"Check that {registration_id} is enrolled with this certificate or its CA, and that the "
        f"Scope ID {id_scope} is that of this DPS."
    )


def of_ended_registration(operation: OperationStatus, *, stage: str, registration_id: str) -> Fault:
    """Return the fault of a registration that ended without an assignment."""
    state = operation.registration_state
    if operation.status is RegistrationStatus.DISABLED:
        return Fault(
            stage=stage,
            code="enrollment-disabled",
            cause=f"The enrollment of {registration_id} is disabled.",
            remedy="Enable the enrollment or the enrollment group in the DPS.",
            retry_after_s=REFUSED_RETRY_S,
        )
    number = None if state is None else state.error_code
    text = "" if state is None or not state.error_message else f": {state.error_message}"
    return Fault(
        stage=stage,
        code="registration-failed",
        cause=sentence(
            f"DPS could not assign {registration_id} to a hub"
            f"{'' if number is None else f' ({number})'}{text}"
        ),
        remedy=_ALLOCATION_REMEDIES.get(
            number or 0, "Look at the enrollment and the linked hubs in the DPS."
        ),
        retry_after_s=REFUSED_RETRY_S,
    )


_ALLOCATION_REMEDIES = {
    int(DpsErrorCode.CUSTOM_ALLOCATION_FAILED): "Look at the custom allocation webhook's log.",
    int(DpsErrorCode.HUB_NOT_SPECIFIED): "Link a hub to the DPS, and allow it in the enrollment.",
    int(DpsErrorCode.HUB_REFUSED): "Renew the linked hub's connection string in the DPS.",
}


def of_azure_error(error: AzureError, *, stage: str, what: str) -> Fault:
    """Return the fault of an answer that cannot be read; `what` names it."""
    return Fault(
        stage=stage,
        code="answer-unreadable",
        cause=sentence(f"{what} cannot be read: {error.message}"),
        remedy="Check that the Global Endpoint is a device provisioning service of Azure or of "
        "Mooring.",
    )


def _retry_of_connack(code: ConnectReturnCode) -> float | None:
    return THROTTLED_RETRY_S if code is ConnectReturnCode.SERVER_UNAVAILABLE else REFUSED_RETRY_S
