"""Memory that was freed goes back to the operating system, while no call is under way."""

import ctypes
from pathlib import Path

import pytest

from pilotfish.plane.slack import LOOK_SECONDS, Slack, give_back

PIECE = 16 * 1024
PIECES = 2000


class Given:
    """How often memory was given back, while so many calls were under way, at a time that the test sets."""

    def __init__(self) -> None:
        self.times = 0
        self.calls = 0
        self.now = 100.0
        self.slack = Slack(lambda: self.calls, give_back=self.give_back, now=lambda: self.now)

    def give_back(self) -> None:
        self.times += 1


def test_what_starting_took_is_given_back_at_the_first_look() -> None:
    given = Given()
    given.slack.look()
    assert given.times == 1


def test_it_is_looked_at_now_and_then_however_often_one_asks() -> None:
    given = Given()
    for _ in range(100):
        given.slack.look()
    given.now += LOOK_SECONDS
    for _ in range(100):
        given.slack.look()
    assert given.times == 2


def test_nothing_is_given_back_while_a_call_is_under_way() -> None:
    given = Given()
    given.calls = 1
    given.slack.look()
    given.now += LOOK_SECONDS
    given.slack.look()
    assert given.times == 0
    given.calls = 0
    given.now += LOOK_SECONDS
    given.slack.look()
    assert given.times == 1


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library has no malloc_trim")
def test_what_lies_below_memory_in_use_goes_back_too() -> None:
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.free.argtypes = [ctypes.c_void_p]
    pieces = [library.malloc(PIECE) for _ in range(PIECES)]
    for piece in pieces:
        ctypes.memset(piece, 1, PIECE)
    for piece in pieces[:-1]:
        library.free(piece)
    held = resident()
    give_back()
    given = held - resident()
    library.free(pieces[-1])
    assert given > PIECE * PIECES / 2


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
