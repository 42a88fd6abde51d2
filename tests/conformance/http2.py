"""Both ends of an HTTP/2 connection, in frames: what a call looks like on the wire, not in a library.

A client that sends exactly the headers and bytes it is told to, and a backend that plays a script per call
and records what it saw. All waits are for events, never for time; ``PATIENCE`` turns a hang into a failure.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

PATIENCE = 20.0
WINDOW = 2**24

Headers = list[tuple[str, str]]
Script = Callable[["Call"], Awaitable[None]]
Settings = Mapping[h2.settings.SettingCodes, int]

REQUEST_HEADERS: Headers = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/test.Any/Call"),
    (":authority", "model.example:8001"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]
RESPONSE_HEADERS: Headers = [(":status", "200"), ("content-type", "application/grpc")]
OK_TRAILERS: Headers = [("grpc-status", "0")]


def framed(message: bytes, compressed: int = 0) -> bytes:
    """One gRPC message as it travels: flag, length, bytes."""
    return struct.pack(">BI", compressed, len(message)) + message


def messages(data: bytes) -> list[tuple[int, bytes]]:
    """The whole gRPC messages in ``data``, with their compressed flags."""
    found = []
    while len(data) >= 5:
        flag, length = struct.unpack_from(">BI", data)
        found.append((flag, data[5 : 5 + length]))
        data = data[5 + length :]
    return found


def values(headers: Headers, key: str) -> list[str]:
    """All values of one key, in order."""
    return [value for name, value in headers if name == key]


@dataclass(eq=False)
class Call:
    """One stream, as this end of the connection saw it."""

    peer: "Peer"
    id: int
    headers: Headers = field(default_factory=list)
    trailers: Headers = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    events: list[str] = field(default_factory=list)
    """In order of arrival: ``headers``, ``data``, ``trailers``, ``end``, ``reset``."""
    reset: int | None = None
    lost: bool = False

    @property
    def over(self) -> bool:
        return "end" in self.events or self.reset is not None or self.lost

    @property
    def messages(self) -> list[bytes]:
        return [message for _, message in messages(bytes(self.data))]

    @property
    def status(self) -> str | None:
        """``grpc-status`` from wherever it stands."""
        return next(iter(values(self.trailers, "grpc-status") + values(self.headers, "grpc-status")), None)

    @property
    def all_metadata(self) -> Headers:
        return self.headers + self.trailers

    async def send_headers(self, headers: Headers, end: bool = False) -> None:
        self.peer.connection.send_headers(self.id, _encoded(headers), end_stream=end)
        self.peer.flush()

    async def send_data(self, data: bytes, end: bool = False) -> None:
        """Send bytes as the other side's windows allow."""
        connection = self.peer.connection
        while data:
            # Not `over`: the other side may have said all it has to say and still listen.
            await self.peer.until(
                lambda: (
                    self.reset is not None or self.lost or connection.local_flow_control_window(self.id) > 0
                )
            )
            if self.reset is not None or self.lost:
                return
            size = min(
                len(data), connection.local_flow_control_window(self.id), connection.max_outbound_frame_size
            )
            connection.send_data(self.id, data[:size], end_stream=end and size == len(data))
            data = data[size:]
            self.peer.flush()

    async def send_padding(self, length: int, count: int) -> None:
        """Send frames of data that hold none, as the other side's windows allow."""
        connection = self.peer.connection
        for _ in range(count):
            await self.peer.until(
                lambda: self.over or connection.local_flow_control_window(self.id) >= length
            )
            if self.reset is not None or self.lost:
                return
            connection.send_data(self.id, b"", pad_length=length - 1)
            self.peer.flush()

    async def end(self) -> None:
        # The other side may be done first, and have closed the stream for good.
        with contextlib.suppress(h2.exceptions.StreamClosedError):
            self.peer.connection.end_stream(self.id)
        self.peer.flush()

    async def send_reset(self, code: int) -> None:
        self.peer.connection.reset_stream(self.id, code)
        self.peer.flush()

    async def reply(
        self, message: bytes, trailers: Headers = OK_TRAILERS, headers: Headers = RESPONSE_HEADERS
    ) -> None:
        """Headers, one message and trailers, at once."""
        await self.send_headers(headers)
        await self.send_data(framed(message))
        await self.send_headers(trailers, end=True)

    async def until(self, condition: Callable[[], bool]) -> None:
        await self.peer.until(lambda: condition() or self.lost)

    async def until_over(self) -> "Call":
        await self.until(lambda: self.over)
        return self


