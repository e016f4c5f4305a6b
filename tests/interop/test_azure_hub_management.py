"""Unmodified azure-mgmt-iothub manages a hub over TLS: policies, settings, CA certificates.

It is told nothing but where the API is, whom to trust, and a credential whose token is the
owner's.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator

import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.mgmt.iothub import IotHubClient
from azure.mgmt.iothub.models import (
    CertificateDescription,
    CertificateProperties,
    CertificateVerificationDescription,
    SharedAccessSignatureAuthorizationRule,
)
from tests.interop.test_azure_management import GROUP, SUBSCRIPTION, OwnerCredential
from tests.support import authority

from mooring.pki.certificates import certificate_der, sha1_thumbprint
from mooring.pki.issuing import Issued
from mooring.testing import ThrowAwayCloud

pytestmark = pytest.mark.interop

HUB = "hub"


@pytest.fixture
def client(cloud: ThrowAwayCloud) -> Iterator[IotHubClient]:
    with IotHubClient(
        OwnerCredential(cloud.owner_token),
        SUBSCRIPTION,
        base_url=cloud.service_url,
        connection_verify=str(cloud.ca_file),
        retry_total=0,
    ) as made:
        yield made


@pytest.fixture
def root() -> Issued:
    return authority.root(f"root{secrets.token_hex(4)}")


def described(issued: Issued, *, verified: bool | None = None) -> CertificateDescription:
    der = base64.b64encode(certificate_der(issued.certificate)).decode()
    return CertificateDescription(
        properties=CertificateProperties(certificate=der, is_verified=verified)
    )


@pytest.mark.exercises(
    "azure-mgmt-iothub (PyPI)",
    "hub-resource.get",
    "hub-resource.list-group",
    "hub-resource.list",
    "hub-resource.stats",
)
def test_hub_is_found_and_shown(client: IotHubClient, cloud: ThrowAwayCloud) -> None:
    hub = client.iot_hub_resource.get(GROUP, HUB)

    assert (hub.name, hub.properties.host_name) == (HUB, cloud.host_name)
    assert (hub.sku.name, hub.sku.tier, hub.sku.capacity) == ("S1", "Standard", 1)
    assert hub.properties.event_hub_endpoints["events"].partition_count == 4
    assert [found.id for found in client.iot_hub_resource.list_by_subscription()] != []
    assert [found.name for found in client.iot_hub_resource.list_by_resource_group(GROUP)] == [HUB]
    assert client.iot_hub_resource.get_stats(GROUP, HUB).total_device_count >= 0
    with pytest.raises(ResourceNotFoundError):
        client.iot_hub_resource.get(GROUP, "nobody")


@pytest.mark.exercises(
    "azure-mgmt-iothub (PyPI)", "hub-resource.put", "hub-resource.keys", "hub-resource.key"
)
def test_policies_and_settings_are_changed_by_what_was_read(client: IotHubClient) -> None:
    name = f"reader{secrets.token_hex(4)}"
    hub = client.iot_hub_resource.get(GROUP, HUB)
    before = {policy.key_name for policy in client.iot_hub_resource.list_keys(GROUP, HUB)}
    hub.properties.authorization_policies.append(
        SharedAccessSignatureAuthorizationRule(key_name=name, rights="RegistryRead")
    )
    hub.properties.cloud_to_device.max_delivery_count = 20

    changed = client.iot_hub_resource.begin_create_or_update(
        GROUP, HUB, hub, if_match=hub.etag
    ).result()

    assert changed.properties.cloud_to_device.max_delivery_count == 20
    keys = {policy.key_name: policy for policy in client.iot_hub_resource.list_keys(GROUP, HUB)}
    assert keys.keys() == before | {name}
    assert keys[name].rights == "RegistryRead"
    one = client.iot_hub_resource.get_keys_for_key_name(GROUP, HUB, name)
    assert one.primary_key == keys[name].primary_key
    with pytest.raises(HttpResponseError) as stale:
        client.iot_hub_resource.begin_create_or_update(GROUP, HUB, hub, if_match=hub.etag)
    assert stale.value.status_code == 412

    changed.properties.authorization_policies = [
        policy for policy in changed.properties.authorization_policies if policy.key_name != name
    ]
    client.iot_hub_resource.begin_create_or_update(GROUP, HUB, changed).result()
    after = {policy.key_name for policy in client.iot_hub_resource.list_keys(GROUP, HUB)}
    assert after == before


@pytest.mark.exercises(
    "azure-mgmt-iothub (PyPI)",
    "hub-certificate.list",
    "hub-certificate.get",
    "hub-certificate.put",
    "hub-certificate.delete",
    "hub-certificate.code",
    "hub-certificate.verify",
)
def test_certificate_is_uploaded_verified_and_deleted(client: IotHubClient, root: Issued) -> None:
    name = f"ca-{secrets.token_hex(4)}"
    where = (GROUP, HUB, name)

    created = client.certificates.create_or_update(*where, described(root))

    assert created.properties.thumbprint == sha1_thumbprint(root.certificate)
    assert created.properties.expiry == root.certificate.not_valid_after_utc
    assert created.properties.is_verified is False
    assert client.certificates.get(*where) == created
    assert created in client.certificates.list_by_iot_hub(GROUP, HUB).value
    with pytest.raises(ResourceExistsError):
        client.certificates.create_or_update(*where, described(authority.root("another")))

    coded = client.certificates.generate_verification_code(*where, if_match=created.etag)
    proof = authority.verification(coded.properties.verification_code, root)
    wrong = CertificateVerificationDescription(
        certificate=base64.b64encode(certificate_der(root.certificate)).decode()
    )
    with pytest.raises(HttpResponseError) as refused:
        client.certificates.verify(*where, coded.etag, wrong)
    assert refused.value.status_code == 400
    verified = client.certificates.verify(
        *where,
        coded.etag,
        CertificateVerificationDescription(
            certificate=base64.b64encode(certificate_der(proof.certificate)).decode()
        ),
    )
    assert verified.properties.is_verified is True
    with pytest.raises(HttpResponseError) as stale:
        client.certificates.delete(*where, if_match=coded.etag)
    assert stale.value.status_code == 412
    client.certificates.delete(*where, if_match=verified.etag)
    with pytest.raises(ResourceNotFoundError):
        client.certificates.get(*where)
