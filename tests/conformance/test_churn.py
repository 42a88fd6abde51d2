"""Connections that come and go by the thousand: what they leave behind is nothing.

``make soak`` does the same ten times as often (CVE-2023-4785: a server that runs out of file descriptors).
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from conformance import flood
from conformance.flood import PREFACE, frame
from conformance.http2 import Backend, connected
from conformance.test_floods import answering, counted, native, resident, unharmed, until

TIMES = 5000
AT_ONCE = 100
ROOM = 8 * 1024**2
NO_LINGER = struct.pack("ii", 1, 0)


async def says_nothing(writer: asyncio.StreamWriter) -> None:
    pass


async def says_hello(writer: asyncio.StreamWriter) -> None:
    writer.write(PREFACE + frame(flood.SETTINGS))


async def begins_a_call(writer: asyncio.StreamWriter) -> None:
    writer.write(PREFACE + frame(flood.SETTINGS))
    writer.write(frame(flood.HEADERS, 1, flood.request_block(), flood.END_HEADERS))


async def stops_in_a_frame(writer: asyncio.StreamWriter) -> None:
    writer.write(PREFACE + frame(flood.SETTINGS))
    writer.write(frame(flood.HEADERS, 1, flood.request_block(), flood.END_HEADERS)[:20])


KINDS = [says_nothing, says_hello, begins_a_call, stops_in_a_frame]


def descriptors() -> int:
    """Files that this process has open, the plane's among them."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def come_and_go(
    port: int, times: int, word: Callable[[asyncio.StreamWriter], Awaitable[None]], reset: bool
) -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with places:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            await word(writer)
            if reset:
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                writer.transport.abort()
            else:
                writer.close()

    await asyncio.gather(*(one() for _ in range(times)))


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_thousands_of_connections_leave_nothing_behind(reset: bool) -> None:
    backend = Backend(answering)
    backend.port = await backend.start()
    async with native(backend) as plane, connected(plane.port) as bystander:
        # The same again: what a peak needs is taken once, in the first round or in a higher peak of a
        # later one; what is left behind grows in every round.
        rounds, grown = 0, ROOM
        while rounds < 2 or (grown >= ROOM and rounds < 6):
            before = (descriptors(), resident())
            for word in KINDS:
                await come_and_go(plane.port, TIMES // len(KINDS) // 2, word, reset)
                await unharmed(bystander)
                backend.peers = [peer for peer in backend.peers if not peer.lost]  # the test's own memory
            await until(lambda: counted(plane)["connections_open"] == 1)
            await until(lambda: counted(plane).get("calls_open") is None)
            rounds, grown = rounds + 1, resident() - before[1]
        await until(lambda: descriptors() <= before[0] + 2)
        assert grown < ROOM
        accepted = rounds * TIMES // 2 + 1
        assert counted(plane)["connections_accepted"] == accepted
        assert "connections_failed" not in counted(plane)
    await backend.stop()


async def test_connections_that_stay_half_open_are_given_up() -> None:
    backend = Backend(answering)
    backend.port = await backend.start()
    async with native(backend, handshake=2) as plane, connected(plane.port) as bystander:
        await unharmed(bystander)
        before = descriptors()
        silent = [await asyncio.open_connection("127.0.0.1", plane.port) for _ in range(200)]
        await asyncio.gather(*(reader.read() for reader, _ in silent))  # until it is closed
        await until(lambda: counted(plane)["handshakes_failed"] >= 200)
        for _, writer in silent:
            writer.close()
        await unharmed(bystander)
        await until(lambda: descriptors() <= before + 3)
    await backend.stop()
