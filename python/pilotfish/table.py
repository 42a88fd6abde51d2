"""Data files as columns: CSV, Parquet, Arrow and NumPy, read in chunks.

A profile is built from files that may be larger than memory, so nothing here holds more than one chunk. A
column is either numbers (float64, NaN is missing) or texts (None is missing); which of the two is decided
from all its rows, not from the first ones.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from pilotfish.errors import TableError

Numbers: TypeAlias = npt.NDArray[np.float64]
Texts: TypeAlias = list[str | bytes | None]
Chunk: TypeAlias = Mapping[str, Numbers | Texts]
"""Some rows of every column."""
Kind: TypeAlias = Literal["numbers", "texts"]

CHUNK_ROWS = 16_384
MAX_COLUMNS = 65_536
_MISSING = frozenset({"", "nan", "null", "none", "na", "n/a"})
_TRUTH = {"true": 1.0, "false": 0.0}


class Table(Protocol):
    """A file with named columns."""

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The chosen columns, in order, and what they hold."""

    def chunks(self) -> Iterator[Chunk]:
        """The rows from first to last, some at a time. Raises TableError."""


def read(path: Path, columns: Sequence[str] | None = None, texts: AbstractSet[str] = frozenset()) -> Table:
    """Open a file by its ending; ``columns`` chooses and orders.

    ``.csv``; ``.parquet`` or ``.pq``; ``.arrow``, ``.arrows``, ``.ipc`` or ``.feather`` (Arrow IPC, file or
    stream); ``.npy``, whose columns are called 0, 1, ... or by the fields of a structured array.

    Columns in ``texts`` are texts even where a CSV file has nothing but numbers in them. Raises TableError
    when the file cannot be read as such, or a column is not there.
    """
    return _FORMATS[_format(path)].open(path, columns, texts)


def header(path: Path) -> list[str]:
    """Names of the columns, whatever they hold. Raises TableError."""
    return _FORMATS[_format(path)].names(path)


def first_text(path: Path, column: str) -> tuple[int, str]:
    """The first row (counted from 1) in which a column holds no number, and what it holds.

    Raises TableError.
    """
    rows = (value for chunk in read(path, [column], {column}).chunks() for value in chunk[column])
    for row, value in enumerate(rows, 1):
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
        if not _is_number(text):
            return row, text
    raise TableError(f"{path}: has changed while it was read; try again")


def _format(path: Path) -> str:
    if not path.is_file():
        raise TableError(f"{path}: no such file; check the path")
    ending = path.suffix.lower()
    if ending not in _FORMATS:
        raise TableError(
            f"{path}: cannot tell what the file is; give it the ending .csv, .parquet, .arrow or .npy"
        )
    return ending


def _chosen(path: Path, header: Sequence[str], columns: Sequence[str] | None) -> list[str]:
    repeated = (
        sorted({name for name in header if header.count(name) > 1}) if len(set(header)) < len(header) else []
    )
    if repeated:
        raise TableError(f"{path}:1: the column {repeated[0]!r} is there twice; give each its own name")
    if len(header) > MAX_COLUMNS:
        raise TableError(
            f"{path}: has {len(header)} columns; {MAX_COLUMNS} is the most, choose with --columns"
        )
    for name in columns or ():
        if name not in header:
            raise TableError(f"{path}: has no column {name!r}; it has {listed(header)}")
    return list(columns or header)


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names as a sentence has them, not all of very many."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


# === CSV ===


