"""Calls of every other method: messages in both directions until both sides have ended.

On the wire all four kinds of call look alike, so one handler serves them all, with any method name. Two
pumps: down (upstream to client) in the handler itself, up (client to upstream) in a task of its own.
"""

import asyncio
import time
from random import getrandbits

from grpc import aio

from pilotfish.call import Metadata
from pilotfish.plane.grpcio.relay import PAUSE_SECONDS, Relay, has_expired, remaining
from pilotfish.plane.grpcio.status import (
    CANCELLED,
    CODES,
    DEADLINE_EXCEEDED,
    OK,
    in_time,
    local_failure,
)
from pilotfish.plane.grpcio.transport import CallEnded, Status

_monotonic_ns = time.monotonic_ns


class StreamMethod:
    """Handler of one path."""

    __slots__ = ("_loop", "_path", "_relay")

    def __init__(self, path: str, relay: Relay, loop: asyncio.AbstractEventLoop) -> None:
        self._path = path
        self._relay = relay
        self._loop = loop

    async def handle(self, _requests: object, context: "aio.ServicerContext[bytes, bytes]") -> None:
        """Forward one call. Reads and writes through ``context``."""
        await _StreamCall(self._path, self._relay, self._loop, context).run()


class _StreamCall:
    __slots__ = (
        "_closed",
        "_context",
        "_decision",
        "_headers",
        "_headers_due",
        "_loop",
        "_metadata",
        "_path",
        "_peer",
        "_received_bytes",
        "_relay",
        "_sent_bytes",
        "_started",
        "_stream",
        "_upload",
        "_upstream",
    )

    def __init__(
        self,
        path: str,
        relay: Relay,
        loop: asyncio.AbstractEventLoop,
        context: "aio.ServicerContext[bytes, bytes]",
    ) -> None:
        self._started = _monotonic_ns()
        self._path = path
        self._relay = relay
        self._loop = loop
        self._context = context
        self._peer = context.peer()  # now: asked for after the call has ended, grpcio crashes
        self._metadata = relay.metadata(context)
        self._decision = relay.engine.decide(path, self._metadata, getrandbits(64))
        self._upstream = relay.upstreams.of(self._decision.version, self._decision.upstream)
        self._stream = relay.transport.stream(
            self._upstream.begin(), path, relay.filter.carriable(self._metadata), remaining(context)
        )
        self._headers: asyncio.Task[None] | None = None
        self._headers_due: asyncio.TimerHandle | None = None
        self._upload: asyncio.Task[None] | None = None
        self._closed = False
        self._received_bytes = 0
        self._sent_bytes = 0

    async def run(self) -> None:
        sent = _monotonic_ns()
        status = Status(CANCELLED, "", ())
        try:
            self._upload = self._loop.create_task(self._up())
            initial = await self._stream.begin()
            await self._send_initial(initial)
            await self._down()
            status = await self._stream.status()
            if status.code != OK:
                code, message = in_time(status.code, status.message, has_expired(self._context))
                status = status._replace(code=code, message=message)
            await self._headers_settled()
        except asyncio.CancelledError:
            if has_expired(self._context):
                status = Status(DEADLINE_EXCEEDED, "", ())
            raise
        finally:
            # From here on only this coroutine may touch `context`: grpcio frees the call as soon as it
            # returns, and crashes when it is used after that.
            self._closed = True
            self._stream.cancel()
            self._upstream.end()
            if self._headers_due is not None:
                self._headers_due.cancel()
            self._loop.call_soon(self._ended, status, _monotonic_ns() - sent)
        await self._finish(status)

    async def _up(self) -> None:
        """Client to upstream. Ends by itself once the call has ended on either side."""
        context, stream, engine = self._context, self._stream, self._relay.engine
        try:
            while not self._closed:
                message = await context.read()
                if not isinstance(message, bytes):
                    await asyncio.sleep(PAUSE_SECONDS)
                    if not self._closed:
                        await stream.half_close()
                    return
                self._sent_bytes += len(message)
                try:
                    await stream.send(message)
                finally:  # a message counts although the upstream has answered without waiting for it
                    engine.observe_message(self._decision, "input", message, _monotonic_ns())
        except (CallEnded, aio.BaseError):
            return  # the other pump sees the status, and says it

    async def _down(self) -> None:
        """Upstream to client, until the upstream has no more messages."""
        context, stream, engine = self._context, self._stream, self._relay.engine
        while (message := await stream.receive()) is not None:
            await self._headers_settled()
            await context.write(message)
            self._received_bytes += len(message)
            engine.observe_message(self._decision, "output", message, _monotonic_ns())

    async def _send_initial(self, initial: Metadata) -> None:
        """Send initial metadata at once; leave an error without any the one frame it was (Trailers-Only)."""
        if initial:
            await self._context.send_initial_metadata(self._relay.filter.carriable(initial))
        elif not self._stream.ended:
            self._headers_due = self._loop.call_later(PAUSE_SECONDS, self._send_empty_initial)

    def _send_empty_initial(self) -> None:
        if not self._stream.ended:
            self._headers = self._loop.create_task(self._send_headers_alone())

    async def _send_headers_alone(self) -> None:
        if not self._closed:
            await self._context.send_initial_metadata(())

    async def _headers_settled(self) -> None:
        """Make sure that initial metadata is not sent twice: call it off, or wait until it is out."""
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None
            if self._headers is not None:
                await asyncio.wait((self._headers,))

    async def _finish(self, status: Status) -> None:
        trailing = self._relay.filter.carriable(status.trailing)
        if status.code != OK:
            message = local_failure(
                status.code, status.message, self._upstream.version, self._upstream.address
            )
            await self._context.abort(CODES[status.code], message, trailing)
        if trailing:
            self._context.set_trailing_metadata(trailing)

    def _ended(self, status: Status, waited: int) -> None:
        self._relay.observe(
            self._decision,
            self._peer,
            self._path,
            self._metadata,
            status.code,
            local_failure(status.code, status.message, self._upstream.version, self._upstream.address),
            self._started,
            waited,
            None,
            None,
            self._sent_bytes,
            self._received_bytes,
        )
