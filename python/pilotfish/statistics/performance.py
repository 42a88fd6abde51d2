"""How well a classifier does: estimated without labels, realised with them, and the gap in between.

Everything is computed from counts by score bin and predicted class, so tables of different processes add up::

    reference = ScoreTable()
    reference.update(scores, predicted, labels)  # rows whose labels are known
    live = ScoreTable()
    live.update(scores, predicted)  # rows without labels
    estimate(live, reference).accuracy

The estimate (CBPE, arXiv 2401.08348) holds as long as labels follow the scores as they did in the reference,
whatever happens to the inputs. It is blind to concept drift: once labels are there, :func:`gap` shows that.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pilotfish import _core, profile
from pilotfish.errors import ProfileError

CLASSES_MAX = 64


@dataclass(frozen=True)
class Performance:
    """Measures of a classifier; None where one has no denominator. Of more than two classes: macro means."""

    rows: int
    accuracy: float | None
    precision: float | None
    recall: float | None
    specificity: float | None
    f1: float | None
    roc_auc: float | None
    """Rows of one score bin count as ties."""
    roc_auc_low: float | None
    """If the rows of every bin are in the worst order, and in the best."""
    roc_auc_high: float | None
    accuracy_noise: float
    """Of an estimate: standard deviation of realised accuracy around it, while labels follow the scores."""


@dataclass(frozen=True)
class Gap:
    """What was estimated and what was realised, on the same rows."""

    estimated: Performance
    realised: Performance
    accuracy: float | None
    """Realised minus estimated. Far beyond ``estimated.accuracy_noise``: labels left the scores."""


@dataclass(frozen=True)
class Calibration:
    """How the scores of one class are read."""

    probabilities: npt.NDArray[np.float64] | None
    """By score bin; None where scores are taken for probabilities: isotonic regression does no better."""
    error_before: float | None
    """Expected calibration error on held-out rows: of the scores, and of isotonic regression."""
    error_after: float | None


class ScoreTable:
    """Rows by score bin, predicted class and, where it is known, label. May be used from any thread.

    Two classes: ``scores`` are of the positive class, one per row, ``predicted`` and ``labels`` booleans
    (or 0 and 1). More: ``scores`` has a column per class, the others are class numbers from 0.

    ``label_age_s`` says how old labels were when they were read; tables of different age are never compared.
    """

    def __init__(self, classes: int = 2, label_age_s: int | None = None) -> None:
        if not 2 <= classes <= CLASSES_MAX:
            raise ValueError(f"{classes} classes: 2 to {CLASSES_MAX} are possible")
        self.classes = classes
        self.label_age_s = label_age_s
        self._tables = [_core.ScoreTable() for _ in range(1 if classes == 2 else classes)]

    def update(
        self, scores: npt.ArrayLike, predicted: npt.ArrayLike, labels: npt.ArrayLike | None = None
    ) -> None:
        """Count rows, all with labels or all without. Raises ValueError when shapes differ."""
        columns = np.require(scores, np.float64, "A")
        if self.classes == 2:
            given = None if labels is None else _flags(labels, "labels")
            self._tables[0].update(columns, _flags(predicted, "predicted"), given)
            return
        if columns.ndim != 2 or columns.shape[1] != self.classes:
            raise ValueError(
                f"scores of shape {columns.shape}: write one column for each of {self.classes} classes"
            )
        chosen, known = np.asarray(predicted), None if labels is None else np.asarray(labels)
        for number, table in enumerate(self._tables):
            table.update(columns[:, number], chosen == number, None if known is None else known == number)

    def merge(self, other: "ScoreTable") -> None:
        """Add what another table has counted. Raises ValueError for other classes or another label age."""
        self._check(other)
        for mine, theirs in zip(self._tables, other._tables, strict=True):
            mine.merge(theirs)

    @property
    def rows(self) -> int:
        """Rows with a score."""
        return self._tables[0].rows

    @property
    def beside(self) -> int:
        """Rows whose score was no number from 0 to 1: in none of the figures."""
        return self._tables[0].beside

    def counts(self) -> npt.NDArray[np.uint64]:
        """By class (one of two), score bin, and whether it was predicted: all that an estimate needs."""
        return np.stack([table.counts() for table in self._tables])

    def calibration(self) -> list[Calibration]:
        """How scores are read by the labels of this table, class by class."""
        found = [table.calibration() for table in self._tables]
        return [
            Calibration(None if curve is None else np.asarray(curve), before, after)
            for curve, before, after in found
        ]

    def to_json(self) -> str:
        """The counts, as text; exact."""
        tables = ",".join(table.to_json() for table in self._tables)
        return f'{{"label_age_s":{json.dumps(self.label_age_s)},"classes":[{tables}]}}'

    @classmethod
    def from_json(cls, text: str) -> "ScoreTable":
        """Counts that were written by :meth:`to_json`. Raises ValueError."""
        try:
            found = json.loads(text)
            tables = [_core.ScoreTable.from_json(json.dumps(table)) for table in found["classes"]]
            table = cls(max(2, len(tables)), found["label_age_s"])
        except (KeyError, TypeError) as exc:
            raise ValueError("no score table: write one with to_json") from exc
        table._tables = tables
        return table

    def into_profile(self, path: Path, output: str) -> None:
        """Store the table in a profile, as reference of output tensor ``output``. Raises ProfileError."""
        data = profile.read(path)
        try:
            data = _core.profile_with_scores(data, output, self.label_age_s, self._tables)
        except _core.ProfileError as exc:
            raise ProfileError(str(exc)) from exc
        profile.write(path, data)

    @classmethod
    def from_profile(cls, path: Path) -> "ScoreTable | None":
        """The table stored in a profile file, or None. Raises ProfileError."""
        try:
            found = _core.profile_scores(profile.read(path))
        except _core.ProfileError as exc:
            raise ProfileError(str(exc)) from exc
        if found is None:
            return None
        _, label_age_s, tables = found
        table = cls(max(2, len(tables)), label_age_s)
        table._tables = tables
        return table

    def _check(self, other: "ScoreTable") -> None:
        if self.classes != other.classes:
            raise ValueError(f"{self.classes} classes against {other.classes}: compare the same model")
        if None not in (self.label_age_s, other.label_age_s) and self.label_age_s != other.label_age_s:
            raise ValueError(
                f"labels read at an age of {self.label_age_s} s against {other.label_age_s} s: labels of"
                " different age are not comparable, read them at the same age"
            )


def edges() -> npt.NDArray[np.float64]:
    """The edges of the score bins, the same for every table."""
    return np.asarray(_core.score_edges())


def estimate(live: ScoreTable, reference: ScoreTable) -> Performance:
    """What to expect of ``live``, whose labels are not looked at, by the labels of ``reference``."""
    live._check(reference)
    return _performance(live, reference)


def realised(table: ScoreTable) -> Performance:
    """What was realised on rows that were counted with their labels."""
    return _performance(table, None)


def gap(table: ScoreTable, reference: ScoreTable) -> Gap:
    """Both, on the rows of ``table``, which were counted with their labels."""
    estimated, found = estimate(table, reference), realised(table)
    known = estimated.accuracy is not None and found.accuracy is not None
    off = found.accuracy - estimated.accuracy if known else None  # type: ignore[operator]
    return Gap(estimated, found, off)


def _performance(table: ScoreTable, reference: ScoreTable | None) -> Performance:
    tables, known = table._tables, None if reference is None else reference._tables
    if len(tables) > 1:
        return _figures(_core.performance_of_classes(tables, known))
    return _figures(tables[0].realised() if known is None else tables[0].estimated(known[0]))


def _figures(found: Mapping[str, Any]) -> Performance:
    low, value, high = found["roc_auc"] or (None, None, None)
    rest = {name: figure for name, figure in found.items() if name != "roc_auc"}
    return Performance(roc_auc=value, roc_auc_low=low, roc_auc_high=high, **rest)


def _flags(values: npt.ArrayLike, name: str) -> npt.NDArray[np.bool_]:
    given = np.asarray(values)
    if given.dtype != np.bool_ and not np.isin(given, (0, 1)).all():
        raise ValueError(f"{name}: write booleans, or 0 and 1")
    return given.astype(np.bool_)
