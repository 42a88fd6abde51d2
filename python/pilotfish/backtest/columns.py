"""From the columns of a table to the tensors that a model would have been sent.

A profile knows features, not columns. A column of a feature's name is that feature; where a profile has the
columns of a tensor, ``x[0]``, ``x[1]``, ..., and the table calls them otherwise, they are taken in order, as
``pilotfish profile build --tensor x`` took them. Features that are computed from others (``.length``,
``.class``, ...) are left to the core, which computes them as live.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from pilotfish import table
from pilotfish.errors import TableError
from pilotfish.table import Chunk, Numbers, Texts

Direction: TypeAlias = Literal["input", "output"]
Rows: TypeAlias = list[tuple[str, Direction, Numbers | Texts]]
"""Name, direction and values of every tensor: numbers have two dimensions."""

_DERIVED = ("length", "class", "score", "brightness", "contrast", "size")
_COLUMN = re.compile(r"(.+)\[(\d+)\]")


@dataclass(frozen=True)
class Tensor:
    """One tensor, and the columns it is made of, in order."""

    name: str
    direction: Direction
    columns: Sequence[str]
    features: Sequence[str]
    is_text: bool


@dataclass(frozen=True)
class Matched:
    """A table, read as tensors."""

    table: table.Table
    tensors: Sequence[Tensor]
    features: frozenset[tuple[Direction, str]]
    """Those that get values, the computed ones included."""
    notes: Sequence[str] = ()
    """What of the table is read otherwise than it stands there, or not at all."""
    lacking: Sequence[str] = ()
    """Features without a column, though nobody chose to leave them out: they are absent."""

    def chunks(self) -> Iterator[Rows]:
        """The rows from first to last, some at a time. Raises TableError."""
        for chunk in self.table.chunks():
            yield [(tensor.name, tensor.direction, _values(tensor, chunk)) for tensor in self.tensors]


def match(features: Sequence[Mapping[str, Any]], path: Path, columns: Sequence[str] | None) -> Matched:
    """Find the columns of a profile's features; ``columns`` chooses some. Raises TableError."""
    base = [feature for feature in features if not _is_derived(feature["name"], features)]
    header = table.header(path)
    for name in columns or ():
        if name not in header:
            raise TableError(f"{path}: has no column {name!r}; it has {table.listed(header)}")
    sources = _sources(base, header, columns, path)
    kept = [feature for feature in base if feature["name"] in sources]
    texts = frozenset(sources[feature["name"]] for feature in kept if feature["kind"] == "category")
    numbers = frozenset(sources.values()) - texts
    opened = table.read(path, list(dict.fromkeys(sources.values())), texts, numbers=numbers)
    for feature in kept:
        _check_kind(path, feature, sources[feature["name"]], opened.kinds)
    tensors = _tensors(kept, sources)
    fed = {(feature["direction"], feature["name"]) for feature in kept}
    fed |= {
        (feature["direction"], feature["name"])
        for feature in features
        if any(feature["name"].rpartition(".")[0] == tensor.name for tensor in tensors)
    }
    lacking = [] if columns is not None else [one["name"] for one in base if one["name"] not in sources]
    notes = [*opened.notes, *_absent(lacking), *_unused(header, sources, columns)]
    return Matched(opened, tensors, frozenset(fed), notes, lacking)


def _absent(lacking: Sequence[str]) -> Iterator[str]:
    """What is said of features that the table does not have."""
    if lacking:
        yield (
            f"has no column for {table.listed(lacking)} of the profile, so "
            f"{'it is' if len(lacking) == 1 else 'they are'} absent; --columns says which are to be watched"
        )


def _unused(
    header: Sequence[str], sources: Mapping[str, str], columns: Sequence[str] | None
) -> Iterator[str]:
    """What is said of columns that nobody chose to leave out."""
    spare = [] if columns is not None else [name for name in header if name not in sources.values()]
    if spare:
        yield f"not in the profile, left out: {table.listed(spare)}"


