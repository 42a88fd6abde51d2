"""What the client has seen: calls, answers and times, which the sidecar's numbers can be held to.

It also knows the truth that no server knows: what each image shows, and after which call the lens changed.
"""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

RECENT_CALLS = 1500
"""How many of the latest calls the accuracy and the time through the sidecar are taken over."""


class Tally:
    """Counts from several threads; reports as plain JSON values."""

    def __init__(self, recent_direct: int = RECENT_CALLS) -> None:
        """``recent_direct``: so many direct times span the same while as the others."""
        self._lock = threading.Lock()
        self._calls = 0
        self._rows: dict[str, int] = {}
        self._errors: dict[str, int] = {}
        self._home: dict[str, str] = {}
        self._moved = 0
        self._through: deque[float] = deque(maxlen=RECENT_CALLS)
        self._direct: deque[float] = deque(maxlen=recent_direct)
        self._correct: deque[float] = deque(maxlen=RECENT_CALLS)

    def answered(self, user: str, version: str, rows: int, correct: float, seconds: float) -> None:
        """One call through the sidecar: ``correct`` is the share of its rows that were classified rightly."""
        with self._lock:
            self._calls += 1
            self._rows[version] = self._rows.get(version, 0) + rows
            self._moved += self._home.setdefault(user, version) != version
            self._through.append(seconds)
            self._correct.append(correct)

    def failed(self, code: str) -> None:
        """One call through the sidecar that ended with an error."""
        with self._lock:
            self._calls += 1
            self._errors[code] = self._errors.get(code, 0) + 1

    def direct(self, seconds: float) -> None:
        """One call straight to the model, for comparison."""
        with self._lock:
            self._direct.append(seconds)

    def report(self) -> dict[str, Any]:
        """Everything as JSON values; ``rows`` by the version that answered them, latencies in seconds."""
        with self._lock:
            return {
                "calls": self._calls,
                "rows": dict(self._rows),
                "errors": dict(self._errors),
                "users": len(self._home),
                "moved": self._moved,
                "through": quantiles(self._through),
                "direct": quantiles(self._direct),
                "accuracy": float(np.mean(self._correct)) if self._correct else None,
            }


def quantiles(seconds: Sequence[float]) -> dict[str, float] | None:
    """``{"p50": …, "p99": …}``, or None while there is nothing to take them over."""
    if not seconds:
        return None
    middle, tail = np.quantile(np.asarray(seconds), (0.5, 0.99))
    return {"p50": float(middle), "p99": float(tail)}
