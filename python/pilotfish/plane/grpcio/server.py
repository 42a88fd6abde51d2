"""The plane: one ``grpc.aio`` server with one generic handler for every path there is.

Builds upstreams, transport, shadows and relay in this order, and stops them in reverse.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

import grpc
import structlog
from grpc import aio

from pilotfish._core import Certificates, Engine
from pilotfish.call import Keep
from pilotfish.errors import AddressInUse
from pilotfish.methods import known_unary
from pilotfish.plane import UpstreamState
from pilotfish.plane.grpcio import interceptors
from pilotfish.plane.grpcio.forwarded import ClientAddress, ClientCertificate, Forwarded
from pilotfish.plane.grpcio.relay import Relay
from pilotfish.plane.grpcio.shadow import Shadows
from pilotfish.plane.grpcio.stream import StreamMethod
from pilotfish.plane.grpcio.tls import ServerTls, listener_credentials, server_tls
from pilotfish.plane.grpcio.transport import Transport
from pilotfish.plane.grpcio.transport.core import CoreTransport, usable
from pilotfish.plane.grpcio.transport.public import PublicTransport
from pilotfish.plane.grpcio.unary import UnaryMethod
from pilotfish.plane.grpcio.upstream import Address, Upstreams
from pilotfish.settings import Settings

_Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"

_PATHS_REMEMBERED: Final = 1024
_PING_INTERVAL_MS: Final = 5000

_log = structlog.get_logger("pilotfish.plane")


class GrpcioPlane:
    """The grpcio data plane. One per process: ``grpc.aio`` works with one event loop only."""

    def __init__(
        self, settings: Settings, engine: Engine, keep: Keep, certificates: Certificates | None = None
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._keep = keep
        self._certificates = certificates
        self._upstreams = Upstreams(settings.limits.metadata, self._server_tls)
        self._shadow_upstreams = Upstreams(settings.limits.metadata, self._server_tls)
        self._shadows: Shadows | None = None
        self._server: aio.Server | None = None

    async def start(self) -> str:
        """Listen and return the bound address. Raises AddressInUse, ConfigurationError."""
        settings = self._settings
        chain = interceptors.load(settings.interceptors)
        loop = asyncio.get_running_loop()
        transport = _transport(loop)
        self._shadows = Shadows(self._engine, transport, self._shadow_upstreams)
        relay = Relay(
            self._engine, self._keep, transport, self._upstreams, self._shadows, [*self._forwarded()]
        )
        handlers = _Handlers(relay, known_unary(settings.unary_methods), loop, intercepted=bool(chain))
        self._server = aio.server(interceptors=chain, options=self._options())
        self._server.add_generic_rpc_handlers((handlers,))
        address = self._bind(self._server)
        await self._server.start()
        self.connect(settings)
        return address

    def connect(self, settings: Settings) -> None:
        """Connect to the model servers of these settings, beside those there are."""
        self._upstreams.connect(_addresses(settings))
        self._shadow_upstreams.connect(_shadow_addresses(settings))

    def release(self, settings: Settings) -> None:
        """Let go of all other model servers, each once its last call has ended."""
        self._upstreams.release(_addresses(settings))
        self._shadow_upstreams.release(_shadow_addresses(settings))

    async def drain(self, seconds: float) -> None:
        """Let calls under way end within ``seconds``, then stop everything."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(seconds)
        if self._shadows is not None:
            await self._shadows.stop()
        await asyncio.gather(self._upstreams.close(), self._shadow_upstreams.close())

    @property
    def ready(self) -> bool:
        """Whether calls are accepted."""
        return self._server is not None

    def counters(self) -> Mapping[str, int]:
        """None: grpcio keeps its connections to itself."""
        return {}

    def upstreams(self) -> Mapping[str, UpstreamState]:
        """State of the connection to each version."""
        return self._upstreams.states()

    def _server_tls(self, version: str) -> ServerTls | None:
        return None if self._certificates is None else server_tls(self._certificates, version)

    def _forwarded(self) -> Iterator[Forwarded]:
        tls = self._settings.tls
        if tls is not None and self._certificates is not None and tls.forward_client_certificate:
            yield ClientCertificate(self._certificates)
        if self._settings.forward_client_address:
            yield ClientAddress()

    def _options(self) -> list[tuple[str, int]]:
        limits = self._settings.limits
        return [
            ("grpc.so_reuseport", 0),  # else two sidecars share a port and each gets half of the connections
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", limits.metadata),
            ("grpc.absolute_max_metadata_size", limits.metadata),
            ("grpc.max_concurrent_streams", limits.concurrent_streams),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", _PING_INTERVAL_MS),
        ]

    def _bind(self, server: aio.Server) -> str:
        listen = self._settings.listen
        try:
            port = self._add_port(server, listen)
        except RuntimeError as exc:
            remedy = "stop what listens there, or choose another address with --listen"
            raise AddressInUse(f"cannot listen on {listen}: {remedy}") from exc
        if listen.startswith("unix:"):
            return listen
        return f"{listen.rpartition(':')[0]}:{port}"

    def _add_port(self, server: aio.Server, listen: str) -> int:
        tls = self._settings.tls
        if tls is None or self._certificates is None:
            return server.add_insecure_port(listen)
        return server.add_secure_port(listen, listener_credentials(self._certificates, tls))


class _Handlers(grpc.GenericRpcHandler):
    """Finds the handler of a path. Handlers are remembered, but paths come from clients: only so many."""

    def __init__(
        self, relay: Relay, unary: frozenset[str], loop: asyncio.AbstractEventLoop, *, intercepted: bool
    ) -> None:
        self._intercepted = intercepted
        self._relay = relay
        self._loop = loop
        self._unary = unary
        self._remembered: dict[str, _Handler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Handler:
        """The handler for any path."""
        path = handler_call_details.method
        handler = self._remembered.get(path)
        if handler is None:
            handler = self._make(path)
            if len(self._remembered) < _PATHS_REMEMBERED or path in self._unary:
                self._remembered[path] = handler
        return handler

    def _make(self, path: str) -> _Handler:
        if path in self._unary:
            unary = UnaryMethod(path, self._relay, self._loop)
            if self._intercepted:  # interceptors must see the kind of call it is
                return grpc.unary_unary_rpc_method_handler(unary.handle)
            return grpc.stream_unary_rpc_method_handler(unary.read_and_handle)
        return grpc.stream_stream_rpc_method_handler(StreamMethod(path, self._relay, self._loop).handle)


def _addresses(settings: Settings) -> list[Address]:
    return [(name, version.upstream) for name, version in settings.versions.items()]


def _shadow_addresses(settings: Settings) -> list[Address]:
    shadowed = {route.shadow.version for route in settings.routes if route.shadow is not None}
    return [(name, settings.versions[name].upstream) for name in sorted(shadowed)]


def _transport(loop: asyncio.AbstractEventLoop) -> Transport:
    if usable():
        return CoreTransport(loop)
    _log.warning(
        "grpcio.untested",
        version=grpc.__version__,
        consequence="the public API is used: slower, and metadata sent together with a status may be lost",
    )
    return PublicTransport()
