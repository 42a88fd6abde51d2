"""Parquet files, and Arrow files and streams, as tables."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pilotfish.errors import TableError
from pilotfish.table.columns import (
    CHUNK_ROWS,
    Choice,
    Chosen,
    Chunk,
    Kind,
    Numbers,
    Texts,
    UnusableError,
    chosen,
)


@dataclass(frozen=True)
class Parquet:
    """A Parquet file, through pyarrow."""

    path: Path
    file: Any
    kinds: Mapping[str, Kind]
    notes: Sequence[str] = ()

    @classmethod
    def open(cls, path: Path, choice: Choice) -> "Parquet":
        """The columns that are wanted. Raises TableError."""
        arrow, parquet = _pyarrow(path)
        with _reporting(path, arrow, "a Parquet"):
            file = parquet.ParquetFile(path, pre_buffer=False)  # else all that was read is kept
            schema = file.schema_arrow
        found = _chosen(path, schema, choice)
        return cls(path, file, found.kinds, found.notes)

    @classmethod
    def names(cls, path: Path) -> list[str]:
        """The names of the columns."""
        arrow, parquet = _pyarrow(path)
        with _reporting(path, arrow, "a Parquet"):
            return list(parquet.ParquetFile(path).schema_arrow.names)

    def chunks(self) -> Iterator[Chunk]:
        """The rows from first to last, some at a time. Raises TableError."""
        arrow, _ = _pyarrow(self.path)
        with _reporting(self.path, arrow, "a Parquet"):
            for batch in self.file.iter_batches(CHUNK_ROWS, columns=list(self.kinds)):
                yield {name: _values(batch.column(name), kind, arrow) for name, kind in self.kinds.items()}


@dataclass(frozen=True)
class Arrow:
    """An Arrow IPC file or stream, mapped into memory rather than read."""

    path: Path
    kinds: Mapping[str, Kind]
    notes: Sequence[str] = ()

    @classmethod
    def open(cls, path: Path, choice: Choice) -> "Arrow":
        """The columns that are wanted. Raises TableError."""
        schema, _batches = cls._opened(path)
        found = _chosen(path, schema, choice)
        return cls(path, found.kinds, found.notes)

    @classmethod
    def names(cls, path: Path) -> list[str]:
        """The names of the columns."""
        return list(cls._opened(path)[0].names)

    def chunks(self) -> Iterator[Chunk]:
        """The rows from first to last, some at a time. Raises TableError."""
        arrow, _ = _pyarrow(self.path)
        with _reporting(self.path, arrow, "an Arrow"):
            for batch in self._opened(self.path)[1]:
                for start in range(0, batch.num_rows, CHUNK_ROWS):
                    rows = batch.slice(start, CHUNK_ROWS)
                    yield {name: _values(rows.column(name), kind, arrow) for name, kind in self.kinds.items()}

    @staticmethod
    def _opened(path: Path) -> tuple[Any, Iterator[Any]]:
        """The schema, and the batches one by one."""
        arrow, _ = _pyarrow(path)
        with _reporting(path, arrow, "an Arrow"):
            source = arrow.memory_map(str(path))
            magic = source.read(len(_ARROW_FILE))
            if magic.startswith(_FEATHER_1):
                raise TableError(f"{path}: is a Feather file of version 1; write it anew as version 2")
            if magic != _ARROW_FILE:
                source.seek(0)
                stream = arrow.ipc.open_stream(source)
                return stream.schema, iter(stream)
            file = arrow.ipc.open_file(source)
            return file.schema, (file.get_batch(index) for index in range(file.num_record_batches))


_ARROW_FILE = b"ARROW1"
_FEATHER_1 = b"FEA1"


def _chosen(path: Path, schema: Any, choice: Choice) -> Chosen:
    return chosen(path, schema.names, choice, lambda name: _kind(schema.field(name), name in choice.texts))


def arrow_kind(field: Any, is_text: bool) -> Kind:
    """What a column of an Arrow schema holds. Raises TableError."""
    try:
        return _kind(field, is_text)
    except UnusableError as exc:
        raise TableError(f"{exc}; convert it, or leave it out") from exc


def arrow_values(column: Any, kind: Kind) -> Numbers | Texts:
    """A column of an Arrow batch."""
    import pyarrow

    return _values(column, kind, pyarrow)


def _kind(field: Any, is_text: bool) -> Kind:
    import pyarrow

    is_a = pyarrow.types
    if is_a.is_null(field.type):  # every value is missing, so it is whatever is expected
        return "texts" if is_text else "numbers"
    kind = field.type.value_type if is_a.is_dictionary(field.type) else field.type
    if any(test(kind) for test in (is_a.is_floating, is_a.is_integer, is_a.is_boolean, is_a.is_decimal)):
        return "numbers"
    texts = (
        is_a.is_string, is_a.is_large_string, is_a.is_string_view,
        is_a.is_binary, is_a.is_large_binary, is_a.is_binary_view, is_a.is_fixed_size_binary,
    )  # fmt: skip
    if any(test(kind) for test in texts):
        return "texts"
    raise UnusableError(f"the column {field.name!r} is of type {field.type}, neither numbers nor texts")


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


def _pyarrow(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import ipc, parquet  # noqa: F401 - `pyarrow.ipc` is there once it was imported
    except ImportError as exc:
        raise TableError(
            f"{path}: reading Parquet or Arrow needs pyarrow; run: pip install 'pilotfish[parquet]'"
        ) from exc
    return pyarrow, parquet


@contextmanager
def _reporting(path: Path, arrow: Any, kind: str) -> Iterator[None]:
    try:
        yield
    except arrow.ArrowException as exc:
        what = str(exc).splitlines()[0].rstrip(".")
        raise TableError(f"{path}: is not {kind} file that can be read: {what}; check the file") from exc
    except OSError as exc:
        raise TableError(f"{path}: cannot be read: {exc}; check the path and its permissions") from exc
