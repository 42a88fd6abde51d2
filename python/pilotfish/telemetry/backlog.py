"""How many spans or log records wait to be sent, and what became of the others.

The SDK's batch queue drops silently when it is full; this bound lies before it, so that drops are counted.
"""

import threading
from collections.abc import Mapping


class Backlog:
    """Counts what is under way; at most ``limit`` items are."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._waiting = 0
        self._outcomes = {"exported": 0, "failed": 0, "dropped": 0}

    def admit(self, items: int) -> bool:
        """Whether so many more may be queued now; when not they are counted as dropped."""
        with self._lock:
            if self._waiting + items > self._limit:
                self._outcomes["dropped"] += items
                return False
            self._waiting += items
            return True

    def settle(self, items: int, delivered: bool) -> None:
        """Admitted items have been taken by the receiver, or not."""
        with self._lock:
            self._waiting -= items
            self._outcomes["exported" if delivered else "failed"] += items

    def outcomes(self) -> Mapping[str, int]:
        """Items by outcome since the start: ``exported``, ``failed``, ``dropped``."""
        with self._lock:
            return dict(self._outcomes)
