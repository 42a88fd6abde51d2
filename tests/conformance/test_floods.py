"""What a stranger may send the native plane: each limit ends or slows the one who goes beyond it, says so in
a counter, takes no memory, and leaves everyone else alone.

The kinds of frames are those of the floods that servers have had advisories for (CVE-2019-9512 and its
family, CVE-2023-44487, CVE-2024-27316, CVE-2025-8671).
"""

import asyncio
import resource
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from conformance import flood
from conformance.flood import Flooder, flooder, frame
from conformance.http2 import (
    OK_TRAILERS,
    RESPONSE_HEADERS,
    Backend,
    Call,
    Peer,
    connected,
    framed,
    request_headers,
    values,
)
from pilotfish.testing.plane import RunningPlane, running

ROOM = 32 * 1024 * 1024
"""Memory that a flood may take; the test's own side of it is in there."""

BLOCK = flood.request_block()


@asynccontextmanager
async def native(backend: Backend, **limits: int | float) -> AsyncIterator[RunningPlane]:
    versions = {"v1": {"upstream": f"127.0.0.1:{backend.port}"}}
    # Failed calls are not kept: the test's own list of them would be all the memory there is to see.
    async with running(plane="native", versions=versions, limits=limits, sampling={"errors": False}) as plane:
        yield plane


def counted(plane: RunningPlane) -> dict[str, int]:
    """The counters that are not zero."""
    return {name: number for name, number in plane.plane.counters().items() if number}  # type: ignore[attr-defined]


