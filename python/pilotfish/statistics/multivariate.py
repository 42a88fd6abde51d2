"""What no single column shows: how columns go together, and embeddings.

::

    detector = JointDetector(reference_rows, ["age", "income", "debt"])
    detector.update(rows)

A row becomes a few numbers that depend on all its columns: random Fourier features, products of standardised
pairs, and the error of a reconstruction by principal axes. Each has an e-detector, and all together the
guaranteed false-alarm rate. A change that leaves every column as it was is found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pilotfish import _core
from pilotfish import profile as file
from pilotfish.errors import ConfigurationError, ProfileError


@dataclass(frozen=True)
class JointAlarm:
    """An alarm raised or cleared on one number; rows are counted from the first one given."""

    feature: str
    """``x.fourier[3]``, ``x.pair(age, income)``, ``x.reconstruction_error``."""
    state: Literal["raised", "cleared"]
    row: int
    evidence_bits: float
    threshold_bits: float
    shape: str | None
    change_row: int | None
    change_from_row: int | None
    change_to_row: int | None


@dataclass(frozen=True)
class JointDistances:
    """How far the pane closed last is from the reference, and what chance alone makes of it on average."""

    correlation: float | None
    """Frobenius norm of the difference of the correlation matrices; None with more than 256 columns."""
    correlation_expected: float | None
    discrepancy: float
    """Squared maximum mean discrepancy (Gaussian kernels), by random Fourier features."""
    discrepancy_expected: float


class JointDetector:
    """Watches the joint distribution of the columns of a table. May be used from any thread.

    ``features`` random Fourier features follow from ``seed``; of more than ``pairs`` pairs of columns so many
    are watched, drawn by lot; ``principal`` adds the reconstruction error (up to 128 columns). ``arl`` is the
    mean number of rows between false alarms of all together, at least. NaN counts as a column's median.
    Raises ConfigurationError.
    """

    def __init__(
        self,
        reference: npt.ArrayLike,
        columns: Sequence[str] = (),
        *,
        features: int = 32,
        pairs: int = 64,
        principal: bool = True,
        seed: int = 0,
        bins: int = 32,
        tolerance: float = _core.TOLERANCE,
        arl: float = _core.ARL,
        delta: float = _core.DELTA,
        pane_rows: int = _core.PANE_ROWS,
        clear_after: int = _core.CLEAR_AFTER,
    ) -> None:
        wanted: dict[str, Any] = {"features": features, "pairs": pairs, "principal": principal, "seed": seed}
        alarm: dict[str, Any] = {
            "tolerance": tolerance,
            "arl": arl,
            "delta": delta,
            "clear_after": clear_after,
        }
        rows, names = _rows(reference), list(columns)
        try:
            self._inner = _core.JointDetector(rows, names, bins=bins, pane_rows=pane_rows, **wanted, **alarm)
        except _core.ConfigurationError as exc:
            raise ConfigurationError(str(exc)) from exc

    @classmethod
    def of_embedding(cls, reference: npt.ArrayLike, features: int = 64, **settings: Any) -> "JointDetector":
        """For vectors whose single elements mean nothing: random Fourier features only."""
        return cls(reference, features=features, pairs=0, principal=False, **settings)

    @property
    def names(self) -> list[str]:
        """What the numbers are called."""
        return self._inner.names

    def update(self, rows: npt.ArrayLike) -> list[JointAlarm]:
        """Take in rows, in order; the alarms they raise or clear. Raises ValueError for other columns."""
        return [JointAlarm(**alarm) for alarm in self._inner.update(_rows(rows))]

    def project(self, rows: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The numbers of each row: shape (rows, names). Raises ValueError for other columns."""
        return self._inner.project(_rows(rows))

    def distances(self) -> JointDistances:
        """Of the pane closed last."""
        return JointDistances(**self._inner.distances())

    def evidence_bits(self) -> dict[str, float]:
        """Evidence now, in units of a pane, by number."""
        return dict(zip(self.names, self._inner.evidence_bits(), strict=True))


def into_profile(
    path: Path, tensor: str, rows: npt.ArrayLike, columns: Sequence[str] = (), *, embedding: bool = False
) -> None:
    """Store what is needed to watch the columns of input ``tensor`` together in a profile file.

    ``rows`` are the reference's, ``columns`` their names as configured (``x[0]``, ``x[1]``, ... without).
    A sidecar uses it where the tensor is configured with ``joint: true``, or as ``kind: embedding``.
    Raises ProfileError, and ValueError when there is not one name per column.
    """
    values = _rows(rows)
    names = list(columns) or [f"{tensor}[{column}]" for column in range(values.shape[1])]
    data = file.read(path)
    builder = _core.JointBuilder(tensor, names, embedding)
    builder.add(values)
    try:
        data = builder.added_to(data)
    except _core.ProfileError as exc:
        raise ProfileError(str(exc)) from exc
    file.write(path, data)


class CoMoments:
    """Means, variances and correlations of up to 256 columns in one pass; parts add up to the whole.

    Rows with a value that is no finite number are passed over.
    """

    def __init__(self, columns: int) -> None:
        self._inner = _core.CoMoments(columns)

    def update(self, rows: npt.ArrayLike) -> int:
        """Take in rows; how many were passed over. Raises ValueError for other columns."""
        return self._inner.update(_rows(rows))

    def merge(self, other: "CoMoments") -> None:
        """Add what was seen elsewhere (Chan's update). Raises ValueError for other columns."""
        self._inner.merge(other._inner)

    @property
    def rows(self) -> int:
        """Rows taken in."""
        return self._inner.rows

    def correlations(self) -> npt.NDArray[np.float64]:
        """The correlation matrix."""
        return self._inner.correlations()

    def distance(self, live: "CoMoments") -> tuple[float, float]:
        """Frobenius norm of the difference of the correlation matrices, and what chance makes of it.

        Raises ValueError without two rows on each side.
        """
        return self._inner.distance(live._inner)


def _rows(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    rows = np.require(values, np.float64, "A")
    if rows.ndim != 2:
        raise ValueError(f"rows of shape {rows.shape}: write a table, one row per line")
    return rows
