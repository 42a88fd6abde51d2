"""Calls of methods known to be unary: the short way.

The whole exchange with the upstream is one batch, the reply to the client another; the call is observed in
the loop's next step, when grpcio already has the reply.
"""

import asyncio
import time
from random import getrandbits
from typing import NoReturn

from grpc import aio

from pilotfish._core import Decision
from pilotfish.call import Metadata
from pilotfish.plane.grpcio.relay import PAUSE_SECONDS, Relay, has_expired, remaining
from pilotfish.plane.grpcio.status import (
    CANCELLED,
    CODES,
    DEADLINE_EXCEEDED,
    INTERNAL,
    NO_REQUEST,
    OK,
    in_time,
    local_failure,
    no_message,
)
from pilotfish.plane.grpcio.transport import Reply
from pilotfish.plane.grpcio.upstream import Upstream

_monotonic_ns = time.monotonic_ns


class UnaryMethod:
    """Handler of one path."""

    __slots__ = ("_loop", "_path", "_relay")

    def __init__(self, path: str, relay: Relay, loop: asyncio.AbstractEventLoop) -> None:
        self._path = path
        self._relay = relay
        self._loop = loop

    async def read_and_handle(self, _requests: object, context: "aio.ServicerContext[bytes, bytes]") -> bytes:
        """Read the request, then :meth:`handle`. A call without a message must not wait for ever.

        That is what a unary handler of grpc.aio makes of it; it also costs nothing to read it here.
        """
        request = await context.read()
        if not isinstance(request, bytes):
            await asyncio.sleep(PAUSE_SECONDS)  # a cancelled call ends here
            await context.abort(CODES[INTERNAL], NO_REQUEST)
        return await self.handle(request, context)

    async def handle(self, request: bytes, context: "aio.ServicerContext[bytes, bytes]") -> bytes:
        """Forward one call; what it returns is the reply."""
        relay = self._relay
        started = _monotonic_ns()
        peer = context.peer()  # now: asked for after the call has ended, grpcio crashes
        metadata = relay.metadata(context)
        decision = relay.engine.decide(self._path, metadata, getrandbits(64))
        upstream = relay.upstreams.of(decision.version, decision.upstream)
        sent = _monotonic_ns()
        try:
            reply = await relay.transport.unary(
                upstream.begin(), self._path, request, relay.filter.carriable(metadata), remaining(context)
            )
        except BaseException:  # every decided call is observed once, or it would count as active for ever
            waited = _monotonic_ns() - sent
            reply = _given_up(context)
            self._loop.call_soon(self._ended, decision, peer, metadata, request, reply, started, waited)
            raise
        finally:
            upstream.end()
        waited = _monotonic_ns() - sent
        response = reply.response
        if reply.code != OK or response is None:
            await self._fail(decision, peer, context, metadata, request, reply, started, waited, upstream)
        if reply.trailing:
            context.set_trailing_metadata(relay.filter.carriable(reply.trailing))
        if reply.initial:
            await self._send_initial(decision, peer, context, metadata, request, reply, started, waited)
        self._loop.call_soon(self._ended, decision, peer, metadata, request, reply, started, waited)
        assert response is not None
        return response

    async def _send_initial(
        self,
        decision: Decision,
        peer: str,
        context: "aio.ServicerContext[bytes, bytes]",
        metadata: Metadata,
        request: bytes,
        reply: Reply,
        started: int,
        waited: int,
    ) -> None:
        try:
            await context.send_initial_metadata(self._relay.filter.carriable(reply.initial))
        except BaseException:  # the client has gone meanwhile; the call is counted all the same
            self._loop.call_soon(self._ended, decision, peer, metadata, request, reply, started, waited)
            raise

    async def _fail(
        self,
        decision: Decision,
        peer: str,
        context: "aio.ServicerContext[bytes, bytes]",
        metadata: Metadata,
        request: bytes,
        reply: Reply,
        started: int,
        waited: int,
        upstream: Upstream,
    ) -> NoReturn:
        if reply.code == OK:
            reply = reply._replace(code=INTERNAL, message=no_message(upstream.version, upstream.address))
        else:
            code, message = in_time(reply.code, reply.message, has_expired(context))
            message = local_failure(code, message, upstream.version, upstream.address)
            reply = reply._replace(code=code, message=message, response=None)
        carriable = self._relay.filter.carriable
        if reply.initial:
            await self._send_initial(decision, peer, context, metadata, request, reply, started, waited)
        self._loop.call_soon(self._ended, decision, peer, metadata, request, reply, started, waited)
        # Not `set_code`: that would send an empty message before the trailers.
        await context.abort(CODES[reply.code], reply.message, carriable(reply.trailing))

    def _ended(
        self,
        decision: Decision,
        peer: str,
        metadata: Metadata,
        request: bytes,
        reply: Reply,
        started: int,
        waited: int,
    ) -> None:
        relay = self._relay
        response = reply.response
        relay.observe(
            decision,
            peer,
            self._path,
            metadata,
            reply.code,
            reply.message,
            started,
            waited,
            request,
            response,
            len(request),
            0 if response is None else len(response),
        )
        if decision.shadow is not None and reply.code != CANCELLED:
            sendable = relay.filter.carriable(metadata)
            relay.shadows.start(decision, self._path, sendable, request, reply.code, response)


def _given_up(context: "aio.ServicerContext[bytes, bytes]") -> Reply:
    """What a call that grpcio cancelled ended with: its deadline, or the client's wish."""
    code = DEADLINE_EXCEEDED if has_expired(context) else CANCELLED
    return Reply(code, "", (), (), None)
