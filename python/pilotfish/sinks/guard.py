"""A guard around a sink that may fail: says why records were not taken, and tries again later by itself.

It exists so that a full disk costs one failed write every now and then instead of one per batch, and so that
a sink recovers without a restart. The clock is an argument; nothing here waits.
"""

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from pilotfish.sinks.record import Record
from pilotfish.sinks.sink import Sink

DISK_FULL = "disk_full"
DISK_ERROR = "disk_error"
SINK_FAILED = "sink_failed"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0

_log = structlog.get_logger("pilotfish.sinks")


@dataclass(frozen=True)
class SinkStatus:
    """What became of the records of one sink since the start."""

    name: str
    written: int
    dropped: dict[str, int]
    """By reason; in a journal of several sinks a record can be written to one and dropped by another."""
    error: str | None
    """Why the sink is paused, or None when it works."""


class Guard:
    """One sink and its state: working, or paused until a moment. Written by one thread, read by any."""

    def __init__(self, sink: Sink, clock: Callable[[], float]) -> None:
        self._sink = sink
        self._clock = clock
        self._written = 0
        self._dropped = {DISK_FULL: 0, DISK_ERROR: 0, SINK_FAILED: 0}
        self._pause = 0.0
        self._retry_at = float("-inf")
        self._reason = ""
        self._error: str | None = None

    def write(self, records: Sequence[Record]) -> str | None:
        """Write the records, or name the reason why none of them was. Never raises."""
        if self._clock() < self._retry_at:
            self._dropped[self._reason] += len(records)
            return self._reason
        try:
            self._sink.write(records)
        except Exception as exc:  # noqa: BLE001 - a sink may be anybody's code; whatever it raises costs records, not calls
            self._fail(exc)
            self._dropped[self._reason] += len(records)
            return self._reason
        self._written += len(records)
        self._recover()
        return None

    def close(self) -> None:
        """Close the sink. Never raises."""
        try:
            self._sink.close()
        except Exception as exc:  # noqa: BLE001 - as above
            _log.warning("journal.sink_close_failed", sink=self._sink.name, error=str(exc))

    def status(self) -> SinkStatus:
        """Counts so far."""
        dropped = {reason: count for reason, count in self._dropped.items() if count}
        return SinkStatus(self._sink.name, self._written, dropped, self._error)

    def _fail(self, exc: Exception) -> None:
        if self._error is None:
            _log.warning("journal.sink_paused", sink=self._sink.name, reason=_reason(exc), error=str(exc))
        self._error = str(exc)
        self._reason = _reason(exc)
        self._pause = min(self._pause * 2 or _FIRST_PAUSE, _LONGEST_PAUSE)
        self._retry_at = self._clock() + self._pause

    def _recover(self) -> None:
        if self._error is not None:
            _log.info("journal.sink_recovered", sink=self._sink.name)
        self._error, self._pause, self._retry_at = None, 0.0, float("-inf")


def _reason(exc: Exception) -> str:
    if not isinstance(exc, OSError):
        return SINK_FAILED
    return DISK_FULL if exc.errno in _FULL else DISK_ERROR
