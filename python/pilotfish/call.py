"""A kept call: what a data plane hands to the journal and the traces once a sampled call has ended.

It exists so that planes, journal and telemetry share one value and need not know each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class KeptCall:
    """One sampled call, with all that the client sent: whoever writes it out applies the allow-list first."""

    call_id: str
    reason: str
    """Why it is kept: ``sampled``, ``error``, ``slow``, ``canary``."""
    route: str
    version: str
    role: str
    strategy: str
    method: str
    """The ``:path``, ``/package.Service/Method``."""
    code: int
    """gRPC status code."""
    message: str
    """gRPC status message."""
    started_unix_ns: int
    duration_ns: int
    upstream_ns: int
    request: bytes | None
    """The whole request message of a unary call, else None."""
    response: bytes | None
    request_bytes: int
    response_bytes: int
    metadata: Metadata
    traceparent: str | None
    peer: str
    upstream: str
    """Address the call was forwarded to."""


Keep: TypeAlias = Callable[[KeptCall], None]
"""Takes a kept call; never blocks and never raises."""
