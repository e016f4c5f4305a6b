"""What a device can do wrong: the wire answer an SDK sees, and the cloud's attempt record.

The gateway's side of the same refusals is in ``tests/gateway``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.interop.sdks import Sdk, options

from mooring.pki.certificates import dump_certificate
from mooring.pki.issuing import Issued, Issuer, issue_device, issue_root
from mooring.pki.keys import KeyAlgorithm
from mooring.pki.names import Subject
from mooring.testing import ThrowAwayCloud

pytestmark = pytest.mark.interop

NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Expected:
    """How a refusal shows: on the wire, and in the attempt record."""

    status: int
    error_code: int
    message: str
    stage: str
    code: str


def _root(common_name: str, **members: Any) -> Issued:
    subject = Subject(common_name=common_name, organization="Quay")
    return issue_root(subject, algorithm=KeyAlgorithm.EC_P256, **{"now": NOW, **members})


def _device(common_name: str, root: Issued, **members: Any) -> Issued:
    return issue_device(
        Subject(common_name=common_name, organization="Quay"),
        Issuer(root.certificate, root.key),
        algorithm=KeyAlgorithm.EC_P256,
        **{"now": NOW, **members},
    )


def _unknown_certificate(cloud: ThrowAwayCloud, name: str) -> tuple[Issued, dict[str, Any]]:
    return _root(name), {}


def _unverified_ca(cloud: ThrowAwayCloud, name: str) -> tuple[Issued, dict[str, Any]]:
    root = _root(f"root{name}")
    cloud.add_ca(f"ca-{name}", dump_certificate(root.certificate), verified=False)
    cloud.add_group(f"plant-{name}", f"ca-{name}")
    return _device(name, root), {}


def _other_common_name(cloud: ThrowAwayCloud, name: str) -> tuple[Issued, dict[str, Any]]:
    issued = _root(f"other{name}")
    cloud.enroll(name, dump_certificate(issued.certificate))
    return issued, {}


def _expired(cloud: ThrowAwayCloud, name: str) -> tuple[Issued, dict[str, Any]]:
    long_ago = NOW - timedelta(days=31)
    root = _root(f"root{name}", now=long_ago)
    cloud.add_ca(f"ca-{name}", dump_certificate(root.certificate))
    cloud.add_group(f"plant-{name}", f"ca-{name}")
    return _device(name, root, now=long_ago, days=30), {}


def _wrong_scope(cloud: ThrowAwayCloud, name: str) -> tuple[Issued, dict[str, Any]]:
    issued = _root(name)
    cloud.enroll(name, dump_certificate(issued.certificate))
    return issued, {"idScope": "0ne0FFFFFFF"}


def _other_certificate(cloud: ThrowAwayCloud, name: str) -> tuple[Issued, dict[str, Any]]:
    root = _root(f"root{name}")
    cloud.add_ca(f"ca-{name}", dump_certificate(root.certificate))
    cloud.add_group(f"plant-{name}", f"ca-{name}")
    cloud.enroll(name, dump_certificate(_root(name).certificate))
    return _device(name, root), {}


Prepare = Callable[[ThrowAwayCloud, str], tuple[Issued, dict[str, Any]]]

NOT_FOUND, INVALID = "CA certificate not found.", "Invalid certificate."

REFUSALS: dict[str, tuple[Prepare, Expected]] = {
    "unknown-certificate": (
        _unknown_certificate,
        Expected(401, 401002, NOT_FOUND, "attestation", "no-enrollment"),
    ),
    "unverified-ca": (
        _unverified_ca,
        Expected(401, 401002, NOT_FOUND, "enrollment", "ca-not-verified"),
    ),
    "other-common-name": (
        _other_common_name,
        Expected(401, 401002, INVALID, "identity", "common-name-not-registration-id"),
    ),
    "expired-certificate": (
        _expired,
        Expected(401, 401002, INVALID, "attestation", "certificate-expired"),
    ),
    "wrong-scope": (
        _wrong_scope,
        Expected(404, 404001, "Unknown ID scope.", "scope", "unknown-id-scope"),
    ),
    "other-certificate": (
        _other_certificate,
        Expected(401, 401002, INVALID, "attestation", "certificate-not-enrolled"),
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal_is_told_to_the_sdk_and_recorded(
    sdk: Sdk, cloud: ThrowAwayCloud, tmp_path: Path, case: str
) -> None:
    prepare, expected = REFUSALS[case]
    name = f"{sdk.label}{case.replace('-', '')}"
    issued, members = prepare(cloud, name)

    run = sdk.run(cloud, {**options(cloud, tmp_path, issued, name), **members})

    assert run.exit_status == 1, run
    error = run.event("error")
    if sdk.name == "python":  # it shows the status only
        assert f"status code {expected.status}" in error["message"]
    else:
        assert error["result"]["errorCode"] == expected.error_code
        assert error["result"]["message"] == expected.message
    failure = _failure(cloud, name)
    assert (failure["stage"], failure["code"]) == (expected.stage, expected.code)


def test_disabled_enrollment_is_told_to_the_sdk_as_a_result_and_recorded(
    sdk: Sdk, cloud: ThrowAwayCloud, tmp_path: Path
) -> None:
    name = f"disabled{sdk.label}"
    issued = _root(name)
    cloud.enroll(name, dump_certificate(issued.certificate), provisioningStatus="disabled")

    run = sdk.run(cloud, options(cloud, tmp_path, issued, name))

    assert run.exit_status == 1, run
    error = run.event("error")
    assert "disabled" in error["message"]
    if sdk.name == "python":
        assert "status code of 200" in error["message"]
    else:
        assert error["result"]["registrationState"]["status"] == "disabled"
        assert "assignedHub" not in error["result"]["registrationState"]
    failure = _failure(cloud, name)
    assert (failure["stage"], failure["code"]) == ("enrollment", "enrollment-disabled")
    record = cloud.registration(name)
    assert record["status"] == "disabled"


def _failure(cloud: ThrowAwayCloud, registration_id: str) -> dict[str, str]:
    (attempt,) = cloud.attempts(registration_id=registration_id)
    failure: dict[str, str] = attempt["failure"]
    assert failure["cause"]
    assert failure["remedy"]
    return failure
