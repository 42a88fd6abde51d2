"""Where the versions live, as the ``server.*`` attributes of client spans and metrics.

Taken from the configured address, never from a socket, as the conventions demand: a pool of addresses would
be an unbounded label.
"""

from collections.abc import Mapping

from pilotfish.telemetry.names import SERVER_ADDRESS, SERVER_PORT
from pilotfish.telemetry.series import AttributeValue


def server(address: str) -> dict[str, AttributeValue]:
    """``server.address`` and ``server.port`` of ``HOST:PORT``, ``[IPV6]:PORT`` or ``unix:/path``."""
    if address.startswith("unix:"):
        return {SERVER_ADDRESS: address.removeprefix("unix:")}
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()):
        return {SERVER_ADDRESS: address} if address else {}
    return {SERVER_ADDRESS: host.strip("[]"), SERVER_PORT: int(port)}


class Upstreams:
    """The configured address of every version."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._attributes = {version: server(address) for version, address in addresses.items()}

    def of(self, version: str) -> Mapping[str, AttributeValue]:
        """``server.*`` attributes of a version; none when its address is not known."""
        return self._attributes.get(version, {})
