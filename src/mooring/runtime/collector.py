"""Python's garbage collector, set for a server that is up and stays up."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 10_000
"""New containers between two looks at the young ones (Python's own: 700). A connection makes some
hundred and nearly all go by themselves; a look costs by how many are still there."""

OLDER_LOOKS = 20
"""Looks at the young ones before those that stayed are looked at too (Python's own: 10)."""


def settle_collector() -> None:
    """Have the collector leave alone what is there now; call once, when a server has started.

    Modules, classes and settings are a hundred thousand objects that never become garbage. To
    walk them all takes some 80 ms, in which no device is answered, and comes again and again
    while devices come and go.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, OLDER_LOOKS, OLDER_LOOKS)
