"""Settings of a gateway: name, type, default and help in one place.

Read from keyword arguments, then from the environment (``MOORING_GATEWAY_…``), then defaulted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_PORT = 8080
"""Gateway console and REST (design section 3)."""


class GatewaySettings(BaseSettings):
    """Everything that can be set on a gateway when it starts."""

    model_config = SettingsConfigDict(
        env_prefix="MOORING_GATEWAY_", extra="forbid", frozen=True, validate_default=True
    )

    state_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("mooring"),
        description="Folder of everything that is written; deleting it is a factory reset.",
        json_schema_extra={"default_text": "the platform's folder for user data"},
    )
    host: str = Field(
        default="127.0.0.1",
        max_length=253,
        description="Address of the REST interface; a loopback address.",
    )
    port: int = Field(
        default=DEFAULT_PORT,
        ge=0,
        le=65_535,
        description="Port of the REST interface. 0 picks one.",
    )
    durability: Literal["FULL", "NORMAL"] = Field(
        default="FULL",
        description="FULL: what was stored survives a power cut; NORMAL: a killed process.",
    )

    @property
    def gateway_dir(self) -> Path:
        """Return the gateway's own folder inside the state folder."""
        return self.state_dir / "gateway"
