"""Data files as columns: CSV, Parquet, Arrow and NumPy, read in chunks.

A profile is built from files that may be larger than memory, so nothing here holds more than one chunk. A
column is either numbers (float64, NaN is missing) or texts (None is missing); which of the two is decided
from all its rows, not from the first ones.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Protocol

from pilotfish.errors import TableError
from pilotfish.table.arrow import Arrow, Parquet, arrow_kind, arrow_values
from pilotfish.table.columns import CHUNK_ROWS, Choice, Chunk, Kind, Numbers, Table, Texts, listed
from pilotfish.table.npy import Npy
from pilotfish.table.order import Ordered
from pilotfish.table.separated import Separated

__all__ = [
    "CHUNK_ROWS",
    "Chunk",
    "Kind",
    "Numbers",
    "Ordered",
    "Table",
    "Texts",
    "arrow_kind",
    "arrow_values",
    "first_text",
    "header",
    "listed",
    "read",
]


def read(
    path: Path,
    columns: Sequence[str] | None = None,
    texts: AbstractSet[str] = frozenset(),
    without: AbstractSet[str] = frozenset(),
    numbers: AbstractSet[str] = frozenset(),
) -> Table:
    """Open a file by its ending; ``columns`` chooses and orders, ``without`` leaves out.

    ``.csv`` or ``.tsv``, also packed as ``.csv.gz``; ``.parquet`` or ``.pq``; ``.arrow``, ``.arrows``,
    ``.ipc`` or ``.feather`` (Arrow IPC, file or stream); ``.npy``, whose columns are called 0, 1, ... or by
    the fields of a structured array.

    Columns in ``texts`` are texts even where a CSV file has nothing but numbers in them; those in ``numbers``
    are numbers if most fields are, and the other fields are missing, as ``notes`` says. Where no columns are
    chosen, what has no name or is neither numbers nor texts (times, lists) is left out; ``notes`` says so.
    Raises TableError when the file cannot be read as such, or a column is not there.
    """
    return _FORMATS[_format(path)].open(path, Choice(columns, without, texts, numbers))


def header(path: Path) -> list[str]:
    """Names of the columns, whatever they hold; those without a name have none. Raises TableError."""
    return [name for name in _FORMATS[_format(path)].names(path) if name]


def first_text(path: Path, column: str) -> tuple[int, str]:
    """The first row (counted from 1) in which a column of texts holds no number, and what it holds.

    Where texts are of a type of their own that is the first that is there. Raises TableError.
    """
    opened = read(path, [column], {column})
    is_number = opened.is_number if isinstance(opened, Separated) else _is_missing
    rows = (value for chunk in opened.chunks() for value in chunk[column])
    for row, value in enumerate(rows, 1):
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
        if not is_number(text):
            return row, text
    return 1, ""


def _is_missing(text: str) -> bool:
    return not text


def _format(path: Path) -> str:
    if not path.is_file():
        raise TableError(f"{path}: no such file; check the path")
    ending = "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]).lower()
    if ending not in _FORMATS:
        raise TableError(
            f"{path}: cannot tell what the file is; give it the ending .csv, .parquet, .arrow or .npy"
        )
    return ending


class _Format(Protocol):
    """What opens files of one kind."""

    def open(self, path: Path, choice: Choice) -> Table: ...

    def names(self, path: Path) -> list[str]: ...


_FORMATS: Mapping[str, _Format] = {
    **dict.fromkeys((".csv", ".tsv", ".csv.gz", ".tsv.gz"), Separated),
    **dict.fromkeys((".parquet", ".pq"), Parquet),
    **dict.fromkeys((".arrow", ".arrows", ".ipc", ".feather"), Arrow),
    ".npy": Npy,
}