def resident() -> int:
    """Bytes of memory this process has, the plane and the test together."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def opened(client: Flooder, stream: int = 1) -> None:
    await client.send(frame(flood.HEADERS, stream, BLOCK, flood.END_HEADERS))


async def unharmed(bystander: Peer) -> None:
    """A call on another connection is answered."""
    answer = await bystander.unary(b"me too")
    assert (answer.status, answer.messages) == ("0", [b"me too"])


HOUSEKEEPING = {
    "ping": frame(flood.PING, payload=bytes(8)),
    "settings": frame(flood.SETTINGS, payload=bytes.fromhex("000300000064")),
    "empty-settings": frame(flood.SETTINGS),
    "priority": frame(flood.PRIORITY, 3, bytes.fromhex("0000000010")),
    "window-update": frame(flood.WINDOW_UPDATE, payload=bytes.fromhex("00000001")),
    "window-update-of-a-call": frame(flood.WINDOW_UPDATE, 1, bytes.fromhex("00000001")),
    "empty-data": frame(flood.DATA, 1),
    "padding": frame(flood.DATA, 1, b"\x01\x00", flood.PADDED),
    "unknown": frame(flood.UNKNOWN, payload=b"what is it"),
}


@pytest.mark.parametrize("kind", HOUSEKEEPING)
async def test_frames_of_no_call_end_the_connection_when_they_are_too_many(
    backend: Backend, kind: str
) -> None:
    async with native(backend) as plane, connected(plane.port) as bystander:
        await unharmed(bystander)
        before = resident()
        async with flooder(plane.port) as client:
            await opened(client)
            batch = HOUSEKEEPING[kind] * 1000
            sent = 0
            while sent < 500_000 and await client.send(batch):
                sent += 1000
                if sent % 5000 == 0:
                    await unharmed(bystander)
            assert await client.until_closed() in (flood.ENHANCE_YOUR_CALM, None)
        assert 10_000 <= sent < 500_000
        await unharmed(bystander)
        counters = counted(plane)
        assert (counters["connections_abusive"], counters["abusive_housekeeping"]) == (1, 1)
        assert resident() - before < ROOM


async def test_housekeeping_that_calls_give_reason_for_is_no_flood(backend: Backend) -> None:
    async def script(call: Call) -> None:
        await call.send_headers(RESPONSE_HEADERS)
        for number in range(1000):
            await call.until(lambda number=number: len(call.data) >= number)
            await call.send_data(framed(b"token"))
        await call.send_headers(OK_TRAILERS, end=True)

    backend.script = script
    async with native(backend, housekeeping=100) as plane, flooder(plane.port) as client:
        await opened(client)
        update = bytes.fromhex("0000000a")
        for number in range(1000):  # both windows for each token, and a ping to measure the way
            await until(lambda number=number: len(client.frames) > number)
            await client.send(
                frame(flood.WINDOW_UPDATE, payload=update)
                + frame(flood.WINDOW_UPDATE, 1, update)
                + HOUSEKEEPING["ping"]
                + frame(flood.DATA, 1, b"x")
            )
        await client.send(frame(flood.DATA, 1, flags=flood.END_STREAM))
        await until(lambda: len(client.frames) == 1002)  # headers, tokens, trailers
        assert not client.closed.is_set()
        assert "connections_abusive" not in counted(plane)


async def test_who_takes_an_answer_in_small_portions_is_no_flood(backend: Backend) -> None:
    portion, portions = 1024, 1000

    async def script(call: Call) -> None:
        await call.send_headers(RESPONSE_HEADERS)
        await call.send_data(bytes(portion * portions))
        await call.send_headers(OK_TRAILERS, end=True)

    backend.script = script
    async with native(backend, housekeeping=100) as plane, flooder(plane.port) as client:
        await client.send(frame(flood.SETTINGS, 0, struct.pack(">HI", 4, portion)))
        await opened(client)
        update = struct.pack(">I", portion)
        for number in range(portions):
            await until(lambda number=number: len(client.frames) > 1 + number or client.closed.is_set())
            await client.send(
                frame(flood.WINDOW_UPDATE, payload=update) + frame(flood.WINDOW_UPDATE, 1, update)
            )
        await until(lambda: len(client.frames) == portions + 2)  # headers, portions, trailers
        assert not client.closed.is_set()
        assert "connections_abusive" not in counted(plane)


@pytest.mark.guarantee("keepalive")
async def test_a_ping_every_ten_seconds_is_welcome(backend: Backend) -> None:
    # The clock cannot be turned here: a day's pings at once, for which no time has given any reason.
    async with native(backend) as plane, connected(plane.port) as client:
        for _ in range(8640):
            client.connection.ping(b"10 s ago")
        client.flush()
        await client.until(lambda: client.pongs == 8640)
        assert not client.goaway
        await unharmed(client)


async def test_rapid_resets_are_taken_in_turn_with_everyone_elses_calls(backend: Backend) -> None:
    """CVE-2023-44487: each costs the stranger two small frames, and must not cost the model server a call."""
    async with native(backend) as plane, connected(plane.port) as bystander:
        await unharmed(bystander)
        before = resident()
        async with flooder(plane.port) as client:
            streams = iter(range(1, 2**31, 2))
            for _ in range(50):
                batch = b"".join(
                    frame(flood.HEADERS, stream, BLOCK, flood.END_HEADERS)
                    + frame(flood.RST_STREAM, stream, flood.CANCEL.to_bytes(4, "big"))
                    for stream, _ in zip(streams, range(2000), strict=False)
                )
                if not await client.send(batch):
                    break
                await unharmed(bystander)
            await plane_settles(plane)
        counters = counted(plane)
        assert counters["calls_reset_by_client"] > 10_000
        assert counters["calls_reset_unseen"] > 0.9 * counters["calls_reset_by_client"]
        assert resident() - before < ROOM
        assert peak_of_calls(backend) <= 1024 + 1


async def test_resets_before_calls_are_looked_at_end_the_connection_when_they_are_too_many(
    backend: Backend,
) -> None:
    async with native(backend, pending_resets=50) as plane, connected(plane.port) as bystander:
        async with flooder(plane.port) as client:
            batch = b"".join(
                frame(flood.HEADERS, stream, BLOCK, flood.END_HEADERS)
                + frame(flood.RST_STREAM, stream, flood.CANCEL.to_bytes(4, "big"))
                for stream in range(1, 1001, 2)
            )
            await client.send(batch)
            assert await client.until_closed() in (flood.ENHANCE_YOUR_CALM, None)
        await unharmed(bystander)
        counters = counted(plane)
        assert (counters["connections_abusive"], counters["abusive_resets"]) == (1, 1)


MADE_YOU_RESET = {
    "window-overflow": frame(flood.WINDOW_UPDATE, 0x7FFFFFFF, bytes.fromhex("7fffffff")),
    "window-update-of-nothing": frame(flood.WINDOW_UPDATE, 0x7FFFFFFF, bytes(4)),
    "depends-on-itself": frame(flood.PRIORITY, 0x7FFFFFFF, bytes.fromhex("7fffffff10")),
    "data-after-the-end": frame(flood.DATA, 0x7FFFFFFF, flags=flood.END_STREAM)
    + frame(flood.DATA, 0x7FFFFFFF, b"x"),
    "empty-headers": frame(flood.HEADERS, 0x7FFFFFFF, flags=flood.END_HEADERS),
}


@pytest.mark.parametrize("trick", MADE_YOU_RESET)
async def test_calls_that_a_client_makes_us_reset_are_counted_until_it_has_to_go(
    backend: Backend, trick: str
) -> None:
    """CVE-2025-8671: a stream that the server resets is free again, while the model may still work on it."""
    async with native(backend, faults=500) as plane, connected(plane.port) as bystander:
        async with flooder(plane.port) as client:
            for stream in range(1, 40_001, 2):
                mistake = MADE_YOU_RESET[trick].replace(b"\x7f\xff\xff\xff", stream.to_bytes(4, "big"), 1)
                if trick == "window-overflow":
                    mistake = frame(flood.WINDOW_UPDATE, stream, bytes.fromhex("7fffffff"))
                elif trick == "depends-on-itself":
                    mistake = frame(flood.PRIORITY, stream, stream.to_bytes(4, "big") + b"\x10")
                elif trick == "data-after-the-end":
                    mistake = frame(flood.DATA, stream, flags=flood.END_STREAM) + frame(
                        flood.DATA, stream, b"x"
                    )
                if not await client.send(frame(flood.HEADERS, stream, BLOCK, flood.END_HEADERS) + mistake):
                    break
            await client.until_closed()
        await unharmed(bystander)
        counters = counted(plane)
        # Some mistakes are the whole connection's, and end it at once (RFC 9113, section 6.9).
        assert counters.get("abusive_faults") == 1 or counters["connections_broken"] == 1
        await backend.until(lambda: all(call.over for call in backend.calls))
        assert peak_of_calls(backend) <= 1024 + 1


async def test_calls_beyond_the_limit_are_refused_and_may_be_sent_again(backend: Backend) -> None:
    async with native(backend, concurrent_streams=10) as plane, connected(plane.port) as bystander:
        backend.script = silent
        async with flooder(plane.port) as client:
            for stream in range(1, 61, 2):
                await opened(client, stream)
            await until(lambda: len(client.resets()) == 20)
            assert set(client.resets()) == {flood.REFUSED_STREAM}
            await until(lambda: counted(plane).get("calls_refused") == 20)
            await backend.until(lambda: len(backend.calls) == 10)
            backend.script = answering
            await unharmed(bystander)
        assert len(backend.calls) == 11


async def test_metadata_beyond_the_limit_is_told_apart_from_abuse(backend: Backend) -> None:
    async with native(backend, metadata=8192) as plane, connected(plane.port) as client:
        answer = await client.begin(request_headers(extra=[("x-large", "x" * 9000)]), end=True)
        await answer.until_over()
        assert values(answer.headers, ":status") == ["431"]
        await unharmed(client)
        assert counted(plane)["calls_malformed"] == 1
        assert "connections_abusive" not in counted(plane)


async def test_metadata_many_times_the_limit_ends_the_connection(backend: Backend) -> None:
    async with native(backend, metadata=8192) as plane, connected(plane.port) as bystander:
        async with flooder(plane.port) as client:
            block = flood.request_block((f"x-{number}", "y" * 4000) for number in range(20))
            await client.send(headers(1, block, flood.END_HEADERS))
            await client.until_closed()
        await unharmed(bystander)
        assert ended_for_its_headers(plane)


CONTINUATIONS = {
    "many-small-headers": b"\x00\x01a\x01b" * 3000,
    "one-endless-value": bytes.fromhex("000161") + b"\x7f\xff\xff\xff\xff\x07" + b"x" * 16_000,
    "nothing-at-all": b"",
}


@pytest.mark.parametrize("kind", CONTINUATIONS)
async def test_continuation_without_end_ends_the_connection(backend: Backend, kind: str) -> None:
    """CVE-2024-27316."""
    async with native(backend) as plane, connected(plane.port) as bystander:
        await unharmed(bystander)
        before = resident()
        async with flooder(plane.port) as client:
            await client.send(frame(flood.HEADERS, 1, BLOCK))
            first = CONTINUATIONS[kind]
            rest = first if kind != "one-endless-value" else b"x" * 16_000
            sent = 0
            while sent < 100_000 and await client.send(
                frame(flood.CONTINUATION, 1, rest if sent else first) * 10
            ):
                sent += 10
            await client.until_closed()
        assert sent < 100_000
        await unharmed(bystander)
        assert ended_for_its_headers(plane)
        assert resident() - before < ROOM


async def test_small_frames_that_nobody_takes_are_held_together_and_within_the_window(
    backend: Backend,
) -> None:
    """CVE-2026-84304: bookkeeping for each frame is more than its payload."""
    stuck = Backend(silent, acknowledge=False)
    stuck.port = await stuck.start()
    async with native(stuck) as plane, connected(plane.port) as bystander:
        before = resident()
        async with flooder(plane.port) as client:
            await opened(client)
            batch = frame(flood.DATA, 1, b"x") * 1000
            for _ in range(1000):  # a million: somewhat less than the window
                assert await client.send(batch)
            await until(lambda: counted(plane).get("upstreams_waited_for") == 1)
            assert resident() - before < ROOM
            stuck.script = answering
            await unharmed(bystander)
            while await client.send(
                batch
            ):  # and beyond it, where the call is over and nobody gathers any more
                pass
            await client.until_closed()
        await until(lambda: counted(plane)["connections_open"] == 1)
        assert (counted(plane)["connections_abusive"], counted(plane)["abusive_data"]) == (1, 1)
        await unharmed(bystander)
    await stuck.stop()


async def test_a_client_that_does_not_read_is_waited_for_and_holds_up_nobody(backend: Backend) -> None:
    backend.script = endless
    async with native(backend) as plane, connected(plane.port) as bystander:
        before = resident()
        async with flooder(plane.port) as client:
            client.stop_reading()
            for stream in range(1, 129, 2):
                await opened(client, stream)
            await backend.until(lambda: len(backend.calls) == 64)
            await until(lambda: counted(plane).get("clients_waited_for", 0) >= 1)
            backend.script = answering
            await unharmed(bystander)
            # 64 calls of at most a megabyte each, 16 megabytes together; and the backend's own buffers
            assert resident() - before < 3 * ROOM
        await until(lambda: counted(plane).get("calls_open") is None)


async def test_an_upstream_may_send_empty_frames_before_every_end(backend: Backend) -> None:
    """Servers built on nghttp2, Node's among them, send an empty DATA frame before the trailers."""

    async def script(call: Call) -> None:
        await call.until_over()
        await call.send_headers(RESPONSE_HEADERS)
        await call.send_data(framed(call.messages[0]))
        call.peer.connection.send_data(call.id, b"")
        await call.send_headers(OK_TRAILERS, end=True)

    backend.script = script
    async with native(backend) as plane, connected(plane.port) as client:
        for _ in range(400):
            await unharmed(client)
        assert counted(plane)["upstream_connected"] == 1


