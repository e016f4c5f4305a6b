"""The process's limit of open files: each connection holds one."""

from __future__ import annotations

import resource

RESERVED_FILES = 256
"""Descriptors kept for everything but connections: databases, logs, listeners, CLI requests."""


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one and return what is in force.

    The usual soft limit of 1024 would end a listener at its thousandth device. A system that
    forbids the change keeps its limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        return soft
    return hard
