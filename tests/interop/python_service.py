"""Manages enrollments with azure-iothub-provisioningserviceclient from PyPI.

The same contract as ``node/service.js``: one JSON document as argument with a connection string and
steps, one JSON line per step on standard output. A step that the service refuses has the status
in ``refused``. Trust in the server comes from REQUESTS_CA_BUNDLE.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from provisioningserviceclient import (
    BulkEnrollmentOperation,
    ProvisioningServiceClient,
    ProvisioningServiceError,
    QuerySpecification,
)
from provisioningserviceclient.models import (
    AttestationMechanism,
    EnrollmentGroup,
    IndividualEnrollment,
    InitialTwin,
)


class Steps:
    """What a step may be; each returns what is told of it."""

    def __init__(self, connection_string: str) -> None:
        self.client = ProvisioningServiceClient.create_from_connection_string(connection_string)
        # What the client has no method of its own for, or one that fails before it sends.
        self.generated = self.client._runtime_client

    def put(self, kind: str, name: str, **wanted: Any) -> dict[str, Any]:
        """Create an enrollment or group, or change what is there by the etag just read."""
        if wanted.pop("read", False):
            model = self._get(kind, name)
        elif kind == "individual":
            model = IndividualEnrollment.create(name, self._attestation(wanted))
        else:
            model = EnrollmentGroup.create(name, self._attestation(wanted))
        model.etag = wanted.get("etag", model.etag)
        if "status" in wanted:
            model.provisioning_status = wanted["status"]
        if "tags" in wanted:
            model.initial_twin = InitialTwin.create(wanted["tags"], wanted["desired"])
        return self._told(self.client.create_or_update(model))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Read an enrollment or group."""
        return self._told(self._get(kind, name))

    def attestation(self, kind: str, name: str) -> dict[str, Any]:
        """Read the attestation with its keys."""
        if kind == "individual":
            found = self.client.get_individual_enrollment_attestation_mechanism(name)
        else:
            found = self.client.get_enrollment_group_attestation_mechanism(name)
        return {"attestation": found.serialize()}

    def delete(self, kind: str, name: str, etag: str | None = None) -> dict[str, Any]:
        """Delete an enrollment, group or registration record."""
        delete = {
            "individual": self.client.delete_individual_enrollment_by_param,
            "group": self.client.delete_enrollment_group_by_param,
            "registration": self.client.delete_registration_state_by_param,
        }[kind]
        delete(name, etag)
        return {}

    def query(self, kind: str, text: str, size: int) -> dict[str, Any]:
        """Read all pages of a query."""
        create = {
            "individual": self.client.create_individual_enrollment_query,
            "group": self.client.create_enrollment_group_query,
        }[kind]
        query = create(QuerySpecification(text), size)
        pages = []
        while query.has_next:
            pages.append([self._id(item) for item in query.next()])
        return {"pages": pages}

    def bulk(self, mode: str, items: list[dict[str, Any]]) -> dict[str, Any]:
        """Run a bulk operation on individual enrollments."""
        models = [
            IndividualEnrollment.create(item.pop("name"), self._attestation(item)) for item in items
        ]
        result = self.client.run_bulk_operation(BulkEnrollmentOperation(mode, models))
        return {
            "isSuccessful": result.is_successful,
            "errors": [[error.registration_id, error.error_code] for error in result.errors],
        }

    def registration(self, name: str) -> dict[str, Any]:
        """Read a registration record."""
        state = self.client.get_registration_state(name)
        return {
            "status": state.status,
            "assignedHub": state.assigned_hub,
            "deviceId": state.device_id,
            "etag": state.etag,
            "created": state.created_date_time_utc.isoformat(),
        }

    def registrations(self, group: str) -> dict[str, Any]:
        """Read the registration records of a group: by a request without a body."""
        # create_registration_state_query passes its arguments in a wrong order, in 1.2.0.
        found = self.generated.query_device_registration_states(group)
        return {"ids": [state.registration_id for state in found]}

    def _get(self, kind: str, name: str) -> Any:
        if kind == "individual":
            return self.client.get_individual_enrollment(name)
        return self.client.get_enrollment_group(name)

    def _attestation(self, wanted: dict[str, Any]) -> AttestationMechanism:
        make: dict[str, Callable[..., AttestationMechanism]] = {
            "certificate": AttestationMechanism.create_with_x509_client_certs,
            "signing": AttestationMechanism.create_with_x509_signing_certs,
            "ca": AttestationMechanism.create_with_x509_ca_refs,
            "tpm": AttestationMechanism.create_with_tpm,
        }
        for name, create in make.items():
            if name in wanted:
                return create(wanted[name])
        return AttestationMechanism(type="symmetricKey")

    def _id(self, model: Any) -> str:
        return str(getattr(model, "registration_id", None) or model.enrollment_group_id)

    def _told(self, model: Any) -> dict[str, Any]:
        state = getattr(model, "registration_state", None)
        twin = model.initial_twin
        return {
            "id": self._id(model),
            "etag": model.etag,
            "status": model.provisioning_status,
            "attestation": model.attestation.serialize(),
            "reprovision": [
                model.reprovision_policy.update_hub_assignment,
                model.reprovision_policy.migrate_device_data,
            ],
            "state": None if state is None else state.status,
            "tags": None if twin is None else twin.tags,
            "desired": None if twin is None else twin.desired_properties,
        }


def main(options: dict[str, Any]) -> None:
    """Do the steps one after the other."""
    steps = Steps(options["connectionString"])
    for name, arguments in options["steps"]:
        try:
            facts = getattr(steps, name)(**arguments)
        except ProvisioningServiceError as error:
            details = error.cause.error
            facts = {
                "refused": error.cause.response.status_code,
                "errorCode": details.error_code,
                "message": details.message,
                "trackingId": details.tracking_id,
            }
        print(json.dumps({"event": name, **facts}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