class Peer(asyncio.Protocol):
    """One end of one connection."""

    def __init__(
        self,
        script: Script | None = None,
        acknowledge: bool = True,
        change: asyncio.Event | None = None,
        settings: Settings = {},  # noqa: B006
    ) -> None:
        self.script = script
        self.acknowledge = acknowledge
        self.settings = settings
        self.pongs = 0
        self.said_goodbye = False
        self.most_open = 0
        self.calls: dict[int, Call] = {}
        self.goaway = False
        self.lost = False
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=script is None,
                header_encoding=None,
                validate_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                normalize_inbound_headers=False,
            )
        )
        self._changed = change or asyncio.Event()
        self._scripts: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport | None = None
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._closed:  # while it was being accepted
            transport.abort()
            return
        self.connection.initiate_connection()
        settings = {h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 2**20, **self.settings}
        if self.script is None:
            settings[h2.settings.SettingCodes.ENABLE_PUSH] = 0
        if self.acknowledge:
            settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = WINDOW
        self.connection.update_settings(settings)
        if self.acknowledge:
            self.connection.increment_flow_control_window(WINDOW)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        for call in self.calls.values():
            call.lost = True
        for task in self._scripts:
            task.cancel()
        self._changed.set()

    def data_received(self, data: bytes) -> None:
        # What comes after a goodbye is nobody's any more, and python-h2 takes it for an error.
        with contextlib.suppress(*([h2.exceptions.ProtocolError] if self.said_goodbye else [])):
            for event in self.connection.receive_data(data):
                self._handle(event)
        self.flush()
        self._changed.set()

    def flush(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self.connection.data_to_send())

    def say_goodbye(self, last: int) -> None:
        """GOAWAY: calls after ``last`` will not be looked at."""
        self.connection.close_connection(last_stream_id=last)
        self.said_goodbye = True
        self.flush()

    def close(self) -> None:
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    async def until(self, condition: Callable[[], bool]) -> None:
        await changed(self._changed, condition)

    async def begin(self, headers: Headers, end: bool = False) -> Call:
        """Client: open a call."""
        call = Call(self, self.connection.get_next_available_stream_id())
        self.calls[call.id] = call
        await call.send_headers(headers, end)
        return call

    async def unary(self, message: bytes, extra: Headers = [], path: str = "/test.Any/Call") -> Call:  # noqa: B006
        """Client: one request, half-close, and the whole answer."""
        call = await self.begin(request_headers(path, extra))
        await call.send_data(framed(message), end=True)
        return await call.until_over()

    def _handle(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            call = self.calls[event.stream_id] = Call(self, event.stream_id)
            call.headers = _decoded(event.headers)
            call.events.append("headers")
            self.most_open = max(self.most_open, self.connection.open_inbound_streams)
            self._play(call)
        elif isinstance(event, h2.events.ResponseReceived):
            self._note(event.stream_id, "headers").headers = _decoded(event.headers)
        elif isinstance(event, h2.events.TrailersReceived):
            self._note(event.stream_id, "trailers").trailers = _decoded(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self._note(event.stream_id, "data").data += event.data
            if self.acknowledge and event.flow_controlled_length:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self._note(event.stream_id, "end")
        elif isinstance(event, h2.events.StreamReset) and event.stream_id in self.calls:
            self._note(event.stream_id, "reset").reset = int(event.error_code)
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs += 1
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = True

    def _note(self, stream_id: int, what: str) -> Call:
        call = self.calls[stream_id]
        call.events.append(what)
        return call

    def _play(self, call: Call) -> None:
        assert self.script is not None
        task = asyncio.ensure_future(self._guarded(self.script, call))
        self._scripts.add(task)
        task.add_done_callback(self._scripts.discard)

    async def _guarded(self, script: Script, call: Call) -> None:
        # The other side may reset the call while the script is still speaking.
        with contextlib.suppress(h2.exceptions.StreamClosedError):
            await script(call)


class Backend:
    """A scripted HTTP/2 server; ``script`` is played for every call and may be changed at any time."""

    def __init__(
        self,
        script: Script | None = None,
        settings: Settings = {},  # noqa: B006
        acknowledge: bool = True,
    ) -> None:
        self.script: Script = script or echo
        self.acknowledge = acknowledge
        self.settings = settings
        self.port = 0
        self.peers: list[Peer] = []
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._stopped = False

    @property
    def calls(self) -> list[Call]:
        return [call for peer in self.peers for call in peer.calls.values()]

    @property
    def call(self) -> Call:
        """The only call so far."""
        (call,) = self.calls
        return call

    async def start(self, port: int = 0) -> int:
        loop = asyncio.get_running_loop()
        self._stopped = False
        self._server = await loop.create_server(self._accept, "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    def disconnect(self) -> None:
        for peer in self.peers:
            peer.close()

    async def stop(self) -> None:
        assert self._server is not None
        self._stopped = True
        self._server.close()
        self.disconnect()
        await self._server.wait_closed()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait on every connection at once; connections may still be made meanwhile."""
        await changed(self._changed, condition)

    def _accept(self) -> Peer:
        peer = Peer(self._run, self.acknowledge, self._changed, self.settings)
        self.peers.append(peer)
        if self._stopped:
            peer.close()
        return peer

    async def _run(self, call: Call) -> None:
        await self.script(call)


@contextlib.asynccontextmanager
async def connected(port: int, acknowledge: bool = True) -> AsyncIterator[Peer]:
    """A client's connection to a port of the loopback."""
    loop = asyncio.get_running_loop()
    _, peer = await loop.create_connection(lambda: Peer(None, acknowledge), "127.0.0.1", port)
    try:
        yield peer
    finally:
        peer.close()


def request_headers(path: str = "/test.Any/Call", extra: Iterable[tuple[str, str]] = ()) -> Headers:
    """The usual request headers; a key in ``extra`` replaces the usual value."""
    extra = list(extra)
    given = {key for key, _ in extra}
    usual = [(key, path if key == ":path" else value) for key, value in REQUEST_HEADERS if key not in given]
    pseudo = [entry for entry in extra if entry[0].startswith(":")]
    return pseudo + usual + [entry for entry in extra if not entry[0].startswith(":")]


async def changed(event: asyncio.Event, condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds; it is looked at whenever ``event`` is set."""

    async def wait() -> None:
        while not condition():
            event.clear()
            await event.wait()

    await asyncio.wait_for(wait(), PATIENCE)


async def echo(call: Call) -> None:
    """Wait for the whole request, and answer with its first message."""
    await call.until_over()
    if call.reset is None and not call.lost:
        await call.reply(call.messages[0] if call.messages else b"")


def _encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(key.encode("latin-1"), value.encode("latin-1")) for key, value in headers]


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    return [(bytes(key).decode("latin-1"), bytes(value).decode("latin-1")) for key, value in headers]
