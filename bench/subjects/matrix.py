"""The rows every subject reads, and the clock around it.

Float32, one column per feature, as they come off the wire: feature j ~ N(j, 1 + j mod 7). Runs in
environments that have numpy and nothing of ours.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

ROWS = 4096
COLUMNS = 128
REPEATS = 5


def rows() -> "np.ndarray[Any, np.dtype[np.float32]]":
    """ROWS x COLUMNS values, the same every time."""
    columns = np.arange(COLUMNS)
    drawn = np.random.default_rng(7).normal(columns, 1 + columns % 7, size=(ROWS, COLUMNS))
    return drawn.astype(np.float32)


def report(label: str, work: Callable[[], object], values: int = ROWS * COLUMNS) -> None:
    """Print the best of a few runs after a warm-up: ``label<TAB>nanoseconds per value``."""
    work()
    best = min(timed(work) for _ in range(REPEATS))
    sys.stdout.write(f"{label}\t{best / values:.2f}\n")


def timed(work: Callable[[], object]) -> int:
    before = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - before
