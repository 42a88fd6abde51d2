"""Holding Python's garbage collector back while a collection is made.

A collection of metrics makes tens of thousands of short-lived objects, none of them in a cycle. That alone
starts a full run of the collector, which stops every thread for tens of milliseconds: the event loop of the
data plane too.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[None]:
    """No automatic garbage collection inside; where it is switched off already it stays so."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
