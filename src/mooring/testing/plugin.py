"""The pytest plug-in: clouds as fixtures. pytest finds it by itself where Mooring is installed.

The only file of Mooring that imports pytest, and it imports nothing else of Mooring before a test
asks for a cloud: every run of pytest in the environment loads it.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mooring.testing import ThrowAwayCloud

_BEGAN = pytest.StashKey[datetime]()
_CLOUDS = pytest.StashKey["list[ThrowAwayCloud]"]()

SHOWN_ATTEMPTS = 10
"""Of the newest, in the report of a test that failed: its own are among them."""

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
    from mooring.testing.errors import CloudNotStarted, SettingRefused  # noqa: PLC0415 - see above

    with contextlib.ExitStack() as stack:
        refusal = None
        try:
            cloud = stack.enter_context(_cloud(request.config, tmp_path_factory, {}))
        except (CloudNotStarted, SettingRefused) as error:
            refusal = str(error)
        if refusal is not None:
            # No line of the tests is at fault: the sentence is all there is to say.
            pytest.fail(f"mooring_cloud cannot start: {refusal}", pytrace=False)
        yield cloud


@pytest.fixture
def mooring_cloud_factory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., ThrowAwayCloud]]:
    """A maker of running clouds for this test alone; keywords are settings of the cloud."""
    made: list[ThrowAwayCloud] = request.node.stash.setdefault(_CLOUDS, [])
    with contextlib.ExitStack() as stack:

        def make(**settings: Any) -> ThrowAwayCloud:
            __tracebackhide__ = True
            made.append(stack.enter_context(_cloud(request.config, tmp_path_factory, settings)))
            return made[-1]

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


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember when the test began, for what its devices tried since."""
    item.stash[_BEGAN] = datetime.now(UTC)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a test that failed what its devices tried, with cause and remedy."""
    del call
    report = yield
    if report.failed and report.when != "teardown":
        for cloud in _clouds_of(item):
            report.sections.append((f"mooring cloud on {cloud.address}", _account(cloud, item)))
    return report


def _clouds_of(item: pytest.Item) -> list[ThrowAwayCloud]:
    arguments = getattr(item, "funcargs", {})
    shared = [arguments["mooring_cloud"]] if "mooring_cloud" in arguments else []
    return shared + item.stash.get(_CLOUDS, [])


def _account(cloud: ThrowAwayCloud, item: pytest.Item) -> str:
    from mooring.testing.errors import ThrowAwayCloudError  # noqa: PLC0415 - see above
    from mooring.testing.running import explain_attempts  # noqa: PLC0415

    began = item.stash.get(_BEGAN, datetime.min.replace(tzinfo=UTC))
    try:
        attempts = [
            attempt
            for attempt in cloud.attempts(limit=SHOWN_ATTEMPTS)
            if datetime.fromisoformat(attempt["last_at"]) >= began
        ]
    except ThrowAwayCloudError as error:
        return f"{error}\nlog: {cloud.log_file}"
    told = explain_attempts(attempts) or "No device tried anything during this test."
    return f"{told}\nlog: {cloud.log_file}"


@contextlib.contextmanager
def _cloud(
    config: pytest.Config, tmp_path_factory: pytest.TempPathFactory, settings: dict[str, Any]
) -> Iterator[ThrowAwayCloud]:
    """Run a cloud in a folder of its own."""
    __tracebackhide__ = True
    from mooring.testing.cloud import ThrowAwayCloud  # noqa: PLC0415 - see above

    folder = _state_folder(config, tmp_path_factory)
    with ThrowAwayCloud(state=folder, **(_settings_of(config) | settings)) as cloud:
        yield cloud


def _state_folder(config: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = config.getoption("mooring_state")
    if kept is None:
        return tmp_path_factory.mktemp("mooring-cloud")
    worker = getattr(config, "workerinput", {}).get("workerid", "main")
    base = Path(kept).absolute()
    base.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{worker}-", dir=base))


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
