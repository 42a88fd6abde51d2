"""From the columns of a data file to the features of a profile.

Names and derived features follow what the statistics make of live tensors, so that the same column has the
same name on both sides: column i of a wide tensor ``x`` is ``x[i]``, a single column is ``x``; a text has its
length in bytes beside it; a vector of scores has its class (the largest) and its score.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from pilotfish import _core
from pilotfish.errors import ProfileError, TableError
from pilotfish.table import Chunk, Numbers, Table, Texts

Direction: TypeAlias = Literal["input", "output"]
Feature: TypeAlias = tuple[str, Direction, Numbers | Texts]
"""Name, direction and some rows."""

MAX_CLASSES = 1000
"""A wider output is taken for a vector of numbers, not of scores."""


@dataclass(frozen=True)
class Scores:
    """Columns that are the scores of a classifier: of the positive class, or of each class in order."""

    tensor: str
    """The output that holds them."""
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What to build from a table."""

    model: str
    """Name of the model it is for; empty for that of ``edges``, or for any."""
    bins: int
    direction: Direction
    tensor: str | None = None
    """Name of the tensor whose columns these are; without one every column is a tensor of its own."""
    outputs: frozenset[str] = frozenset()
    """Columns that are answers whatever ``direction`` says; each is a tensor of its own."""
    edges: bytes | None = None
    """A profile whose model, bins and categories are used, so that what is built can be merged."""
    scores: Scores | None = None
    """Columns that are the scores of a classifier, whatever the rest says of them."""


def build(table: Table, plan: Plan) -> bytes:
    """The bytes of a profile of all rows of the table. Raises ProfileError or TableError."""
    try:
        builder = (
            _core.ProfileBuilder(plan.model, plan.bins)
            if plan.edges is None
            else _core.ProfileBuilder.on(plan.edges)
        )
        for chunk in table.chunks():
            for name, direction, values in _distinct(features(chunk, plan)):
                if isinstance(values, np.ndarray):
                    builder.add_numbers(name, direction, values)
                else:
                    builder.add_categories(name, direction, values)
        built = builder.finish()
        if plan.edges is None or not plan.model:
            return built
        return _core.Profile(built).renamed(plan.model).to_bytes()
    except _core.ProfileError as exc:
        raise ProfileError(str(exc)) from exc


def _distinct(made: Iterator[Feature]) -> Iterator[Feature]:
    """The features, each name once. Raises TableError for a column that is called like what is computed."""
    seen = set()
    for name, direction, values in made:
        if (name, direction) in seen:
            raise TableError(
                f"two columns are the feature {name!r}: one of that name, and what is computed of another; "
                "rename it, or leave one of them out"
            )
        seen.add((name, direction))
        yield name, direction, values


def categories(columns: Sequence[str], plan: Plan) -> frozenset[str]:
    """Columns that are categories in the profile that gives the edges, whatever is in them here."""
    if plan.edges is None:
        return frozenset()
    held = _core.describe_profile(plan.edges)["features"]
    known = {feature["name"] for feature in held if feature["kind"] == "category"}
    scored = () if plan.scores is None else plan.scores.columns
    main = [column for column in columns if column not in plan.outputs.union(scored)]
    names = feature_names(main, plan.tensor) | {column: column for column in plan.outputs}
    return frozenset(column for column, name in names.items() if name in known)


def feature_names(columns: Sequence[str], tensor: str | None) -> dict[str, str]:
    """Feature name of every column."""
    if tensor is None:
        return {column: column for column in columns}
    if len(columns) == 1:
        return {columns[0]: tensor}
    return {column: f"{tensor}[{index}]" for index, column in enumerate(columns)}


def features(chunk: Chunk, plan: Plan) -> Iterator[Feature]:
    """Every feature that some rows of a table give."""
    scored = plan.scores.columns if plan.scores is not None else ()
    answered = plan.outputs.union(scored)
    main = {column: values for column, values in chunk.items() if column not in answered}
    names = feature_names(list(main), plan.tensor)
    for column, values in main.items():
        yield from _column(names[column], plan.direction, values)
    if plan.tensor is not None and plan.direction == "output":
        yield from _scores(plan.tensor, list(main.values()))
    for column, values in chunk.items():
        if column in plan.outputs and column not in scored:
            yield from _column(column, "output", values)
    if plan.scores is not None:
        for column, name in feature_names(scored, plan.scores.tensor).items():
            yield from _column(name, "output", chunk[column])
        yield from _scores(plan.scores.tensor, [chunk[column] for column in scored])


def _column(name: str, direction: Direction, values: Numbers | Texts) -> Iterator[Feature]:
    yield name, direction, values
    if not isinstance(values, np.ndarray):
        yield f"{name}.length", direction, _lengths(values)


def _lengths(values: Texts) -> Numbers:
    lengths = (
        np.nan if item is None else len(item.encode() if isinstance(item, str) else item) for item in values
    )
    return np.fromiter(lengths, np.float64, len(values))


def _scores(tensor: str, columns: Sequence[Numbers | Texts]) -> Iterator[Feature]:
    numbers = [values for values in columns if isinstance(values, np.ndarray)]
    if not 2 <= len(numbers) == len(columns) <= MAX_CLASSES:
        return
    table = np.stack(numbers, axis=1)
    whole = table[~np.isnan(table).any(axis=1)]
    if len(whole):
        yield f"{tensor}.class", "output", whole.argmax(axis=1).astype(np.float64)
        yield f"{tensor}.score", "output", np.ascontiguousarray(whole.max(axis=1))
