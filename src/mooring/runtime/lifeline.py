"""The tie between a program and the one that started it: no program outlives its starter.

The starter holds the write end of a pipe and hands the read end to the child, which reads the end
of the file when the starter is gone, even if that was killed and could not send a signal.
"""

from __future__ import annotations

LIFELINE_VARIABLE = "MOORING_LIFELINE_FD"
"""Names, in the child's environment, the descriptor of the pipe's read end."""
