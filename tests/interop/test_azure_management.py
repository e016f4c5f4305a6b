"""Unmodified azure-mgmt-iothubprovisioningservices manages our DPS over TLS.

It is told nothing but where the API is, whom to trust, and a credential whose token is the
owner's.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.mgmt.iothubprovisioningservices import IotDpsClient
from azure.mgmt.iothubprovisioningservices.models import (
    CertificateProperties,
    CertificateResponse,
    IotDpsPropertiesDescription,
    IotDpsSkuInfo,
    IotHubDefinitionDescription,
    OperationInputs,
    ProvisioningServiceDescription,
    TagsResource,
    VerificationCodeRequest,
)
from azure.mgmt.iothubprovisioningservices.models import (
    SharedAccessSignatureAuthorizationRuleAccessRightsDescription as AccessRule,
)
from tests.interop.sdks import PythonSdk, options
from tests.support import authority

from mooring.pki.certificates import certificate_der, common_name, sha1_thumbprint
from mooring.pki.issuing import Issued
from mooring.testing import ThrowAwayCloud

pytestmark = pytest.mark.interop

SUBSCRIPTION = "91d12660-3dec-467a-be2a-213b5544ddc0"
GROUP = "quay-group"
NAME = "dps"
FRESH = MatchConditions.IfNotModified


class OwnerCredential:
    """A credential of azure-core that always has the same token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """Return the token; the scopes are those of Azure's own login."""
        return AccessToken(self._token, 2**32)


def management_client(cloud: ThrowAwayCloud, token: str) -> IotDpsClient:
    """Return a client as its users make it for a private cloud."""
    return IotDpsClient(
        OwnerCredential(token),
        SUBSCRIPTION,
        base_url=cloud.service_url,
        connection_verify=str(cloud.ca_file),
        retry_total=0,
    )


@pytest.fixture
def client(cloud: ThrowAwayCloud) -> Iterator[IotDpsClient]:
    with management_client(cloud, cloud.owner_token) as made:
        yield made


@pytest.fixture
def name() -> str:
    return f"ca-{secrets.token_hex(4)}"


@pytest.fixture
def root() -> Issued:
    return authority.root(f"root{secrets.token_hex(4)}")


def upload(
    client: IotDpsClient, name: str, content: bytes, verified: bool | None = None, **match: Any
) -> CertificateResponse:
    properties = CertificateProperties(certificate=content, is_verified=verified)
    return client.dps_certificate.create_or_update(
        GROUP, NAME, name, CertificateResponse(properties=properties), **match
    )


def code_of(error: HttpResponseError) -> str | None:
    assert error.error is not None
    return str(error.error.code)


@pytest.mark.exercises(
    "azure-mgmt-iothubprovisioningservices (PyPI)",
    "certificate.put",
    "certificate.get",
    "certificate.list",
    "certificate.delete",
)
def test_certificate_is_created_read_updated_listed_and_deleted(
    client: IotDpsClient, name: str, root: Issued
) -> None:
    created = upload(client, name, root.certificate_pem.encode())

    assert created.name == name
    assert created.properties is not None
    assert created.properties.is_verified is False
    assert created.properties.thumbprint == sha1_thumbprint(root.certificate)
    assert created.properties.expiry == root.certificate.not_valid_after_utc
    assert created.properties.certificate == certificate_der(root.certificate)
    assert created.properties.subject == f"CN={common_name(root.certificate)}, O=Quay"
    assert created.properties.created is not None
    assert abs(datetime.now(UTC) - created.properties.created) < timedelta(minutes=1)
    assert client.dps_certificate.get(name, GROUP, NAME) == created
    listed = client.dps_certificate.list(GROUP, NAME).value
    assert listed is not None
    assert created in listed

    other = authority.root("otherroot")
    with pytest.raises(ResourceExistsError):
        upload(client, name, certificate_der(other.certificate))
    with pytest.raises(ResourceExistsError):
        upload(
            client,
            name,
            certificate_der(other.certificate),
            etag="*",
            match_condition=MatchConditions.IfMissing,
        )
    updated = upload(
        client,
        name,
        certificate_der(other.certificate),
        True,
        etag=created.etag,
        match_condition=FRESH,
    )
    assert updated.properties is not None
    assert updated.properties.thumbprint == sha1_thumbprint(other.certificate)
    assert updated.properties.is_verified is True
    with pytest.raises(ResourceModifiedError) as stale:
        upload(
            client,
            name,
            root.certificate_pem.encode(),
            etag=created.etag,
            match_condition=FRESH,
        )
    assert code_of(stale.value) == "etag-mismatch"

    delete = client.dps_certificate.delete
    with pytest.raises(ResourceModifiedError):
        delete(GROUP, NAME, name, etag=str(created.etag), match_condition=FRESH)
    delete(GROUP, NAME, name, etag=str(updated.etag), match_condition=FRESH)
    delete(GROUP, NAME, name, etag="*", match_condition=MatchConditions.IfPresent)
    with pytest.raises(ResourceNotFoundError):
        client.dps_certificate.get(name, GROUP, NAME)


