"""Calls made with C-core's batches, below the Python layer of ``grpc.aio``.

A proxy meets races that ``grpc.aio`` loses: a write that meets the end of the call replaces the real status
by ``INTERNAL: Internal error from Core`` (grpc/grpc#36066), and metadata that arrives together with the
status is dropped. Both happen in the bookkeeping above the batches, so here the batches are driven
directly. It is private API: :func:`usable` checks version and names before the first call, and
:mod:`.public` is taken otherwise. It is also the cheaper way: no task, no metadata mapping and no
bookkeeping per call.
"""

import asyncio
import importlib
import time
from typing import Any, Final

import grpc
from grpc import aio

from pilotfish.call import Metadata
from pilotfish.plane.grpcio.transport import CallEnded, Reply, Status

TESTED: Final = ((1, 84), (1, 86))
"""grpcio versions, from and below, this was tested with."""

_CANCELLED: Final = "cancelled by the client"
_NAMES: Final = (
    "ReceiveInitialMetadataOperation",
    "ReceiveStatusOnClientOperation",
    "SendCloseFromClientOperation",
    "SendInitialMetadataOperation",
    "ExecuteBatchError",
    "_receive_message",
    "_send_message",
    "execute_batch",
)

_cygrpc: Any = importlib.import_module("grpc._cython.cygrpc")
_now = time.time


def usable(version: str = grpc.__version__) -> bool:
    """Whether this grpcio is one of the tested versions and has everything used here."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    return TESTED[0] <= numbers < TESTED[1] and all(hasattr(_cygrpc, name) for name in _NAMES)


class CoreTransport:
    """Transport over C-core's batches. Needs the event loop the channels were made on."""

    __slots__ = ("_loop",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    async def unary(
        self, channel: aio.Channel, path: str, request: bytes, metadata: Metadata, timeout: float | None
    ) -> Reply:
        """See :class:`~pilotfish.plane.grpcio.transport.Transport`. One batch from first to last byte."""
        call = _open(channel, path, timeout)
        try:
            response = await call.unary_unary(request, metadata, None)
        except BaseException:
            call.cancel(_CANCELLED)
            raise
        status = call._status
        return Reply(
            status.code(), status.details(), status.trailing_metadata(), call._initial_metadata, response
        )

    def stream(
        self, channel: aio.Channel, path: str, metadata: Metadata, timeout: float | None
    ) -> "CoreStream":
        """See :class:`~pilotfish.plane.grpcio.transport.Transport`."""
        return CoreStream(_open(channel, path, timeout), metadata, self._loop)


class CoreStream:
    """A call whose status has its own batch, read only when it has arrived."""

    __slots__ = ("_call", "_ending", "_loop", "_metadata", "_status")

    def __init__(self, call: Any, metadata: Metadata, loop: asyncio.AbstractEventLoop) -> None:
        self._call = call
        self._metadata = metadata
        self._loop = loop
        self._status = _cygrpc.ReceiveStatusOnClientOperation(0)
        self._ending: asyncio.Task[None] | None = None

    async def begin(self) -> Metadata:
        """Start the call. The status is asked for in the background as soon as this first waits."""
        self._ending = self._loop.create_task(self._run(self._status))
        initial = _cygrpc.ReceiveInitialMetadataOperation(0)
        try:
            await self._run(_cygrpc.SendInitialMetadataOperation(self._metadata, 0), initial)
        except _cygrpc.ExecuteBatchError:
            return ()  # the call failed before it began; the status says why
        received: Metadata = initial.initial_metadata()
        return received

    async def send(self, message: bytes) -> None:
        """Send one message. Raises CallEnded."""
        try:
            await _cygrpc._send_message(self._call, message, None, 0, self._loop)
        except _cygrpc.ExecuteBatchError as exc:
            raise CallEnded from exc

    async def half_close(self) -> None:
        """Say that no message follows. Raises CallEnded."""
        try:
            await self._run(_cygrpc.SendCloseFromClientOperation(0))
        except _cygrpc.ExecuteBatchError as exc:
            raise CallEnded from exc

    async def receive(self) -> bytes | None:
        """The next message, or None at the end."""
        message: bytes | None = await _cygrpc._receive_message(self._call, self._loop)
        return message

    async def status(self) -> Status:
        """Wait for the end of the call."""
        assert self._ending is not None
        await self._ending
        status = self._status
        return Status(status.code(), status.details(), status.trailing_metadata())

    @property
    def ended(self) -> bool:
        """Whether the status has arrived."""
        return self._ending is not None and self._ending.done()

    def cancel(self) -> None:
        """Reset the call if it has not ended."""
        if not self.ended:
            self._call.cancel(_CANCELLED)

    async def _run(self, *operations: Any) -> None:
        await _cygrpc.execute_batch(self._call, operations, self._loop)


def _open(channel: aio.Channel, path: str, timeout: float | None) -> Any:
    deadline = None if timeout is None else _now() + timeout
    wire: Any = channel._channel  # type: ignore[attr-defined]  # private API, see the module's first lines
    return wire.call(path.encode(), deadline, None, None, 0)
