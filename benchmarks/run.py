"""All benchmarks in one run: ``make bench``, or one script for one figure."""

from __future__ import annotations

import sys

import connect
import idle_memory
import million
import registration
import storm
import telemetry
from harness.bench import main

if __name__ == "__main__":
    sys.exit(
        main(
            connect.measure,
            telemetry.measure,
            idle_memory.measure,
            registration.measure,
            storm.measure,
            million.measure,
        )
    )