@pytest.mark.exercises(
    "azure-mgmt-iothubprovisioningservices (PyPI)", "certificate.code", "certificate.verify"
)
def test_certificate_is_verified_by_a_proof_signed_with_its_key_and_no_other(
    client: IotDpsClient, name: str, root: Issued
) -> None:
    created = upload(client, name, root.certificate_pem.encode())

    def generate(etag: str | None) -> tuple[str, str]:
        given = client.dps_certificate.generate_verification_code(
            name, GROUP, NAME, etag=str(etag), match_condition=FRESH
        )
        assert given.properties is not None
        assert given.properties.is_verified is False
        return str(given.properties.verification_code), str(given.etag)

    def verify(proof: Issued, etag: str) -> CertificateResponse:
        request = VerificationCodeRequest(certificate=proof.certificate_pem)
        return client.dps_certificate.verify_certificate(
            name, GROUP, NAME, request, etag=etag, match_condition=FRESH
        )

    former, first_etag = generate(created.etag)
    code, etag = generate(first_etag)
    assert code != former
    for proof, reason in (
        (authority.verification("something else", root), "common-name-not-code"),
        (authority.verification(code, authority.root("another")), "not-signed-by-ca"),
        (authority.verification(former, root), "verification-code-outdated"),
        (root, "ca-certificate-given-instead"),
    ):
        with pytest.raises(HttpResponseError) as refused:
            verify(proof, etag)
        assert (refused.value.status_code, code_of(refused.value)) == (400, reason)
        assert refused.value.error is not None
        # What to do about it, where users of the SDK see it.
        assert refused.value.error.additional_info[0].info["remedy"] in str(refused.value)
    right = authority.verification(code, root)
    with pytest.raises(ResourceModifiedError):
        verify(right, first_etag)
    unchanged = client.dps_certificate.get(name, GROUP, NAME)
    assert unchanged.etag == etag
    assert unchanged.properties is not None
    assert unchanged.properties.is_verified is False

    verified = verify(right, etag)

    assert verified.properties is not None
    assert verified.properties.is_verified is True
    assert client.dps_certificate.get(name, GROUP, NAME) == verified


