"""The grpcio plane as ordinary gRPC clients and servers meet it."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from grpcio_model import (
    MODEL_INFER,
    PATIENCE,
    Server,
    echo,
    eventually,
    hang,
    model,
    plane_before,
    running,
    snapshot,
)

from pilotfish.errors import AddressInUse
from pilotfish.methods import known_unary
from pilotfish.plane.grpcio.status import CANCELLED, DEADLINE_EXCEEDED, INTERNAL, in_time
from pilotfish.plane.grpcio.transport import core


@pytest.fixture(params=["core", "public"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of calling an upstream."""
    if request.param == "public":
        monkeypatch.setattr("pilotfish.plane.grpcio.server.usable", lambda: False)
    return str(request.param)


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
