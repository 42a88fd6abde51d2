"""Copies of calls to a version that never answers.

A copy starts when the primary's reply is on its way, so the client cannot notice it: it is not awaited, has
its own connections and its own deadline, and its number in flight is bounded by the engine. Only calls of
methods known unary are copied; a stream would have to be buffered without bound.
"""

import asyncio
import time

from pilotfish._core import Decision, Engine
from pilotfish.call import Metadata
from pilotfish.plane.grpcio.metadata import SHADOW_MARK
from pilotfish.plane.grpcio.status import CANCELLED
from pilotfish.plane.grpcio.transport import Transport
from pilotfish.plane.grpcio.upstream import Upstreams


class Shadows:
    """The shadow calls under way. ``upstreams`` are connections nobody else uses."""

    __slots__ = ("_engine", "_tasks", "_transport", "_upstreams")

    def __init__(self, engine: Engine, transport: Transport, upstreams: Upstreams) -> None:
        self._engine = engine
        self._transport = transport
        self._upstreams = upstreams
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self,
        decision: Decision,
        path: str,
        metadata: Metadata,
        request: bytes,
        code: int,
        response: bytes | None,
    ) -> None:
        """Send the copy in the background if the engine admits it. ``code``, ``response``: the primary's."""
        held = len(request) + len(response or b"")
        if not self._engine.admit_shadow(decision, held):
            return
        copy = self._copy(decision, path, metadata, request, code, response, held)
        task = asyncio.get_running_loop().create_task(copy)
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancel what is still under way; each copy is settled."""
        await asyncio.sleep(0)  # a copy cancelled before its first step could not settle itself
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _copy(
        self,
        decision: Decision,
        path: str,
        metadata: Metadata,
        request: bytes,
        primary_code: int,
        primary_response: bytes | None,
        held: int,
    ) -> None:
        assert decision.shadow is not None
        assert decision.shadow_upstream is not None
        upstream = self._upstreams.of(decision.shadow, decision.shadow_upstream)
        code, response = CANCELLED, None
        try:
            reply = await self._transport.unary(
                upstream.begin(), path, request, (*metadata, *SHADOW_MARK), decision.shadow_timeout
            )
            code, response = reply.code, reply.response
        finally:
            upstream.end()
            self._engine.observe_shadow(
                decision, code, time.monotonic_ns(), response, primary_code, primary_response, held
            )
