"""A ``.npy`` file as a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pilotfish.errors import TableError
from pilotfish.table.columns import CHUNK_ROWS, Choice, Chunk, Kind, named


@dataclass(frozen=True)
class Npy:
    """A ``.npy`` file of numbers: of two dimensions, of one (a single column), or structured."""

    path: Path
    array: npt.NDArray[Any]
    kinds: Mapping[str, Kind]
    notes: Sequence[str] = ()

    @classmethod
    def open(cls, path: Path, choice: Choice) -> "Npy":
        """The columns that are wanted. Raises TableError."""
        array = cls._mapped(path)
        wanted, notes = named(path, cls._names(array), choice)
        if texts := [name for name in wanted if name in choice.texts]:
            raise TableError(
                f"{path}: the column {texts[0]!r} holds numbers where texts are expected; use .parquet"
            )
        return cls(path, array, dict.fromkeys(wanted, "numbers"), notes)

    @classmethod
    def names(cls, path: Path) -> list[str]:
        """The names of the columns."""
        return cls._names(cls._mapped(path))

    def chunks(self) -> Iterator[Chunk]:
        """The rows from first to last, some at a time."""
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
