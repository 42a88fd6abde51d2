"""Something that is done every so often, in a thread of its own, until it is stopped."""

import threading
from collections.abc import Callable


class Periodic:
    """Calls ``turn`` every ``period`` seconds, and ``last`` when it stops; neither may raise.

    ``at_once`` takes a turn at the start as well. ``wait`` sleeps for that many seconds, or less when it is
    time to stop, and says whether it is.
    """

    def __init__(
        self,
        name: str,
        period: float,
        turn: Callable[[], object],
        *,
        at_once: bool = False,
        last: Callable[[], object] = lambda: None,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._period = period
        self._turn = turn
        self._at_once = at_once
        self._last = last
        self._stopping = threading.Event()
        self._wait = wait or self._stopping.wait
        self._thread = threading.Thread(target=self._run, name=f"pilotfish-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Do the last of it and end; waits at most ``timeout`` seconds. Idempotent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        if self._at_once:
            self._turn()
        while not self._wait(self._period):
            self._turn()
        self._last()