@dataclass(frozen=True)
class _Csv:
    """Comma-separated values with a header line; RFC 4180, and ``;`` or tab where the header has no comma."""

    path: Path
    delimiter: str
    header: Sequence[str]
    kinds: Mapping[str, Kind]

    @classmethod
    def open(cls, path: Path, columns: Sequence[str] | None, texts: AbstractSet[str]) -> "_Csv":
        delimiter, header = cls.header_of(path)
        chosen = _chosen(path, header, columns)
        draft = cls(path, delimiter, header, dict.fromkeys(chosen, "texts"))
        return cls(path, delimiter, header, draft._kinds(texts))

    @classmethod
    def names(cls, path: Path) -> list[str]:
        """The names of the columns."""
        return cls.header_of(path)[1]

    @classmethod
    def header_of(cls, path: Path) -> tuple[str, list[str]]:
        """What separates fields, and the names of the columns."""
        with _reporting(path), path.open(newline="", encoding="utf-8-sig") as file:
            delimiter = _delimiter(file.readline())
            file.seek(0)
            header = next(csv.reader(file, delimiter=delimiter, strict=True), [])
        header = [name.strip() for name in header]
        if not any(header):
            raise TableError(f"{path}: is empty; write a header line with the names of the columns")
        if all(_is_number(name) for name in header):
            raise TableError(
                f"{path}:1: looks like data; write a header line with the names of the columns above it"
            )
        return delimiter, header

    def chunks(self) -> Iterator[Chunk]:
        places = {name: self.header.index(name) for name in self.kinds}
        for rows in self._rows():
            yield {
                name: _numbers(rows, places[name]) if kind == "numbers" else _texts(rows, places[name])
                for name, kind in self.kinds.items()
            }

    def _kinds(self, texts: AbstractSet[str]) -> dict[str, Kind]:
        """One pass over the file: a column is numbers when no row has anything else in it."""
        open_columns = {name: self.header.index(name) for name in self.kinds if name not in texts}
        kinds: dict[str, Kind] = {name: "texts" if name in texts else "numbers" for name in self.kinds}
        for rows in self._rows():
            for name, place in list(open_columns.items()):
                if not all(_is_number(row[place]) for row in rows):
                    kinds[name] = "texts"
                    del open_columns[name]
        return kinds

    def _rows(self) -> Iterator[list[list[str]]]:
        with _reporting(self.path), self.path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=self.delimiter, strict=True)
            try:
                next(reader)
                whole = self._whole(reader)
                while rows := list(islice(whole, CHUNK_ROWS)):
                    yield rows
            except csv.Error as exc:
                raise TableError(
                    f"{self.path}:{reader.line_num}: is not CSV: {exc}; check the quotes there"
                ) from exc

    def _whole(self, reader: Any) -> Iterator[list[str]]:
        width = len(self.header)
        for row in reader:
            if len(row) == width:
                yield row
            elif row:  # the csv module gives [] for an empty line
                raise TableError(
                    f"{self.path}:{reader.line_num}: the row has {len(row)} fields, the header {width}; "
                    "complete or remove it"
                )


def _delimiter(header: str) -> str:
    return next((mark for mark in (",", ";", "\t", "|") if mark in header), ",")


def _is_number(text: str) -> bool:
    return _number(text) is not None


def _number(text: str) -> float | None:
    """The number in a field, NaN for a missing one, None for anything else."""
    plain = text.strip().lower()
    if plain in _MISSING:
        return math.nan
    if plain in _TRUTH:
        return _TRUTH[plain]
    if "_" in plain:  # Python reads 1_000 as a number, no other program does
        return None
    try:
        return float(plain)
    except ValueError:
        return None


def _numbers(rows: list[list[str]], place: int) -> Numbers:
    values = (_number(row[place]) for row in rows)
    return np.fromiter((math.nan if value is None else value for value in values), np.float64, len(rows))


def _texts(rows: list[list[str]], place: int) -> Texts:
    return [row[place] or None for row in rows]


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as exc:
        raise TableError(f"{path}: is not UTF-8 text; convert it, or check that it is CSV") from exc
    except OSError as exc:
        raise TableError(
            f"{path}: cannot be read: {exc.strerror}; check the path and its permissions"
        ) from exc


# === Parquet ===


