"""The pytest plug-in: clouds as fixtures. pytest finds it by itself where Mooring is installed.

The only file of Mooring that imports pytest, and it imports nothing else of Mooring before a test
asks for a cloud: every run of pytest in the environment loads it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mooring.testing import ThrowAwayCloud

SCOPES = ("session", "package", "module", "class", "function")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("mooring", "Mooring, the throw-away cloud")
    group.addoption(
        "--mooring-state",
        metavar="DIR",
        help="Keep state and logs of the clouds below DIR, e.g. for the artifacts of a CI run.",
    )
    group.addoption(
        "--mooring-set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="A setting of every cloud, e.g. retry_after_s=2; again for each. "
        "Wins over mooring_settings.",
    )
    parser.addini(
        "mooring_settings",
        "Settings of every cloud, one NAME=VALUE a line, e.g. retry_after_s=2.",
        type="linelist",
    )
    parser.addini(
        "mooring_scope",
        f"How long a mooring_cloud lives: {', '.join(SCOPES)}.",
        default="session",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that cannot be."""
    if config.getini("mooring_scope") not in SCOPES:
        raise pytest.UsageError(
            f"mooring_scope is {config.getini('mooring_scope')!r}; give one of {', '.join(SCOPES)}."
        )
    _settings_of(config)


def _scope(fixture_name: str, config: pytest.Config) -> Any:
    del fixture_name
    return config.getini("mooring_scope")


@pytest.fixture(scope=_scope)
def mooring_cloud(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ThrowAwayCloud]:
    """A running cloud (DPS and IoT Hub), shared by all tests that take it, ended after them."""
    with _cloud(request.config, tmp_path_factory, {}) as cloud:
        yield cloud


@pytest.fixture
def mooring_cloud_factory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., ThrowAwayCloud]]:
    """A maker of running clouds for this test alone; keywords are settings of the cloud."""
    with contextlib.ExitStack() as stack:

        def make(**settings: Any) -> ThrowAwayCloud:
            return stack.enter_context(_cloud(request.config, tmp_path_factory, settings))

        yield make


@pytest.fixture
def mooring_environment(
    mooring_cloud: ThrowAwayCloud, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Let SDKs in this process trust the `mooring_cloud` for one test; the variables set for it."""
    variables = mooring_cloud.environment()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@contextlib.contextmanager
def _cloud(
    config: pytest.Config, tmp_path_factory: pytest.TempPathFactory, settings: dict[str, Any]
) -> Iterator[ThrowAwayCloud]:
    """Run a cloud in a folder of its own; what keeps it from starting is told without traceback."""
    from mooring.testing.cloud import ThrowAwayCloud  # noqa: PLC0415 - see above
    from mooring.testing.errors import CloudNotStarted, SettingRefused  # noqa: PLC0415

    folder = _state_folder(config, tmp_path_factory)
    try:
        cloud = ThrowAwayCloud(state=folder, **(_settings_of(config) | settings))
        cloud.start()
    except (CloudNotStarted, SettingRefused) as error:
        pytest.fail(f"mooring: {error}", pytrace=False)
    try:
        yield cloud
    finally:
        cloud.close()


def _state_folder(config: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = config.getoption("mooring_state")
    if kept is None:
        return tmp_path_factory.mktemp("mooring-cloud")
    worker = getattr(config, "workerinput", {}).get("workerid", "main")
    base = Path(kept).absolute()
    base.mkdir(parents=True, exist_ok=True)
    number = sum(1 for _ in base.glob(f"{worker}-*"))
    folder = base / f"{worker}-{number}"
    folder.mkdir()
    return folder


def _settings_of(config: pytest.Config) -> dict[str, Any]:
    settings = {}
    for source, lines in (
        ("mooring_settings", config.getini("mooring_settings")),
        ("--mooring-set", config.getoption("mooring_set")),
    ):
        for line in lines:
            name, equals, value = line.partition("=")
            if not equals:
                raise pytest.UsageError(f"{source}: {line!r} is not NAME=VALUE.")
            settings[name.strip()] = value.strip()
    return settings