def _is_derived(name: str, features: Sequence[Mapping[str, Any]]) -> bool:
    base, dot, suffix = name.rpartition(".")
    if not dot or suffix not in _DERIVED:
        return False
    if suffix == "length":
        return any(other["name"] == base and other["kind"] == "category" for other in features)
    return any(other["name"] in {f"{base}[0]", f"{base}[*]"} for other in features)


def _sources(
    base: Sequence[Mapping[str, Any]], header: Sequence[str], columns: Sequence[str] | None, path: Path
) -> dict[str, str]:
    """Column of every feature that has one. Raises TableError when none has, or not all of one tensor."""
    names = list(dict.fromkeys(feature["name"] for feature in base))
    offered = list(columns if columns is not None else header)
    found = {name: name for name in names if name in offered}
    lacking = [name for name in names if name not in found]
    spare = [column for column in offered if column not in found]
    if len(lacking) == len(spare) and _is_one_tensor(lacking):
        return {**found, **dict(zip(sorted(lacking, key=_place), spare, strict=True))}
    if columns is not None:
        if spare:
            known = table.listed(names)
            raise TableError(f"{path}: the profile knows no column {spare[0]!r}; it has {known}")
        return found
    hint = _hint(lacking)
    if hint or not found:
        raise TableError(
            f"{path}: has no column for {table.listed(lacking)} of the profile; add "
            f"{'it' if len(lacking) == 1 else 'them'}, or choose the others with --columns{hint}"
        )
    return found


def _is_one_tensor(names: Sequence[str]) -> bool:
    """Whether these are all columns of one tensor."""
    parts = [_COLUMN.fullmatch(name) for name in names]
    tensors = {part[1] for part in parts if part}
    is_whole = sorted(map(_place, names)) == list(range(len(names)))
    return bool(names) and all(parts) and len(tensors) == 1 and is_whole


def _hint(lacking: Sequence[str]) -> str:
    if any(name.endswith("[*]") for name in lacking):
        return "; a feature of all columns of a tensor needs a journal"
    if _is_one_tensor(lacking):
        tensor = lacking[0].rpartition("[")[0]
        return (
            f"; other columns would be taken for those of the tensor {tensor!r} if there were {len(lacking)}"
        )
    return ""


def _place(name: str) -> int:
    column = _COLUMN.fullmatch(name)
    return int(column[2]) if column else 0


def _check_kind(path: Path, feature: Mapping[str, Any], column: str, kinds: Mapping[str, table.Kind]) -> None:
    is_category = feature["kind"] == "category"
    if kinds[column] == "texts" and not is_category:
        row, text = table.first_text(path, column)
        known = "numbers" if feature["missing"] < feature["rows"] else "no value at all"
        raise TableError(
            f"{path}: the column {column!r} has {known} in the profile, but the text {text!r} in row {row}; "
            "correct it, or choose other columns with --columns"
        )
    if kinds[column] == "numbers" and is_category:
        raise TableError(
            f"{path}: the column {column!r} has categories in the profile, but numbers here; "
            "write them as texts, or choose other columns with --columns"
        )


def _tensors(kept: Sequence[Mapping[str, Any]], sources: Mapping[str, str]) -> list[Tensor]:
    """Whole tensors of numbers as one, so that what is computed of a row can be; the rest one by one."""
    grouped: dict[tuple[Direction, str], list[Mapping[str, Any]]] = {}
    for feature in kept:
        column = _COLUMN.fullmatch(feature["name"])
        name = column[1] if column and feature["kind"] != "category" else feature["name"]
        grouped.setdefault((feature["direction"], name), []).append(feature)
    tensors = []
    for (direction, name), members in grouped.items():
        names = sorted((member["name"] for member in members), key=_place)
        if _is_one_tensor(names) and len(names) > 1:
            tensors.append(Tensor(name, direction, [sources[one] for one in names], names, False))
            continue
        for member in members:
            one = member["name"]
            tensors.append(Tensor(one, direction, [sources[one]], [one], member["kind"] == "category"))
    return tensors


def _values(tensor: Tensor, chunk: Chunk) -> Numbers | Texts:
    if tensor.is_text:
        texts = chunk[tensor.columns[0]]
        return list(texts)
    return np.stack([np.asarray(chunk[column], np.float64) for column in tensor.columns], axis=1)
