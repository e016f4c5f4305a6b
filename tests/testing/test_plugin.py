"""The pytest plug-in as users have it: pytest finds it, the fixtures run clouds and end them."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.support.commandline import wait_until
from tests.testing.conftest import Suite

PORT_RULE = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def test_cloud_is_shared_by_the_tests_of_a_session_and_ended_after_it(suite: Suite) -> None:
    suite.write("""
        from pathlib import Path

        def test_first(mooring_cloud):
            Path("first").write_text(f"{mooring_cloud.pid} {mooring_cloud.state}")

        def test_second(mooring_cloud):
            assert Path("first").read_text() == f"{mooring_cloud.pid} {mooring_cloud.state}"
            assert mooring_cloud.global_endpoint == mooring_cloud.address
    """)

    assert "2 passed" in suite.run()

    pid, state = (suite.folder / "first").read_text().split()
    assert not psutil.pid_exists(int(pid))
    assert "Traceback" not in Path(state, "cloud.log").read_text()


def test_cloud_lives_as_long_as_the_ini_file_says(suite: Suite) -> None:
    suite.write(
        """
        seen = set()

        def test_first(mooring_cloud):
            seen.add(mooring_cloud.pid)

        def test_second(mooring_cloud):
            assert mooring_cloud.pid not in seen
        """,
        ini="mooring_scope = function",
    )

    suite.run()


def test_keyword_wins_over_command_line_and_that_over_ini_file(suite: Suite) -> None:
    suite.write(
        """
        def test_settings(mooring_cloud_factory):
            by_line, by_keyword = mooring_cloud_factory(), mooring_cloud_factory(retry_after_s=2)
            assert by_line.facts["retry_after_s"] == 5
            assert by_keyword.facts["retry_after_s"] == 2
            assert by_line.address != by_keyword.address
            assert by_line.id_scope != by_keyword.id_scope
            assert by_line.facts["hubs"][0]["host_name"] == "hub.example"
        """,
        ini="mooring_settings =\n    retry_after_s = 4\n    host_name = hub.example\n",
    )

    suite.run("--mooring-set", "retry_after_s=5")


@pytest.mark.parametrize(
    ("ini", "arguments", "said"),
    [
        ("mooring_scope = forever", (), "mooring_scope is 'forever'; give one of session, "),
        ("mooring_settings = retry", (), "mooring_settings: 'retry' is not NAME=VALUE."),
        ("", ("--mooring-set", "x"), "--mooring-set: 'x' is not NAME=VALUE."),
    ],
)
def test_option_that_cannot_be_is_refused_before_any_test(
    suite: Suite, ini: str, arguments: tuple[str, ...], said: str
) -> None:
    suite.write("def test_nothing(): pass", ini=ini)

    printed = suite.run(*arguments, exit_code=pytest.ExitCode.USAGE_ERROR)

    assert said in printed
    assert "Traceback" not in printed


def test_setting_that_cannot_be_is_said_without_a_traceback(suite: Suite) -> None:
    suite.write("def test_cloud(mooring_cloud): pass")

    printed = suite.run("--mooring-set", "retry_after_s=99", exit_code=1)

    assert "mooring_cloud cannot start: The setting retry_after_s cannot be '99'" in printed
    assert "mooring/testing" not in printed
    assert "1 error" in printed


def test_cloud_that_ends_while_starting_is_quoted_at_the_line_that_made_it(suite: Suite) -> None:
    suite.write("""
        def test_cloud(mooring_cloud_factory):
            mooring_cloud_factory(address="192.0.2.1")
    """)

    printed = suite.run(exit_code=1)

    assert "ended with status 1 while starting" in printed
    assert "192.0.2.1:8883" in printed  # the cloud's own words
    assert '>       mooring_cloud_factory(address="192.0.2.1")' in printed
    assert "mooring/testing/plugin.py" not in printed


@pytest.mark.slow
def test_report_of_a_failed_test_has_what_its_devices_tried_cause_and_remedy(suite: Suite) -> None:
    suite.write("""
        import pytest
        from azure.iot.device import X509, ProvisioningDeviceClient

        def register(cloud, device):
            ProvisioningDeviceClient.create_from_x509_certificate(
                cloud.global_endpoint,
                device.registration_id,
                cloud.id_scope,
                X509(cert_file=str(device.certificate_file), key_file=str(device.key_file)),
                server_verification_cert=cloud.ca_pem,
            ).register()

        def test_other_one(mooring_cloud):
            register(mooring_cloud, mooring_cloud.enroll("first"))

        def test_disabled_by_another_certificate(mooring_cloud):
            device = mooring_cloud.enroll_group().device("second")
            mooring_cloud.enroll("second")
            register(mooring_cloud, device)

        def test_no_device(mooring_cloud):
            assert mooring_cloud is None

        @pytest.fixture
        def registered(mooring_cloud):
            register(mooring_cloud, mooring_cloud.unenrolled_device("third"))

        def test_device_of_a_fixture(registered):
            pass
    """)

    printed = suite.run(exit_code=1)

    in_setup, refused, quiet = re.split("_ test_disabled_by.* _|_ test_no_device _", printed)
    assert "failed  third  registration" in in_setup
    assert "first" not in in_setup.partition("mooring cloud on 127.")[2]
    assert "failed  second  registration" in refused
    assert "cause  Individual enrollment 'second' is for another certificate" in refused
    assert "remedy Put the device's own certificate into the enrollment" in refused
    assert "first" not in refused.partition("mooring cloud on 127.")[2]
    assert "No device tried anything during this test." in quiet
    assert "cloud.log" in quiet


def test_cloud_of_tests_that_were_killed_ends_too(suite: Suite) -> None:
    suite.write("""
        import time
        from pathlib import Path

        def test_hangs(mooring_cloud):
            Path("pid").write_text(str(mooring_cloud.pid))
            time.sleep(120)
    """)
    with subprocess.Popen(
        suite.command(),
        cwd=suite.folder,
        env=suite.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as tests:
        pid_file = suite.folder / "pid"
        wait_until(lambda: pid_file.exists() and pid_file.read_text(), "the cloud's pid")
        cloud = psutil.Process(int(pid_file.read_text()))
        tests.send_signal(signal.SIGKILL)

    assert cloud.wait(30) in (0, None)  # None: not our child, and gone


def test_parallel_runs_have_a_cloud_each_and_keep_state_and_log_when_asked(suite: Suite) -> None:
    suite.write("""
        import time
        from pathlib import Path

        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_own(mooring_cloud, worker_id, number):
            mooring_cloud.enroll(f"device{number}")
            Path(f"{worker_id}-{number}").write_text(mooring_cloud.address)
            time.sleep(0.5)
    """)

    suite.run("-n", "2", "--mooring-state", "kept")

    addresses: dict[str, set[str]] = {}
    for path in suite.folder.glob("gw*-*"):
        addresses.setdefault(path.name.split("-")[0], set()).add(path.read_text())
    assert [len(found) for found in addresses.values()] == [1, 1]
    assert len(set.union(*addresses.values())) == 2
    kept = sorted((suite.folder / "kept").iterdir())
    assert [path.name[:4] for path in kept] == ["gw0-", "gw1-"]
    for path in kept:
        assert "cloud is up" in (path / "cloud.log").read_text()
        facts = json.loads((path / "cloud" / "cloud.json").read_text())
        assert {facts["host_name"]} in addresses.values()


def test_environment_makes_the_sdks_of_this_process_trust_the_cloud(suite: Suite) -> None:
    suite.write("""
        import os
        import ssl
        import urllib.error
        import urllib.request

        import pytest
        import requests

        def test_trusted(mooring_cloud, mooring_environment):
            assert requests.get(mooring_cloud.service_url).status_code == 404
            with pytest.raises(urllib.error.HTTPError) as caught:  # reads SSL_CERT_FILE
                urllib.request.urlopen(mooring_cloud.service_url)
            assert caught.value.code == 404
            assert os.environ["NODE_EXTRA_CA_CERTS"] == str(mooring_cloud.ca_file)
            assert mooring_environment == mooring_cloud.environment()

        def test_not_trusted_after_it(mooring_cloud):
            assert "REQUESTS_CA_BUNDLE" not in os.environ
            with pytest.raises(requests.exceptions.SSLError):
                requests.get(mooring_cloud.service_url)

        def test_proxy_is_not_asked_for_the_cloud(mooring_cloud, mooring_environment, monkeypatch):
            monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
            assert requests.get(mooring_cloud.service_url).status_code == 404
    """)

    suite.run()


def test_user_who_may_not_have_443_is_told_which_sdks_cannot_be_used(suite: Suite) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is missing: apt-get install util-linux")
    if int(PORT_RULE.read_text()) <= 443:
        pytest.skip(f"every user may have 443 here: {PORT_RULE}")
    without = ("--inh-caps=-net_bind_service", "--bounding-set=-net_bind_service")
    suite.prefix = ("setpriv", *without)
    suite.write("""
        def test_registers_all_the_same(mooring_cloud):
            assert mooring_cloud.service_url.endswith(":9443")
            assert "9443" in mooring_cloud.https_fallback["cause"]
    """)

    printed = suite.run()

    assert "Port443NotPermitted: HTTPS is on port 9443" in printed
    assert "azure-iot-provisioning-device-http" in printed
    assert "sysctl" in printed


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("import mooring.testing.plugin", ("httpx", "cryptography", "pydantic", "fastapi")),
        ("from mooring.testing import ThrowAwayCloud", ("pytest", "typer", "fastapi")),
    ],
)
def test_importing_loads_no_more_than_is_needed(program: str, absent: tuple[str, ...]) -> None:
    check = f"import sys; print([name for name in {absent!r} if name in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", f"{program}; {check}"], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
