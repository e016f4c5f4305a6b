"""The garbage collector of a server that is up."""

from __future__ import annotations

import subprocess
import sys

CHECK = """
import gc
from mooring.runtime.collector import settle_collector

class Knot:
    pass

settle_collector()
assert gc.isenabled()
assert gc.get_freeze_count() > 1_000
looked_at = {id(thing) for thing in gc.get_objects()}
assert id(Knot.__dict__) not in looked_at and id(Knot) not in looked_at
knot = Knot()
knot.self = knot
assert id(knot) in {id(thing) for thing in gc.get_objects()}
del knot
assert gc.collect() > 0  # what comes later is still collected
"""


def test_settled_collector_leaves_alone_what_is_there_and_collects_what_comes() -> None:
    subprocess.run([sys.executable, "-c", CHECK], check=True, timeout=60)
