"""How a call is made to an upstream: the words both ways of doing it speak.

``core`` drives C-core's batches itself and is right in every race that was measured; ``public`` uses only
the public ``grpc.aio`` API, for grpcio versions ``core`` was not tested with.
"""

from typing import NamedTuple, Protocol

from grpc import aio

from pilotfish.call import Metadata


class Status(NamedTuple):
    """How a call ended."""

    code: int
    message: str
    trailing: Metadata


class Reply(NamedTuple):
    """Everything a unary call brought back."""

    code: int
    message: str
    trailing: Metadata
    initial: Metadata
    response: bytes | None
    """None when the call did not end with OK, or ended without a message."""


class CallEnded(Exception):  # noqa: N818 - says what is the case
    """The upstream has ended the call: what was to be sent has nobody to read it."""


class Stream(Protocol):
    """One call under way, messages in both directions."""

    async def begin(self) -> Metadata:
        """Send the metadata and wait for the upstream's, which may be empty. Called first."""

    async def send(self, message: bytes) -> None:
        """Send one message. Raises CallEnded."""

    async def half_close(self) -> None:
        """Say that no message follows. Raises CallEnded."""

    async def receive(self) -> bytes | None:
        """The next message, or None at the end."""

    async def status(self) -> Status:
        """Wait for the end of the call."""

    @property
    def ended(self) -> bool:
        """Whether the status has arrived."""

    def cancel(self) -> None:
        """Reset the call if it has not ended.

        Always called at last: abandoned calls are never collected (grpc/grpc#43462).
        """


class Transport(Protocol):
    """Makes calls. ``path`` is the ``:path``; ``timeout`` is in seconds, None without a deadline."""

    async def unary(
        self, channel: aio.Channel, path: str, request: bytes, metadata: Metadata, timeout: float | None
    ) -> Reply:
        """Send one request and wait for the end of the call; message and half-close leave together.

        Cancelling the awaiting task resets the call.
        """

    def stream(self, channel: aio.Channel, path: str, metadata: Metadata, timeout: float | None) -> Stream:
        """A call to be begun."""
