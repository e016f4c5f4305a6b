"""Where the benchmarks keep what they build and what they find; both are git-ignored."""

from __future__ import annotations

from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
PROJECT = BENCHMARKS.parent
BUILD = BENCHMARKS / ".build"
RESULTS = BENCHMARKS / "results"
