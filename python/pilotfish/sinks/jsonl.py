"""JSON Lines: one record a line, readable with nothing but ``jq``.

Every line is plain ASCII (all else is escaped), so that neither a line break nor a control character a client
sent can begin a line of its own. A message is base64. A written line survives the death of the process; that
of the machine may cost the last seconds, because nothing is forced to the disk.
"""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

from pilotfish.sinks.record import Message, Record
from pilotfish.sinks.segment import Segment
from pilotfish.sinks.shelf import Shelf

SUFFIX = ".jsonl"


class JsonLines:
    """A sink of files that end in ``.jsonl``."""

    name = "jsonl"

    def __init__(self, directory: Path, rotate_bytes: int, keep_files: int) -> None:
        self._shelf = Shelf(directory, (SUFFIX,), keep_files)
        self._rotate_bytes = rotate_bytes
        self._segment: Segment | None = None

    def write(self, records: Sequence[Record]) -> None:
        """Append one line for each record. Raises OSError."""
        data = b"".join(line(record) for record in records)
        self._ready(len(data)).append(data)

    def close(self) -> None:
        """Give up the file that is open."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()

    def _ready(self, coming: int) -> Segment:
        segment = self._segment
        full = segment is not None and segment.size > 0 and segment.size + coming > self._rotate_bytes
        if segment is None or full or not segment.usable:
            self.close()
            self._segment = segment = Segment(self._shelf.new(SUFFIX))
        return segment


def line(record: Record) -> bytes:
    """One record as a line of JSON."""
    plain = {**record, "request": _message(record["request"]), "response": _message(record["response"])}
    return json.dumps(plain, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def _message(message: Message) -> dict[str, object]:
    payload = message["payload"]
    return {**message, "payload": None if payload is None else base64.b64encode(payload).decode("ascii")}
