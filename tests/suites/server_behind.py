"""A server under test for connectrpc/conformance: a real one with a plane before it.

The runner says what it needs on standard input, and is answered on standard output with where the server
listens. Here the real server is asked, and the plane's port is answered in place of its own. It serves until
it is told to end by a signal.

Usage: python server_behind.py (native|grpcio|direct) SERVER [ARGUMENT...]
"""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE

from suites import compat

from pilotfish.testing.plane import running

PORT = 2
"""Of ``ServerCompatResponse``."""


async def main(plane: str, command: list[str]) -> None:
    """Serve until SIGTERM."""
    asked = await compat.receive(await compat.standard_input())
    assert asked is not None
    server = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(compat.delimited(asked))
    await server.stdin.drain()
    answer = await compat.receive(server.stdout)
    assert answer is not None, "the server under test ended before it listened"
    server.stdin.close()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.terminate)
    if plane == "direct":
        compat.say(answer)
        await server.wait()
        return
    upstream = f"127.0.0.1:{compat.value(answer, PORT)}"
    async with running(plane=plane, versions={"v1": {"upstream": upstream}}) as stand:
        compat.say(compat.replaced(answer, PORT, stand.port))
        await server.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
