"""The model servers, as the log tells of them: a line when one cannot be reached, and one when it can again.

The data plane knows; it never calls back, so a thread asks it once a second.
"""

from collections.abc import Callable, Mapping

import structlog

from pilotfish.periodic import Periodic
from pilotfish.plane import UpstreamState

_log = structlog.get_logger("pilotfish.upstreams")


class UpstreamWatch(Periodic):
    """Polls ``states`` (by version) and logs what has changed."""

    def __init__(
        self,
        states: Callable[[], Mapping[str, UpstreamState]],
        *,
        period: float = 1.0,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        super().__init__("upstreams", period, self.look, wait=wait)
        self._states = states
        self._unreachable: frozenset[str] = frozenset()

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
