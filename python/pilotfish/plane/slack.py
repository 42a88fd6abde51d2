"""Memory that was freed and is held by the allocator, given back to the operating system.

glibc gives back what lies at the end of a heap, and no more: one connection that outlives a burst of calls
keeps all that the burst took, and what reading the configuration took stays for good. ``malloc_trim(3)``
gives back whole pages wherever they lie: a millisecond after 256 calls in flight. Calls that come meanwhile
wait for the allocator's lock, so it is done when none is under way.
"""

import ctypes
import time
from collections.abc import Callable
from typing import Final

LOOK_SECONDS: Final = 10.0
"""How often it is looked whether calls are under way; it costs 0.1 ms when there is nothing to give back."""


def give_back() -> None:
    """Give back what is free; nothing where the C library cannot."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class Slack:
    """Looks now and then whether it can be given back. ``now`` is monotonic seconds."""

    def __init__(
        self,
        calls_open: Callable[[], int],
        *,
        give_back: Callable[[], None] = give_back,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls_open = calls_open
        self._give_back = give_back
        self._now = now
        self._next = now()

    def look(self) -> None:
        """Give back what is free, if it is time and no call is under way. Call it as often as you like."""
        now = self._now()
        if now < self._next:
            return
        self._next = now + LOOK_SECONDS
        if self._calls_open() == 0:
            self._give_back()
