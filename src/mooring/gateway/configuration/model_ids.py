"""Device Model IDs: the published Eurotech models, and any other DTMI.

Source: Eurotech's interfaces in the public IoT Plug and Play model repository; the spelling of
``dg_10_14_3x`` is lower case there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NO_MODEL = "None"
"""The list's first choice: nothing is announced, neither to DPS nor to the hub."""

KNOWN_MODELS: tuple[tuple[str, str], ...] = (
    ("dtmi:Eurotech:RG_10_12_6x", "ReliaGATE 10-12-6x"),
    ("dtmi:Eurotech:DG_10_12_6x", "DynaGATE 10-12-6x"),
    ("dtmi:Eurotech:RG_10_14_3x", "ReliaGATE 10-14-3x"),
    ("dtmi:Eurotech:dg_10_14_3x", "DynaGATE 10-14"),
)
"""DTMI without version, and display name."""

MAX_DTMI_LENGTH = 128
"""Characters of an interface's DTMI, version included. DTDL v2, "Digital Twin Model Identifier"."""

MAX_MODEL_VERSION = 999_999_999
"""A DTMI's version has at most nine digits, the first not zero. DTDL v2."""

_SEGMENT = r"[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?"
_DTMI = re.compile(rf"dtmi:{_SEGMENT}(?::{_SEGMENT})*")
_VERSIONED = re.compile(r"(?P<model>[^;]*);(?P<version>[1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True)
class ModelId:
    """A model as typed: `model` without version, `version` if the text carried one."""

    model: str
    version: int | None


def parse_model_id(text: str) -> ModelId | None:
    """Return the model that `text` names, or None for no model (blank or ``None``).

    Raises:
        ValueError: `text` is no DTMI; the message says what is wrong.
    """
    text = text.strip()
    if not text or text.lower() == NO_MODEL.lower():
        return None
    match = _VERSIONED.fullmatch(text)
    model = match["model"] if match else text
    version = int(match["version"]) if match else None
    if ";" in model:
        raise ValueError("what follows the semicolon is no version (a whole number from 1)")
    if not _DTMI.fullmatch(model):
        raise ValueError(
            "it is not of the form dtmi:part:part, each part a letter followed by letters, "
            "digits and inner underscores"
        )
    if len(model) + len(";1") > MAX_DTMI_LENGTH:
        raise ValueError(f"it is longer than {MAX_DTMI_LENGTH} characters")
    return ModelId(model, version)
