"""The journal: takes kept calls off the path, and writes them out from one thread of its own.

A call is never delayed by it: the queue is bounded in calls and in bytes, and what does not fit is dropped
and counted. Every kept call is settled with the engine exactly once, written or dropped with a reason, so
that ``observed = kept + sampled_out + queued + dropped`` holds at every moment, also while a disk is full.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from pilotfish.call import KeptCall
from pilotfish.errors import ConfigurationError
from pilotfish.settings.observing import JournalSettings
from pilotfish.sinks import Sink, open_sinks
from pilotfish.sinks.guard import SINK_FAILED, Guard, SinkStatus
from pilotfish.sinks.record import Recorder

QUEUE_FULL = "queue_full"
SHUTDOWN = "shutdown"

_QUEUE_BYTES = 64 * 1024**2
_SMALL_BYTES = 1024
"""Messages below it stay with a queued call even if they are not written: time is dearer than that memory."""
_BATCH_CALLS = 256
_BATCH_BYTES = 1024**2

_log = structlog.get_logger("pilotfish.journal")


class Ledger(Protocol):
    """Where kept calls are accounted for: the engine."""

    def settle(self, outcome: str | None) -> None:
        """None when a kept call was written, else why it was dropped."""


@dataclass(frozen=True)
class JournalStatus:
    """How the journal stands."""

    queued: int
    """Calls that wait or are being written."""
    capacity: int
    sinks: tuple[SinkStatus, ...]


class Journal:
    """Queue, thread and sinks. ``keep`` may be called from any thread.

    A call counts as kept once every sink has it; when one of them has not, it is dropped for the reason of
    the first.
    """

    def __init__(
        self,
        settings: JournalSettings,
        engine: Ledger,
        *,
        sinks: Sequence[Sink] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._engine = engine
        if sinks is None:
            sinks = open_sinks(
                settings.directory,
                settings.formats,
                rotate_bytes=settings.rotate_bytes,
                keep_files=settings.keep_files,
            )
        self._guards = [Guard(sink, clock) for sink in sinks]
        self._recorder = Recorder(frozenset(settings.metadata), settings.payloads, settings.max_payload)
        self._queue: deque[KeptCall] = deque()
        self._queued_bytes = 0
        self._writing = 0
        self._closing = False
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pilotfish-journal", daemon=True)

    def start(self) -> None:
        """Make the directory and start the thread.

        Raises ConfigurationError when the directory cannot be made.
        """
        directory = self._settings.directory
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        except (PermissionError, NotADirectoryError, FileExistsError) as exc:
            raise ConfigurationError(
                f"journal.directory: {directory}: {exc.strerror}; name a folder that can be written to"
            ) from exc
        except OSError as exc:  # a full or failing disk may recover: calls go on meanwhile
            _log.warning("journal.directory_missing", directory=str(directory), error=str(exc))
        self._thread.start()

    def keep(self, call: KeptCall) -> None:
        """Queue a kept call, or drop and count it. Never blocks on the disk and never raises."""
        if not self._settings.payloads:
            call = replace(
                call, request=None, response=None
            )  # a queue of whole messages could fill the memory
        refusal = self._enqueue(call)
        if refusal is not None:
            self._settle(refusal, 1)

    def close(self, deadline_seconds: float) -> None:
        """Write what is queued within the deadline, drop and count the rest.

        Calls kept later are dropped. Idempotent.
        """
        with self._lock:
            self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(max(deadline_seconds, 0.0))
        abandoned = self._abandon()
        if abandoned:
            _log.warning("journal.abandoned", calls=abandoned, deadline_seconds=deadline_seconds)

    def status(self) -> JournalStatus:
        """Queue and sinks, for people who ask why calls are dropped."""
        with self._lock:
            queued = len(self._queue) + self._writing
        return JournalStatus(queued, self._settings.queue, tuple(guard.status() for guard in self._guards))

    # === the callers' side ===

    def _enqueue(self, call: KeptCall) -> str | None:
        size = self._cost(call)
        with self._lock:
            if self._closing:
                return SHUTDOWN
            if len(self._queue) >= self._settings.queue or self._queued_bytes + size > _QUEUE_BYTES:
                return QUEUE_FULL
            self._queue.append(call)
            self._queued_bytes += size
            enough = len(self._queue) >= _BATCH_CALLS or self._queued_bytes >= _BATCH_BYTES
        if (
            enough
        ):  # else the thread comes by itself: to wake it for every call costs more than the queue does
            self._wake.set()
        return None

    def _cost(self, call: KeptCall) -> int:
        """Bytes a queued call counts for: those it holds only to be written."""
        return _size(call) if self._settings.payloads else 0

    def _abandon(self) -> int:
        with self._lock:
            count = len(self._queue) + self._writing
            self._queue.clear()
            self._queued_bytes = self._writing = 0
        self._settle(SHUTDOWN, count)
        return count

    # === the thread's side ===

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._settings.flush_interval)
            self._wake.clear()
            self._drain()
        self._drain()
        for guard in self._guards:
            guard.close()

    def _drain(self) -> None:
        while batch := self._take():
            self._finish(self._write(batch))

    def _take(self) -> list[KeptCall]:
        batch: list[KeptCall] = []
        size = 0
        with self._lock:
            while self._queue and len(batch) < _BATCH_CALLS and size < _BATCH_BYTES:
                call = self._queue.popleft()
                size += self._cost(call)
                batch.append(call)
            self._queued_bytes -= size
            self._writing = len(batch)
        return batch

    def _write(self, batch: Sequence[KeptCall]) -> str | None:
        try:
            records = [self._recorder.record(call) for call in batch]
        except Exception as exc:  # noqa: BLE001 - no memory, most likely; the thread must outlive it
            _log.warning("journal.batch_lost", calls=len(batch), error=str(exc))
            return SINK_FAILED
        outcomes = [guard.write(records) for guard in self._guards]
        return next((reason for reason in outcomes if reason is not None), None)

    def _finish(self, outcome: str | None) -> None:
        """Settle the batch, unless `close` ran out of patience and has settled it."""
        with self._lock:
            count, self._writing = self._writing, 0
        self._settle(outcome, count)

    def _settle(self, outcome: str | None, count: int) -> None:
        try:
            for _ in range(count):
                self._engine.settle(outcome)
        except RuntimeError as exc:  # more calls than the engine kept: a defect, but none to die of
            _log.error("journal.unbalanced", error=str(exc))


def _size(call: KeptCall) -> int:
    return len(call.request or b"") + len(call.response or b"")
