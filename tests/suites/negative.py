"""The cases of grpc-go's negative HTTP/2 client, directly or through a plane.

The client's assertions are its own; the misbehaving server is played here, after the descriptions in
``grpc/grpc: doc/negative-http2-interop-test-descriptions.md``, with what that server has to assert.

Usage: python negative.py (direct|native|grpcio) DIRECTORY-OF-TOOLS
"""

import asyncio
import re
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
    """``holds`` is what the server asserts in the end; python-h2 itself refuses streams beyond a limit."""

    name: str
    script: Script
    settings: Settings = field(default_factory=dict)
    holds: Callable[[Backend], bool] = lambda backend: len(backend.calls) == 1


CASES = (
    Case("goaway", goaway, holds=two_connections),
    Case("rst_after_header", rst_after_header),
    Case("rst_during_data", rst_during_data),
    Case("rst_after_data", rst_after_data),
    Case("ping", ping, holds=all_pings_answered),
    Case("max_streams", normal, ONE_AT_A_TIME, holds=lambda backend: len(backend.calls) == 16),
)

FAILS_DIRECTLY = {"rst_during_data": "Internal"}
"""What the client says of cases that it fails without any plane: grpc-go 1.85 makes INTERNAL of a reset amid
a message, where its own test expects UNKNOWN. Through a plane it has to say the same."""


@dataclass(frozen=True)
class Outcome:
    """How one case ended."""

    passed: bool
    """In the client's eyes."""
    said: str
    """The status that the client complains of."""
    holds: bool
    """The server's assertion."""

    def expected(self, name: str) -> bool:
        """Whether it is what comes of the case without any plane."""
        return (self.passed, self.said, self.holds) == (
            name not in FAILS_DIRECTLY,
            FAILS_DIRECTLY.get(name, ""),
            True,
        )


async def main(plane: str, tools: str) -> int:
    """Exit code 1 when a case failed."""
    outcomes = {case.name: await outcome(case, plane, tools) for case in CASES}
    for name, found in outcomes.items():
        client = "passed" if found.passed else f"failed ({found.said})"
        sys.stdout.write(f"{name}: client {client}, server's assertion {found.holds}\n")
    passed = sum(found.passed and found.holds for found in outcomes.values())
    odd = [name for name, found in outcomes.items() if not found.expected(name)]
    same = sorted(set(FAILS_DIRECTLY) - set(odd))
    sys.stdout.write(f"{passed} of {len(CASES)} cases passed, {same} failed as expected without a plane\n")
    sys.stdout.write(f"otherwise than expected: {odd}\n" if odd else "")
    return 1 if odd else 0


async def outcome(case: Case, plane: str, tools: str) -> Outcome:
    backend = Backend(case.script, case.settings)
    port = backend.port = await backend.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(backend.stop)
        if plane != "direct":
            stand = running(plane=plane, versions={"v1": {"upstream": f"127.0.0.1:{port}"}})
            port = (await stack.enter_async_context(stand)).port
        arguments = [f"--server_port={port}", f"--test_case={case.name}"]
        client = await asyncio.create_subprocess_exec(
            f"{tools}/negative_client", "--server_host=127.0.0.1", *arguments, stderr=asyncio.subprocess.PIPE
        )
        _, complaint = await asyncio.wait_for(client.communicate(), PATIENCE)
        sys.stdout.write(complaint.decode())
        said = re.findall(r"= _, (\w+), want", complaint.decode())
        return Outcome(
            client.returncode == 0, said[-1] if client.returncode and said else "", case.holds(backend)
        )


if __name__ == "__main__":
    raise SystemExit(asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 300)))