def test_device_registers_under_a_certificate_that_was_verified_so(
    client: IotDpsClient, cloud: ThrowAwayCloud, name: str, root: Issued, tmp_path: Path
) -> None:
    created = upload(client, name, base64.b64encode(certificate_der(root.certificate)))
    given = client.dps_certificate.generate_verification_code(
        name, GROUP, NAME, etag=str(created.etag), match_condition=FRESH
    )
    assert given.properties is not None
    proof = authority.verification(str(given.properties.verification_code), root)
    content = base64.b64encode(certificate_der(proof.certificate)).decode()
    client.dps_certificate.verify_certificate(
        name,
        GROUP,
        NAME,
        VerificationCodeRequest(certificate=content),
        etag=str(given.etag),
        match_condition=FRESH,
    )
    cloud.add_group(f"group-{name}", name)
    device = authority.device(root, "mgmtdevice")

    run = PythonSdk().run(cloud, options(cloud, tmp_path, device, "mgmtdevice", messages=1))

    assert run.event("registered")["status"] == "assigned"
    with pytest.raises(ResourceExistsError) as used:
        client.dps_certificate.delete(
            GROUP, NAME, name, etag="*", match_condition=MatchConditions.IfPresent
        )
    assert code_of(used.value) == "certificate-in-use"


@pytest.mark.exercises(
    "azure-mgmt-iothubprovisioningservices (PyPI)",
    "service.get",
    "service.list",
    "service.list-all",
    "sku.list",
    "operation.list",
    "name.check",
)
def test_service_is_read_and_listed(client: IotDpsClient, cloud: ThrowAwayCloud) -> None:
    found = client.iot_dps_resource.get(NAME, GROUP)

    assert found.id is not None
    assert found.id.endswith(f"/resourceGroups/{GROUP}/providers/{found.type}/{NAME}")
    assert found.properties.id_scope == cloud.id_scope
    assert found.properties.state == "Active"
    assert found.sku.name == "S1"
    hubs = {hub.host_name: hub for hub in found.properties.iot_hubs or []}
    assert str(hubs[cloud.host_name].connection_string).endswith("SharedAccessKey=****")
    by_group = list(client.iot_dps_resource.list_by_resource_group(GROUP))
    assert by_group == [found]
    (listed,) = client.iot_dps_resource.list_by_subscription()
    assert listed.properties == found.properties
    assert [sku.name for sku in client.iot_dps_resource.list_valid_skus(NAME, GROUP)] == ["S1"]
    assert any(
        operation.name == "Microsoft.Devices/provisioningServices/Write"
        for operation in client.operations.list()
    )
    checked = client.iot_dps_resource.check_provisioning_service_name_availability(
        OperationInputs(name=NAME)
    )
    assert (checked.name_available, checked.reason) == (False, "AlreadyExists")
    with pytest.raises(ResourceNotFoundError):
        client.iot_dps_resource.get("another", GROUP)


@pytest.mark.exercises("azure-mgmt-iothubprovisioningservices (PyPI)", "policy.list", "policy.get")
def test_keys_are_listed_and_policies_made_and_deleted(
    client: IotDpsClient, cloud: ThrowAwayCloud
) -> None:
    resource = client.iot_dps_resource
    before = list(resource.list_keys(NAME, GROUP))
    (owner,) = before
    assert owner.key_name == "provisioningserviceowner"
    assert str(owner.primary_key) in cloud.dps_connection_string
    assert resource.list_keys_for_key_name(NAME, owner.key_name, GROUP) == owner

    # As the Azure CLI does it: all policies with their keys, one more, all sent back.
    found = resource.get(NAME, GROUP)
    rights = "EnrollmentRead, RegistrationStatusRead"
    found.properties.authorization_policies = [*before, AccessRule(key_name="sdk", rights=rights)]
    resource.begin_create_or_update(GROUP, NAME, found).result()
    made = resource.list_keys_for_key_name(NAME, "sdk", GROUP)
    assert made.rights == rights
    assert made.primary_key

    found = resource.get(NAME, GROUP)
    found.properties.authorization_policies = before
    resource.begin_create_or_update(GROUP, NAME, found).result()
    assert list(resource.list_keys(NAME, GROUP)) == before
    with pytest.raises(ResourceNotFoundError):
        resource.list_keys_for_key_name(NAME, "sdk", GROUP)


