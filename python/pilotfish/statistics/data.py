"""Whatever holds columns, as a table: a file, arrays, a data frame, a stream of Arrow batches.

A column is numbers (float64, NaN is missing) or texts (None is missing). Booleans and integers are numbers;
what is neither is refused by name.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pilotfish import table
from pilotfish.errors import TableError
from pilotfish.table import CHUNK_ROWS, Chunk, Kind, Numbers, Texts

Data: TypeAlias = str | Path | Mapping[str, Any] | npt.NDArray[Any] | Any
"""A file (see :func:`pilotfish.table.read`), a mapping of names to one-dimensional arrays or sequences, an
array of shape ``[rows, columns]`` or ``[rows]``, a pandas or polars data frame, or anything that gives Arrow
batches (``pyarrow.Table``, ``RecordBatchReader``)."""


def opened(data: Data, names: Sequence[str] | None, texts: AbstractSet[str] = frozenset()) -> table.Table:
    """The columns of some data; ``names`` chooses, or names those of an array. Raises TableError."""
    if isinstance(data, str | Path):
        return table.read(Path(data), names, texts)
    if isinstance(data, np.ndarray) and data.dtype.names is None:
        return Columns(_of_array(data, names), texts)
    if hasattr(data, "__arrow_c_stream__") and not hasattr(data, "to_numpy"):
        return Batches(data, names, texts)
    if (held := by_name(data)) is not None:
        return Columns(_chosen(held, names), texts)
    if hasattr(data, "__arrow_c_stream__"):
        return Batches(data, names, texts)
    if hasattr(data, "collect"):
        raise TableError(
            f"data of type {type(data).__name__} is not computed yet; give what collect() returns"
        )
    raise TableError(
        f"data of type {type(data).__name__}: give a path, a mapping of names to arrays, an array, "
        "a data frame or a stream of Arrow batches"
    )


def by_name(data: Any) -> dict[str, Any] | None:
    """The columns of what is in memory as a whole: a mapping, a data frame, a structured array; else None."""
    if isinstance(data, Mapping):
        return {str(name): values for name, values in data.items()}
    if isinstance(data, np.ndarray):
        return None if data.dtype.names is None else {name: data[name] for name in data.dtype.names}
    if hasattr(data, "columns") and hasattr(data, "__getitem__") and not hasattr(data, "collect"):
        names = [str(name) for name in data.columns]
        _check_different(names)
        return {name: data[column] for name, column in zip(names, data.columns, strict=True)}
    return None


def column(name: str, values: Any, is_text: bool = False) -> Numbers | Texts:
    """One column as numbers or texts, without a copy where it is float64 already. Raises TableError."""
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise TableError(f"the column {name!r} is {values!r}, a single value; give an array or a sequence")
    array = values if isinstance(values, np.ndarray) else _array(name, values)
    if array.ndim != 1:
        raise TableError(f"the column {name!r} has {array.ndim} dimensions; give each column on its own")
    if array.dtype.kind in "mM":
        raise TableError(f"the column {name!r} holds times ({array.dtype}); convert it, or leave it out")
    if isinstance(array, np.ma.MaskedArray):
        array = _filled(array)
    if array.dtype.kind in "biuf":
        return _texts(name, array.tolist()) if is_text else np.require(array, np.float64, "A")
    items = array.tolist()
    if is_text or any(isinstance(item, str | bytes) for item in items):
        return _texts(name, items)
    return _numbers(name, items)


@dataclass(frozen=True)
class Columns:
    """Columns in memory."""

    columns: Mapping[str, Numbers | Texts]
    notes: Sequence[str] = ()

    def __init__(self, columns: Mapping[str, Any], texts: AbstractSet[str] = frozenset()) -> None:
        held = {name: column(name, values, name in texts) for name, values in columns.items()}
        lengths = {name: len(values) for name, values in held.items()}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} {length}" for name, length in list(lengths.items())[:5])
            raise TableError(f"the columns have different numbers of rows: {shown}; give each as many")
        object.__setattr__(self, "columns", held)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """What the columns hold."""
        return {
            name: "numbers" if isinstance(values, np.ndarray) else "texts"
            for name, values in self.columns.items()
        }

    def chunks(self) -> Iterator[Chunk]:
        """The rows from first to last, some at a time."""
        rows = len(next(iter(self.columns.values()), ()))
        for start in range(0, rows, CHUNK_ROWS):
            yield {name: values[start : start + CHUNK_ROWS] for name, values in self.columns.items()}


class Batches:
    """A stream of Arrow batches, which can be read once."""

    def __init__(self, stream: Any, names: Sequence[str] | None, texts: AbstractSet[str]) -> None:
        try:
            import pyarrow
        except ImportError as exc:
            raise TableError(
                "reading Arrow batches needs pyarrow; run: pip install 'pilotfish[parquet]'"
            ) from exc
        try:
            self._reader = pyarrow.RecordBatchReader.from_stream(stream)
        except pyarrow.ArrowException as exc:
            raise TableError(
                f"data of type {type(stream).__name__} have no columns with names ({exc}); give a mapping"
            ) from exc
        _check_different(self._reader.schema.names)
        self._names = _listed(self._reader.schema.names, names)
        schema = self._reader.schema
        self.kinds: Mapping[str, Kind] = {
            name: table.arrow_kind(schema.field(name), name in texts) for name in self._names
        }
        """What the columns hold."""
        self.notes: Sequence[str] = ()

    def chunks(self) -> Iterator[Chunk]:
        """The rows from first to last, some at a time."""
        for batch in self._reader:
            for start in range(0, batch.num_rows, CHUNK_ROWS):
                rows = batch.slice(start, CHUNK_ROWS)
                yield {name: table.arrow_values(rows.column(name), kind) for name, kind in self.kinds.items()}


def _of_array(array: npt.NDArray[Any], names: Sequence[str] | None) -> dict[str, Any]:
    if array.ndim not in (1, 2):
        raise TableError(f"an array of {array.ndim} dimensions is no table; give [rows, columns] or [rows]")
    whole = array if array.ndim == 2 else array.reshape(-1, 1)
    called = [str(place) for place in range(whole.shape[1])] if names is None else list(names)
    if len(called) != whole.shape[1]:
        raise TableError(f"{len(called)} names for an array of {whole.shape[1]} columns; give one for each")
    return {name: whole[:, place] for place, name in enumerate(called)}


def _chosen(columns: Mapping[str, Any], names: Sequence[str] | None) -> dict[str, Any]:
    return {name: columns[name] for name in _listed(list(columns), names)}


def _listed(known: Sequence[str], names: Sequence[str] | None) -> list[str]:
    for name in names or ():
        if name not in known:
            raise TableError(f"there is no column {name!r}; there are {table.listed(known)}")
    return list(known if names is None else names)


def _check_different(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise TableError(f"the column {twice!r} is there twice; give each its own name")


def _array(name: str, values: Any) -> npt.NDArray[Any]:
    """An array of what was given, object where it is no number."""
    if hasattr(values, "to_numpy"):
        found = np.asarray(values.to_numpy())
        if found.dtype.kind in "biufmM":
            return found
        items = found.tolist()
    else:
        items = list(values)
    if hasattr(values, "isna"):  # pandas has several missing values, of which some compare to nothing
        items = [None if gone else item for item, gone in zip(items, values.isna(), strict=True)]
    if all(isinstance(item, bool | int | float | np.number | np.bool_) for item in items):
        return _numbers(name, items)
    held = np.empty(len(items), object)
    held[:] = items
    return held


def _filled(array: np.ma.MaskedArray[Any, Any]) -> npt.NDArray[Any]:
    """With missing values where it is masked."""
    if array.dtype.kind in "biuf":
        return np.ma.filled(array.astype(np.float64), np.nan)
    held = np.array(array.data, object)
    held[np.ma.getmaskarray(array)] = None
    return held


def _texts(name: str, items: Sequence[Any]) -> Texts:
    return [_text(name, item) for item in items]


def _text(name: str, item: Any) -> str | bytes | None:
    if item is None or item != item or item == "":
        return None
    if isinstance(item, str | bytes):
        return item
    if isinstance(item, bool | int | float | np.number | np.bool_):
        return str(item)
    raise TableError(
        f"the column {name!r} holds {item!r}, neither a number nor a text; convert it, or leave it out"
    )


def _numbers(name: str, items: Sequence[Any]) -> Numbers:
    try:
        return np.array([np.nan if item is None else float(item) for item in items], np.float64)
    except (OverflowError, TypeError, ValueError) as exc:
        raise TableError(
            f"the column {name!r} holds values that are neither numbers nor texts ({exc}); "
            "convert it, or leave it out"
        ) from exc
