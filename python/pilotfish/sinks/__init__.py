"""Sinks: where the journal goes. Each file format is one sink; all of them take the same records.

``record`` says what is written, ``jsonl`` and ``parquet`` how, ``reader`` reads either back. ``segment`` and
``shelf`` are the files beneath: appended whole or not at all, rotated by size, the oldest removed first.
"""

from collections.abc import Sequence
from pathlib import Path

from pilotfish.errors import ConfigurationError
from pilotfish.sinks.jsonl import JsonLines
from pilotfish.sinks.sink import Sink

__all__ = ["Sink", "open_sinks"]


def open_sinks(directory: Path, formats: Sequence[str], *, rotate_bytes: int, keep_files: int) -> list[Sink]:
    """One sink for each format (``jsonl``, ``parquet``) over the same directory; no file is touched yet.

    Raises ConfigurationError for ``parquet`` without pyarrow.
    """
    return [_open(directory, name, rotate_bytes, keep_files) for name in formats]


def _open(directory: Path, name: str, rotate_bytes: int, keep_files: int) -> Sink:
    if name == "jsonl":
        return JsonLines(directory, rotate_bytes, keep_files)
    if name == "parquet":
        try:
            from pilotfish.sinks.parquet import Parquet
        except ImportError as exc:
            raise ConfigurationError(
                "journal.formats: 'parquet' needs pyarrow, which is not installed; "
                "run: pip install 'pilotfish[parquet]', or take 'parquet' out"
            ) from exc
        return Parquet(directory, rotate_bytes, keep_files)
    raise ConfigurationError(f"journal.formats: {name!r} is not a format; write jsonl or parquet")
