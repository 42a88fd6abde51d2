"""What connectrpc/conformance's runner and a program under test say to each other: messages and their fields.

Each message stands after four bytes of length, on standard input and output. Only fields of the two kinds
that occur here are read, and what is not replaced stays as it was.
"""

import asyncio
import struct
import sys
from typing import BinaryIO

Field = tuple[int, int | bytes]

_VARINT, _BYTES = 0, 2
_LENGTH = struct.Struct(">I")


async def receive(stream: asyncio.StreamReader) -> bytes | None:
    """The next message; None when there are no more."""
    try:
        (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
        return await stream.readexactly(length)
    except asyncio.IncompleteReadError:
        return None


async def standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def say(message: bytes, to: BinaryIO = sys.stdout.buffer) -> None:
    """Write one message at once."""
    to.write(delimited(message))
    to.flush()


def delimited(message: bytes) -> bytes:
    return _LENGTH.pack(len(message)) + message


def value(message: bytes, number: int) -> int | bytes | None:
    """The last value of a field."""
    found = [value for field, value in _fields(message) if field == number]
    return found[-1] if found else None


def replaced(message: bytes, number: int, new: int | bytes) -> bytes:
    """The message with one field's value replaced."""
    return b"".join(written(field, new if field == number else old) for field, old in _fields(message))


def written(number: int, value: int | bytes) -> bytes:
    """One field."""
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _fields(message: bytes) -> list[Field]:
    found: list[Field] = []
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        if key & 7 == _BYTES:
            found.append((key >> 3, message[at : at + value]))
            at += value
        elif key & 7 == _VARINT:
            found.append((key >> 3, value))
        else:
            raise ValueError(f"field {key >> 3} has wire type {key & 7}, which this suite did not use so far")
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
