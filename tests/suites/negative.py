"""The cases of grpc-go's negative HTTP/2 client, directly or through a plane.

The client's assertions are its own; the misbehaving server is played here, after the descriptions in
``grpc/grpc: doc/negative-http2-interop-test-descriptions.md``, with what that server has to assert.

Usage: python negative.py (direct|native|grpcio) DIRECTORY-OF-TOOLS
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from conformance.http2 import OK_TRAILERS, RESPONSE_HEADERS, Backend, Call, Script, Settings, framed
from h2.settings import SettingCodes

from pilotfish.testing.plane import running

PATIENCE = 60.0
SIZE = 314_159
"""Of the body that the client asks for."""
NO_ERROR = 0
ONE_AT_A_TIME = {SettingCodes.MAX_CONCURRENT_STREAMS: 1}


def answer() -> bytes:
    """A ``SimpleResponse`` whose payload has the size asked for, framed."""
    body = b"\x12" + b"\xaf\x96\x13" + bytes(SIZE)
    return framed(b"\x0a" + b"\xb3\x96\x13" + body)


async def asked(call: Call) -> None:
    await call.until(lambda: "end" in call.events)
    await call.send_headers(RESPONSE_HEADERS)


async def normal(call: Call) -> None:
    await asked(call)
    await call.send_data(answer())
    await call.send_headers(OK_TRAILERS, end=True)


async def goaway(call: Call) -> None:
    await normal(call)
    call.peer.say_goodbye(call.id)


async def rst_after_header(call: Call) -> None:
    await asked(call)
    await call.send_reset(NO_ERROR)


async def rst_during_data(call: Call) -> None:
    await asked(call)
    await call.send_data(answer()[: SIZE // 2])
    await call.send_reset(NO_ERROR)


async def rst_after_data(call: Call) -> None:
    await asked(call)
    await call.send_data(answer())
    await call.send_reset(NO_ERROR)


async def ping(call: Call) -> None:
    def send_ping() -> None:
        call.peer.connection.ping(b"negative")
        call.peer.flush()

    send_ping()
    await asked(call)
    send_ping()
    for start in range(0, len(answer()), 65_536):
        await call.send_data(answer()[start : start + 65_536])
        send_ping()
    await call.send_headers(OK_TRAILERS, end=True)
    await call.peer.until(lambda: call.peer.pongs == 7)


def two_connections(backend: Backend) -> bool:
    return len(backend.calls) == 2 and [len(peer.calls) for peer in backend.peers if peer.calls] == [1, 1]


def all_pings_answered(backend: Backend) -> bool:
    return [peer.pongs for peer in backend.peers if peer.calls] == [7]


@dataclass(frozen=True)
class Case:
    """``holds`` is what the server asserts in the end; python-h2 itself refuses streams beyond a limit.

    A client that does not pass fails without any plane: grpc-go 1.85 makes INTERNAL of a reset amid a
    message, and its own test expects UNKNOWN.
    """

    name: str
    script: Script
    settings: Settings = field(default_factory=dict)
    holds: Callable[[Backend], bool] = lambda backend: len(backend.calls) == 1
    client_passes: bool = True


CASES = (
    Case("goaway", goaway, holds=two_connections),
    Case("rst_after_header", rst_after_header),
    Case("rst_during_data", rst_during_data, client_passes=False),
    Case("rst_after_data", rst_after_data),
    Case("ping", ping, holds=all_pings_answered),
    Case("max_streams", normal, ONE_AT_A_TIME, holds=lambda backend: len(backend.calls) == 16),
)


async def main(plane: str, tools: str) -> int:
    """Exit code 1 when a case failed."""
    failed = [case.name for case in CASES if not await passes(case, plane, tools)]
    sys.stdout.write(f"{len(CASES) - len(failed)} of {len(CASES)} cases passed {failed or ''}\n")
    return 1 if failed else 0


async def passes(case: Case, plane: str, tools: str) -> bool:
    backend = Backend(case.script, case.settings)
    port = backend.port = await backend.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(backend.stop)
        if plane != "direct":
            stand = running(plane=plane, versions={"v1": {"upstream": f"127.0.0.1:{port}"}})
            port = (await stack.enter_async_context(stand)).port
        arguments = [f"--server_port={port}", f"--test_case={case.name}"]
        client = await asyncio.create_subprocess_exec(
            f"{tools}/negative_client", "--server_host=127.0.0.1", *arguments
        )
        code = await asyncio.wait_for(client.wait(), PATIENCE)
        holds = case.holds(backend)
    sys.stdout.write(
        f"{case.name}: client {'passed' if code == 0 else 'failed'}, server's assertion {holds}\n"
    )
    return (code == 0) == case.client_passes and holds


if __name__ == "__main__":
    raise SystemExit(asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 300)))
