"""One version's model server, and the long-lived channels to it.

A few connections instead of one, each call on the next: a client that stalls one connection's flow control
cannot stall the calls on the others. Channels are made once and kept: making them per call leaks and costs
a handshake.
"""

import asyncio
from typing import Final

import grpc
from grpc import aio

from pilotfish.plane import UpstreamState
from pilotfish.plane.grpcio.tls import ServerTls

_CONNECTIONS: Final = 4

_STATES: Final[dict[grpc.ChannelConnectivity, UpstreamState]] = {
    grpc.ChannelConnectivity.READY: "ready",
    grpc.ChannelConnectivity.IDLE: "connecting",
    grpc.ChannelConnectivity.CONNECTING: "connecting",
    grpc.ChannelConnectivity.TRANSIENT_FAILURE: "unreachable",
    grpc.ChannelConnectivity.SHUTDOWN: "unreachable",
}


def channel_options(max_metadata: int) -> list[tuple[str, int]]:
    """Arguments of a channel that adds no limit and no opinion of its own. ``max_metadata`` is in bytes."""
    return [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", max_metadata),
        ("grpc.absolute_max_metadata_size", max_metadata),
        ("grpc.use_local_subchannel_pool", 1),  # else channels to one address share one connection
        ("grpc.enable_retries", 0),  # a call is sent once; whether to repeat it is the client's choice
        ("grpc.enable_http_proxy", 0),  # the model is a neighbour, whatever the environment says
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.min_reconnect_backoff_ms", 5000),  # how long one attempt to connect may take
    ]


class Upstream:
    """A model server. Make it inside the running event loop."""

    __slots__ = ("_channels", "_next", "address", "version")

    def __init__(
        self,
        version: str,
        address: str,
        max_metadata: int,
        connections: int = _CONNECTIONS,
        tls: ServerTls | None = None,
    ) -> None:
        self.version = version
        self.address = address
        options: list[tuple[str, int | str]] = [*channel_options(max_metadata)]
        if tls is None:
            self._channels = [aio.insecure_channel(address, options=options) for _ in range(connections)]
        else:
            options.append(("grpc.ssl_target_name_override", tls.name))
            self._channels = [
                aio.secure_channel(address, tls.credentials, options=options) for _ in range(connections)
            ]
        self._next = 0

    def channel(self) -> aio.Channel:
        """The channel for the next call, in turn."""
        channels = self._channels
        self._next = turn = (self._next + 1) % len(channels)
        return channels[turn]

    def connect(self) -> None:
        """Begin to connect, so that the first call finds a connection; does not wait."""
        for channel in self._channels:
            channel.get_state(try_to_connect=True)

    @property
    def state(self) -> UpstreamState:
        """The best state among the connections."""
        states = {_STATES[channel.get_state()] for channel in self._channels}
        if "ready" in states:
            return "ready"
        return "connecting" if "connecting" in states else "unreachable"

    async def close(self) -> None:
        """Close every connection; calls under way are cancelled."""
        await asyncio.gather(*(channel.close() for channel in self._channels))
