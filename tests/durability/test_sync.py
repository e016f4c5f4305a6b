"""The log is synced to disk before the PUBACK is written: seen in the system calls.

The page cache outlives a killed process, so killing it cannot show this.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.durability.devices import connect_hub, make_credential
from tests.support.cloud import running_cloud
from tests.support.rawmqtt import PUBACK

MESSAGES = 20
_CALL = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\(\d+<(?P<file>(?:[^>]|(?<=-)>)*)>")
_RESUMED = re.compile(r"(?P<thread>\d+) +<\.\.\. (?P<name>\w+) resumed>.*= (?P<result>-?\d+)")
_RESULT = re.compile(r"= (-?\d+)")

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is missing: apt-get install strace"
)


def acknowledgements_before_sync(trace: str, port: int) -> tuple[int, int]:
    """Return how many messages were answered on `port`, and how many of them too early.

    A message begins with a read from the device's socket and ends with the first write to it; in
    between an fdatasync of the write-ahead log must have ended well.
    """
    answered = early = 0
    pending = synced = False
    syncing: dict[str, str] = {}
    for line in trace.splitlines():
        if resumed := _RESUMED.match(line):
            log = syncing.pop(resumed["thread"], "")
            if resumed["name"] in ("fdatasync", "fsync") and log.endswith("-wal"):
                synced = synced or resumed["result"] == "0"
            continue
        call = _CALL.match(line)
        if call is None:
            continue
        if call["name"] in ("fdatasync", "fsync"):
            if "unfinished" in line:
                syncing[call["thread"]] = call["file"]
            elif call["file"].endswith("-wal") and line.rstrip().endswith("= 0"):
                synced = True
        elif f":{port}]" in call["file"]:
            if call["name"] in ("read", "recvfrom", "recvmsg"):
                result = _RESULT.search(line)
                if result is not None and int(result[1]) > 0:
                    pending, synced = True, False
            elif pending:
                answered += 1
                early += not synced
                pending = False
    return answered, early


def _trace_telemetry(state: Path, tmp_path: Path, durability: str) -> tuple[int, int]:
    with running_cloud(state, durability=durability) as cloud:
        device = make_credential(tmp_path, "tracer")
        cloud.add_device(device.common_name, device.thumbprint)
        with connect_hub(cloud, device) as client:
            port = client.socket.getsockname()[1]
            output = tmp_path / "trace"
            calls = "fdatasync,fsync,read,recvfrom,recvmsg,write,writev,sendto,sendmsg"
            tracer = subprocess.Popen(
                [
                    *("strace", "-f", "-yy", "-s", "0", "-e", f"trace={calls}"),
                    *("-o", str(output), "-p", str(cloud.pid)),
                ],
                stderr=subprocess.PIPE,
            )
            assert tracer.stderr is not None
            line = tracer.stderr.readline().decode()
            assert "attached" in line, line
            time.sleep(0.5)
            for number in range(MESSAGES):
                client.publish("devices/tracer/messages/events/", b"x", packet_id=number + 1)
                assert client.expect(PUBACK).packet_id == number + 1
                time.sleep(0.02)
            tracer.send_signal(signal.SIGINT)
            tracer.wait(20)
            tracer.stderr.close()
        return acknowledgements_before_sync(output.read_text(), port)


@pytest.mark.slow
def test_puback_when_durability_is_full_follows_the_sync_of_the_log(tmp_path: Path) -> None:
    answered, early = _trace_telemetry(tmp_path / "state", tmp_path, "FULL")

    assert answered == MESSAGES
    assert early == 0


@pytest.mark.slow
def test_puback_when_durability_is_normal_is_seen_to_come_too_early(tmp_path: Path) -> None:
    """The check above can fail: without the sync it sees every message answered too early."""
    answered, early = _trace_telemetry(tmp_path / "state", tmp_path, "NORMAL")

    assert answered == MESSAGES
    assert early == MESSAGES
