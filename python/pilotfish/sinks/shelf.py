"""A shelf: the files of one format in the journal's directory, named by time, the oldest removed first.

It exists so that every format rotates by the same rule and the disk use of a journal has a bound.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from itertools import count
from pathlib import Path

from pilotfish.sinks.segment import in_use

PREFIX = "calls-"
_TIME = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(rf"{PREFIX}(\d{{8}}T\d{{6}}Z)-([0-9a-f]{{8}})-")


class Shelf:
    """Names new files, lists old ones, removes what is beyond ``keep`` files."""

    def __init__(
        self,
        directory: Path,
        suffixes: tuple[str, ...],
        keep: int,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self.directory = directory
        self._now = now
        self._suffixes = suffixes
        self._keep = keep
        self._process = os.urandom(4).hex()
        self._sequence = count()

    def new(self, suffix: str) -> Path:
        """Path of a file that does not exist yet, and room for it: directory made, oldest files removed.

        Raises OSError.
        """
        self._prune()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        time = self._time()
        return self.directory / f"{PREFIX}{time}-{self._process}-{next(self._sequence):06d}{suffix}"

    def _time(self) -> str:
        """What the clock shows, but never less than in the names of files that are there already.

        Else a clock that was put back would have the newest file taken for the oldest, and removed.
        """
        now = self._now().strftime(_TIME)
        names = [match.groups() for path in self.files() if (match := _NAME.match(path.name))]
        newest, process = max(names, default=("", ""))
        if newest < now or process == self._process:
            return max(newest, now)
        with suppress(ValueError, OverflowError):  # no time that can be
            return (datetime.strptime(newest, _TIME) + timedelta(seconds=1)).strftime(_TIME)
        return now

    def files(self) -> list[Path]:
        """Files of this format, oldest first; a directory that cannot be read has none."""
        return sorted(listed(self.directory, self._suffixes))

    def _prune(self) -> None:
        """Remove the oldest files until one more makes ``keep``; never one that is being written."""
        files = self.files()
        surplus = len(files) + 1 - self._keep
        for path in files:
            if surplus <= 0:
                return
            if not in_use(path):
                path.unlink(missing_ok=True)
                surplus -= 1


def listed(directory: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Journal files with one of the suffixes, in no order."""
    try:
        entries = [entry for entry in directory.iterdir() if entry.name.startswith(PREFIX)]
    except OSError:
        return
    yield from (entry for entry in entries if entry.name.endswith(suffixes))
