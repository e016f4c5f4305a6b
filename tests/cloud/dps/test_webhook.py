"""Custom allocation: a webhook, asked over real HTTP, chooses the hub."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import authority
from tests.support.certificates import certify, certify_server, key_of
from tests.support.cloudworld import CloudWorld
from tests.support.stores import Stores
from tests.support.webhook import Webhook, choose, reply, webhook_server

from mooring.cloud.dps.errors import InputInvalid, Overloaded, ShuttingDown
from mooring.cloud.dps.model import (
    AllocationPolicy,
    CustomAllocation,
    EnrollmentDraft,
    EnrollmentTerms,
    InitialTwin,
    LinkedHub,
    Operation,
    ProvisioningStatus,
    Registration,
    ReprovisionPolicy,
    SymmetricKeySlots,
)
from mooring.cloud.dps.webhook import (
    MAX_ANSWER_BYTES,
    MAX_PAYLOAD_BYTES,
    HttpWebhook,
    masked,
)
from mooring.cloud.dps.wire import operation_body
from mooring.pki.certificates import sha256_thumbprint
from mooring.protocol.azure.registration_state import RegistrationStatus, RegistrationSubstatus
from mooring.protocol.azure.sas import derive_device_key

KEY = secrets.token_bytes(64)
API_VERSION = "2021-10-01"


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    async with webhook_server() as running:
        yield running


@pytest.fixture
async def world(stores: Stores) -> AsyncIterator[CloudWorld]:
    opened = await CloudWorld.open(stores)
    await opened.hubs.hubs.create("second", "hub2.test")
    await opened.dps.linked_hubs.link(LinkedHub("hub2.test"))
    yield opened
    await opened.webhook.close()


def custom(webhook: Webhook, **terms: Any) -> EnrollmentTerms:
    return EnrollmentTerms(
        allocation_policy=AllocationPolicy.CUSTOM,
        custom_allocation=CustomAllocation(webhook.url, API_VERSION),
        **terms,
    )


async def enroll(world: CloudWorld, webhook: Webhook, **terms: Any) -> None:
    await world.enroll_keys(KEY, KEY, terms=custom(webhook, **terms))


async def register(world: CloudWorld, **fields: Any) -> Registration:
    operation: Operation = await world.register(sas_token=world.token(KEY), **fields)
    return operation.registration


async def failed(world: CloudWorld) -> tuple[str, str | None]:
    """Register, which must fail in allocation; return its code and what the device is told."""
    registration = await register(world)
    assert registration.status is RegistrationStatus.FAILED
    assert registration.error_code == 400207
    assert registration.assigned_hub is None
    assert await world.dps.registrations.get("edgegw01") == registration
    assert world.failure is not None
    stage, code = world.failure
    assert stage == "allocation"
    assert "s3cret" not in repr(world.last_attempt)
    return code, registration.error_message


# -- what is asked --------------------------------------------------------------------------------


async def test_a_group_of_keys_asks_as_azure_does(world: CloudWorld, webhook: Webhook) -> None:
    webhook.reply = choose("hub2.test")
    await world.add_keyed_group("plant", KEY, terms=custom(webhook, iot_edge=True))
    token = world.token(derive_device_key(KEY, "edgegw01"))

    operation = await world.register(sas_token=token, payload={"firmware": "1.2"})

    assert operation.registration.assigned_hub == "hub2.test"
    (asked,) = webhook.asked
    assert (asked.method, asked.target) == ("POST", "/api/allocate?code=s3cret")
    assert asked.headers["content-type"] == "application/json; charset=utf-8"
    document = asked.document
    assert set(document) == {"enrollmentGroup", "deviceRuntimeContext", "linkedHubs"}
    group = document["enrollmentGroup"]
    assert group["enrollmentGroupId"] == "plant"
    assert group["allocationPolicy"] == "custom"
    assert group["capabilities"] == {"iotEdge": True}
    assert group["customAllocationDefinition"] == {
        "webhookUrl": webhook.shown_url,
        "apiVersion": API_VERSION,
    }
    assert group["attestation"]["type"] == "symmetricKey"
    assert 'Key":' not in json.dumps(group["attestation"].get("symmetricKey", {}))
    assert document["deviceRuntimeContext"] == {
        "registrationId": "edgegw01",
        "symmetricKey": {},
        "payload": {"firmware": "1.2"},
    }
    assert document["linkedHubs"] == ["hub2.test", "localhost"]


async def test_an_individual_enrollment_asks_with_the_certificate_and_the_present_hub(
    world: CloudWorld, webhook: Webhook
) -> None:
    own = authority.root("edgegw01")
    await world.enroll(
        own, terms=custom(webhook, hub_host_names=("HUB2.test",)), device_id="crane-7"
    )
    webhook.reply = choose("Hub2.Test")

    await world.register(own.certificate)
    await world.register(own.certificate)

    first, second = (asked.document for asked in webhook.asked)
    assert first["individualEnrollment"]["registrationId"] == "edgegw01"
    assert first["linkedHubs"] == ["hub2.test"]
    context = first["deviceRuntimeContext"]
    assert set(context) == {"registrationId", "x509"}
    info = context["x509"]["clientCertificates"]["primary"]["info"]
    assert info["sha256Thumbprint"] == sha256_thumbprint(own.certificate)
    assert second["deviceRuntimeContext"] | {"x509": None} == {
        "registrationId": "edgegw01",
        "x509": None,
        "currentIotHubHostName": "hub2.test",
        "currentDeviceId": "crane-7",
    }


async def test_keys_are_not_sent(world: CloudWorld, webhook: Webhook) -> None:
    keys = await world.enroll_keys(KEY, terms=custom(webhook))

    await register(world)

    sent = json.dumps(webhook.asked[0].document)
    assert keys.primary not in sent
    assert keys.secondary not in sent
    assert "s3cret" not in sent


@pytest.mark.parametrize("payload", ['{"a":1}', [1], 0, False, {}])
async def test_any_payload_of_the_device_is_passed_on(
    world: CloudWorld, webhook: Webhook, payload: Any
) -> None:
    await enroll(world, webhook)

    await register(world, payload=payload)

    assert webhook.asked[0].document["deviceRuntimeContext"]["payload"] == payload


async def test_hubs_that_are_closed_to_allocation_are_not_offered(
    world: CloudWorld, webhook: Webhook
) -> None:
    await enroll(world, webhook)
    await world.dps.linked_hubs.link(LinkedHub("localhost", apply_allocation_policy=False))
    webhook.reply = choose("hub2.test")

    await register(world)

    assert webhook.asked[0].document["linkedHubs"] == ["hub2.test"]


async def test_without_a_linked_hub_nobody_is_asked(world: CloudWorld, webhook: Webhook) -> None:
    await enroll(world, webhook)
    for host_name in ("localhost", "hub2.test"):
        await world.dps.linked_hubs.unlink(host_name)

    registration = await register(world)

    assert registration.error_code == 400208
    assert not webhook.asked


async def test_a_disabled_enrollment_asks_nobody(world: CloudWorld, webhook: Webhook) -> None:
    await enroll(world, webhook, provisioning_status=ProvisioningStatus.DISABLED)

    assert (await register(world)).status is RegistrationStatus.DISABLED
    assert not webhook.asked


# -- what is answered -----------------------------------------------------------------------------


async def test_a_payload_reaches_the_device_and_the_record(
    world: CloudWorld, webhook: Webhook
) -> None:
    webhook.reply = choose("localhost", payload={"greeting": "grüß"})
    await enroll(world, webhook)

    operation = await world.register(sas_token=world.token(KEY))

    assert operation.registration.payload == {"greeting": "grüß"}
    polled = await world.dps.get_operation(operation.operation_id, "edgegw01")
    body = operation_body(polled)
    assert body.isascii()
    assert json.loads(body)["registrationState"]["payload"] == {"greeting": "grüß"}
    assert (await world.dps.registrations.get("edgegw01")).payload == {"greeting": "grüß"}
    webhook.reply = choose("localhost", payload=None)
    assert (await register(world)).payload is None


async def test_a_returned_twin_takes_the_place_of_the_enrollments(
    world: CloudWorld, webhook: Webhook
) -> None:
    await enroll(world, webhook, initial_twin=InitialTwin({"from": "enrollment"}, {}))
    webhook.reply = choose(
        "localhost", initialTwin={"tags": {"from": "webhook"}, "properties": {"desired": {"a": 1}}}
    )

    await register(world)

    assert world.twin("localhost") == ({"from": "webhook"}, {"a": 1})


async def test_without_a_returned_twin_the_enrollments_counts(
    world: CloudWorld, webhook: Webhook
) -> None:
    await enroll(world, webhook, initial_twin=InitialTwin({"from": "enrollment"}, {"a": 2}))
    webhook.reply = choose("localhost", initialTwin=None)

    await register(world)

    assert world.twin("localhost") == ({"from": "enrollment"}, {"a": 2})


async def test_a_returned_twin_takes_the_place_of_migrated_data(
    world: CloudWorld, webhook: Webhook
) -> None:
    await enroll(
        world,
        webhook,
        initial_twin=InitialTwin({"from": "enrollment"}, {}),
        reprovision_policy=ReprovisionPolicy(True, True),
    )
    await register(world)
    webhook.reply = choose("hub2.test", initialTwin={"tags": {"from": "webhook"}})

    registration = await register(world)

    assert registration.substatus is RegistrationSubstatus.DEVICE_DATA_RESET
    assert world.twin("hub2.test") == ({"from": "webhook"}, {})
    assert world.twin("localhost") is None


async def test_a_returned_twin_leaves_a_device_alone_that_stays_where_it_is(
    world: CloudWorld, webhook: Webhook
) -> None:
    webhook.reply = choose("localhost", initialTwin={"tags": {"visit": 1}})
    await enroll(world, webhook)
    await register(world)
    webhook.reply = choose("localhost", initialTwin={"tags": {"visit": 2}})

    await register(world)

    assert world.twin("localhost") == ({"visit": 1}, {})


async def test_without_a_returned_twin_data_migrate(world: CloudWorld, webhook: Webhook) -> None:
    webhook.reply = choose("localhost", initialTwin={"tags": {"visit": 1}})
    await enroll(world, webhook)
    await register(world)
    webhook.reply = choose("hub2.test")

    registration = await register(world)

    assert registration.substatus is RegistrationSubstatus.DEVICE_DATA_MIGRATED
    assert world.twin("hub2.test") == ({"visit": 1}, {})


async def test_a_device_that_is_never_moved_is_offered_its_own_hub_only(
    world: CloudWorld, webhook: Webhook
) -> None:
    await enroll(world, webhook, reprovision_policy=ReprovisionPolicy(False, False))
    await register(world)
    webhook.reply = choose("localhost", payload={"again": True})

    registration = await register(world)

    assert webhook.asked[1].document["linkedHubs"] == ["localhost"]
    assert registration.payload == {"again": True}


# -- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 429, 500, 503])
async def test_another_status_than_success_fails_the_registration(
    world: CloudWorld, webhook: Webhook, status: int
) -> None:
    await enroll(world, webhook)
    location = f"Location: http://localhost:{webhook.port}/elsewhere\r\n"
    webhook.reply = reply({"iotHubHostName": "localhost"}, status=status, headers=location)

    code, text = await failed(world)

    assert code == "webhook-status"
    assert text == f"Custom allocation failed with status code: {status}"
    assert len(webhook.asked) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "webhook-answer-malformed"),
        (b"localhost", "webhook-answer-malformed"),
        (b'"localhost"', "webhook-answer-malformed"),
        (b"[]", "webhook-answer-malformed"),
        (b"{}", "webhook-answer-malformed"),
        (b'{"iotHubHostName":null}', "webhook-answer-malformed"),
        (b'{"iotHubHostName":7}', "webhook-answer-malformed"),
        (b'{"iotHubHostName":"elsewhere.test"}', "webhook-hub-unknown"),
        (b'{"iotHubHostName":"localhost","payload":[1]}', "webhook-answer-malformed"),
        (b'{"iotHubHostName":"localhost","payload":"x"}', "webhook-answer-malformed"),
        (b'{"iotHubHostName":"localhost","initialTwin":1}', "webhook-answer-malformed"),
        (
            b'{"iotHubHostName":"localhost","initialTwin":{"properties":{"desired":[]}}}',
            "webhook-answer-malformed",
        ),
        (b'{"iotHubHostName":"localhost","payload":{"a":NaN}}', "webhook-answer-malformed"),
        (b'{"iotHubHostName":"localhost"}' + b" " * MAX_ANSWER_BYTES, "webhook-answer-malformed"),
        (
            b'{"iotHubHostName":"localhost","payload":{"a":"%b"}}' % (b"x" * MAX_PAYLOAD_BYTES),
            "webhook-answer-malformed",
        ),
        (
            b'{"iotHubHostName":"localhost","initialTwin":{"tags":{"a":"%b"}}}' % (b"x" * 8192),
            "webhook-answer-malformed",
        ),
    ],
)
async def test_an_answer_that_cannot_be_used_fails_the_registration(
    world: CloudWorld, webhook: Webhook, answer: bytes, code: str
) -> None:
    await enroll(world, webhook)
    webhook.reply = reply(body=answer)

    assert await failed(world) == (code, "Custom allocation failed with status code: 200")


async def test_an_endless_answer_is_not_read_to_its_end(
    world: CloudWorld, webhook: Webhook
) -> None:
    await enroll(world, webhook)

    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            await writer.drain()

    webhook.reply = flood

    assert (await failed(world))[0] == "webhook-answer-malformed"


async def test_a_compressed_answer_is_refused_unread(world: CloudWorld, webhook: Webhook) -> None:
    await enroll(world, webhook)
    webhook.reply = reply(body=b"\x1f\x8b", headers="Content-Encoding: gzip\r\n")

    code, _ = await failed(world)

    assert code == "webhook-answer-malformed"
    assert webhook.asked[0].headers["accept-encoding"] == "identity"


async def test_201_and_a_chunked_answer_are_success(world: CloudWorld, webhook: Webhook) -> None:
    await enroll(world, webhook)

    async def chunks(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b'{"iotHub', b'HostName":"localhost"}'):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    webhook.reply = chunks

    assert (await register(world)).assigned_hub == "localhost"


async def test_nobody_there_fails_the_registration(world: CloudWorld, webhook: Webhook) -> None:
    async with webhook_server() as gone:
        await enroll(world, gone)

    assert await failed(world) == (
        "webhook-unreachable",
        "Custom allocation failed: no answer from the webhook.",
    )


async def test_a_connection_that_ends_early_fails_the_registration(
    world: CloudWorld, webhook: Webhook
) -> None:
    await enroll(world, webhook)

    async def hang_up(writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\n{"iotHubHostName"')
        writer.close()

    webhook.reply = hang_up

    assert (await failed(world))[0] == "webhook-unreachable"


@pytest.mark.parametrize("drip", [False, True])
async def test_a_slow_answer_fails_the_registration(
    stores: Stores, webhook: Webhook, drip: bool
) -> None:
    world = await CloudWorld.open(stores, webhook=HttpWebhook(answer_timeout_s=0.3))
    await enroll(world, webhook)

    async def slow(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n" if drip else b"")
        while True:
            await asyncio.sleep(0.02)
            writer.write(b" " if drip else b"")

    webhook.reply = slow

    # Ten seconds, where the drip would go on for twenty.
    assert await asyncio.wait_for(failed(world), 10) == (
        "webhook-timeout",
        "Custom allocation failed: no answer from the webhook.",
    )
    await world.webhook.close()


@pytest.fixture
def server_tls(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a TLS server for ``localhost``, and the file of the CA that vouches for it."""
    ca = certify("webhook ca", key_of("ec"), ca=True)
    files = certify_server(["localhost"], ca).write(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.pem)
    return context, ca_file


