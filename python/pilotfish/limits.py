"""Limits on what a stranger may ask for, as the log tells of them: which one was exceeded, and how often.

The data plane counts; it never calls back, so a thread asks it once a second. Of each limit there is a line a
minute at most: a flood must not become one of the log. Handshakes that fail and connections that idle are not
told: whoever looks whether the port is open makes them.
"""

import time
from collections.abc import Callable, Mapping

import structlog

from pilotfish.periodic import Periodic

_QUIET_SECONDS = 60.0
_ENDED = "client connections were ended; others are not affected"

EXCEEDED: Mapping[str, tuple[str, str]] = {
    "connections_refused": ("connections", "client connections were closed at once"),
    "connections_stalled": ("stall", "client connections were closed that read nothing"),
    "abusive_resets": ("pending_resets", _ENDED),
    "abusive_faults": ("faults", _ENDED),
    "abusive_headers": ("metadata", _ENDED),
    "abusive_data": ("connection_window", _ENDED),
    "abusive_housekeeping": ("housekeeping", _ENDED),
    "calls_refused": ("concurrent_streams", "calls were refused, and may be sent again"),
    "calls_refused_memory": ("memory", "calls were refused of clients that do not read"),
    "calls_shed": ("memory", "calls were ended that nobody read"),
    "calls_stalled": ("stall", "calls were ended that nobody read"),
    "messages_too_large": ("observed_message", "messages were forwarded and not observed"),
}
"""The counters of the plane: the key under ``limits``, and what came of going beyond it."""

_log = structlog.get_logger("pilotfish.limits")


class LimitWatch(Periodic):
    """Polls the ``counters`` of the plane and logs which limits were exceeded since it last said so.

    ``now`` is monotonic seconds.
    """

    def __init__(
        self,
        counters: Callable[[], Mapping[str, int]],
        *,
        period: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("limits", period, self.look, last=self.look)
        self._counters = counters
        self._now = now
        self._told: dict[str, int] = {}
        self._quiet_until: dict[str, float] = {}

    def look(self) -> None:
        """Log what was exceeded since the last line of it, if that is long enough ago."""
        counters, now = self._counters(), self._now()
        for name, (limit, what) in EXCEEDED.items():
            count = counters.get(name, 0)
            more = count - self._told.get(name, 0)
            if more > 0 and now >= self._quiet_until.get(name, now):
                self._told[name], self._quiet_until[name] = count, now + _QUIET_SECONDS
                _log.warning("limit.exceeded", limit=f"limits.{limit}", count=more, consequence=what)
