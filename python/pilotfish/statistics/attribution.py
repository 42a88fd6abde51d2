"""Is it the inputs or the concept? How much of a change is X, and how much is Y given X.

X is seen through the score that the model gives to it, Y is the label. On cells (score bin, label) both the
relative entropy and the evidence of an alarm are sums of a part for X and a part for Y given X, exactly::

    detector = AttributionDetector(reference_scores, reference_labels)
    for alarm in detector.update(scores, labels):
        alarm.part, alarm.split.score_bits, alarm.split.label_given_score_bits

The evidence for Y given X is valid whatever the scores do. Give labels of equal age to both.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pilotfish import _core
from pilotfish.errors import ConfigurationError


@dataclass(frozen=True)
class Divergence:
    """Relative entropy of live rows from the reference, in nats; ``joint`` is the sum of its parts."""

    score: float
    label_given_score: float
    joint: float


@dataclass(frozen=True)
class Split:
    """Evidence since the likeliest start of a change, in bits; ``joint_bits`` is the sum of its parts.

    A part below zero speaks for no change. ``divergence`` is that of the rows since then.
    """

    since_row: int
    score_bits: float
    label_given_score_bits: float
    joint_bits: float
    divergence: Divergence | None

    @property
    def concept_share(self) -> float | None:
        """Share of the evidence for a change that is for Y given X; None without any."""
        concept, covariate = max(0.0, self.label_given_score_bits), max(0.0, self.score_bits)
        return concept / (concept + covariate) if concept + covariate > 0 else None


@dataclass(frozen=True)
class AttributionAlarm:
    """An alarm raised or cleared; rows are counted from the first one given."""

    part: Literal["score", "label_given_score"]
    """X, or Y given X."""
    state: Literal["raised", "cleared"]
    row: int
    shape: str | None
    """What has changed, in words: "location up", "label 1 given scores 0-31 up"; scores are bin numbers."""
    change_row: int | None
    change_from_row: int | None
    change_to_row: int | None
    split: Split


class AttributionDetector:
    """Two e-detectors on the same rows, one on scores, one on labels given the score. For any thread.

    Scores are numbers from 0 to 1, labels class numbers from 0. ``tolerance`` is the relative entropy (nats)
    of the scores, and of the labels given a score, that is no change; ``arl`` the mean number of rows between
    false alarms of the two together, at least. Raises ConfigurationError.
    """

    def __init__(
        self,
        scores: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        classes: int = 2,
        tolerance: float = _core.TOLERANCE,
        arl: float = _core.ARL,
        delta: float = _core.DELTA,
        pane_rows: int = _core.PANE_ROWS,
        clear_after: int = _core.CLEAR_AFTER,
    ) -> None:
        settings = (classes, tolerance, arl, delta, pane_rows, clear_after)
        try:
            self._inner = _core.AttributionDetector(_numbers(scores), _classes(labels), *settings)
        except _core.ConfigurationError as exc:
            raise ConfigurationError(str(exc)) from exc

    def update(self, scores: npt.ArrayLike, labels: npt.ArrayLike) -> list[AttributionAlarm]:
        """Take in rows, in order; the alarms they raise or clear. Raises ValueError for unequal lengths.

        Rows whose score is no number from 0 to 1, or whose label is no class, are passed over.
        """
        found = self._inner.update(_numbers(scores), _classes(labels))
        return [AttributionAlarm(**{**alarm, "split": _split(alarm["split"])}) for alarm in found]

    def split(self) -> Split:
        """The evidence so far, in its parts."""
        return _split(self._inner.split())


def divergence(
    reference: tuple[npt.ArrayLike, npt.ArrayLike],
    live: tuple[npt.ArrayLike, npt.ArrayLike],
    classes: int = 2,
) -> Divergence:
    """How far live (scores, labels) are from those of a reference, and in what. Raises ValueError."""
    (scores, labels), (live_scores, live_labels) = reference, live
    known, seen = (_numbers(scores), _classes(labels)), (_numbers(live_scores), _classes(live_labels))
    return Divergence(*_core.divergence(*known, *seen, classes))


def _split(found: dict[str, Any]) -> Split:
    parts = found["divergence"]
    return Split(**{**found, "divergence": None if parts is None else Divergence(*parts)})


def _numbers(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.require(values, np.float64, "A")


def _classes(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    return np.asarray(values).astype(np.int64)
