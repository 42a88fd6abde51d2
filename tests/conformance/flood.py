"""A client that sends whatever frames it likes, as fast as it can: what no HTTP/2 library would let it do."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 2, 3, 4, 6, 7, 8, 9,
)  # fmt: skip
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
UNKNOWN = 0xBA
ENHANCE_YOUR_CALM = 11
REFUSED_STREAM = 7
CANCEL = 8

CHUNK = 64 * 1024
PATIENCE = 60.0

REQUEST = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/test.Any/Call"),
    (":authority", "model.example"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)


def frame(kind: int, stream: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def request_block(extra: Iterable[tuple[str, str]] = ()) -> bytes:
    """A header block that leaves no trace in the receiver's table, so that it can be sent again and again."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode([*REQUEST, *extra]))


class Flooder:
    """Counts what comes back, and does nothing else with it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.frames: list[tuple[int, int, int, bytes]] = []
        """Kind, flags, stream and payload of what came back, DATA without its payload."""
        self.closed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def send(self, data: bytes) -> bool:
        """Send in pieces, as the other side takes them; False once it has hung up."""
        for start in range(0, len(data), CHUNK):
            if self.closed.is_set() or self._writer.is_closing():
                return False
            try:
                self._writer.write(data[start : start + CHUNK])
                await asyncio.wait_for(self._writer.drain(), PATIENCE)
            except ConnectionError:
                return False
        return True

    async def until_closed(self) -> int | None:
        """Wait for the end; the code of the GOAWAY, when it arrived before it."""
        await asyncio.wait_for(self.closed.wait(), PATIENCE)
        codes = [
            struct.unpack(">I", payload[4:8])[0] for kind, _, _, payload in self.frames if kind == GOAWAY
        ]
        return codes[-1] if codes else None

    def resets(self) -> list[int]:
        """Codes of the streams that were reset."""
        return [struct.unpack(">I", payload)[0] for kind, _, _, payload in self.frames if kind == RST_STREAM]

    def stop_reading(self) -> None:
        self._reading.cancel()

    async def close(self) -> None:
        self._reading.cancel()
        self._writer.transport.abort()

    async def _read(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(9)
                length = int.from_bytes(head[:3], "big")
                kind, flags, stream = struct.unpack(">BBI", head[3:])
                payload = await self._reader.readexactly(length)
                # Answers to housekeeping would only fill the memory of this side.
                if kind not in (PING, SETTINGS, WINDOW_UPDATE):
                    self.frames.append((kind, flags, stream, b"" if kind == DATA else payload))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed.set()


@asynccontextmanager
async def flooder(port: int) -> AsyncIterator[Flooder]:
    """A connection that has said the preface and its settings."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = Flooder(reader, writer)
    await client.send(PREFACE + frame(SETTINGS) + frame(SETTINGS, flags=ACK))
    try:
        yield client
    finally:
        await client.close()
