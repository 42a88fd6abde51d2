"""Counts on fixed bins: what every distance is computed from."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from pilotfish import _core
from pilotfish.errors import UsageError
from pilotfish.statistics.data import column


class Histogram:
    """A histogram on fixed bins that keeps what does not fit into them apart, and adds up exactly.

    Of ranges it also keeps the sum of the places in each bin, which pins down the area under the distribution
    function: that is what certified brackets are computed from.

    >>> histogram = Histogram(edges=[0.0, 1.0, 2.0])
    >>> histogram.add([0.5, 1.5, 1.7, 9.0, float("nan")])
    >>> histogram.counts.tolist(), histogram.beside["over"], histogram.beside["nan"]
    ([1, 2], 1, 1)

    Exactly one of the arguments says where the bins are. May be used from any thread; values are counted
    without holding the GIL.

    Args:
        edges: 2 to 65 finite numbers in ascending order. A bin holds its lower edge, the last one both.
        values: Up to 64 finite numbers in ascending order, with one bin for each.
        labels: Up to 64 different texts, with one bin for each; they are kept in the order of their bytes.

    Raises:
        UsageError: Bins that make no sense.
    """

    def __init__(
        self,
        edges: npt.ArrayLike | None = None,
        *,
        values: npt.ArrayLike | None = None,
        labels: Sequence[str | bytes] | None = None,
    ) -> None:
        if sum(given is not None for given in (edges, values, labels)) != 1:
            raise UsageError("give a histogram either edges, values or labels")
        try:
            if edges is not None:
                self._inner = _core.Histogram.of_edges(np.asarray(edges, np.float64).tolist())
            elif values is not None:
                self._inner = _core.Histogram.of_values(np.asarray(values, np.float64).tolist())
            else:
                self._inner = _core.Histogram.of_labels(list(labels or ()))
        except (TypeError, ValueError) as exc:
            raise UsageError(str(exc)) from exc

    def add(self, values: npt.ArrayLike | Sequence[str | bytes | None]) -> None:
        """Count values: numbers of shape ``[rows]`` (NaN is missing), or texts where the bins are labels.

        Raises:
            TableError: Values that are neither.
            UsageError: Texts for bins of numbers, or numbers that have no name among the labels.
        """
        held = column("values", values, self.kind == "category")
        try:
            if isinstance(held, np.ndarray):
                self._inner.add_numbers(held)
            else:
                self._inner.add_categories(held)
        except ValueError as exc:
            raise UsageError(str(exc)) from exc

    def merge(self, other: "Histogram") -> "Histogram":
        """The counts of both. Raises UsageError when their bins differ."""
        try:
            return Histogram._of(self._inner.merged(other._inner))
        except ValueError as exc:
            raise UsageError(str(exc)) from exc

    def __add__(self, other: "Histogram") -> "Histogram":
        return self.merge(other)

    def empty(self) -> "Histogram":
        """The same bins, without counts."""
        return Histogram._of(self._inner.empty())

    def quantile(self, share: float) -> float | None:
        """The value below which a share of the finite values lies, exact to a bin; None for texts."""
        return self._inner.quantile(share)

    @property
    def kind(self) -> Literal["numeric", "discrete", "category"]:
        """Ranges of numbers, single numbers, or texts."""
        return self._inner.kind

    @property
    def edges(self) -> list[float]:
        """Of ranges, one more than there are bins; else empty."""
        return self._inner.edges

    @property
    def values(self) -> list[float]:
        """Of single numbers; else empty."""
        return self._inner.values

    @property
    def labels(self) -> list[str]:
        """Of texts; else empty."""
        return self._inner.labels

    @property
    def counts(self) -> npt.NDArray[np.uint64]:
        """Of the bins."""
        return self._inner.counts

    @property
    def beside(self) -> Mapping[str, int]:
        """Counts of what is in no bin.

        ``missing``, ``nan``, ``neg_inf``, ``under``, ``over``, ``pos_inf``, ``unseen``, ``others``.
        """
        return self._inner.beside()

    @property
    def rows(self) -> int:
        """Everything that was counted."""
        return self._inner.rows

    def __repr__(self) -> str:
        return f"<Histogram: {self.kind}, {len(self.counts)} bins, {self.rows} rows>"

    @classmethod
    def _of(cls, inner: _core.Histogram) -> "Histogram":
        histogram = object.__new__(cls)
        histogram._inner = inner
        return histogram
