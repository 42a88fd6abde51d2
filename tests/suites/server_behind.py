"""A server under test for connectrpc/conformance: a real one with a plane before it.

The runner talks to a server under test by two messages, each after four bytes of length: on standard input
it says what it needs, on standard output the server answers with where it listens. Here the real server is
asked, and the plane's port is answered in place of its own. It serves until it is told to end by a signal.

Usage: python server_behind.py (native|grpcio|direct) SERVER [ARGUMENT...]
"""

import asyncio
import signal
import struct
import sys
from asyncio.subprocess import PIPE

from pilotfish.testing.plane import running

_PORT = 2
_VARINT, _BYTES = 0, 2


async def main(plane: str, command: list[str]) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    asked = await loop.run_in_executor(None, _read_message)
    server = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(struct.pack(">I", len(asked)) + asked)
    await server.stdin.drain()
    (length,) = struct.unpack(">I", await server.stdout.readexactly(4))
    answer = await server.stdout.readexactly(length)
    server.stdin.close()
    loop.add_signal_handler(signal.SIGTERM, server.terminate)
    if plane == "direct":
        _answer(answer)
        await server.wait()
        return
    async with running(plane=plane, versions={"v1": {"upstream": f"127.0.0.1:{port_of(answer)}"}}) as stand:
        _answer(with_port(answer, stand.port))
        await server.wait()


def port_of(answer: bytes) -> int:
    """The port in a ``ServerCompatResponse``."""
    return next(int(value) for number, value in _fields(answer) if number == _PORT and isinstance(value, int))


def with_port(answer: bytes, port: int) -> bytes:
    """The same answer with another port."""
    written = bytearray()
    for number, value in _fields(answer):
        if isinstance(value, int):
            written += _varint(number << 3 | _VARINT) + _varint(port if number == _PORT else value)
        else:
            written += _varint(number << 3 | _BYTES) + _varint(len(value)) + value
    return bytes(written)


def _fields(message: bytes) -> list[tuple[int, int | bytes]]:
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        if key & 7 == _BYTES:
            found.append((key >> 3, message[at : at + value]))
            at += value
        else:
            found.append((key >> 3, value))
    return found


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def _read_message() -> bytes:
    (length,) = struct.unpack(">I", sys.stdin.buffer.read(4))
    return sys.stdin.buffer.read(length)


def _answer(message: bytes) -> None:
    sys.stdout.buffer.write(struct.pack(">I", len(message)) + message)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
