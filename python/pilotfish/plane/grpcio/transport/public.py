"""Calls made with the public ``grpc.aio`` API only.

Taken when :mod:`.core` was not tested with the installed grpcio. The status is caught in the first done
callback, so a write that meets the end of the call cannot replace it; initial metadata and messages that
arrive together with the status may still be lost (grpc/grpc#36066), which is why this is the second choice.
"""

import asyncio
import contextlib
from typing import Any

from grpc import aio

from pilotfish.call import Metadata
from pilotfish.plane.grpcio.transport import CallEnded, Reply, Status


class PublicTransport:
    """Transport over ``channel.unary_unary`` and ``channel.stream_stream``."""

    __slots__ = ()

    async def unary(
        self, channel: aio.Channel, path: str, request: bytes, metadata: Metadata, timeout: float | None
    ) -> Reply:
        """See :class:`~pilotfish.plane.grpcio.transport.Transport`."""
        method: Any = channel.unary_unary(path)
        call = method(request, timeout=timeout, metadata=metadata)
        response: bytes | None = None
        try:
            with contextlib.suppress(aio.AioRpcError):  # the status is read below
                response = await call
            code, message, trailing = await _status(call)
            return Reply(code, message, trailing, tuple(await call.initial_metadata()), response)
        finally:
            call.cancel()

    def stream(
        self, channel: aio.Channel, path: str, metadata: Metadata, timeout: float | None
    ) -> "PublicStream":
        """See :class:`~pilotfish.plane.grpcio.transport.Transport`."""
        return PublicStream(channel.stream_stream(path)(timeout=timeout, metadata=metadata))


class PublicStream:
    """A ``StreamStreamCall`` used through reads and writes."""

    __slots__ = ("_call", "_first_status")

    def __init__(self, call: Any) -> None:
        self._call = call
        self._first_status: asyncio.Future[Status] | None = None
        call.add_done_callback(self._caught)

    async def begin(self) -> Metadata:
        """Wait for the upstream's initial metadata."""
        return tuple(await self._call.initial_metadata())

    async def send(self, message: bytes) -> None:
        """Send one message. Raises CallEnded."""
        try:
            await self._call.write(message)
        except (aio.AioRpcError, aio.BaseError, asyncio.InvalidStateError) as exc:
            raise CallEnded from exc

    async def half_close(self) -> None:
        """Say that no message follows. Raises CallEnded."""
        try:
            await self._call.done_writing()
        except (aio.AioRpcError, aio.BaseError) as exc:
            raise CallEnded from exc

    async def receive(self) -> bytes | None:
        """The next message, or None at the end."""
        try:
            message = await self._call.read()
        except aio.AioRpcError:
            return None
        return message if isinstance(message, bytes) else None

    async def status(self) -> Status:
        """Wait for the end of the call."""
        await self._call.code()
        assert self._first_status is not None
        return await self._first_status

    @property
    def ended(self) -> bool:
        """Whether the status has arrived."""
        return bool(self._call.done())

    def cancel(self) -> None:
        """Reset the call if it has not ended."""
        self._call.cancel()

    def _caught(self, call: Any) -> None:
        if self._first_status is None:
            self._first_status = asyncio.ensure_future(_status(call))


async def _status(call: Any) -> Status:
    code = await call.code()
    return Status(code.value[0], await call.details() or "", tuple(await call.trailing_metadata() or ()))
