"""Custom payloads of unmodified Azure SDKs, in and out, with a webhook that chooses the hub."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from tests.interop.sdks import Sdk, key_options
from tests.support.cloud import CloudThread, cloud_on_thread
from tests.support.sastokens import new_key
from tests.support.webhook import Webhook, choose, webhook_server

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Generator[CloudThread]:
    """Run a cloud that a webhook can run beside."""
    with cloud_on_thread(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def webhook(cloud: CloudThread) -> Generator[Webhook]:
    """Run a webhook."""
    serving = webhook_server()
    yield cloud.run(serving.__aenter__())
    cloud.run(serving.__aexit__(None, None, None))


def test_payload_goes_to_the_webhook_and_its_own_comes_back(
    sdk: Sdk, cloud: CloudThread, webhook: Webhook
) -> None:
    name = f"payload{sdk.label}"
    keys = {"primaryKey": new_key(), "secondaryKey": new_key()}
    sent = {"modelId": "dtmi:example:Gateway;1", "größe": [1, None]}
    returned = {"pump": {"größe": 7}}
    webhook.reply = choose(cloud.address, payload=returned)
    cloud.calls.put_enrollment(
        name,
        {
            "registrationId": name,
            "attestation": {"type": "symmetricKey", "symmetricKey": keys},
            "allocationPolicy": "custom",
            "customAllocationDefinition": {"webhookUrl": webhook.url, "apiVersion": "2021-10-01"},
        },
    )

    run = sdk.run(cloud, key_options(cloud, keys["primaryKey"], name, payload=sent))

    assert run.exit_status == 0, run
    assert run.event("registered")["payload"] == returned
    (asked,) = webhook.asked
    assert asked.document["deviceRuntimeContext"]["payload"] == sent
