"""What happens to messages: bytes, order, size, compression, flow control."""

import gzip

import pytest

from conformance.http2 import (
    OK_TRAILERS,
    RESPONSE_HEADERS,
    Backend,
    Call,
    connected,
    framed,
    messages,
    request_headers,
    values,
)

MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
PATHS = pytest.mark.parametrize("path", ["/test.Any/Call", MODEL_INFER], ids=["unknown", "unary"])


@pytest.mark.guarantee("message-bytes")
@PATHS
@pytest.mark.parametrize("message", [b"", b"\x00", bytes(range(256)) * 300], ids=["empty", "zero", "77k"])
async def test_a_message_arrives_byte_for_byte_and_comes_back(
    relay: int, backend: Backend, path: str, message: bytes
) -> None:
    async with connected(relay) as client:
        answer = await client.unary(message, path=path)
    assert backend.call.messages == [message]
    assert (answer.status, answer.messages) == ("0", [message])


@pytest.mark.guarantee("padding")
@pytest.mark.parametrize(("length", "count"), [(1, 200), (2, 200), (256, 4100)])
async def test_frames_of_nothing_but_padding_change_nothing(
    relay: int, backend: Backend, length: int, count: int
) -> None:
    """More than a library forgives empty frames in its life, and more than a window of 1 MiB has room for."""

    async def script(call: Call) -> None:
        await call.until_over()
        await call.send_headers(RESPONSE_HEADERS)
        await call.send_padding(length, count)
        await call.send_data(framed(call.messages[0]))
        await call.send_headers(OK_TRAILERS, end=True)

    backend.script = script
    message = b"x" * 200_000
    async with connected(relay) as client:
        call = await client.begin(request_headers())
        await call.send_padding(length, count)
        await call.send_data(framed(message), end=True)
        await call.until_over()
    assert (call.status, call.messages, backend.call.messages) == ("0", [message], [message])


@pytest.mark.guarantee("message-size")
@PATHS
async def test_a_message_above_grpcs_usual_limit_passes_both_ways(
    relay: int, backend: Backend, path: str
) -> None:
    message = bytes(7 * 1024 * 1024)
    async with connected(relay) as client:
        answer = await client.unary(message, path=path)
    assert answer.status == "0"
    assert answer.messages == [message]


@pytest.mark.guarantee("message-order")
async def test_a_thousand_messages_keep_their_order_whatever_the_frames(relay: int, backend: Backend) -> None:
    sent = [str(number).encode() * (number % 7) for number in range(1000)]
    stream = b"".join(framed(message) for message in sent)

    async def script(call: Call) -> None:
        await call.until_over()
        await call.send_headers(RESPONSE_HEADERS)
        for start in range(0, len(stream), 333):
            await call.send_data(stream[start : start + 333])
        await call.send_headers(OK_TRAILERS, end=True)

    backend.script = script
    async with connected(relay) as client:
        call = await client.begin(request_headers())
        for start in range(0, len(stream), 101):
            await call.send_data(stream[start : start + 101])
        await call.end()
        await call.until_over()
    assert backend.call.messages == sent
    assert call.messages == sent


@pytest.mark.guarantee("duplex")
async def test_request_and_response_messages_alternate(relay: int, backend: Backend) -> None:
    async def script(call: Call) -> None:
        await call.send_headers(RESPONSE_HEADERS)
        for number in range(20):
            await call.until(lambda number=number: len(call.messages) > number)
            await call.send_data(framed(call.messages[number] + b"!"))
        await call.send_headers(OK_TRAILERS, end=True)

    backend.script = script
    async with connected(relay) as client:
        call = await client.begin(request_headers())
        for number in range(20):
            await call.send_data(framed(b"%d" % number))
            await call.until(lambda number=number: len(call.messages) > number)
        await call.end()
        await call.until_over()
    assert call.messages == [b"%d!" % number for number in range(20)]
    assert call.status == "0"


