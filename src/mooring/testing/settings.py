"""Settings of a throw-away cloud: from keywords, checked at once, to the cloud's environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pydantic
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsError

from mooring.cloud.facts import STANDARD_HTTPS_PORT
from mooring.cloud.settings import CloudSettings
from mooring.testing.errors import SettingRefused

NOT_TO_BE_SET = frozenset({"state_dir", "bind"})
"""What a throw-away cloud chooses itself; `state` and `address` are there for it."""


def checked_variables(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return `settings` as environment variables of the cloud.

    Values may be what Python has for them or text, lists also as text with commas.

    Raises:
        SettingRefused: There is no such setting, or it cannot have that value; names it.
    """
    known = [name for name in CloudSettings.model_fields if name not in NOT_TO_BE_SET]
    for name in settings:
        if name not in known:
            raise SettingRefused(
                f"A throw-away cloud has no setting {name!r}.",
                f"Give one of {', '.join(known)}; docs/settings.md explains them.",
            )
    try:
        # Only what is given here counts: the variables around are for other clouds.
        checked = _GivenOnly(**settings)
    except (pydantic.ValidationError, SettingsError) as error:
        raise SettingRefused(_fault(error), "See docs/settings.md.") from None
    document = checked.model_dump(mode="json", include=set(settings))
    prefix = str(CloudSettings.model_config.get("env_prefix", ""))
    return {f"{prefix}{name.upper()}": _text(value) for name, value in document.items()}


def ports_of(settings: Mapping[str, Any]) -> list[int]:
    """Return the ports that a cloud with these (checked) `settings` takes on its address."""
    checked = _GivenOnly(**settings)
    https = STANDARD_HTTPS_PORT if checked.https_port is None else checked.https_port
    return [checked.mqtt_port, https, checked.admin_port]


class _GivenOnly(CloudSettings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _fault(error: pydantic.ValidationError | SettingsError) -> str:
    if isinstance(error, SettingsError):
        return str(error)
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    fault = str(first["msg"]).removeprefix("Value error, ")
    return f"The setting {name} cannot be {first['input']!r}: {fault}." if name else f"{fault}."


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)
