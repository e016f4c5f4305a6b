"""One connection's supervisor, over a transport that does as the test orders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mooring.gateway.configuration.findings import Finding
from mooring.gateway.connections import attempt as attempt_module
from mooring.gateway.connections import supervisor as supervisor_module
from mooring.gateway.connections.assignments import Assignment
from mooring.gateway.connections.closures import TAKEN_OVER
from mooring.gateway.connections.model import ConnectionStatus, Fault, LinkFacts
from mooring.gateway.connections.ports import AttemptFailed, Progress
from mooring.gateway.connections.states import ConnectionStage, ConnectionState
from mooring.gateway.connections.supervisor import Plan, Supervisor
from mooring.gateway.data.message import TelemetryMessage
from mooring.pki.lint import Severity
from mooring.runtime.attempts import Attempt
from mooring.runtime.clock import SYSTEM_CLOCK

S = ConnectionState
REFUSED = Fault("provisioning.register", "certificate-refused", "It was refused.", "Mend it.")
WRONG_SCOPE = replace(REFUSED, code="id-scope-unknown", permanent=True)
HUB_REFUSED = Fault(
    "connecting.mqtt", "connack-not-authorized", "No.", "Look.", assignment_suspect=True
)
CLOSED = Fault("connected", "closed-by-server", "The server closed.", "Wait.")


class FakeLink:
    def __init__(self, transport: FakeTransport) -> None:
        self._transport = transport
        self.lost: asyncio.Future[Fault] = asyncio.get_running_loop().create_future()
        self.facts = LinkFacts("hub", "gw01", SYSTEM_CLOCK.now(), "", "", "", "", "op")
        transport.live += 1
        transport.most_live = max(transport.most_live, transport.live)
        self._open = True

    def send(self, message: TelemetryMessage, *, again: bool) -> asyncio.Future[None]:
        raise NotImplementedError

    def lose(self, fault: Fault) -> None:
        self.lost.set_result(fault)

    async def disconnect(self) -> None:
        if self._open:
            self._open = False
            self._transport.live -= 1


class FakeTransport:
    """Fails in the given order, then succeeds; `gate` holds an attempt at registering."""

    live = 0
    most_live = 0

    def __init__(self, *faults: Fault) -> None:
        self.faults = list(faults)
        self.registrations = 0
        self.links: list[FakeLink] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.findings: list[Finding] = []
        self.assignment_key = "key"
        self.context = {"registration_id": "gw01"}

    async def check(self) -> list[Finding]:
        return self.findings

    async def provision(self, progress: Progress) -> Assignment:
        progress.enter(ConnectionStage.REGISTER)
        await self.gate.wait()
        if self.faults and self.faults[0].stage.startswith("provisioning"):
            raise AttemptFailed(self.faults.pop(0))
        self.registrations += 1
        return Assignment("hub", "gw01", datetime.now(UTC), "op")

    async def connect(self, assignment: Assignment, progress: Progress) -> FakeLink:
        progress.enter(ConnectionStage.MQTT)
        await asyncio.sleep(0)
        if self.faults and self.faults[0].stage.startswith("connecting"):
            raise AttemptFailed(self.faults.pop(0))
        link = FakeLink(self)
        self.links.append(link)
        return link


class FakeStores:
    def __init__(self) -> None:
        self.assignment: Assignment | None = None
        self.attempts: list[Attempt] = []

    async def find(self, pid: str, key: str) -> Assignment | None:
        return self.assignment

    async def keep(self, pid: str, key: str, assignment: Assignment) -> None:
        self.assignment = assignment

    async def forget(self, pid: str) -> None:
        self.assignment = None

    def add(self, pid: str, attempt: Attempt) -> None:
        self.attempts.append(attempt)


class FakeUser:
    def __init__(self) -> None:
        self.attached: Any = None
        self.drained: list[float] = []

    def attach(self, link: Any) -> None:
        assert self.attached is None
        self.attached = link

    def detach(self) -> None:
        self.attached = None

    async def drain(self, timeout_s: float) -> int:
        self.drained.append(timeout_s)
        return 0


class Bench:
    """A supervisor with its surroundings."""

    def __init__(self) -> None:
        self.stores = FakeStores()
        self.user = FakeUser()
        self.supervisor = Supervisor(
            "AzureDpsX509",
            user=self.user,
            assignments=self.stores,
            attempts=self.stores,
            clock=SYSTEM_CLOCK,
        )

    def start(
        self, transport: FakeTransport, *, connect: bool = True, retry_s: float = 0.01
    ) -> FakeTransport:
        self.supervisor.start(plan(transport, retry_s=retry_s), connect=connect)
        return transport

    async def until(self, done: Callable[[ConnectionStatus], bool] | ConnectionState) -> Any:
        wanted = (lambda s: s.state is done) if isinstance(done, ConnectionState) else done
        status = await self.supervisor.wait_until(wanted, timeout_s=10)
        assert wanted(status), status
        return status

    def states(self) -> list[ConnectionState]:
        """Return the states gone through, stages left out."""
        return [t.state for t in self.supervisor.status().history if t.stage is None]


def plan(transport: FakeTransport, *, retry_s: float = 0.01) -> Plan:
    return Plan(transport, retry_s, max(retry_s, 0.02), 1.5)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.supervisor.close()


async def test_start_when_not_asked_to_connect_stays_idle(bench: Bench) -> None:
    bench.start(FakeTransport(), connect=False)
    status = await bench.until(S.IDLE)
    assert (status.will_reconnect, status.paused) == (False, False)


async def test_start_when_not_configured_stays_disabled_until_it_is(bench: Bench) -> None:
    bench.supervisor.start(None, connect=True)
    assert bench.supervisor.status().state is S.DISABLED
    bench.supervisor.reconfigure(plan(FakeTransport()), connect=False)
    await bench.until(S.CONNECTED)


async def test_connect_when_all_is_well_goes_through_the_states_in_order(bench: Bench) -> None:
    transport = bench.start(FakeTransport())
    status = await bench.until(S.CONNECTED)
    assert bench.states() == [
        S.DISABLED, S.IDLE, S.LINTING, S.PROVISIONING, S.ASSIGNED, S.CONNECTING, S.CONNECTED,
    ]  # fmt: skip
    assert bench.user.attached is transport.links[0]
    assert (status.fault, status.will_reconnect) == (None, True)
    assert bench.stores.attempts[0].result == "succeeded"


async def test_connect_when_refused_backs_off_says_why_and_comes_back(bench: Bench) -> None:
    bench.start(FakeTransport(REFUSED, REFUSED))
    status = await bench.until(S.BACKOFF)
    assert (status.fault, status.attempt_number) == (REFUSED, 2)
    assert status.next_attempt_at is not None
    assert status.will_reconnect
    await bench.until(S.CONNECTED)
    failed, again, connected = bench.stores.attempts
    assert failed.failure is not None
    assert failed.failure.stage == "provisioning.register"
    assert again.failure is not None
    assert connected.failure is None


async def test_connect_when_only_a_configuration_can_mend_it_fails_for_good(bench: Bench) -> None:
    transport = bench.start(FakeTransport(WRONG_SCOPE))
    status = await bench.until(S.FAILED_PERMANENT)
    assert (status.will_reconnect, status.next_attempt_at) == (False, None)
    await asyncio.sleep(0.1)
    assert len(bench.stores.attempts) == 1
    bench.supervisor.connect()
    await bench.until(S.CONNECTED)
    assert transport.registrations == 1


async def test_lint_when_it_finds_an_error_stops_before_the_network(bench: Bench) -> None:
    transport = FakeTransport()
    transport.findings = [
        Finding("w_x", Severity.WARNING, "f", "only a warning", "r"),
        Finding("e_expired", Severity.ERROR, "f", "It has expired.", "Renew it."),
    ]
    bench.start(transport)
    status = await bench.until(S.FAILED_PERMANENT)
    assert (status.fault.stage, status.fault.code) == ("linting", "e_expired")
    assert transport.registrations == 0


@pytest.mark.parametrize("rule_id", ["e_not_yet_valid", "e_clock_not_sane"])
async def test_lint_when_time_alone_mends_it_tries_again(bench: Bench, rule_id: str) -> None:
    transport = FakeTransport()
    transport.findings = [Finding(rule_id, Severity.ERROR, "f", "Not yet.", "Wait.")]
    bench.start(transport)
    await bench.until(S.BACKOFF)
    transport.findings = []
    await bench.until(S.CONNECTED)


async def test_known_assignment_when_it_holds_connects_without_dps(bench: Bench) -> None:
    bench.stores.assignment = Assignment("hub", "gw01", datetime.now(UTC))
    transport = bench.start(FakeTransport())
    await bench.until(S.CONNECTED)
    assert transport.registrations == 0
    assert S.PROVISIONING not in bench.states()


async def test_known_assignment_when_the_hub_refuses_it_registers_once_at_once(
    bench: Bench,
) -> None:
    bench.stores.assignment = Assignment("old-hub", "gw01", datetime.now(UTC))
    transport = bench.start(FakeTransport(HUB_REFUSED))
    await bench.until(S.CONNECTED)
    assert transport.registrations == 1
    assert S.BACKOFF not in bench.states()
    refused, connected = bench.stores.attempts
    assert (refused.result, connected.result) == ("failed", "succeeded")


async def test_known_assignment_when_the_hub_refuses_the_new_one_too_backs_off(
    bench: Bench,
) -> None:
    bench.stores.assignment = Assignment("old-hub", "gw01", datetime.now(UTC))
    transport = bench.start(FakeTransport(HUB_REFUSED, HUB_REFUSED), retry_s=30)
    status = await bench.until(S.BACKOFF)
    assert (status.fault, transport.registrations) == (HUB_REFUSED, 1)


async def test_known_assignment_when_it_fails_for_long_is_doubted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "DOUBT_ASSIGNMENT_AFTER_S", 0.05)
    bench.stores.assignment = Assignment("hub", "gw01", datetime.now(UTC))
    trouble = replace(HUB_REFUSED, code="connection-refused", assignment_suspect=False)
    transport = bench.start(FakeTransport(*[trouble] * 30))
    await bench.until(lambda s: transport.registrations == 1)
    transport.faults.clear()
    await bench.until(S.CONNECTED)


async def test_known_assignment_when_an_outage_is_short_is_not_doubted(bench: Bench) -> None:
    bench.stores.assignment = Assignment("hub", "gw01", datetime.now(UTC))
    trouble = replace(HUB_REFUSED, code="connection-refused", assignment_suspect=False)
    transport = bench.start(FakeTransport(*[trouble] * 6))
    await bench.until(S.CONNECTED)
    assert transport.registrations == 0


@pytest.mark.parametrize(
    ("stage", "kept"), [("provisioning.dns", True), ("provisioning.register", False)]
)
async def test_known_assignment_when_in_doubt_goes_by_the_word_of_dps_alone(
    bench: Bench, stage: str, kept: bool
) -> None:
    bench.stores.assignment = Assignment("hub", "gw01", datetime.now(UTC))
    unresolved = replace(HUB_REFUSED, code="name-not-resolved")
    bench.start(FakeTransport(unresolved, replace(REFUSED, stage=stage)), retry_s=30)
    status = await bench.until(S.BACKOFF)
    assert status.fault.stage == stage
    assert (bench.stores.assignment is not None) is kept


async def test_loss_when_it_comes_records_it_and_reconnects_without_dps(bench: Bench) -> None:
    transport = bench.start(FakeTransport())
    await bench.until(S.CONNECTED)
    transport.links[0].lose(CLOSED)
    await bench.until(S.BACKOFF)
    assert bench.user.attached is None
    await bench.until(S.CONNECTED)
    assert (transport.registrations, transport.most_live) == (1, 1)
    lost = bench.stores.attempts[1]
    assert (lost.kind, lost.failure.stage) == ("connection", "connected")


async def test_loss_when_it_repeats_soon_after_connecting_names_the_other_client(
    bench: Bench,
) -> None:
    transport = bench.start(FakeTransport())
    for number in range(2):
        await bench.until(lambda s, n=number: s.state is S.CONNECTED and len(transport.links) > n)
        transport.links[-1].lose(CLOSED)
        status = await bench.until(S.BACKOFF)
    assert status.fault.code == TAKEN_OVER
    assert "another client" in status.fault.cause
    assert status.fault.remedy


async def test_disconnect_when_connected_drains_says_goodbye_and_pauses(bench: Bench) -> None:
    transport = bench.start(FakeTransport())
    await bench.until(S.CONNECTED)
    await bench.supervisor.disconnect()
    status = bench.supervisor.status()
    assert (status.state, status.paused, status.will_reconnect) == (S.IDLE, True, False)
    assert bench.user.drained == [1.5]
    assert transport.live == 0
    assert bench.states()[-2:] == [S.DRAINING, S.IDLE]
    bench.supervisor.connect()
    status = await bench.until(S.CONNECTED)
    assert not status.paused


async def test_disconnect_when_registering_ends_the_attempt_and_records_it(bench: Bench) -> None:
    transport = FakeTransport()
    transport.gate.clear()
    bench.start(transport)
    await bench.until(lambda s: s.stage is ConnectionStage.REGISTER)
    await bench.supervisor.disconnect()
    assert bench.supervisor.status().state is S.IDLE
    (attempt,) = bench.stores.attempts
    assert attempt.failure is not None
    assert attempt.failure.code == "interrupted"


async def test_disconnect_when_backing_off_ends_the_wait(bench: Bench) -> None:
    bench.start(FakeTransport(REFUSED), retry_s=30)
    await bench.until(S.BACKOFF)
    await bench.supervisor.disconnect()
    status = bench.supervisor.status()
    assert (status.state, status.next_attempt_at) == (S.IDLE, None)


async def test_disconnect_when_the_link_is_lost_at_that_moment_does_not_wait(
    bench: Bench,
) -> None:
    transport = bench.start(FakeTransport(), retry_s=3600)
    await bench.until(S.CONNECTED)
    transport.links[0].lose(CLOSED)
    async with asyncio.timeout(5):
        await bench.supervisor.disconnect()
    assert bench.supervisor.status().state is S.IDLE


async def test_connect_when_backing_off_tries_at_once(bench: Bench) -> None:
    bench.start(FakeTransport(REFUSED), retry_s=30)
    await bench.until(S.BACKOFF)
    bench.supervisor.connect()
    await bench.until(S.CONNECTED)


async def test_connect_when_connected_or_under_way_changes_nothing(bench: Bench) -> None:
    transport = FakeTransport()
    transport.gate.clear()
    bench.start(transport)
    await bench.until(lambda s: s.stage is ConnectionStage.REGISTER)
    bench.supervisor.connect()
    transport.gate.set()
    await bench.until(S.CONNECTED)
    bench.supervisor.connect()
    await asyncio.sleep(0.05)
    assert len(transport.links) == 1
    assert len(bench.stores.attempts) == 1


async def test_manual_connect_when_the_link_is_lost_still_recovers(bench: Bench) -> None:
    transport = bench.start(FakeTransport(), connect=False)
    bench.supervisor.connect()
    await bench.until(S.CONNECTED)
    transport.links[0].lose(CLOSED)
    await bench.until(S.BACKOFF)
    await bench.until(S.CONNECTED)


@pytest.mark.parametrize("at", ["registering", "connected", "backing off", "failed"])
async def test_reconfigure_when_the_transport_changes_leaves_one_live_client(
    bench: Bench, at: str
) -> None:
    old, new = FakeTransport(), FakeTransport()
    if at == "registering":
        old.gate.clear()
    elif at == "backing off":
        old.faults = [REFUSED]
    elif at == "failed":
        old.faults = [WRONG_SCOPE]
    bench.start(old, retry_s=30)
    state = {"registering": S.PROVISIONING, "connected": S.CONNECTED, "backing off": S.BACKOFF,
             "failed": S.FAILED_PERMANENT}[at]  # fmt: skip
    await bench.until(lambda s: s.state is state and (s.stage or state is not S.PROVISIONING))

    bench.supervisor.reconfigure(plan(new), connect=False)
    await bench.until(lambda s: s.state is S.CONNECTED and bool(new.links))

    assert (old.live, new.live) == (0, 1)
    assert bench.user.attached is new.links[0]
    assert bench.supervisor.status().attempt_number == 1


async def test_reconfigure_when_only_times_change_keeps_the_link(bench: Bench) -> None:
    transport = bench.start(FakeTransport())
    await bench.until(S.CONNECTED)
    bench.supervisor.reconfigure(plan(transport, retry_s=5), connect=False)
    await asyncio.sleep(0.05)
    assert bench.supervisor.status().state is S.CONNECTED
    assert len(transport.links) == 1


async def test_reconfigure_when_paused_stays_paused(bench: Bench) -> None:
    bench.start(FakeTransport())
    await bench.until(S.CONNECTED)
    await bench.supervisor.disconnect()
    bench.supervisor.reconfigure(plan(FakeTransport()), connect=False)
    await asyncio.sleep(0.05)
    assert bench.supervisor.status().state is S.IDLE


async def test_retry_hint_when_the_server_gives_one_is_honoured(bench: Bench) -> None:
    bench.start(FakeTransport(replace(REFUSED, retry_after_s=40.0)))
    status = await bench.until(S.BACKOFF)
    wait_s = (status.next_attempt_at - SYSTEM_CLOCK.now()).total_seconds()
    assert 39 < wait_s <= 50


async def test_backoff_when_failures_repeat_grows_and_is_reset_by_a_stable_connection(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = bench.start(FakeTransport(REFUSED, REFUSED, REFUSED))
    await bench.until(S.CONNECTED)
    assert bench.supervisor.status().attempt_number == 4
    transport.links[0].lose(CLOSED)
    status = await bench.until(S.BACKOFF)
    assert status.attempt_number == 5
    monkeypatch.setattr(supervisor_module, "STABLE_AFTER_S", 0.02)
    await bench.until(S.CONNECTED)
    await asyncio.sleep(0.1)
    assert bench.supervisor.status().attempt_number == 1


async def test_defect_in_a_transport_is_a_failed_attempt_not_a_dead_task(bench: Bench) -> None:
    transport = FakeTransport()

    async def broken(progress: Progress) -> Assignment:
        raise RuntimeError("secret detail")

    provision, transport.provision = transport.provision, broken
    bench.start(transport)
    status = await bench.until(S.BACKOFF)
    assert status.fault.code == "internal-error"
    assert "secret detail" not in status.fault.cause
    transport.provision = provision
    await bench.until(S.CONNECTED)


async def test_close_when_connected_says_goodbye_and_ends(bench: Bench) -> None:
    transport = bench.start(FakeTransport())
    await bench.until(S.CONNECTED)
    await bench.supervisor.close()
    assert transport.live == 0
    assert bench.supervisor.status().state is S.IDLE
