"""Clients and model servers that do not read: how long they are waited for, how much is held for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h2.settings
import pytest

from conformance import flood
from conformance.flood import flooder, frame
from conformance.http2 import Backend, Call, Peer, connected, framed, request_headers
from conformance.test_floods import (
    answering,
    counted,
    endless,
    native,
    opened,
    resident,
    silent,
    unharmed,
    until,
)
from pilotfish.testing.plane import RunningPlane

NOTHING = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}
ENHANCE_YOUR_CALM = 11
REFUSED_STREAM = 7
ROOM = 8 * 1024**2


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    backend = Backend(endless)
    backend.port = await backend.start()
    yield backend
    await backend.stop()


@asynccontextmanager
async def without_window(plane: RunningPlane) -> AsyncIterator[Peer]:
    """A client that lets nobody send it a single byte of a message."""
    loop = asyncio.get_running_loop()
    _, peer = await loop.create_connection(
        lambda: Peer(None, acknowledge=False, settings=NOTHING), "127.0.0.1", plane.port
    )
    try:
        yield peer
    finally:
        peer.close()


async def test_a_call_whose_client_does_not_read_ends_after_a_while(backend: Backend) -> None:
    async with native(backend, stall=0.2) as plane, connected(plane.port) as bystander:
        async with connected(plane.port, acknowledge=False) as client:
            stuck = await (await client.begin(request_headers())).until_over()
            assert stuck.reset == ENHANCE_YOUR_CALM
            await backend.until(lambda: backend.calls[0].over)
            assert backend.calls[0].reset is not None
            assert counted(plane)["calls_stalled"] == 1
            assert not client.lost
        backend.script = answering
        await unharmed(bystander)


async def test_a_call_whose_model_server_does_not_read_ends_after_a_while(backend: Backend) -> None:
    backend.script, backend.acknowledge = silent, False
    async with native(backend, stall=0.2) as plane, connected(plane.port) as client:
        call = await client.begin(request_headers())
        sending = asyncio.ensure_future(call.send_data(framed(bytes(4 * 1024**2)), end=True))
        await call.until_over()
        sending.cancel()
        assert call.status == "14"
        assert "limits.stall" in dict(call.all_metadata)["grpc-message"]
        assert counted(plane)["calls_stalled"] == 1


async def test_beyond_the_budget_the_calls_of_who_does_not_read_end(backend: Backend) -> None:
    limits = {"memory": 4 * 1024**2, "stream_window": 1024**2}
    async with native(backend, **limits) as plane, connected(plane.port) as bystander:
        before = resident()
        async with connected(plane.port, acknowledge=False) as client:
            calls = [await client.begin(request_headers()) for _ in range(64)]
            await client.until(lambda: sum(call.over for call in calls) >= 32)
            assert {call.reset for call in calls if call.over} <= {ENHANCE_YOUR_CALM, REFUSED_STREAM}
            backend.script = answering
            for _ in range(20):
                await unharmed(bystander)
            assert counted(plane)["calls_shed"] >= 1
            assert resident() - before < 3 * ROOM
        await until(lambda: counted(plane).get("calls_open") is None)


async def test_answers_that_are_never_read_are_held_within_the_budget(backend: Backend) -> None:
    """Each is short enough to be passed on at once; its call is over, and the bytes are still here."""

    async def script(call: Call) -> None:
        await call.until_over()
        await call.reply(bytes(30_000))

    backend.script = script
    async with (
        native(backend, memory=2 * 1024**2) as plane,
        connected(plane.port) as bystander,
        without_window(plane) as client,
    ):
        calls = [await client.begin(request_headers(), end=True)]
        while not any(call.reset == REFUSED_STREAM for call in calls):
            assert len(calls) < 500
            await client.until(lambda: bool(calls[-1].headers) or calls[-1].over)
            calls.append(await client.begin(request_headers(), end=True))
        assert 2 * 1024**2 / 30_000 <= len(calls) + 1 < 2 * 1024**2 / 30_000 + 10
        assert counted(plane)["calls_refused_memory"] >= 1
        backend.script = answering
        await unharmed(bystander)
        # It reads at last: what it was owed comes, and it is welcome again.
        client.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**20})
        client.connection.increment_flow_control_window(2**24)
        client.flush()
        await client.until(lambda: all(call.over for call in calls))
        await unharmed(client)


async def test_a_client_that_was_asked_to_go_and_does_not_read_is_closed(backend: Backend) -> None:
    backend.script = answering
    async with native(backend, idle=1, stall=0.2) as plane, flooder(plane.port) as client:
        await client.send(frame(flood.SETTINGS, 0, bytes.fromhex("000400000000")))  # no window at all
        await opened(client)
        await client.send(frame(flood.DATA, 1, framed(b"x"), flood.END_STREAM))
        await client.until_closed()
        assert (counted(plane)["connections_idle"], counted(plane)["connections_stalled"]) == (1, 1)