@pytest.mark.exercises(
    "azure-mgmt-iothubprovisioningservices (PyPI)", "service.put", "service.patch"
)
def test_service_is_updated(client: IotDpsClient, cloud: ThrowAwayCloud) -> None:
    resource = client.iot_dps_resource
    tagged = resource.begin_update(GROUP, NAME, TagsResource(tags={"site": "quay"})).result()
    assert tagged.tags == {"site": "quay"}

    read = resource.get(NAME, GROUP)
    read.properties.allocation_policy = "GeoLatency"
    (hub,) = read.properties.iot_hubs or []
    hub.allocation_weight = 42
    updated = resource.begin_create_or_update(GROUP, NAME, read).result()
    assert updated.properties.allocation_policy == "GeoLatency"
    assert updated.properties.iot_hubs is not None
    assert updated.properties.iot_hubs[0].allocation_weight == 42
    assert updated.tags == {"site": "quay"}
    with pytest.raises(HttpResponseError) as stale:
        resource.begin_create_or_update(GROUP, NAME, read)
    assert (stale.value.status_code, code_of(stale.value)) == (412, "etag-mismatch")

    def write(*hubs: IotHubDefinitionDescription) -> ProvisioningServiceDescription:
        description = ProvisioningServiceDescription(
            location="westeurope",
            sku=IotDpsSkuInfo(name="S1", capacity=1),
            properties=IotDpsPropertiesDescription(iot_hubs=list(hubs), allocation_policy="Hashed"),
        )
        return resource.begin_create_or_update(GROUP, NAME, description).result()

    assert write().properties.iot_hubs == []
    linked = write(
        IotHubDefinitionDescription(
            connection_string=cloud.hub_connection_string(), location="westeurope"
        )
    )
    (again,) = linked.properties.iot_hubs or []
    assert (again.name, again.allocation_weight) == (cloud.host_name, 1)
    with pytest.raises(HttpResponseError) as wrong:
        write(
            IotHubDefinitionDescription(
                connection_string="HostName=nowhere.test;SharedAccessKeyName=x;SharedAccessKey=eA==",
                location="westeurope",
            )
        )
    assert code_of(wrong.value) == "policy-not-found"


@pytest.mark.parametrize(
    ("call", "status", "code"),
    [
        (
            lambda client: client.iot_dps_resource.begin_delete(NAME, GROUP),
            409,
            "service-not-deletable",
        ),
        (
            lambda client: client.iot_dps_resource.begin_create_or_update(
                GROUP,
                "second",
                ProvisioningServiceDescription(
                    location="x", sku=IotDpsSkuInfo(), properties=IotDpsPropertiesDescription()
                ),
            ),
            409,
            "one-provisioning-service",
        ),
        (
            lambda client: client.iot_dps_resource.list_private_link_resources(GROUP, NAME),
            501,
            "not-implemented",
        ),
        (
            lambda client: client.iot_dps_resource.list_private_endpoint_connections(GROUP, NAME),
            501,
            "not-implemented",
        ),
        (
            lambda client: client.iot_dps_resource.get_operation_result(
                "x", GROUP, NAME, asyncinfo="true"
            ),
            404,
            "operation-not-found",
        ),
    ],
)
@pytest.mark.exercises(
    "azure-mgmt-iothubprovisioningservices (PyPI)", "service.delete", "private-link.list"
)
def test_what_is_not_offered_is_refused_in_words(
    client: IotDpsClient, call: Callable[[IotDpsClient], Any], status: int, code: str
) -> None:
    with pytest.raises(HttpResponseError) as refused:
        call(client)

    assert (refused.value.status_code, code_of(refused.value)) == (status, code)


def test_wrong_token_is_an_authentication_error(cloud: ThrowAwayCloud) -> None:
    with (
        management_client(cloud, "not-the-token") as client,
        pytest.raises(ClientAuthenticationError) as refused,
    ):
        client.iot_dps_resource.get(NAME, GROUP)

    assert refused.value.status_code == 401
    assert code_of(refused.value) == "token-refused"
