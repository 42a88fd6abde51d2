"""What the handlers of all methods share, and what happens once a call has ended.

Per call exactly two crossings into the engine: ``decide`` before anything is sent, ``observe`` after the
reply was handed to grpcio. Nothing after the reply may delay or fail the call.
"""

import time
from collections.abc import Sequence
from typing import Final

import structlog
from grpc import aio

from pilotfish._core import Decision, Engine
from pilotfish.call import Keep, KeptCall, Metadata
from pilotfish.plane.grpcio.forwarded import Forwarded
from pilotfish.plane.grpcio.metadata import Filter
from pilotfish.plane.grpcio.shadow import Shadows
from pilotfish.plane.grpcio.transport import Transport
from pilotfish.plane.grpcio.upstream import Upstreams

_LONGEST_SECONDS: Final = 3_000_000.0
"""Longer deadlines are cut to this (34 days): beyond it C-core's own arithmetic overflows into an instant
expiry."""

PAUSE_SECONDS: Final = 0.002
"""How long the end of the client's messages is held back. On a server of grpcio a cancelled upload looks
like one that has ended; the cancellation itself arrives within this time, and the upstream must not take
half an upload for a whole."""

_TICK_SECONDS: Final = 0.002
"""C-core counts deadlines in whole milliseconds, rounded up where they are sent and down where they pass:
within this time of one nobody can say which side saw it first."""

_log = structlog.get_logger("pilotfish.plane")


def remaining(context: "aio.ServicerContext[bytes, bytes]") -> float | None:
    """Seconds left to the client's deadline, None without one."""
    left: float | None = context.time_remaining()
    return left if left is None or left < _LONGEST_SECONDS else _LONGEST_SECONDS


def has_expired(context: "aio.ServicerContext[bytes, bytes]") -> bool:
    """Whether the client's deadline has passed, or passes with this tick of the clock."""
    left: float | None = context.time_remaining()
    return left is not None and left <= _TICK_SECONDS


class Relay:
    """The engine, the upstreams and the way to call them."""

    __slots__ = ("_forwarded", "_keep", "engine", "filter", "shadows", "transport", "upstreams")

    def __init__(
        self,
        engine: Engine,
        keep: Keep,
        transport: Transport,
        upstreams: Upstreams,
        shadows: Shadows,
        forwarded: Sequence[Forwarded] = (),
    ) -> None:
        self.engine = engine
        self.transport = transport
        self.upstreams = upstreams
        self.shadows = shadows
        self.filter = Filter()
        self._forwarded = tuple(forwarded)
        self._keep = keep

    def metadata(self, context: "aio.ServicerContext[bytes, bytes]") -> Metadata:
        """What a call carries, as the model server is to see it."""
        received: Metadata = context.invocation_metadata()  # type: ignore[assignment]  # a tuple of pairs, as received
        for forwarded in self._forwarded:
            received = forwarded.apply(context, received)
        return received

    def observe(
        self,
        decision: Decision,
        peer: str,
        path: str,
        metadata: Metadata,
        code: int,
        message: str,
        started_ns: int,
        upstream_ns: int,
        request: bytes | None,
        response: bytes | None,
        request_bytes: int,
        response_bytes: int,
    ) -> None:
        """Second crossing. ``started_ns`` is monotonic; ``peer`` is the client's address."""
        now = time.monotonic_ns()
        duration = now - started_ns
        reason = self.engine.observe(
            decision, code, duration, upstream_ns, now, request, response, request_bytes, response_bytes
        )
        if reason is None:
            return
        try:
            kept = KeptCall(
                call_id=decision.call_id,
                reason=reason,
                route=decision.route,
                version=decision.version,
                role=decision.role,
                strategy=decision.strategy,
                method=path,
                code=code,
                message=message,
                started_unix_ns=time.time_ns() - duration,
                duration_ns=duration,
                upstream_ns=upstream_ns,
                request=request,
                response=response,
                request_bytes=request_bytes,
                response_bytes=response_bytes,
                metadata=metadata,
                traceparent=decision.traceparent,
                peer=peer,
                upstream=decision.upstream,
            )
            self._keep(kept)
        except Exception:  # noqa: BLE001 - whoever takes kept calls must not disturb the serving
            _log.exception("keep.failed", call_id=decision.call_id)
            self.engine.settle("failed")