@dataclass(frozen=True)
class _Parquet:
    """A Parquet file, through pyarrow."""

    path: Path
    file: Any
    kinds: Mapping[str, Kind]

    @classmethod
    def open(cls, path: Path, columns: Sequence[str] | None, texts: AbstractSet[str]) -> "_Parquet":
        arrow, parquet = _pyarrow(path)
        with _reporting_arrow(path, arrow):
            file = parquet.ParquetFile(path, pre_buffer=False)  # else all that was read is kept
            schema = file.schema_arrow
        chosen = _chosen(path, schema.names, columns)
        kinds = {name: _kind(path, schema.field(name), arrow, name in texts) for name in chosen}
        return cls(path, file, kinds)

    @classmethod
    def names(cls, path: Path) -> list[str]:
        """The names of the columns."""
        arrow, parquet = _pyarrow(path)
        with _reporting_arrow(path, arrow):
            return list(parquet.ParquetFile(path).schema_arrow.names)

    def chunks(self) -> Iterator[Chunk]:
        arrow, _ = _pyarrow(self.path)
        with _reporting_arrow(self.path, arrow):
            for batch in self.file.iter_batches(CHUNK_ROWS, columns=list(self.kinds)):
                yield {name: _values(batch.column(name), kind, arrow) for name, kind in self.kinds.items()}


# === Arrow ===


@dataclass(frozen=True)
class _Arrow:
    """An Arrow IPC file or stream, mapped into memory rather than read."""

    path: Path
    kinds: Mapping[str, Kind]

    @classmethod
    def open(cls, path: Path, columns: Sequence[str] | None, texts: AbstractSet[str]) -> "_Arrow":
        arrow, _ = _pyarrow(path)
        schema, _batches = cls._opened(path)
        chosen = _chosen(path, schema.names, columns)
        return cls(path, {name: _kind(path, schema.field(name), arrow, name in texts) for name in chosen})

    @classmethod
    def names(cls, path: Path) -> list[str]:
        """The names of the columns."""
        return list(cls._opened(path)[0].names)

    def chunks(self) -> Iterator[Chunk]:
        arrow, _ = _pyarrow(self.path)
        with _reporting_arrow(self.path, arrow):
            for batch in self._opened(self.path)[1]:
                for start in range(0, batch.num_rows, CHUNK_ROWS):
                    rows = batch.slice(start, CHUNK_ROWS)
                    yield {name: _values(rows.column(name), kind, arrow) for name, kind in self.kinds.items()}

    @staticmethod
    def _opened(path: Path) -> tuple[Any, Iterator[Any]]:
        """The schema, and the batches one by one."""
        arrow, _ = _pyarrow(path)
        with _reporting_arrow(path, arrow):
            source = arrow.memory_map(str(path))
            if source.read(len(_ARROW_FILE)) != _ARROW_FILE:
                source.seek(0)
                stream = arrow.ipc.open_stream(source)
                return stream.schema, iter(stream)
            file = arrow.ipc.open_file(source)
            return file.schema, (file.get_batch(index) for index in range(file.num_record_batches))


_ARROW_FILE = b"ARROW1"


# === NumPy ===


@dataclass(frozen=True)
class _Npy:
    """A ``.npy`` file of numbers: of two dimensions, of one (a single column), or structured."""

    path: Path
    array: npt.NDArray[Any]
    kinds: Mapping[str, Kind]

    @classmethod
    def open(cls, path: Path, columns: Sequence[str] | None, texts: AbstractSet[str]) -> "_Npy":
        array = cls._mapped(path)
        names = cls._names(array)
        chosen = _chosen(path, names, columns)
        if wanted := [name for name in chosen if name in texts]:
            raise TableError(
                f"{path}: the column {wanted[0]!r} holds numbers where texts are expected; use .parquet"
            )
        return cls(path, array, dict.fromkeys(chosen, "numbers"))

    @classmethod
    def names(cls, path: Path) -> list[str]:
        """The names of the columns."""
        return cls._names(cls._mapped(path))

    def chunks(self) -> Iterator[Chunk]:
        places = {name: place for place, name in enumerate(self._names(self.array))}
        for start in range(0, len(self.array), CHUNK_ROWS):
            rows = self.array[start : start + CHUNK_ROWS]
            if rows.dtype.names is not None:
                yield {name: np.ascontiguousarray(rows[name], np.float64) for name in self.kinds}
            else:
                table = rows.reshape(len(rows), -1)
                yield {name: np.ascontiguousarray(table[:, places[name]], np.float64) for name in self.kinds}

    @staticmethod
    def _names(array: npt.NDArray[Any]) -> list[str]:
        if array.dtype.names is not None:
            return list(array.dtype.names)
        return [str(place) for place in range(1 if array.ndim == 1 else array.shape[1])]

    @staticmethod
    def _mapped(path: Path) -> npt.NDArray[Any]:
        try:
            array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as exc:
            raise TableError(f"{path}: is not a NumPy file that can be read: {exc}; check the file") from exc
        fields = [array.dtype[place] for place in range(len(array.dtype.names or ()))] or [array.dtype]
        if array.ndim not in (1, 2) or not all(field.kind in "biuf" for field in fields):
            raise TableError(
                f"{path}: is an array of {array.dtype} with {array.ndim} dimensions; "
                "give numbers with one or two, or use .parquet"
            )
        return array


