"""The reference that everything is compared with: built in one pass, merged exactly, kept in one file."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pilotfish import _core
from pilotfish import profile as file
from pilotfish.errors import ProfileError, UsageError
from pilotfish.statistics import features as made
from pilotfish.statistics.data import Data, opened
from pilotfish.statistics.histogram import Histogram
from pilotfish.table import Ordered, listed

Direction = Literal["input", "output"]


@dataclass(frozen=True)
class Feature:
    """What a profile knows of one feature. Counts add up to ``rows``."""

    name: str
    direction: Direction
    kind: Literal["numeric", "discrete", "category"]
    """Ranges of numbers between quantiles, single numbers, or texts."""
    rows: int
    missing: int
    """Rows without a value, NaN included."""
    nan: int
    neg_inf: int
    pos_inf: int
    under: int
    """Below all bins."""
    over: int
    unseen: int
    """Between discrete values, and categories that are not known."""
    others: int
    """Categories that are known and have no bin."""
    mean: float | None
    """Of the finite values, as the next three; None without any."""
    std: float | None
    """As a population, divided by n."""
    min: float | None
    max: float | None
    quantiles: Mapping[str, float]
    """``p1``, ``p5``, ``p25``, ``p50``, ``p75``, ``p95``, ``p99``, exact to a bin; empty without numbers."""
    cardinality: int | None
    """Different values, to a few percent (HyperLogLog); None in files of an earlier version."""
    autocorrelation_time: float | None
    """Rows that are worth one independent row; None where their order is not known."""
    edges: Sequence[float]
    """Of ranges; else empty."""
    values: Sequence[float]
    """Of discrete bins; else empty."""
    labels: Sequence[str]
    """Of categories; else empty."""
    counts: Sequence[int]
    """Of the bins."""


class Profile:
    """The reference of one model: integer counts on fixed bins for every feature, and what else is known.

    >>> import numpy as np
    >>> from pilotfish.statistics import Profile
    >>> ages = np.random.default_rng(0).normal(40, 10, 10_000)
    >>> profile = Profile.build({"age": ages, "plan": ["basic", "gold"] * 5_000}, model="churn")
    >>> [feature.name for feature in profile.features]
    ['age', 'plan', 'plan.length']
    >>> profile["age"].kind, profile["age"].rows, round(profile["age"].quantiles["p50"])
    ('numeric', 10000, 40)

    Profiles of parts of the data are merged exactly, in any order, when they are built on the same edges:

    >>> monday = Profile.build({"age": ages[:5_000]})
    >>> tuesday = Profile.build({"age": ages[5_000:]}, edges_from=monday)
    >>> (monday + tuesday).hash == (tuesday + monday).hash
    True
    """

    def __init__(self, data: bytes) -> None:
        """Read the bytes of a profile file. Raises ProfileError."""
        try:
            self._inner = _core.Profile(data)
        except _core.ProfileError as exc:
            raise ProfileError(str(exc)) from exc
        self._held = self._inner.describe()

    @classmethod
    def build(
        cls,
        data: Data,
        *,
        model: str | None = None,
        bins: int = 32,
        columns: Sequence[str] | None = None,
        tensor: str | None = None,
        direction: Direction = "input",
        outputs: Iterable[str] = (),
        edges_from: "Profile | None" = None,
    ) -> "Profile":
        """Build a profile in one pass over the data, in bounded memory where it comes in pieces.

        Args:
            data: A path (``.csv``, ``.parquet``, ``.arrow``, ``.npy``), a mapping of names to one-dimensional
                arrays or sequences, an array ``[rows, columns]``, a data frame, or Arrow batches.
            model: Name of the model; by default that of ``edges_from``, or none.
            bins: Ranges of a numeric feature, 2 to 64, at equal steps of probability. A feature with fewer
                different values, or fewer than ten rows per bin, gets fewer.
            columns: Columns to use, in this order; names of the columns of an array.
            tensor: The columns are the columns of this tensor, in order: features ``x[0]``, ``x[1]``, ...
            direction: Whether the columns are sent to the model or answered.
            outputs: Columns that are answered whatever ``direction`` says.
            edges_from: Use its bins and categories, so that the result can be merged with other parts.

        Raises:
            ProfileError: No rows, or columns that do not fit ``edges_from``.
            TableError: Data that is not columns of numbers and texts.
            UsageError: ``bins`` out of range, a ``direction`` or ``outputs`` that do not exist.

        Warns of columns of a file that are left out (times, lists, columns without a name), that are texts
        although nearly all of their values are numbers, or that only rise or fall as ids and times do.
        """
        if not isinstance(bins, int) or not 2 <= bins <= 64:
            raise UsageError(f"bins is {bins!r}; use a whole number from 2 to 64")
        if direction not in ("input", "output"):
            raise UsageError(f"direction is {direction!r}; write 'input' or 'output'")
        edges = None if edges_from is None else edges_from.to_bytes()
        plan = made.Plan(model or "", bins, direction, tensor, frozenset(outputs), edges)
        texts = frozenset[str]()
        if edges_from is not None:
            # Numbers in a part of the data may be categories in the whole.
            known = [feature.name for feature in edges_from.features if feature.kind == "category"]
            texts = made.categories(columns, plan) if columns is not None else frozenset(known)
        table = opened(data, columns, texts)
        for note in table.notes:
            warnings.warn(f"{data}: {note}", stacklevel=2)
        for name in plan.outputs:
            if name not in table.kinds:
                raise UsageError(
                    f"outputs: there is no column {name!r}; there are {listed(list(table.kinds))}"
                )
        ordered = Ordered(table)
        built = cls(made.build(ordered, plan))
        for note in ordered.order() if isinstance(data, str | Path) else ():
            warnings.warn(f"{data}: {note}", stacklevel=2)
        return built

    @classmethod
    def load(cls, path: str | Path) -> "Profile":
        """Read a profile file. Raises ProfileError, which names the file."""
        try:
            return cls(file.read(Path(path)))
        except ProfileError as exc:
            raise ProfileError(f"{path}: {exc}") from exc

    def save(self, path: str | Path) -> None:
        """Write a profile file, whole or not at all. Raises ProfileError."""
        file.write(Path(path), self.to_bytes())

    def to_bytes(self) -> bytes:
        """The bytes of the file: the same for the same rows on the same edges."""
        return self._inner.to_bytes()

    def merge(self, *others: "Profile") -> "Profile":
        """The profile of the rows of all: exact, the same bytes in any order.

        The autocorrelation time is the longest of the parts. Raises ProfileError when they are of different
        models, features or edges; the message names the feature.
        """
        merged = self._inner
        try:
            for other in others:
                merged = merged.merged(other._inner)
        except _core.ProfileError as exc:
            raise ProfileError(str(exc)) from exc
        return Profile._of(merged)

    def __add__(self, other: "Profile") -> "Profile":
        return self.merge(other)

    def renamed(self, model: str) -> "Profile":
        """The same profile, of a model of another name."""
        return Profile._of(self._inner.renamed(model))

    def only(self, *names: str) -> "Profile":
        """With these features alone. Raises KeyError for one that it does not have."""
        chosen = [(feature.direction, feature.name) for feature in map(self.__getitem__, names)]
        inner = self._inner.only(chosen)
        if inner is None:
            raise ProfileError("a profile needs at least one feature; name some")
        return Profile._of(inner)

    @property
    def model(self) -> str:
        """Name of the model; may be empty."""
        return str(self._held["model"])

    @property
    def rows(self) -> int:
        """Most rows of any feature."""
        return int(self._held["rows"])

    @property
    def hash(self) -> str:
        """``sha256:`` and 64 digits: the identity of what it holds."""
        return str(self._held["hash"])

    @property
    def features(self) -> list[Feature]:
        """All features, in order of direction and name."""
        return [_feature(held) for held in self._held["features"]]

    def __getitem__(self, name: str) -> Feature:
        """The feature of this name; of two, the input. Raises KeyError."""
        for held in self._held["features"]:
            if held["name"] == name:
                return _feature(held)
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(held["name"] == name for held in self._held["features"])

    def __iter__(self) -> Iterator[str]:
        """The names of the features, in their order."""
        return (held["name"] for held in self._held["features"])

    def __len__(self) -> int:
        return len(self._held["features"])

    def histogram(self, name: str) -> Histogram:
        """The counts of a feature; ``.empty()`` has the same bins for other data. Raises KeyError."""
        inner = self._inner.histogram(self[name].direction, name)
        assert inner is not None
        return Histogram._of(inner)

    def distinct_sketch(self, name: str) -> bytes | None:
        """The different values of a feature, as a HyperLogLog sketch in the format of Apache DataSketches.

        Druid, Spark and the libraries of that project read and merge it (``hll_sketch``): numbers count as
        float64, texts as UTF-8. None in files of an earlier version. Raises KeyError.
        """
        return self._inner.distinct(self[name].direction, name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Profile) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        count = len(self._held["features"])
        return f"<Profile {self.model!r}: {count} features, {self.rows} rows, {self.hash[:19]}>"

    @classmethod
    def _of(cls, inner: _core.Profile) -> "Profile":
        profile = object.__new__(cls)
        profile._inner = inner
        profile._held = inner.describe()
        return profile


def _feature(held: Mapping[str, Any]) -> Feature:
    told: dict[str, Any] = {name: value for name, value in held.items() if name != "bins"}
    told["quantiles"] = held["quantiles"] or {}
    for name in ("edges", "values", "labels", "counts"):
        told[name] = tuple(held.get(name, ()))
    return Feature(**told)
