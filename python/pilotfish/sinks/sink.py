"""What every sink is: something that takes records whole, or raises.

It exists so that a new destination needs one class, and the journal's accounting never has to know which it
is.
"""

from collections.abc import Sequence
from typing import Protocol

from pilotfish.sinks.record import Record


class Sink(Protocol):
    """One destination of the journal.

    Used by one thread only; may be slow, may fail, must not keep half a batch.
    """

    @property
    def name(self) -> str:
        """Short name for counts and logs, such as ``jsonl``."""

    def write(self, records: Sequence[Record]) -> None:
        """Hand the records to the operating system.

        All of them, or raise (OSError for the disk) and none of them.
        """

    def close(self) -> None:
        """Finish the files. Never loses what was written, whatever it raises."""
