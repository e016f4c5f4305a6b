"""How a value from outside is repeated in a message: briefly, and never a key."""

from __future__ import annotations

MAX_SHOWN = 60
"""Characters repeated: enough to recognise a name. A line of a PEM has 64, so that nothing of a
key that was pasted into the wrong box comes back."""


def shown(text: str) -> str:
    """Return `text` in quotes if it is short and on one line, else what it is."""
    if len(text) <= MAX_SHOWN and text.isprintable():
        return repr(text)
    return f"(a text of {len(text)} characters)"
