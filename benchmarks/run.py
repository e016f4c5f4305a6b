"""All benchmarks in one run: ``make bench``, or one script for one figure."""

from __future__ import annotations

import sys

import connect
import fleet
import idle_memory
import methods
import million
import registration
import storm
import telemetry
import twins
from harness.bench import main

if __name__ == "__main__":
    sys.exit(
        main(
            connect.measure,
            telemetry.measure,
            methods.measure,
            twins.measure,
            idle_memory.measure,
            fleet.measure,
            registration.measure,
            storm.measure,
            million.measure,
        )
    )
