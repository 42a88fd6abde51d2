"""A model server of grpc.aio and the grpcio plane before it: what tests of that plane stand on."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
from grpc import aio

from pilotfish.testing import plane as testing
from pilotfish.testing.plane import RunningPlane

MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
PATIENCE = 20.0
running = partial(testing.running, plane="grpcio")
Unary = Callable[[bytes, Any], Awaitable[bytes]]


@dataclass
class Server:
    """A model server of grpc.aio; by default it echoes, and notes what it saw."""

    unary: Unary
    name: str = "v1"
    address: str = ""
    server: aio.Server | None = None
    metadata: list[tuple[tuple[str, Any], ...]] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    remaining: list[float | None] = field(default_factory=list)

    async def start(self, address: str = "127.0.0.1:0") -> None:
        self.server = aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
        self.server.add_generic_rpc_handlers((_Methods(self),))
        port = self.server.add_insecure_port(address)
        self.address = address if address.startswith("unix:") else f"127.0.0.1:{port}"
        await self.server.start()

    async def stop(self) -> None:
        assert self.server is not None
        await self.server.stop(0)


class _Methods(grpc.GenericRpcHandler):
    def __init__(self, server: Server) -> None:
        self.server = server

    def service(self, details: Any) -> Any:
        kind = details.method.rpartition("/")[2]
        server = self.server
        server.metadata.append(tuple(details.invocation_metadata))

        async def unary(request: bytes, context: Any) -> bytes:
            server.remaining.append(context.time_remaining())
            server.called.set()
            try:
                return await server.unary(request, context)
            except asyncio.CancelledError:
                server.cancelled.set()
                raise

        async def server_stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
            for number in range(3):
                yield request + str(number).encode()

        async def client_stream(requests: AsyncIterator[bytes], context: Any) -> bytes:
            return b"+".join([request async for request in requests])

        async def both(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            async for request in requests:
                yield request + b"!"

        match kind:
            case "ServerStream":
                return grpc.unary_stream_rpc_method_handler(server_stream)
            case "ClientStream":
                return grpc.stream_unary_rpc_method_handler(client_stream)
            case "Both":
                return grpc.stream_stream_rpc_method_handler(both)
            case "None":
                return None
        return grpc.unary_unary_rpc_method_handler(unary)


async def echo(request: bytes, context: Any) -> bytes:
    return request


async def hang(request: bytes, context: Any) -> bytes:
    await asyncio.Event().wait()
    return b""


@asynccontextmanager
async def model(unary: Unary = echo, address: str = "127.0.0.1:0", name: str = "v1") -> AsyncIterator[Server]:
    server = Server(unary, name)
    await server.start(address)
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def client(address: str) -> AsyncIterator[aio.Channel]:
    options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    async with aio.insecure_channel(address, options=options) as channel:
        yield channel


@asynccontextmanager
async def plane_before(*servers: Server, **settings: Any) -> AsyncIterator[tuple[RunningPlane, aio.Channel]]:
    versions = {server.name: {"upstream": server.address} for server in servers}
    async with running(versions=versions, **settings) as plane, client(plane.address) as channel:
        yield plane, channel


def snapshot(plane: RunningPlane) -> dict[str, Any]:
    assert plane.engine.flush(PATIENCE)
    return dict(json.loads(plane.engine.snapshot(time.monotonic_ns())))


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that happens after the reply, such as the observing of a call."""

    async def wait() -> None:
        while not condition():  # noqa: ASYNC110 - the engine and the channels have no event to wait for
            await asyncio.sleep(0.002)

    await asyncio.wait_for(wait(), PATIENCE)
