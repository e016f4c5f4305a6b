"""What keeps a cloud from starting, named by the fact."""

from __future__ import annotations


class CloudError(Exception):
    """Root of the errors of starting and stopping; holds `code`, `message`, `remedy`."""

    code = "cloud-error"

    def __init__(self, message: str, remedy: str) -> None:
        """Hold the facts."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class StateFolderUnusable(CloudError):
    """The state folder cannot be made or written."""

    code = "state-folder-unusable"


class AddressUnavailable(CloudError):
    """An address and port to listen on cannot be had."""

    code = "address-unavailable"


class PortNotPermitted(AddressUnavailable):
    """A port to listen on is kept from this user by the system."""

    code = "port-not-permitted"


class ServerIdentityBroken(CloudError):
    """The server CA in the state folder cannot be used."""

    code = "server-ca-broken"