async def test_a_webhook_whose_certificate_is_not_trusted_is_not_asked(
    world: CloudWorld, server_tls: tuple[ssl.SSLContext, Path]
) -> None:
    async with webhook_server(server_tls[0]) as webhook:
        await enroll(world, webhook)

        assert (await failed(world))[0] == "webhook-unreachable"
        assert not webhook.asked
    assert world.last_attempt is not None
    assert world.last_attempt.failure is not None
    assert "CERTIFICATE_VERIFY_FAILED" in world.last_attempt.failure.cause


async def test_a_webhook_that_the_system_trusts_is_asked_over_tls(
    world: CloudWorld,
    server_tls: tuple[ssl.SSLContext, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server_tls[1]))
    async with webhook_server(server_tls[0]) as webhook:
        webhook.reply = choose("hub2.test")
        await enroll(world, webhook)

        assert (await register(world)).assigned_hub == "hub2.test"


# -- beside other work ----------------------------------------------------------------------------


async def test_while_a_webhook_thinks_others_register_and_write(
    world: CloudWorld, webhook: Webhook
) -> None:
    thinking, done = asyncio.Event(), asyncio.Event()

    async def think(writer: asyncio.StreamWriter) -> None:
        thinking.set()
        await done.wait()
        await choose("localhost")(writer)

    webhook.reply = think
    await enroll(world, webhook)
    other = authority.root("edgegw02")
    waiting = asyncio.create_task(register(world))
    await asyncio.wait_for(thinking.wait(), 10)

    await world.enroll(other, "edgegw02")
    await world.register(other.certificate, registration_id="edgegw02")

    assert not waiting.done()
    done.set()
    assert (await waiting).assigned_hub == "localhost"


