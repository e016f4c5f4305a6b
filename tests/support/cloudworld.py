"""DPS and one hub over a real store, for tests of the services."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.support import authority
from tests.support.clocks import StandingClock
from tests.support.stores import Stores

from mooring.cloud.dps.model import (
    CaReferences,
    CertificateSlots,
    EnrollmentDraft,
    EnrollmentTerms,
    GroupDraft,
    LinkedHub,
    Operation,
    RegisterCommand,
    Registration,
    SubjectRules,
    SymmetricKeys,
    SymmetricKeySlots,
)
from mooring.cloud.dps.service import DpsService
from mooring.cloud.dps.webhook import HttpWebhook
from mooring.cloud.hub.model import AuthenticatedDevice, Hub, HubConnect
from mooring.cloud.hub.service import HubService
from mooring.cloud.linked_hubs import OwnHubs
from mooring.pki.certificates import Certificate
from mooring.pki.plans import Issued
from mooring.protocol.azure.sas import decode_key, encode_key, format_sas_token
from mooring.runtime.attempts import Attempt, AttemptRecorder


@dataclass
class CloudWorld:
    """One cloud: a DPS linked with the hub ``localhost``."""

    stores: Stores
    clock: StandingClock
    dps: DpsService
    hubs: HubService
    hub: Hub
    webhook: HttpWebhook
    last_attempt: Attempt | None = None

    @classmethod
    async def open(
        cls,
        stores: Stores,
        *,
        rules: SubjectRules = SubjectRules.AZURE,
        webhook: HttpWebhook | None = None,
        clock: StandingClock | None = None,
    ) -> CloudWorld:
        clock = clock or StandingClock()
        hubs = await HubService.start(stores.hub, clock=clock)
        webhook = webhook or HttpWebhook()
        dps = await DpsService.start(
            stores.dps, OwnHubs(hubs), webhook=webhook, clock=clock, subject_rules=rules
        )
        if hubs.hubs.list():
            return cls(stores, clock, dps, hubs, hubs.hubs.list()[0], webhook)
        hub = await hubs.hubs.create("first", "localhost")
        await dps.linked_hubs.link(LinkedHub("localhost"))
        return cls(stores, clock, dps, hubs, hub, webhook)

    async def register(
        self,
        *presented: Certificate,
        registration_id: str = "edgegw01",
        id_scope: str | None = None,
        **fields: Any,
    ) -> Operation:
        """Register; the attempt is in `last_attempt` whatever comes of it."""
        command = self.command(presented, registration_id, id_scope, **fields)
        try:
            return await self.dps.register(command)
        finally:
            self.last_attempt = command.recorder.snapshot()

    async def look_up(
        self,
        *presented: Certificate,
        registration_id: str = "edgegw01",
        id_scope: str | None = None,
        **fields: Any,
    ) -> Registration:
        """Look the registration up; the attempt is in `last_attempt` whatever comes of it."""
        command = self.command(presented, registration_id, id_scope, **fields)
        try:
            return await self.dps.look_up(command)
        finally:
            self.last_attempt = command.recorder.snapshot()

    def command(
        self,
        presented: tuple[Certificate, ...],
        registration_id: str,
        id_scope: str | None,
        *,
        payload: Any = None,
        api_version: str = "2019-03-31",
        sas_token: str | None = None,
    ) -> RegisterCommand:
        """Return a device's request, with a recorder of its own."""
        return RegisterCommand(
            id_scope=self.dps.id_scope if id_scope is None else id_scope,
            registration_id=registration_id,
            presented=presented,
            payload=payload,
            api_version=api_version,
            source_address="127.0.0.1",
            recorder=AttemptRecorder("registration", clock=self.clock),
            sas_token=sas_token,
        )

    async def connect(
        self,
        *presented: Certificate,
        device_id: str = "edgegw01",
        host_name: str = "localhost",
        password: str | None = None,
        module_id: str | None = None,
    ) -> AuthenticatedDevice:
        """Authenticate at the hub; the attempt is in `last_attempt` whatever comes of it."""
        recorder = AttemptRecorder("hub", clock=self.clock)
        try:
            return await self.hubs.authenticate(
                HubConnect(
                    host_name, device_id, module_id, presented, password, "127.0.0.1", recorder
                )
            )
        finally:
            self.last_attempt = recorder.snapshot()

    async def add_ca(self, name: str, issued: Issued, *, verified: bool = True) -> None:
        await self.dps.certificates.add(name, issued.certificate_pem, verified=verified)

    async def add_group(
        self, name: str, *references: str, terms: EnrollmentTerms | None = None
    ) -> None:
        await self.dps.groups.put(
            GroupDraft(name, CaReferences(*references), terms or EnrollmentTerms())
        )

    async def enroll(
        self, certificate: Issued, registration_id: str = "edgegw01", **fields: Any
    ) -> None:
        await self.dps.enrollments.put(
            EnrollmentDraft(
                registration_id, CertificateSlots(certificate.certificate_pem), **fields
            )
        )

    async def enroll_keys(
        self, *keys: bytes, registration_id: str = "edgegw01", **fields: Any
    ) -> SymmetricKeys:
        """Enroll one device by symmetric keys; those that are not given are made."""
        enrollment = await self.dps.enrollments.put(
            EnrollmentDraft(registration_id, SymmetricKeySlots(*map(encode_key, keys)), **fields)
        )
        assert isinstance(enrollment.attestation, SymmetricKeys)
        return enrollment.attestation

    async def add_keyed_group(
        self, name: str, *keys: bytes, terms: EnrollmentTerms | None = None
    ) -> SymmetricKeys:
        """Make a group of symmetric keys; those that are not given are made."""
        group = await self.dps.groups.put(
            GroupDraft(name, SymmetricKeySlots(*map(encode_key, keys)), terms or EnrollmentTerms())
        )
        assert isinstance(group.attestation, SymmetricKeys)
        return group.attestation

    def twin(self, host_name: str, device_id: str = "edgegw01") -> tuple[Any, Any] | None:
        """Return tags and desired properties that a hub's device was given; None: no device."""
        hub = self.hubs.hubs.by_host_name(host_name)
        row = self.stores.initial_twin(hub.hub_id, device_id)
        if row is None:
            return None
        tags, desired = (None if text is None else json.loads(text) for text in row)
        return tags, desired

    def token(
        self,
        key: str | bytes,
        registration_id: str = "edgegw01",
        *,
        lifetime: timedelta = timedelta(hours=1),
        resource: str | None = None,
    ) -> str:
        """Return a device's token as the SDKs sign it."""
        return format_sas_token(
            resource or f"{self.dps.id_scope}/registrations/{registration_id}",
            decode_key(key) if isinstance(key, str) else key,
            expires_at=self.clock.now() + lifetime,
        )

    @property
    def failure(self) -> tuple[str, str] | None:
        """Stage and code of the last attempt's failure."""
        assert self.last_attempt is not None
        failure = self.last_attempt.failure
        if failure is None:
            return None
        assert failure.cause
        assert failure.remedy
        return failure.stage, failure.code

    @property
    def stages(self) -> list[str]:
        assert self.last_attempt is not None
        return [stage.name for stage in self.last_attempt.stages]


__all__ = ["CloudWorld", "authority"]
