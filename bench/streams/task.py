"""What a peer is asked, and how it answers. Runs in environments that have numpy and nothing of ours."""

import csv
import json
import resource
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS_MAX = 180
"""Processor time that a task may take, imports and threads included; what was answered until then counts."""


@dataclass(frozen=True)
class Task:
    """Files of the reference and of the rows to watch, and the row of the latter at which they change."""

    reference: str
    analysis: str
    change: int
    columns: list[str]
    """Those that are wanted; ``numeric`` is the part of them that holds numbers."""
    numeric: list[str]
    before: int
    """Rows before the change, and after it, that are shown: the peers' time is bounded."""
    after: int

    @staticmethod
    def read() -> "Task":
        """The task at hand, for which time is counted."""
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_MAX, SECONDS_MAX))
        return Task(**json.load(sys.stdin))

    def watched(self) -> tuple[int, int]:
        """First row that is shown, and the one after the last."""
        return self.change - self.before, self.change + self.after


def numbers(path: str, column: str) -> list[float]:
    """A column of numbers; what is missing is 0, as detectors without missing values would be fed."""
    with Path(path).open(newline="") as file:
        return [float(row[column] or 0) for row in csv.DictReader(file)]


def found(column: str, rows: Iterable[int], change: int) -> None:
    """Print the alarms of a column, each by the number of rows seen when it came."""
    seen = list(rows)
    after = next((row - change for row in seen if row > change), None)
    answer: dict[str, Any] = {"column": column, "before": sum(row <= change for row in seen), "after": after}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