def _pyarrow(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import ipc, parquet  # noqa: F401 - `pyarrow.ipc` is there once it was imported
    except ImportError as exc:
        raise TableError(
            f"{path}: reading Parquet or Arrow needs pyarrow; run: pip install 'pilotfish[parquet]'"
        ) from exc
    return pyarrow, parquet


def arrow_kind(name: str, field: Any, is_text: bool) -> Kind:
    """What a column of an Arrow schema holds. Raises TableError."""
    import pyarrow

    return _kind(f"the column {name!r}", field, pyarrow, is_text)


def arrow_values(column: Any, kind: Kind) -> Numbers | Texts:
    """A column of an Arrow batch."""
    import pyarrow

    return _values(column, kind, pyarrow)


def _kind(path: Path | str, field: Any, arrow: Any, is_text: bool) -> Kind:
    is_a = arrow.types
    if is_a.is_null(field.type):  # every value is missing, so it is whatever is expected
        return "texts" if is_text else "numbers"
    kind = field.type.value_type if is_a.is_dictionary(field.type) else field.type
    if any(test(kind) for test in (is_a.is_floating, is_a.is_integer, is_a.is_boolean, is_a.is_decimal)):
        return "numbers"
    if any(
        test(kind) for test in (is_a.is_string, is_a.is_large_string, is_a.is_binary, is_a.is_large_binary)
    ):
        return "texts"
    raise TableError(
        f"{path}: the column {field.name!r} is of type {field.type}, neither numbers nor texts; "
        "choose others with --columns"
    )


def _values(column: Any, kind: Kind, arrow: Any) -> Numbers | Texts:
    if arrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if kind == "texts":
        return list(column.to_pylist())
    if arrow.types.is_decimal(column.type):
        return np.array(
            [math.nan if item is None else float(item) for item in column.to_pylist()], np.float64
        )
    # Nulls become NaN; large integers are rounded as every float64 is, which `safe` would refuse.
    numbers = column.cast(arrow.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(numbers, np.float64)


@contextmanager
def _reporting_arrow(path: Path, arrow: Any) -> Iterator[None]:
    try:
        yield
    except arrow.ArrowException as exc:
        what = str(exc).splitlines()[0].rstrip(".")
        raise TableError(
            f"{path}: is not {_what(path)} file that can be read: {what}; check the file"
        ) from exc
    except OSError as exc:
        raise TableError(f"{path}: cannot be read: {exc}; check the path and its permissions") from exc


def _what(path: Path) -> str:
    return "a Parquet" if _FORMATS[path.suffix.lower()] is _Parquet else "an Arrow"


class _Format(Protocol):
    """What opens files of one kind."""

    def open(self, path: Path, columns: Sequence[str] | None, texts: AbstractSet[str]) -> Table: ...

    def names(self, path: Path) -> list[str]: ...


_FORMATS: Mapping[str, _Format] = {
    ".csv": _Csv,
    **dict.fromkeys((".parquet", ".pq"), _Parquet),
    **dict.fromkeys((".arrow", ".arrows", ".ipc", ".feather"), _Arrow),
    ".npy": _Npy,
}