async def test_what_changes_meanwhile_is_decided_anew_without_asking_again(
    world: CloudWorld, webhook: Webhook
) -> None:
    await world.add_keyed_group("plant", KEY, terms=custom(webhook))

    async def meanwhile(writer: asyncio.StreamWriter) -> None:
        await world.add_keyed_group("unrelated")  # the authorities' version moves
        await choose("hub2.test")(writer)

    webhook.reply = meanwhile
    token = world.token(derive_device_key(KEY, "edgegw01"))

    operation = await world.register(sas_token=token)

    assert operation.registration.assigned_hub == "hub2.test"
    assert len(webhook.asked) == 1


async def test_a_hub_that_is_unlinked_meanwhile_is_not_assigned(
    world: CloudWorld, webhook: Webhook
) -> None:
    await world.add_keyed_group("plant", KEY, terms=custom(webhook))

    async def meanwhile(writer: asyncio.StreamWriter) -> None:
        await world.dps.linked_hubs.unlink("hub2.test")
        await choose("hub2.test")(writer)

    webhook.reply = meanwhile

    operation = await world.register(sas_token=world.token(derive_device_key(KEY, "edgegw01")))

    assert operation.registration.error_code == 400208
    assert world.failure == ("allocation", "no-linked-hub")


async def test_an_enrollment_that_changes_meanwhile_is_asked_for_anew(
    world: CloudWorld, webhook: Webhook
) -> None:
    await enroll(world, webhook)
    raced = False

    async def meanwhile(writer: asyncio.StreamWriter) -> None:
        nonlocal raced
        if not raced:
            raced = True
            draft = EnrollmentDraft(
                "edgegw01",
                SymmetricKeySlots(),
                terms=custom(webhook, hub_host_names=("hub2.test",)),
            )
            await world.dps.enrollments.put(draft, if_match="*")
        await choose("hub2.test")(writer)

    webhook.reply = meanwhile

    assert (await register(world)).assigned_hub == "hub2.test"
    assert [asked.document["linkedHubs"] for asked in webhook.asked] == [
        ["hub2.test", "localhost"],
        ["hub2.test"],
    ]


