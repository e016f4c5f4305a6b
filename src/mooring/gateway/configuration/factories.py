"""Cloud connection factories: which tabs a connection has, and how it may be called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mooring.gateway.configuration.schema import TabSchema
from mooring.gateway.configuration.showing import shown
from mooring.gateway.configuration.tabs import DATA_SERVICE, ENDPOINT, X509_MQTT_DATA_TRANSPORT
from mooring.gateway.errors import FactoryUnknown, PidMalformed, TabUnknown


@dataclass(frozen=True, slots=True)
class ConnectionFactory:
    """A kind of cloud connection.

    A Cloud Connection Service PID is the factory's PID, alone or with a suffix after a hyphen;
    each tab carries the same suffix, as in Kura (``X509MqttDataTransport-2``).
    """

    pid: str
    default_pid: str
    max_suffix_length: int
    tabs: tuple[TabSchema, ...]

    @property
    def pid_pattern(self) -> str:
        """Return the regular expression of valid Cloud Connection Service PIDs."""
        return f"^{re.escape(self.pid)}(-[a-zA-Z0-9]{{1,{self.max_suffix_length}}})?$"

    def check_pid(self, pid: str) -> None:
        """Refuse a Cloud Connection Service PID that breaks the factory's rule.

        Raises:
            PidMalformed: With the rule and the nearest valid PID.
        """
        # fullmatch: `$` alone would let a final line feed through.
        if re.fullmatch(self.pid_pattern, pid):
            return
        raise PidMalformed(
            f"{shown(pid)} is not a valid Cloud Connection Service PID of {self.pid}.",
            f"Use {self.default_pid}, or {self.default_pid}- followed by at most "
            f"{self.max_suffix_length} letters and digits, such as {self.default_pid}-2.",
            field="pid",
        )

    def tab_name(self, tab: TabSchema, pid: str) -> str:
        """Return the name under which `tab` is shown for the connection `pid`."""
        return tab.name + pid.removeprefix(self.pid)

    def find_tab(self, name: str, pid: str) -> TabSchema:
        """Return the tab of the connection `pid` that is called `name`, with or without suffix.

        Raises:
            TabUnknown: The connection has no such tab.
        """
        for tab in self.tabs:
            if name in (tab.name, self.tab_name(tab, pid)):
                return tab
        known = ", ".join(self.tab_name(tab, pid) for tab in self.tabs)
        raise TabUnknown(
            f"The connection {pid} has no tab {shown(name)}.",
            f"Its tabs are: {known}.",
            field="tabs",
        )

    def to_json(self) -> Mapping[str, Any]:
        """Return the definition as JSON-ready values."""
        return {
            "factory_pid": self.pid,
            "default_pid": self.default_pid,
            "pid_pattern": self.pid_pattern,
            "tabs": [tab.to_json() for tab in self.tabs],
        }


AZURE_DPS_X509 = ConnectionFactory(
    pid="AzureDpsX509",
    default_pid="AzureDpsX509",
    # A PID is shown in tables and stands in file names and log lines.
    max_suffix_length=48,
    tabs=(ENDPOINT, DATA_SERVICE, X509_MQTT_DATA_TRANSPORT),
)

FACTORIES: Mapping[str, ConnectionFactory] = {AZURE_DPS_X509.pid: AZURE_DPS_X509}


def find_factory(pid: str) -> ConnectionFactory:
    """Return the factory of that PID.

    Raises:
        FactoryUnknown: There is none.
    """
    try:
        return FACTORIES[pid]
    except KeyError:
        raise FactoryUnknown(
            f"There is no cloud connection factory {shown(pid)}.",
            f"Use one of: {', '.join(FACTORIES)}.",
            field="factory_pid",
        ) from None
