"""A cloud to be thrown away: started for tests, on an address of its own, and ended with them."""

from __future__ import annotations

import tempfile
import warnings
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mooring.runtime.loopback import NoAddressFree, lend_loopback_address
from mooring.testing.errors import CloudNotStarted, Port443NotPermitted
from mooring.testing.facts import not_running
from mooring.testing.process import CloudProcess
from mooring.testing.running import RunningCloud
from mooring.testing.settings import checked_variables, ports_of


class ThrowAwayCloud(RunningCloud):
    """A cloud as a process of its own: DPS and IoT Hub on the standard ports of an address.

    A context manager: it runs inside its ``with`` block. Several may run at one time.
    """

    def __init__(
        self, *, state: Path | None = None, address: str | None = None, **settings: Any
    ) -> None:
        """Describe the cloud.

        Args:
            state: Its state folder, which is kept; a temporary one, removed at the end, unless
                given.
            address: The loopback address to serve on; a free one of 127.0.0.0/8 unless given.
            settings: Settings of the cloud by their names (docs/settings.md), e.g.
                ``retry_after_s=2``.

        Raises:
            SettingRefused: There is no such setting, or it cannot have that value.
        """
        self._variables = checked_variables(settings)
        self._ports = ports_of(settings)
        self._stack = ExitStack()
        self._address = address
        self._process: CloudProcess | None = None
        if state is None:
            state = Path(
                self._stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="mooring-", ignore_cleanup_errors=True)
                )
            )
        super().__init__(state)

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, and give address and folder back."""
        self.close()

    @property
    def address(self) -> str:
        """The address that it serves on.

        Raises:
            CloudNotRunning: It was not started.
        """
        return self._started.address

    @property
    def pid(self) -> int:
        """The id of its process.

        Raises:
            CloudNotRunning: There is none.
        """
        return self._started.pid

    @property
    def log_file(self) -> Path:
        """Where its log lines go."""
        return self._started.log_file

    def start(self) -> None:
        """Start it and wait until it serves; after `stop` or `kill`, again in the same state.

        Does nothing while it runs.

        Raises:
            CloudNotStarted: No address can be had, or the cloud cannot start; with its last words.
        """
        if self._process is not None and self._process.running:
            return
        try:
            if self._process is None:
                self._process = CloudProcess(self.state, self._own_address(), self._variables)
            self._process.start()
            self.connected()
            self._warn_of_fallback()
        except BaseException:
            self.close()
            raise

    def stop(self) -> int:
        """End it in good order; address and state stay for another `start`.

        Returns:
            The exit status of its process: 0 if all went well.
        """
        self.disconnected()
        return self._started.stop()

    def kill(self) -> None:
        """End it as a power cut would; address and state stay for another `start`."""
        self.disconnected()
        self._started.kill()

    def close(self) -> None:
        """End it for good. A second call does nothing."""
        self.disconnected()
        try:
            if self._process is not None:
                self._process.stop()
        finally:
            self._stack.close()

    def __repr__(self) -> str:
        """Say where it is."""
        where = "not started" if self._process is None else f"on {self._process.address}"
        return f"<{type(self).__name__} {where}, state in {self.state}>"

    def _warn_of_fallback(self) -> None:
        if (fallback := self.https_fallback) is not None:
            unusable = "".join(f"\n  {client}" for client in fallback["unusable"])
            warnings.warn(
                f"{fallback['cause']}. These dial 443 whatever they are told:{unusable}\n"
                f"{fallback['remedy']}",
                Port443NotPermitted,
                stacklevel=4,
            )

    @property
    def _started(self) -> CloudProcess:
        if self._process is None:
            raise not_running()
        return self._process

    def _own_address(self) -> str:
        if self._address is not None:
            return self._address
        try:
            return self._stack.enter_context(lend_loopback_address(self._ports))
        except NoAddressFree as error:
            raise CloudNotStarted(error.message, error.remedy) from None
