"""The grpcio plane as ordinary gRPC clients and servers meet it."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest
from grpc import aio

from pilotfish.call import KeptCall
from pilotfish.errors import AddressInUse, ConfigurationError
from pilotfish.plane.grpcio import interceptors
from pilotfish.plane.grpcio.status import CANCELLED, DEADLINE_EXCEEDED, INTERNAL, in_time
from pilotfish.plane.grpcio.transport import core
from pilotfish.plane.methods import known_unary
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


@pytest.fixture(params=["core", "public"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of calling an upstream."""
    if request.param == "public":
        monkeypatch.setattr("pilotfish.plane.grpcio.server.usable", lambda: False)
    return str(request.param)


def snapshot(plane: RunningPlane) -> dict[str, Any]:
    assert plane.engine.flush(PATIENCE)
    return dict(json.loads(plane.engine.snapshot(time.monotonic_ns())))


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that happens after the reply, such as the observing of a call."""

    async def wait() -> None:
        while not condition():  # noqa: ASYNC110 - the engine and the channels have no event to wait for
            await asyncio.sleep(0.002)

    await asyncio.wait_for(wait(), PATIENCE)


async def test_all_four_kinds_of_call_pass(transport: str) -> None:
    async with model() as server, plane_before(server) as (_, channel):
        assert await channel.unary_unary("/s.S/Unary")(b"a") == b"a"
        assert await channel.unary_unary(MODEL_INFER)(b"a") == b"a"
        replies = [reply async for reply in channel.unary_stream("/s.S/ServerStream")(b"a")]
        assert replies == [b"a0", b"a1", b"a2"]
        assert await channel.stream_unary("/s.S/ClientStream")(iter([b"a", b"b", b"c"])) == b"a+b+c"
        replies = [reply async for reply in channel.stream_stream("/s.S/Both")(iter([b"a", b"b"]))]
        assert replies == [b"a!", b"b!"]


@pytest.mark.parametrize("path", ["/s.S/Unary", MODEL_INFER])
async def test_metadata_passes_both_ways_with_duplicates_and_bytes(transport: str, path: str) -> None:
    async def answer(request: bytes, context: Any) -> bytes:
        await context.send_initial_metadata((("i", "1"), ("i", "2"), ("i-bin", b"\x00\xff")))
        context.set_trailing_metadata((("t", "1"), ("t", "2"), ("t-bin", b"\x01")))
        return request

    sent = (("k", "1"), ("k", "2"), ("k-bin", b"\x00\x01\xfe"))
    async with model(answer) as server, plane_before(server) as (_, channel):
        call = channel.unary_unary(path)(b"x", metadata=sent)
        assert await call == b"x"
        assert tuple(await call.initial_metadata()) == (("i", "1"), ("i", "2"), ("i-bin", b"\x00\xff"))
        assert tuple(await call.trailing_metadata()) == (("t", "1"), ("t", "2"), ("t-bin", b"\x01"))
    assert [entry for entry in server.metadata[0] if entry[0].startswith("k")] == list(sent)


@pytest.mark.parametrize("path", ["/s.S/Unary", MODEL_INFER])
async def test_an_error_arrives_with_details_and_trailers(transport: str, path: str) -> None:
    details = (("grpc-status-details-bin", b"\x08\x03\x12\x02no"), ("x-why", "a"), ("x-why", "b"))

    async def refuse(request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no \u20ac", details)
        raise AssertionError

    async with model(refuse) as server, plane_before(server) as (_, channel):
        with pytest.raises(aio.AioRpcError) as caught:
            await channel.unary_unary(path)(b"x")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "no \u20ac"
    assert tuple(caught.value.trailing_metadata()) == details


async def test_an_unknown_method_is_the_upstreams_to_refuse(transport: str) -> None:
    async with model() as server, plane_before(server) as (_, channel):
        with pytest.raises(aio.AioRpcError) as caught:
            await channel.unary_unary("/s.S/None")(b"x")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "pilotfish" not in (caught.value.details() or "")


@pytest.mark.parametrize("path", ["/s.S/Unary", MODEL_INFER])
async def test_the_deadline_reaches_the_upstream_and_ends_the_call(transport: str, path: str) -> None:
    async with model(hang) as server, plane_before(server) as (plane, channel):
        with pytest.raises(aio.AioRpcError) as caught:
            await channel.unary_unary(path)(b"x", timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(server.cancelled.wait(), PATIENCE)
        await eventually(lambda: snapshot(plane)["calls"]["active"] == 0)
        assert [series["code"] for series in snapshot(plane)["calls"]["series"]] == ["DEADLINE_EXCEEDED"]
    (remaining,) = server.remaining
    assert remaining is not None
    assert remaining <= 0.21


@pytest.mark.parametrize("expired", [True, False])
@pytest.mark.parametrize(
    ("code", "message", "reset"),
    [
        (CANCELLED, "Stream removed (RST_STREAM (Received RST_STREAM with error code 8))", True),
        (CANCELLED, "Received RST_STREAM with error code 8", True),
        (CANCELLED, "the model changed its mind", False),
        (INTERNAL, "Received RST_STREAM with error code 2", False),
    ],
)
def test_a_cancelling_reset_is_the_deadlines_once_that_has_passed(
    code: int, message: str, reset: bool, expired: bool
) -> None:
    found = in_time(code, message, expired)
    assert found == ((DEADLINE_EXCEEDED, "Deadline Exceeded") if reset and expired else (code, message))


@pytest.mark.parametrize("path", ["/s.S/Unary", MODEL_INFER])
async def test_cancelling_reaches_the_upstream(transport: str, path: str) -> None:
    async with model(hang) as server, plane_before(server) as (plane, channel):
        call = channel.unary_unary(path)(b"x")
        waiting = asyncio.ensure_future(call)
        await asyncio.wait_for(server.called.wait(), PATIENCE)
        call.cancel()
        await asyncio.wait_for(server.cancelled.wait(), PATIENCE)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await eventually(lambda: snapshot(plane)["calls"]["active"] == 0)
        assert [series["code"] for series in snapshot(plane)["calls"]["series"]] == ["CANCELLED"]


@pytest.mark.guarantee("pass-through")
async def test_health_and_reflection_are_the_upstreams_own() -> None:
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

    server = aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    await servicer.set("digits", health_pb2.HealthCheckResponse.NOT_SERVING)
    reflection.enable_server_reflection(("some.Service",), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    upstream = Server(echo, address=f"127.0.0.1:{port}")
    async with plane_before(upstream) as (_, channel):
        check = health_pb2_grpc.HealthStub(channel).Check
        answer = await check(health_pb2.HealthCheckRequest(service="digits"))
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(aio.AioRpcError) as caught:
            await check(health_pb2.HealthCheckRequest(service="nobody"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="digits"))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        info = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([ask]))
        names = [service.name async for reply in info for service in reply.list_services_response.service]
        assert "some.Service" in names
    await server.stop(0)


@pytest.mark.parametrize("path", ["/s.S/Unary", MODEL_INFER])
async def test_an_unreachable_upstream_is_unavailable_and_recovers(path: str, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/model.sock"
    async with plane_before(Server(echo, address=address)) as (plane, channel):
        for _ in range(3):
            with pytest.raises(aio.AioRpcError) as caught:
                await channel.unary_unary(path)(b"x")
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert (caught.value.details() or "").startswith(f"pilotfish: upstream v1 at {address}")
        await eventually(lambda: plane.plane.upstreams() == {"v1": "unreachable"})
        assert plane.plane.ready
        async with model(address=address):
            await eventually(lambda: plane.plane.upstreams() == {"v1": "ready"})
            await eventually_answers(channel, path)


async def eventually_answers(channel: aio.Channel, path: str) -> None:
    async def ask() -> None:
        answered = 0
        while answered < 8:  # each of the connections
            try:
                answered += await channel.unary_unary(path)(b"x") == b"x"
            except aio.AioRpcError:
                continue

    await asyncio.wait_for(ask(), PATIENCE)


async def test_an_upstreams_own_unavailable_keeps_its_words() -> None:
    async def refuse(request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "model is loading")
        raise AssertionError

    async with model(refuse) as server, plane_before(server) as (_, channel):
        with pytest.raises(aio.AioRpcError) as caught:
            await channel.unary_unary(MODEL_INFER)(b"x")
    assert caught.value.details() == "model is loading"


async def test_a_taken_port_is_refused_with_a_remedy() -> None:
    async with model() as server, plane_before(server) as (plane, _):
        with pytest.raises(AddressInUse, match=f"{plane.address}.*--listen"):
            async with running(listen=plane.address, versions={"v1": {"upstream": server.address}}):
                pass


async def test_values_grpcio_refuses_are_left_out_and_the_call_goes_on() -> None:
    async with model() as server, running(versions={"v1": {"upstream": server.address}}) as plane:
        from conformance.http2 import connected

        async with connected(plane.port) as raw:
            answer = await raw.unary(b"x", [("x-odd", "a\tb"), ("x-fine", "yes")], MODEL_INFER)
    assert (answer.status, answer.messages) == ("0", [b"x"])
    keys = [key for key, _ in server.metadata[0]]
    assert "x-fine" in keys
    assert "x-odd" not in keys


@pytest.mark.parametrize("path", ["/s.S/Unary", MODEL_INFER])
async def test_a_big_message_passes(transport: str, path: str) -> None:
    message = bytes(9 * 1024 * 1024)
    async with model() as server, plane_before(server) as (_, channel):
        assert await channel.unary_unary(path)(message) == message


async def test_an_ok_without_a_message_is_an_error_of_the_upstream() -> None:
    from conformance.http2 import OK_TRAILERS, RESPONSE_HEADERS, Backend, Call, connected

    async def silent(call: Call) -> None:
        await call.until_over()
        await call.send_headers(RESPONSE_HEADERS)
        await call.send_headers(OK_TRAILERS, end=True)

    backend = Backend()
    backend.script = silent
    port = await backend.start()
    async with (
        running(versions={"v1": {"upstream": f"127.0.0.1:{port}"}}) as plane,
        connected(plane.port) as raw,
    ):
        answer = await raw.unary(b"x", path=MODEL_INFER)
    await backend.stop()
    assert answer.status == "13"
    assert any(
        value.startswith("pilotfish: upstream v1")
        for key, value in answer.all_metadata
        if key == "grpc-message"
    )


async def test_a_unary_call_without_a_request_is_refused_and_does_not_wait_for_ever() -> None:
    from conformance.http2 import connected, request_headers

    async with (
        model() as server,
        running(versions={"v1": {"upstream": server.address}}) as plane,
        connected(plane.port) as raw,
    ):
        call = await raw.begin(request_headers(MODEL_INFER), end=True)
        await call.until_over()
    assert call.status == "13"
    assert server.metadata == []


# === interceptors


class Doorkeeper(aio.ServerInterceptor):
    """Lets nobody in without a key."""

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        if ("x-key", "sesame") in handler_call_details.invocation_metadata:
            return await continuation(handler_call_details)

        async def refuse(request: bytes, context: Any) -> bytes:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no key")
            raise AssertionError

        return grpc.unary_unary_rpc_method_handler(refuse)


@pytest.fixture
def user_module(monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("users_own")
    module.Doorkeeper = Doorkeeper  # type: ignore[attr-defined]
    module.NoInterceptor = dict  # type: ignore[attr-defined]
    module.Demanding = type("Demanding", (Doorkeeper,), {"__init__": lambda self, key: None})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "users_own", module)
    return "users_own"


async def test_interceptors_run_on_the_path(user_module: str) -> None:
    async with (
        model() as server,
        plane_before(server, interceptors=["users_own:Doorkeeper"]) as (plane, channel),
    ):
        infer = channel.unary_unary(MODEL_INFER)
        assert await infer(b"x", metadata=(("x-key", "sesame"),)) == b"x"
        with pytest.raises(aio.AioRpcError) as caught:
            await infer(b"x")
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        await eventually(lambda: snapshot(plane)["calls"]["total"] == 1)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such_module:Thing", "cannot import no_such_module.*install it"),
        ("users_own:Missing", "users_own has no Missing"),
        ("users_own:NoInterceptor", "is no grpc.aio.ServerInterceptor"),
        ("users_own:Demanding", "cannot be made.*no arguments"),
    ],
)
def test_an_unusable_interceptor_is_refused_with_a_remedy(user_module: str, name: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        interceptors.load([name])


# === routing, observing, shadow


async def test_a_sticky_key_always_reaches_the_same_version() -> None:
    def named(name: bytes) -> Unary:
        async def answer(request: bytes, context: Any) -> bytes:
            return name

        return answer

    route = {
        "name": "digits",
        "stable": "v1",
        "candidates": [{"version": "v2", "weight_ppm": 500_000}],
        "sticky": ["metadata:x-user-id"],
    }
    async with (
        model(named(b"v1")) as one,
        model(named(b"v2"), name="v2") as two,
        plane_before(one, two, routes=[route]) as (plane, channel),
    ):
        infer = channel.unary_unary(MODEL_INFER)
        answers: dict[int, set[bytes]] = {}
        for _ in range(3):
            for user in range(30):
                answer = await infer(b"x", metadata=(("x-user-id", str(user)),))
                answers.setdefault(user, set()).add(answer)
        assert all(len(seen) == 1 for seen in answers.values())
        assert {version for seen in answers.values() for version in seen} == {b"v1", b"v2"}
        await eventually(lambda: snapshot(plane)["calls"]["total"] == 90)
        shares = {entry["version"]: entry["calls"] for entry in snapshot(plane)["routes"][0]["versions"]}
        assert shares["v2"] == 3 * sum(seen == {b"v2"} for seen in answers.values())


async def test_a_kept_call_holds_the_whole_call() -> None:
    async def answer(request: bytes, context: Any) -> bytes:
        return b"reply"

    keep_all = {"share_ppm": 1_000_000, "errors": True, "slower_than": None, "canary": False}
    async with model(answer) as server, plane_before(server, sampling=keep_all) as (plane, channel):
        metadata = (("x-request-id", "r-1"), ("k", "1"), ("k", "2"))
        await channel.unary_unary(MODEL_INFER)(b"question", metadata=metadata)
        await eventually(lambda: len(plane.kept) == 1)
        (kept,) = plane.kept
        assert (kept.call_id, kept.reason, kept.method) == ("r-1", "sampled", MODEL_INFER)
        assert (kept.code, kept.message) == (0, "")
        assert (kept.request, kept.response) == (b"question", b"reply")
        assert (kept.request_bytes, kept.response_bytes) == (8, 5)
        assert (kept.route, kept.version, kept.role, kept.strategy) == ("default", "v1", "primary", "static")
        assert kept.upstream == server.address
        assert kept.peer.startswith("ipv4:127.0.0.1:")
        assert set(metadata) <= {tuple(entry) for entry in kept.metadata}
        assert 0 < kept.upstream_ns <= kept.duration_ns
        journal = snapshot(plane)["journal"]
        assert (journal["observed"], journal["kept"]) == (1, 1)


async def test_a_kept_stream_has_sizes_but_no_messages() -> None:
    keep_all = {"share_ppm": 1_000_000, "errors": True, "slower_than": None, "canary": False}
    async with model() as server, plane_before(server, sampling=keep_all) as (plane, channel):
        assert [reply async for reply in channel.stream_stream("/s.S/Both")(iter([b"a", b"b"]))] == [
            b"a!",
            b"b!",
        ]
        await eventually(lambda: len(plane.kept) == 1)
    (kept,) = plane.kept
    assert (kept.request, kept.response) == (None, None)
    assert (kept.request_bytes, kept.response_bytes) == (2, 4)


async def test_whoever_keeps_calls_cannot_break_them() -> None:
    def broken(call: KeptCall) -> None:
        raise OSError("disk on fire")

    keep_all = {"share_ppm": 1_000_000, "errors": True, "slower_than": None, "canary": False}
    async with model() as server, plane_before(server, keep=broken, sampling=keep_all) as (plane, channel):
        assert await channel.unary_unary(MODEL_INFER)(b"x") == b"x"
        await eventually(lambda: snapshot(plane)["journal"]["dropped"].get("failed") == 1)


async def down(request: bytes, context: Any) -> bytes:
    await context.abort(grpc.StatusCode.INTERNAL, "shadow is broken")
    raise AssertionError


def shadowing(timeout: str = "200ms") -> dict[str, Any]:
    shadow = {"version": "v9", "share_ppm": 1_000_000, "timeout": timeout, "max_in_flight": 2}
    return {"routes": [{"name": "default", "stable": "v1", "shadow": shadow}]}


@pytest.mark.parametrize(
    ("behaviour", "counted"),
    [(echo, "ok"), (hang, "timeout"), (down, "error"), (None, "error")],
    ids=["answers", "hangs", "fails", "is-down"],
)
async def test_the_client_cannot_see_a_shadow(behaviour: Unary | None, counted: str, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/shadow.sock"
    shadow = Server(behaviour or echo, "v9", address)
    if behaviour is not None:
        await shadow.start(address)
    async with model() as primary, plane_before(primary, shadow, **shadowing()) as (plane, channel):
        call = channel.unary_unary(MODEL_INFER)(b"x", metadata=(("k", "1"),))
        assert await call == b"x"
        assert tuple(await call.trailing_metadata()) == ()
        await eventually(lambda: settled(plane) == 1)
        assert shadows(plane)[counted] == 1
        assert snapshot(plane)["calls"]["total"] == 1
    assert "x-pilotfish-shadow" not in dict(primary.metadata[0])
    if behaviour is not None:
        assert dict(shadow.metadata[0])["x-pilotfish-shadow"] == "1"
        assert dict(shadow.metadata[0])["k"] == "1"
        await shadow.stop()


async def test_hanging_shadows_are_bounded_and_the_rest_dropped() -> None:
    async with model() as primary, model(hang, name="v9") as shadow:
        async with plane_before(primary, shadow, **shadowing("10s")) as (plane, channel):
            for _ in range(5):
                assert await channel.unary_unary(MODEL_INFER)(b"x") == b"x"
            await eventually(lambda: shadows(plane)["dropped"] == 3)
            assert shadows(plane)["in_flight"] == 2
            engine = plane
        assert shadows(engine)["in_flight"] == 0


async def test_streams_are_not_shadowed() -> None:
    async with model() as primary, model(name="v9") as shadow:
        async with plane_before(primary, shadow, **shadowing()) as (plane, channel):
            assert [reply async for reply in channel.stream_stream("/s.S/Both")(iter([b"a"]))] == [b"a!"]
            await eventually(lambda: snapshot(plane)["calls"]["total"] == 1)
        assert shadow.metadata == []


def shadows(plane: RunningPlane) -> dict[str, Any]:
    (entry,) = snapshot(plane)["shadows"]
    return dict(entry)


def settled(plane: RunningPlane) -> int:
    return sum(shadows(plane)[key] for key in ("ok", "error", "timeout"))


# === life


@pytest.mark.guarantee("drain")
@pytest.mark.parametrize("path", ["/s.S/Unary", MODEL_INFER])
async def test_a_call_under_way_ends_while_the_plane_drains(path: str) -> None:
    go = asyncio.Event()

    async def slow(request: bytes, context: Any) -> bytes:
        await go.wait()
        return request

    async with model(slow) as server, plane_before(server) as (plane, channel):
        waiting = asyncio.ensure_future(channel.unary_unary(path)(b"x"))
        await asyncio.wait_for(server.called.wait(), PATIENCE)
        draining = asyncio.ensure_future(plane.plane.drain(PATIENCE))
        await eventually(lambda: not plane.plane.ready)
        go.set()
        assert await waiting == b"x"
        await draining
        with pytest.raises(aio.AioRpcError):
            await channel.unary_unary(path)(b"x")


def test_methods_that_stream_are_not_known_unary() -> None:
    methods = known_unary(["/my.Own/Method"])
    assert {MODEL_INFER, "/grpc.health.v1.Health/Check", "/my.Own/Method"} <= methods
    assert not [name for name in methods if "Stream" in name or name.endswith("/Watch")]


@pytest.mark.parametrize(
    ("version", "usable"),
    [("1.83.9", False), ("1.84.0", True), ("1.85.1", True), ("1.86.0", False), ("2.0.0", False)],
)
def test_private_calls_are_made_with_tested_versions_only(version: str, usable: bool) -> None:
    assert core.usable(version) is usable