@pytest.mark.guarantee("no-messages")
async def test_a_call_without_any_message_passes(relay: int, backend: Backend) -> None:
    async def script(call: Call) -> None:
        await call.until_over()
        await call.send_headers(RESPONSE_HEADERS)
        await call.send_headers(OK_TRAILERS, end=True)

    backend.script = script
    async with connected(relay) as client:
        call = await client.begin(request_headers(), end=True)
        await call.until_over()
    assert (call.status, call.messages, backend.call.messages) == ("0", [], [])


@pytest.mark.guarantee("compression")
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
async def test_compressed_messages_arrive_as_they_were_compressed(
    relay: int, backend: Backend, encoding: str
) -> None:
    packed = gzip.compress(b"same" * 100)

    async def script(call: Call) -> None:
        await call.until_over()
        await call.send_headers([*RESPONSE_HEADERS, ("grpc-encoding", encoding)])
        await call.send_data(framed(packed, compressed=1))
        await call.send_headers(OK_TRAILERS, end=True)

    backend.script = script
    async with connected(relay) as client:
        call = await client.begin(
            request_headers(extra=[("grpc-encoding", encoding), ("grpc-accept-encoding", encoding)])
        )
        await call.send_data(framed(packed, compressed=1), end=True)
        await call.until_over()
    assert values(backend.call.headers, "grpc-encoding") == [encoding]
    assert messages(bytes(backend.call.data)) == [(1, packed)]
    assert values(call.headers, "grpc-encoding") == [encoding]
    assert messages(bytes(call.data)) == [(1, packed)]


@pytest.mark.guarantee("compression-content")
@PATHS
async def test_gzipped_messages_arrive_with_the_same_content(relay: int, backend: Backend, path: str) -> None:
    async def script(call: Call) -> None:
        await call.until_over()
        await call.send_headers([*RESPONSE_HEADERS, ("grpc-encoding", "gzip")])
        await call.send_data(framed(gzip.compress(b"answer" * 100), compressed=1))
        await call.send_headers(OK_TRAILERS, end=True)

    backend.script = script
    async with connected(relay) as client:
        extra = [("grpc-encoding", "gzip"), ("grpc-accept-encoding", "identity,gzip")]
        call = await client.begin(request_headers(path, extra))
        await call.send_data(framed(gzip.compress(b"question" * 100), compressed=1), end=True)
        await call.until_over()
    assert content(backend.call) == [b"question" * 100]
    assert content(call) == [b"answer" * 100]
    assert call.status == "0"


@pytest.mark.guarantee("back-pressure")
async def test_a_client_that_does_not_read_stops_the_backend(relay: int, backend: Backend) -> None:
    sent = 0
    stuck = False

    async def script(call: Call) -> None:
        nonlocal sent, stuck
        await call.send_headers(RESPONSE_HEADERS)
        chunk = framed(bytes(65_000))
        connection = call.peer.connection
        while sent < 64 * 1024 * 1024:
            stuck = connection.local_flow_control_window(call.id) < len(chunk)
            await call.send_data(chunk)
            sent += len(chunk)

    backend.script = script
    async with connected(relay, acknowledge=False) as client:
        call = await client.begin(request_headers())
        await client.until(
            lambda: len(call.data) > 65_000 or client.connection.remote_flow_control_window(call.id) <= 0
        )
        async with connected(relay) as other:  # and nobody else notices
            backend.script = answering
            answer = await other.unary(b"x")
        assert (answer.status, answer.messages) == ("0", [b"x"])
    assert sent < 32 * 1024 * 1024


async def answering(call: Call) -> None:
    await call.until_over()
    await call.reply(call.messages[0])


def content(call: Call) -> list[bytes]:
    """The messages of a call, inflated where they are compressed."""
    return [gzip.decompress(data) if flag else data for flag, data in messages(bytes(call.data))]