async def test_calls_at_one_time_are_bounded_and_the_rest_is_told_to_come_again(
    stores: Stores, webhook: Webhook
) -> None:
    asker = HttpWebhook(max_calls=2, max_wait_s=0.3)
    world = await CloudWorld.open(stores, webhook=asker)
    await world.add_keyed_group("plant", KEY, terms=custom(webhook))
    done = asyncio.Event()

    async def think(writer: asyncio.StreamWriter) -> None:
        await done.wait()
        await choose("localhost")(writer)

    webhook.reply = think

    async def one(name: str) -> Operation:
        token = world.token(derive_device_key(KEY, name), name)
        command = world.command((), name, None, sas_token=token)
        return await world.dps.register(command)

    tasks = [asyncio.create_task(one(f"dev{number}")) for number in range(6)]
    while sum(task.done() for task in tasks) < 4:
        await asyncio.sleep(0.01)
    done.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    refused = [result for result in results if isinstance(result, Overloaded)]
    assert len(refused) == 4
    assert {(error.error_code, error.code) for error in refused} == {(429001, "webhooks-busy")}
    assert sum(isinstance(result, Operation) for result in results) == 2
    assert webhook.most_at_once == 2
    await asker.close()


async def test_closing_gives_up_the_call_and_records_nothing(
    world: CloudWorld, webhook: Webhook
) -> None:
    thinking = asyncio.Event()

    async def think(_: asyncio.StreamWriter) -> None:
        thinking.set()
        await asyncio.sleep(60)

    webhook.reply = think
    await enroll(world, webhook)
    waiting = asyncio.create_task(register(world))
    await asyncio.wait_for(thinking.wait(), 10)

    await world.webhook.close()

    with pytest.raises(ShuttingDown) as refused:
        await waiting
    assert (refused.value.http_status, refused.value.error_code) == (503, 503001)
    assert not (await world.dps.registrations.list()).items
    with pytest.raises(ShuttingDown):
        await register(world)


