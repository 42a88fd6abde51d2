"""The model servers, as the log tells of them: a line when one cannot be reached, and one when it can again.

The data plane knows; it never calls back, so a thread asks it once a second.
"""

import threading
from collections.abc import Callable, Mapping

import structlog

from pilotfish.plane import UpstreamState

_log = structlog.get_logger("pilotfish.upstreams")


class UpstreamWatch:
    """Polls ``states`` (by version) and logs what has changed.

    ``wait`` sleeps for that many seconds, or less when it is time to stop, and says whether it is.
    """

    def __init__(
        self,
        states: Callable[[], Mapping[str, UpstreamState]],
        *,
        period: float = 1.0,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._states = states
        self._period = period
        self._stopping = threading.Event()
        self._wait = wait or self._stopping.wait
        self._unreachable: frozenset[str] = frozenset()
        self._thread = threading.Thread(target=self._run, name="pilotfish-upstreams", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """End; waits at most ``timeout`` seconds. Idempotent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def look(self) -> None:
        """Log what has changed since the last look. A server that is being tried again is as it was."""
        states = self._states()
        for version, state in states.items():
            if state == "unreachable" and version not in self._unreachable:
                consequence = "calls to it fail with UNAVAILABLE; connecting is tried again all the while"
                _log.warning("upstream.unreachable", version=version, consequence=consequence)
            elif state == "ready" and version in self._unreachable:
                _log.info("upstream.reachable_again", version=version)
        self._unreachable = frozenset(
            version
            for version, state in states.items()
            if state == "unreachable" or (state == "connecting" and version in self._unreachable)
        )

    def _run(self) -> None:
        while not self._wait(self._period):
            self.look()
