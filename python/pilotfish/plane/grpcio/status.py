"""Status of a call: gRPC's codes, and the words for failures that are pilotfish's own.

The only place that chooses a code. What the upstream said is passed on as it is; when there was nobody to say
anything, the message begins with ``pilotfish:``, so that a reader knows which side of the wire to look at.
"""

from typing import Final

import grpc

OK: Final = 0
CANCELLED: Final = 1
DEADLINE_EXCEEDED: Final = 4
INTERNAL: Final = 13
UNAVAILABLE: Final = 14

CODES: Final = tuple(sorted(grpc.StatusCode, key=lambda code: int(code.value[0])))
"""By number: ``CODES[14] is grpc.StatusCode.UNAVAILABLE``."""

# How C-core words a connection that could not be made or was lost. A status that came over the wire carries
# the server's own words; grpcio has no other mark by which to tell the two apart.
_NO_CONNECTION = (
    "failed to connect to all addresses",
    "connections to all backends failing",
    "Socket closed",
    "empty address list",
    "DNS resolution failed",
    "recvmsg:",
    "sendmsg:",
    "GOAWAY received",
    "Endpoint closing",
    "Transport closed",
)

_CANCELLING_RESET = "RST_STREAM with error code 8"
"""C-core's words for it; a status that came in trailers has none of them."""

_EXPIRED = "Deadline Exceeded"
"""C-core's words for a deadline that passed on its own side."""


def local_failure(code: int, message: str, version: str, address: str) -> str:
    """The message to answer with: ``message`` itself, or pilotfish's when no upstream was there."""
    if code == UNAVAILABLE and message.startswith(_NO_CONNECTION):
        return f"pilotfish: upstream {version} at {address} is unavailable: {message}"
    return message


def in_time(code: int, message: str, expired: bool) -> tuple[int, str]:
    """Code and message of a call its upstream ended, when the deadline has ``expired`` meanwhile or not.

    Servers reset a call with CANCEL when its time is over. C-core tells that from a cancellation by its own
    clock, which may be a millisecond behind.
    """
    if expired and code == CANCELLED and _CANCELLING_RESET in message:
        return DEADLINE_EXCEEDED, _EXPIRED
    return code, message


NO_REQUEST: Final = "pilotfish: the call ended without a request message"
"""Message for a call of a unary method without a request, which no server of it can answer."""


def no_message(version: str, address: str) -> str:
    """Message for a call of a unary method that ended OK without a reply, which no gRPC client accepts."""
    return f"pilotfish: upstream {version} at {address} ended the call with OK but sent no message"
