"""CA certificates of a hub in the resource API, from upload to a device that connects by one."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cloud.conftest import Device
from tests.cloud.hub.resource_api.test_hubs import HUB
from tests.support import authority
from tests.support.cloud import CloudThread
from tests.support.hub_api import hub_client
from tests.support.resource_api import ResourceClient, arm_error, resource_client

from mooring.pki.certificates import certificate_der, dump_certificate, sha1_thumbprint
from mooring.pki.keys import dump_key
from mooring.pki.plans import Issued


@pytest.fixture
def arm(cloud: CloudThread) -> Iterator[ResourceClient]:
    with resource_client(cloud) as client:
        yield client


@pytest.fixture
def name() -> str:
    return f"ca-{secrets.token_hex(4)}"


@pytest.fixture
def top() -> Issued:
    return authority.root(f"root{secrets.token_hex(4)}")


def upload(issued: Issued, **properties: object) -> dict[str, object]:
    der = base64.b64encode(certificate_der(issued.certificate)).decode()
    return {"properties": {"certificate": der, **properties}}


def test_certificate_goes_from_upload_to_a_device_that_connects_by_it(
    cloud: CloudThread, arm: ResourceClient, name: str, top: Issued, tmp_path: Path
) -> None:
    path = f"{HUB}/certificates/{name}"
    created = arm.call("PUT", path, upload(top))
    assert created.status_code == 201, created.text
    shown = created.json()
    assert created.headers["etag"] == f'"{shown["etag"]}"'
    assert shown["id"] == path
    assert shown["type"] == "Microsoft.Devices/IotHubs/Certificates"
    assert shown["properties"]["thumbprint"] == sha1_thumbprint(top.certificate)
    assert shown["properties"]["isVerified"] is False
    assert shown["properties"]["expiry"].endswith(" GMT")

    coded = arm.got("POST", f"{path}/generateVerificationCode", if_match=shown["etag"])
    proof = authority.verification(coded["properties"]["verificationCode"], top)
    verified = arm.got(
        "POST",
        f"{path}/verify",
        {"certificate": base64.b64encode(certificate_der(proof.certificate)).decode()},
        if_match=coded["etag"],
    )
    assert verified["properties"]["isVerified"] is True
    assert arm.got("GET", path) == verified
    assert verified in arm.got("GET", f"{HUB}/certificates")["value"]

    own = authority.device(top, f"dev{secrets.token_hex(4)}")
    device_id = own.certificate.subject.rfc4514_string().partition("CN=")[2].partition(",")[0]
    with hub_client(cloud) as api:
        api.created(device_id, authentication={"type": "certificateAuthority"})
    files = tmp_path / "own.pem", tmp_path / "own.key"
    files[0].write_text(dump_certificate(own.certificate))
    files[1].write_bytes(dump_key(own.key))
    device = Device(cloud, device_id, None, files)
    with device.at_hub():
        pass

    assert arm.call("DELETE", path, if_match=verified["etag"]).status_code == 200
    assert arm.call("DELETE", path, if_match="*").status_code == 204
    with device.dial() as raw:
        assert raw.connect(device.name, device.hub_user_name) == 5


def test_replacing_needs_the_etag(arm: ResourceClient, name: str, top: Issued) -> None:
    path = f"{HUB}/certificates/{name}"
    etag = arm.call("PUT", path, upload(top, isVerified=True)).json()["etag"]
    other = upload(authority.root("another"))

    arm_error(arm.call("PUT", path, other), 409, "certificate-already-exists")
    arm_error(arm.call("PUT", path, other, if_match="stale"), 412, "etag-mismatch")
    replaced = arm.call("PUT", path, other, if_match=etag)

    assert replaced.status_code == 200
    assert replaced.json()["properties"]["isVerified"] is False
    for call in ("generateVerificationCode", "verify"):
        arm_error(arm.call("POST", f"{path}/{call}", {}), 400, "if-match-missing")
    arm_error(arm.call("DELETE", path), 400, "if-match-missing")
    arm_error(arm.call("GET", f"{HUB}/certificates/nobody"), 404, "certificate-not-found")
    leaf = upload(authority.device(top))
    arm_error(arm.call("PUT", f"{path}-leaf", leaf), 400, "certificate-not-ca")
