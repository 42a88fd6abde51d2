"""Columns whose values only rise, or only fall, from row to row: ids, times, whatever a file is sorted by.

What comes after such a file lies beyond all of it: these columns alarm rightly and at once, which is seldom
what their owner wants to be told.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from pilotfish.table.columns import Chunk, Kind, Numbers, Table, Texts

_FEWEST = 10
"""Steps in one direction, without one in the other, that are no chance: in random order one in 11!."""


class Ordered:
    """A table that sees in which order its rows come while they are read."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._runs = {name: _Run() for name in table.kinds}

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The chosen columns, in order, and what they hold."""
        return self._table.kinds

    @property
    def notes(self) -> Sequence[str]:
        """What its owner should know before it is read."""
        return self._table.notes

    def chunks(self) -> Iterator[Chunk]:
        """The rows from first to last, some at a time. Raises TableError."""
        for chunk in self._table.chunks():
            for name, run in self._runs.items():
                run.add(chunk[name])
            yield chunk

    def order(self) -> Iterator[str]:
        """What its owner should know of the order of the rows that were read."""
        for name, run in self._runs.items():
            if run.is_one_way:
                way = "rises" if run.rises else "falls"
                yield (
                    f"the column {name!r} only {way} from row to row, as ids and times do: what comes next "
                    "lies beyond it and alarms; leave it out"
                )


class _Run:
    """How often a column rose and fell from one row to the next that holds something."""

    def __init__(self) -> None:
        self.rises = self.falls = 0
        self._last: float | str | bytes | None = None

    @property
    def is_one_way(self) -> bool:
        return min(self.rises, self.falls) == 0 and self.rises + self.falls >= _FEWEST

    def add(self, values: Numbers | Texts) -> None:
        if self.rises and self.falls:
            return
        if isinstance(values, np.ndarray):
            self._add_numbers(values[~np.isnan(values)])
        else:
            self._add_texts([text for text in values if text is not None])

    def _add_numbers(self, values: Numbers) -> None:
        if not len(values):
            return
        before = values[:1] if self._last is None else np.array([self._last], np.float64)
        row = np.concatenate([before, values])
        self.rises += int(np.count_nonzero(row[1:] > row[:-1]))
        self.falls += int(np.count_nonzero(row[1:] < row[:-1]))
        self._last = float(values[-1])

    def _add_texts(self, values: Sequence[str | bytes]) -> None:
        before = values[:1] if self._last is None else [self._last]
        for one, next_one in pairwise([*before, *values]):
            self.rises += one < next_one
            self.falls += one > next_one
            if self.rises and self.falls:
                return
        self._last = values[-1] if values else self._last
