"""What the columns of a table are, and which of them are used."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

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


class Table(Protocol):
    """A file with named columns."""

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The chosen columns, in order, and what they hold."""

    @property
    def notes(self) -> Sequence[str]:
        """What its owner should know: columns that were left out, or are texts and look like numbers."""

    def chunks(self) -> Iterator[Chunk]:
        """The rows from first to last, some at a time. Raises TableError."""


@dataclass(frozen=True)
class Choice:
    """Which columns of a file are wanted."""

    columns: Sequence[str] | None = None
    """These, in this order; without it all that can be used."""
    without: AbstractSet[str] = frozenset()
    texts: AbstractSet[str] = frozenset()
    """Texts even where a CSV file has nothing but numbers in them."""
    numbers: AbstractSet[str] = frozenset()
    """Numbers even where a few fields of a CSV file hold none."""


@dataclass(frozen=True)
class Chosen:
    """Columns that are used, and what is to be said about the others."""

    kinds: Mapping[str, Kind]
    notes: Sequence[str] = field(default=())


def named(path: Path, header: Sequence[str], choice: Choice) -> tuple[list[str], list[str]]:
    """The names of the columns that are wanted, and notes. Raises TableError.

    A column without a name is what row names and trailing separators leave behind: it is no feature.
    """
    if len(header) > MAX_COLUMNS:
        raise TableError(
            f"{path}: has {len(header)} columns; {MAX_COLUMNS} is the most, choose with --columns"
        )
    known = frozenset(header)
    for name in (*(choice.columns or ()), *sorted(choice.without)):
        if name not in known:
            raise TableError(f"{path}: has no column {name!r}; it has {listed(header)}")
    unnamed = [str(place) for place, name in enumerate(header, 1) if not name]
    offered = choice.columns if choice.columns is not None else filter(None, header)
    wanted = [name for name in offered if name not in choice.without]
    seen: set[str] = set()
    for name in header:
        if name in seen and name in wanted:
            raise TableError(f"{path}:1: the column {name!r} is there twice; give each its own name")
        seen.add(name)
    if not unnamed or choice.columns is not None:
        return wanted, []
    which = f"column {unnamed[0]} has" if len(unnamed) == 1 else f"columns {listed(unnamed)} have"
    return wanted, [f"{which} no name, left out; write one into the header to use it"]


def chosen(path: Path, header: Sequence[str], choice: Choice, kind: Callable[[str], Kind]) -> Chosen:
    """The columns that are wanted, and what ``kind`` says they are.

    One that it refuses is left out, with a note, unless it was asked for by name. Raises TableError.
    """
    wanted, notes = named(path, header, choice)
    kinds: dict[str, Kind] = {}
    for name in wanted:
        try:
            kinds[name] = kind(name)
        except UnusableError as exc:
            if choice.columns is not None:
                raise TableError(f"{path}: {exc}; choose others with --columns") from exc
            notes.append(f"{exc}; left out")
    if not kinds:
        raise TableError(f"{path}: has no column of numbers or texts; " + "; ".join(notes))
    return Chosen(kinds, notes)


class UnusableError(Exception):
    """A column is neither numbers nor texts."""


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names as a sentence has them, not all of very many."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
