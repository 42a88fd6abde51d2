"""A server under test for connectrpc/conformance: a real one with a plane before it.

The runner says what it needs on standard input, and is answered on standard output with where the server
listens. Here the real server is asked, and the plane's port is answered in place of its own. It serves until
it is told to end by a signal. Where TLS is asked for, the plane speaks it, and the server behind does not.

Usage: python server_behind.py (native|grpcio|direct) SERVER [ARGUMENT...]
"""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from tempfile import TemporaryDirectory

from suites import compat

from pilotfish.testing.plane import running

PORT, SHOWN = 2, 3
"""Of ``ServerCompatResponse``."""

USE_TLS, CLIENT_CERTIFICATE, CREDENTIALS = 4, 5, 7
"""Of ``ServerCompatRequest``."""

CERTIFICATE, KEY = 1, 2
"""Of ``TLSCreds``."""


async def main(plane: str, command: list[str]) -> None:
    """Serve until SIGTERM."""
    asked = await compat.receive(await compat.standard_input())
    assert asked is not None
    wanted = asked
    if plane != "direct":
        asked = compat.replaced(compat.replaced(asked, USE_TLS, 0), CLIENT_CERTIFICATE, b"")
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
    with TemporaryDirectory() as folder:
        held = certificates(wanted)
        tls = files(held, Path(folder))
        async with running(plane=plane, versions={"v1": {"upstream": upstream}}, tls=tls) as stand:
            answer = compat.replaced(answer, PORT, stand.port)
            compat.say(answer + compat.written(SHOWN, held["certificate"]) if tls else answer)
            await server.wait()


def certificates(wanted: bytes) -> dict[str, bytes]:
    """The certificates that are asked for, by their setting; none without TLS."""
    credentials = compat.value(wanted, CREDENTIALS)
    if not compat.value(wanted, USE_TLS) or not isinstance(credentials, bytes):
        return {}
    held = {
        "certificate": compat.value(credentials, CERTIFICATE),
        "key": compat.value(credentials, KEY),
        "client_ca": compat.value(wanted, CLIENT_CERTIFICATE),
    }
    return {name: text for name, text in held.items() if isinstance(text, bytes) and text}


def files(certificates: dict[str, bytes], folder: Path) -> dict[str, str] | None:
    """The listener's settings for them; None without TLS."""
    for name, text in certificates.items():
        (folder / name).write_bytes(text)
    return {name: str(folder / name) for name in certificates} or None


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
