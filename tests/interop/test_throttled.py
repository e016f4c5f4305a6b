"""Unmodified Azure SDKs that are throttled wait as they are told, and then get through."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest
from tests.interop.sdks import NodeSdk, PythonSdk, Sdk, key_options
from tests.support.cloud import CloudThread, ShiftedClock, cloud_on_thread
from tests.support.sastokens import new_key

from mooring.cloud.dps.throttling import POLLS, REGISTRATIONS, Rate, ThrottlingMode

pytestmark = [pytest.mark.interop, pytest.mark.slow]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Generator[CloudThread]:
    """Run a cloud that keeps Azure's rates."""
    state = tmp_path_factory.mktemp("cloud")
    with cloud_on_thread(state, throttling=ThrottlingMode.AZURE) as running:
        yield running


@pytest.fixture(scope="module")
def clock(cloud: CloudThread) -> ShiftedClock:
    """Return the clock of the throttling alone: no connection is overdue when it goes forward."""
    assert cloud.application is not None
    clock = ShiftedClock()
    cloud.application.throttling._clock = clock
    return clock


@pytest.fixture(params=[PythonSdk(), NodeSdk()], ids=lambda sdk: sdk.label)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    """Return each SDK that repeats what is throttled: over HTTPS, Node's does not."""
    found: Sdk = request.param
    return found


def exceed_once(clock: ShiftedClock, admit: Callable[..., None], rate: Rate) -> Callable[..., None]:
    """Return `admit` so that its first caller comes when others have used the rate up."""
    used_up = False

    def admit_after_others(*key: str) -> None:
        nonlocal used_up
        if used_up:
            admit(*key)
            return
        used_up = True
        for _ in range(rate.limit):
            admit(*key)
        try:
            admit(*key)
        finally:
            clock.shift_s += rate.window_s

    return admit_after_others


def test_register_and_poll_that_are_throttled_are_repeated_and_succeed(
    sdk: Sdk, cloud: CloudThread, clock: ShiftedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"throttled{sdk.label}"
    keys = {"primaryKey": new_key(), "secondaryKey": new_key()}
    attestation = {"type": "symmetricKey", "symmetricKey": keys}
    cloud.calls.put_enrollment(name, {"registrationId": name, "attestation": attestation})
    assert cloud.application is not None
    throttling = cloud.application.throttling
    clock.shift_s += REGISTRATIONS.window_s  # the test before is past
    for method, rate in (("admit_registration", REGISTRATIONS), ("admit_poll", POLLS)):
        admit = exceed_once(clock, getattr(throttling, method), rate)
        monkeypatch.setattr(throttling, method, admit)

    run = sdk.run(cloud, key_options(cloud, keys["primaryKey"], name))

    assert run.exit_status == 0, run
    assert run.event("registered")["status"] == "assigned"
    (refused,) = cloud.attempts(registration_id=name, result="failed")
    assert refused["failure"]["code"] == "throttled"
    (good,) = cloud.attempts(registration_id=name, result="succeeded")
    assert good["context"]["detail"].startswith("answered 429 in between")
