"""One version's model server, and the long-lived channels to it.

A few connections instead of one, each call on the next: a client that stalls one connection's flow control
cannot stall the calls on the others. Channels are made once and kept: making them per call leaks and costs
a handshake.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import grpc
from grpc import aio

from pilotfish.plane import UpstreamState
from pilotfish.plane.grpcio.tls import ServerTls

Address: TypeAlias = tuple[str, str]
"""A version and where its model server listens."""

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
    """A model server. Make it inside the running event loop.

    Once retired it closes when the last call on it has ended.
    """

    __slots__ = ("_calls", "_channels", "_closed", "_next", "_retired", "address", "version")

    def __init__(
        self,
        version: str,
        address: str,
        max_metadata: int,
        connections: int = _CONNECTIONS,
        *,
        retired: bool = False,
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
        self._calls = 0
        self._retired = retired
        self._closed: asyncio.Task[None] | None = None

    def begin(self) -> aio.Channel:
        """The channel for the next call, in turn. When the call has ended, :meth:`end` is to be called."""
        channels = self._channels
        self._calls += 1
        self._next = turn = (self._next + 1) % len(channels)
        return channels[turn]

    def end(self) -> None:
        """A call has ended."""
        self._calls -= 1
        self._close_if_done()

    def retire(self) -> None:
        """No version in force has this address any more."""
        self._retired = True
        self._close_if_done()

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

    def _close_if_done(self) -> None:
        if self._retired and not self._calls and self._closed is None:
            self._closed = asyncio.get_running_loop().create_task(self.close())


class Upstreams:
    """The model servers in force. A call that was decided before keeps the one it has.

    ``tls`` knows what is needed to speak to the server of a version, None without TLS.
    """

    __slots__ = ("_max_metadata", "_tls", "_upstreams")

    def __init__(self, max_metadata: int, tls: Callable[[str], ServerTls | None]) -> None:
        self._max_metadata = max_metadata
        self._tls = tls
        self._upstreams: dict[Address, Upstream] = {}

    def of(self, version: str, address: str) -> Upstream:
        """The model server that a call was decided for; one that is retired is connected to for this call."""
        found = self._upstreams.get((version, address))
        if found is not None:
            return found
        return Upstream(version, address, self._max_metadata, 1, retired=True, tls=self._tls(version))

    def connect(self, addresses: Iterable[Address]) -> None:
        """Connect to these, beside those there are."""
        for address in addresses:
            if address not in self._upstreams:
                upstream = Upstream(*address, self._max_metadata, tls=self._tls(address[0]))
                self._upstreams[address] = upstream
                upstream.connect()

    def release(self, addresses: Iterable[Address]) -> None:
        """Let go of all but these."""
        for address in self._upstreams.keys() - set(addresses):
            self._upstreams.pop(address).retire()

    def states(self) -> Mapping[str, UpstreamState]:
        """State of the connection to each version."""
        return {version: upstream.state for (version, _), upstream in self._upstreams.items()}

    async def close(self) -> None:
        """Close every connection; calls under way are cancelled."""
        await asyncio.gather(*(upstream.close() for upstream in self._upstreams.values()))
