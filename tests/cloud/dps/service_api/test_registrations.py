"""Registration records: read and deleted; what is told of one is what its device was told."""

from __future__ import annotations

import json

from tests.cloud.conftest import Device
from tests.support.service_api import ServiceClient, dps_error


def register(device: Device) -> dict[str, object]:
    """Register, and return what the device is told."""
    with device.at_dps() as raw:
        raw.publish("$dps/registrations/PUT/iotdps-register/?$rid=1", b"")
        raw.read()
        operation = json.loads(raw.read().payload)["operationId"]
        raw.publish(
            f"$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId={operation}",
            b"",
        )
        raw.read()
        return dict(json.loads(raw.read().payload)["registrationState"])


def test_record_is_what_the_device_was_told(api: ServiceClient, enrolled: Device) -> None:
    dps_error(api.call("GET", f"/registrations/{enrolled.name}"), 404, 404202)

    told = register(enrolled)

    record = api.got("GET", f"/registrations/{enrolled.name.upper()}")
    assert {name: record[name] for name in told} == told
    assert record["status"] == "assigned"


def test_record_is_deleted_by_etag_and_the_enrollment_stays(
    api: ServiceClient, enrolled: Device
) -> None:
    first = register(enrolled)
    path = f"/registrations/{enrolled.name}"
    old = api.got("GET", path)["etag"]
    register(enrolled)
    current = api.call("GET", path)

    dps_error(api.call("DELETE", path, if_match=old), 412, 412001)
    api.gone(path, if_match=current.headers["etag"])

    dps_error(api.call("DELETE", path), 404, 404202)
    state = api.got("GET", f"/enrollments/{enrolled.name}")["registrationState"]
    assert state["status"] == "unassigned"
    again = register(enrolled)
    assert again["createdDateTimeUtc"] != first["createdDateTimeUtc"]
    api.gone(path)


def test_deleting_the_enrollment_deletes_the_record(api: ServiceClient, enrolled: Device) -> None:
    register(enrolled)

    api.gone(f"/enrollments/{enrolled.name}")

    dps_error(api.call("GET", f"/registrations/{enrolled.name}"), 404, 404202)