def ended_for_its_headers(plane: RunningPlane) -> bool:
    """Too many frames of headers are abuse; a block that cannot be decoded any more is broken HTTP/2."""
    return 1 in (counted(plane).get("abusive_headers"), counted(plane).get("connections_broken"))


def headers(stream: int, block: bytes, flags: int) -> bytes:
    """HEADERS, and CONTINUATION where one frame does not hold it all."""
    pieces = [block[start : start + 16_384] for start in range(0, len(block), 16_384)]
    kinds = [flood.HEADERS] + [flood.CONTINUATION] * (len(pieces) - 1)
    last = len(pieces) - 1
    return b"".join(
        frame(kind, stream, piece, flags if number == last else 0)
        for number, (kind, piece) in enumerate(zip(kinds, pieces, strict=True))
    )


def peak_of_calls(backend: Backend) -> int:
    """The most calls that were open on one of the backend's connections at a time."""
    return max((peer.most_open for peer in backend.peers), default=0)


async def plane_settles(plane: RunningPlane) -> None:
    await until(lambda: counted(plane).get("calls_open") is None)


async def until(condition) -> None:
    """Wait for something that another thread makes true."""

    async def wait() -> None:
        while not condition():  # noqa: ASYNC110 - another thread makes it true
            await asyncio.sleep(0.001)

    await asyncio.wait_for(wait(), flood.PATIENCE)


async def silent(call: Call) -> None:
    """Read, and say nothing."""


async def endless(call: Call) -> None:
    await call.send_headers(RESPONSE_HEADERS)
    while not call.over:
        await call.send_data(framed(bytes(60_000)))


async def answering(call: Call) -> None:
    await call.until_over()
    if call.reset is None and not call.lost:
        await call.reply(call.messages[0])
