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
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from authority import Authority
from cryptography.x509 import DNSName, IPAddress
from suites import compat

from pilotfish.testing.plane import running

HOST, PORT, SERVER_CERTIFICATE, CREDENTIALS = 6, 7, 8, 9
"""Of ``ClientCompatRequest``."""

CERTIFICATE, KEY = 1, 2
"""Of ``TLSCreds``."""

LOOPBACK = IPAddress(ip_address("127.0.0.1"))


class Planes:
    """The planes made so far, by the server behind each and the certificates that are asked for."""

    def __init__(self, kind: str, stack: AsyncExitStack) -> None:
        self._kind = kind
        self._stack = stack
        self._ports: dict[tuple[int, bytes, bytes], int] = {}
        self._authority = Authority()
        self._folder = Path(stack.enter_context(TemporaryDirectory()))

    async def before(self, request: bytes) -> bytes:
        """The request, to be made of the plane in place of the server."""
        if self._kind == "direct":
            return request
        port, server, client = (compat.value(request, n) for n in (PORT, SERVER_CERTIFICATE, CREDENTIALS))
        assert isinstance(port, int)
        of = (port, server or b"", client or b"")
        if of not in self._ports:
            stand = running(plane=self._kind, **self._settings(*of))
            self._ports[of] = (await self._stack.enter_async_context(stand)).port
        if server:
            # The plane's certificate is its own: the client has to know whose it is.
            request = compat.replaced(request, SERVER_CERTIFICATE, self._authority.pem)
        return compat.replaced(compat.replaced(request, PORT, self._ports[of]), HOST, b"127.0.0.1")

    def _settings(self, port: int, server: bytes, client: bytes) -> dict[str, Any]:
        upstream: dict[str, Any] = {"upstream": f"127.0.0.1:{port}"}
        if not server:
            return {"versions": {"v1": upstream}}
        folder = self._folder / str(len(self._ports))
        self._authority.pair(DNSName("localhost"), LOOPBACK).write(folder)
        (folder / "server.crt").write_bytes(server)
        listener = {"certificate": f"{folder}/tls.crt", "key": f"{folder}/tls.key"}
        upstream["tls"] = {"ca": f"{folder}/server.crt"}
        for number, name in ((CERTIFICATE, "certificate"), (KEY, "key")) if client else ():
            held = compat.value(client, number)
            assert isinstance(held, bytes)
            (folder / f"client.{name}").write_bytes(held)
            upstream["tls"][name] = f"{folder}/client.{name}"
        if client:
            listener["client_ca"] = f"{folder}/client.certificate"
        return {"versions": {"v1": upstream}, "tls": listener}


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
            client.stdin.write(compat.delimited(await planes.before(request)))
            await client.stdin.drain()
        client.stdin.close()
        await answers
        return await client.wait()


async def hand_back(answers: asyncio.StreamReader) -> None:
    while (answer := await compat.receive(answers)) is not None:
        compat.say(answer)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main(sys.argv[1], sys.argv[2:])))
