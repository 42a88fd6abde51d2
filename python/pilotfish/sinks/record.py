"""Records: what is written of a kept call, the same in every format.

It exists so that what may leave the process is decided in one place: metadata by allow-list, messages only
when asked for and cut at a limit. Building a record never fails, whatever a client sent.
"""

import hashlib
import itertools
import os
import threading
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TypedDict

from pilotfish import traceparent
from pilotfish.call import KeptCall
from pilotfish.metadata import allowed

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
    "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


class Message(TypedDict):
    """One direction of a call."""

    size: int
    """Bytes of all messages of this direction."""
    sha256: str | None
    """Of the whole message, in hexadecimal; only where ``payload`` is."""
    payload: bytes | None
    """The start of the message; None unless payloads are written, and for streams."""
    truncated: bool
    """Whether ``payload`` is shorter than the message."""


class Record(TypedDict):
    """One kept call, as read back from a journal."""

    record_id: str
    """Unique, and rising within one process: whoever gets a record twice can tell."""
    call_id: str
    trace_id: str | None
    time: str
    """When the call came in: RFC 3339, UTC, microseconds."""
    route: str
    version: str
    role: str
    strategy: str
    method: str
    """The ``:path``, ``/package.Service/Method``."""
    code: str
    """gRPC status, such as ``OK``."""
    message: str
    duration_seconds: float
    upstream_seconds: float
    reason: str
    """Why the call was kept."""
    metadata: dict[str, list[str]]
    request: Message
    response: Message


@dataclass(frozen=True)
class Identity:
    """Gives out record identifiers in the form of a ULID.

    48 bits of time, 48 of this process, 32 of sequence.

    Two processes draw different 48 bits, one process never uses a sequence twice in a millisecond: no
    coordination.
    """

    process: int = field(default_factory=lambda: int.from_bytes(os.urandom(6), "big"))
    _sequence: "itertools.count[int]" = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, unix_ns: int) -> str:
        """26 letters and digits (Crockford's base 32); they sort by time."""
        with self._lock:
            sequence = next(self._sequence)
        milliseconds = max(unix_ns // 1_000_000, 0) & (2**48 - 1)
        number = milliseconds << 80 | self.process << 32 | sequence & (2**32 - 1)
        return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


@dataclass(frozen=True)
class Recorder:
    """Makes records of kept calls; holds what may be written."""

    metadata: AbstractSet[str] = frozenset()
    """Allowed metadata names, lower-case."""
    payloads: bool = False
    max_payload: int = 64 * 1024
    """Bytes of a message after which it is cut."""
    identity: Identity = field(default_factory=Identity)

    def record(self, call: KeptCall) -> Record:
        """The record of one call. Never raises."""
        return {
            "record_id": self.identity.next(call.started_unix_ns),
            "call_id": clean(call.call_id),
            "trace_id": trace_id(call.traceparent),
            "time": rfc3339(call.started_unix_ns),
            "route": clean(call.route),
            "version": clean(call.version),
            "role": clean(call.role),
            "strategy": clean(call.strategy),
            "method": clean(call.method),
            "code": code_name(call.code),
            "message": clean(call.message),
            "duration_seconds": call.duration_ns / 1e9,
            "upstream_seconds": call.upstream_ns / 1e9,
            "reason": clean(call.reason),
            "metadata": {
                clean(name): [clean(value) for value in values]
                for name, values in allowed(call.metadata, self.metadata).items()
            },
            "request": self._message(call.request, call.request_bytes),
            "response": self._message(call.response, call.response_bytes),
        }

    def _message(self, message: bytes | None, size: int) -> Message:
        if not self.payloads or message is None:
            return {"size": size, "sha256": None, "payload": None, "truncated": False}
        return {
            "size": size,
            "sha256": hashlib.sha256(message).hexdigest(),
            "payload": message[: self.max_payload],
            "truncated": len(message) > self.max_payload,
        }


def code_name(code: int) -> str:
    """Name of a gRPC status code; a number outside the list stays a number, as ``CODE_99``."""
    return _CODES[code] if 0 <= code < len(_CODES) else f"CODE_{code}"


def trace_id(header: str | None) -> str | None:
    """Trace id of a W3C ``traceparent`` as 32 hexadecimal digits, or None when there is none."""
    parent = traceparent.parse(header)
    return None if parent is None else f"{parent.trace_id:032x}"


def rfc3339(unix_ns: int) -> str:
    """UTC with microseconds; a clock that shows years outside 1 to 9999 gives the epoch."""
    try:
        moment = _EPOCH + timedelta(microseconds=unix_ns // 1000)
    except OverflowError:
        moment = _EPOCH
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def clean(text: str) -> str:
    """Text that every format can hold: half surrogate pairs, which are not Unicode, become U+FFFD."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if not text.isascii() else text
