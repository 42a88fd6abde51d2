"""Stopping several exporters at the same time under one deadline.

The SDK stops its providers one after the other, and each may wait for a receiver that is gone: together they
took more than ten seconds, which is longer than many orchestrators give a sidecar.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """Something to stop."""

    close: Callable[[], object]
    """Sends what is left, then stops; may block."""
    abort: Callable[[], object]
    """Makes a blocked ``close`` end without sending what is left."""


def stop_together(parts: Sequence[Part], deadline_seconds: float) -> bool:
    """Close all parts at once; abort those that have not ended at the deadline, without waiting for them.

    True when every part has ended in time.
    """
    deadline = time.monotonic() + deadline_seconds
    # Daemons: whatever still hangs must not keep the process alive.
    threads = [threading.Thread(target=_quietly, args=(part.close,), daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0.0))
    late = [part for part, thread in zip(parts, threads, strict=True) if thread.is_alive()]
    for part in late:
        threading.Thread(target=_quietly, args=(part.abort,), daemon=True).start()
    return not late


def _quietly(stop: Callable[[], object]) -> None:
    try:
        stop()
    except Exception as error:  # noqa: BLE001 - the process is ending; what could not be sent is said, and that is all
        _log.warning("telemetry was not sent completely before the end: %s", error)
