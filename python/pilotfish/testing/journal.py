"""Fakes around the journal.

A kept call, a ledger that counts as the engine does, a sink that fails when told to.

Public, so that whoever writes a sink of their own can test it as ours are tested.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pilotfish.call import KeptCall
from pilotfish.sinks.record import Record

_CALL = KeptCall(
    call_id="call-1",
    reason="sampled",
    route="default",
    version="v1",
    role="primary",
    strategy="static",
    method="/inference.GRPCInferenceService/ModelInfer",
    code=0,
    message="",
    started_unix_ns=1_790_000_000_123_456_789,
    duration_ns=2_500_000,
    upstream_ns=2_000_000,
    request=b"\x0a\x06digits",
    response=b"\x0a\x06digits\x12\x011",
    request_bytes=8,
    response_bytes=11,
    metadata=(("x-user-id", "ada"), ("authorization", "Bearer secret")),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    peer="ipv4:127.0.0.1:50000",
    upstream="127.0.0.1:8001",
)


def kept_call(**changes: Any) -> KeptCall:
    """A small kept call, with the given fields changed."""
    return replace(_CALL, **changes)


class Ledger:
    """Counts what becomes of kept calls, and refuses to count one twice, as the engine does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.observed = 0
        self.kept = 0
        self.dropped: Counter[str] = Counter()
        self.refused = 0
        """Attempts to settle a call that was settled already."""

    def observe(self) -> None:
        """One more call is to be kept."""
        with self._lock:
            self.observed += 1

    def settle(self, outcome: str | None) -> None:
        """As the engine's. Raises RuntimeError when no kept call is waiting."""
        with self._lock:
            if self.queued <= 0:
                self.refused += 1
                raise RuntimeError("no kept call is waiting")
            if outcome is None:
                self.kept += 1
            else:
                self.dropped[outcome] += 1

    @property
    def queued(self) -> int:
        """Calls that are not settled."""
        return self.observed - self.kept - sum(self.dropped.values())


class ScriptedSink:
    """A sink in memory. ``before`` runs at the start of every write: it may raise, wait, or let it pass."""

    def __init__(self, name: str = "scripted", before: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.before = before
        self.records: list[Record] = []
        self.writes = 0
        self.closed = False

    def write(self, records: Sequence[Record]) -> None:
        """Take the records, unless ``before`` raises."""
        self.writes += 1
        self.before()
        self.records.extend(records)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
