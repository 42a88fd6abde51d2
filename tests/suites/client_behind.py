"""A client under test for connectrpc/conformance: a real one, whose calls go through a plane.

The runner says on standard input which calls to make, each to a host and a port. Here each is passed on to
the real client with the port of a plane that stands before that server, made when it is first needed. What
the client found goes back as it is.

Usage: python client_behind.py (native|grpcio|direct) CLIENT [ARGUMENT...]
"""

import asyncio
import sys
from asyncio.subprocess import PIPE
from contextlib import AsyncExitStack

from suites import compat

from pilotfish.testing.plane import running

HOST, PORT = 6, 7
"""Of ``ClientCompatRequest``."""


class Planes:
    """The planes made so far, by the port of the server behind each."""

    def __init__(self, kind: str, stack: AsyncExitStack) -> None:
        self._kind = kind
        self._stack = stack
        self._ports: dict[int, int] = {}

    async def before(self, port: int) -> int:
        """The port to call in place of a server's own."""
        if self._kind == "direct":
            return port
        if port not in self._ports:
            stand = running(plane=self._kind, versions={"v1": {"upstream": f"127.0.0.1:{port}"}})
            self._ports[port] = (await self._stack.enter_async_context(stand)).port
        return self._ports[port]


async def main(kind: str, command: list[str]) -> int:
    """The client's exit code."""
    client = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert client.stdin is not None
    assert client.stdout is not None
    async with AsyncExitStack() as stack:
        answers = asyncio.create_task(hand_back(client.stdout))
        asked = await compat.standard_input()
        planes = Planes(kind, stack)
        while (request := await compat.receive(asked)) is not None:
            port = compat.value(request, PORT)
            assert isinstance(port, int)
            request = compat.replaced(request, PORT, await planes.before(port))
            client.stdin.write(compat.delimited(compat.replaced(request, HOST, b"127.0.0.1")))
            await client.stdin.drain()
        client.stdin.close()
        await answers
        return await client.wait()


async def hand_back(answers: asyncio.StreamReader) -> None:
    while (answer := await compat.receive(answers)) is not None:
        compat.say(answer)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main(sys.argv[1], sys.argv[2:])))