async def test_a_registration_that_is_cancelled_takes_its_call_along(
    world: CloudWorld, webhook: Webhook
) -> None:
    thinking, gone = asyncio.Event(), asyncio.Event()

    async def think(writer: asyncio.StreamWriter) -> None:
        thinking.set()
        try:
            while True:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            gone.set()

    webhook.reply = think
    await enroll(world, webhook)
    waiting = asyncio.create_task(register(world))
    await asyncio.wait_for(thinking.wait(), 10)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(gone.wait(), 10)
    assert not world.webhook._calls


async def test_the_key_in_the_url_is_not_logged(
    world: CloudWorld, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    await enroll(world, webhook)

    with caplog.at_level(logging.DEBUG):
        await register(world)

    assert "/api/allocate?****" in caplog.text
    assert "s3cret" not in caplog.text


# -- at the door ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.test/f?code=x", "https://a.test/f?****"),
        ("https://user:pass@a.test:8443/f#part", "https://a.test:8443/f"),
        ("http://[::1]:7071/api", "http://[::1]:7071/api"),
    ],
)
def test_masked_hides_what_may_be_secret(url: str, shown: str) -> None:
    assert masked(url) == shown


async def test_custom_without_a_webhook_is_refused(world: CloudWorld) -> None:
    for definition in (None, CustomAllocation("", API_VERSION), CustomAllocation("ftp://x", "y")):
        with pytest.raises(InputInvalid):
            await world.enroll_keys(
                terms=EnrollmentTerms(
                    allocation_policy=AllocationPolicy.CUSTOM, custom_allocation=definition
                )
            )
