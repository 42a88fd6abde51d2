"""Does a model lose more than it did? An alarm on the mean of a loss, with a guaranteed false-alarm rate.

::

    detector = LossDetector(reference_losses, tolerance=0.01)
    detector.update(losses)  # of rows, in order, as their labels come in

Losses are 0 or 1 for a class, or numbers up to a bound. Only more loss than before is an alarm, and only by
more than the tolerance. Give reference and live losses of labels of equal age: young ones are no sample.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pilotfish import _core
from pilotfish.errors import ConfigurationError


@dataclass(frozen=True)
class LossAlarm:
    """An alarm raised or cleared; rows are counted from the first one given."""

    state: Literal["raised", "cleared"]
    row: int
    change_row: int | None
    """Where the loss is estimated to have begun to grow, and between which rows."""
    change_from_row: int | None
    change_to_row: int | None
    evidence_bits: float
    threshold_bits: float


class LossDetector:
    """An e-detector on the mean loss. May be used from any thread.

    ``bound`` is the largest loss that counts, ``tolerance`` how much more mean loss is no harm (both in the
    unit of the loss), ``arl`` the mean number of rows between false alarms, at least, ``delta`` the
    probability that the reference misleads. Raises ConfigurationError when no loss could be an alarm.
    """

    def __init__(
        self,
        reference: npt.ArrayLike,
        *,
        bound: float = 1.0,
        tolerance: float = 0.01,
        arl: float = _core.ARL,
        delta: float = _core.DELTA,
        pane_rows: int = _core.PANE_ROWS,
        clear_after: int = _core.CLEAR_AFTER,
    ) -> None:
        losses = np.require(reference, np.float64, "A")
        try:
            self._inner = _core.LossDetector(losses, bound, tolerance, arl, delta, pane_rows, clear_after)
        except _core.ConfigurationError as exc:
            raise ConfigurationError(str(exc)) from exc

    def update(self, losses: npt.ArrayLike) -> list[LossAlarm]:
        """Take in losses of rows, in order; the alarms they raise or clear. NaN is passed over."""
        found = self._inner.update(np.require(losses, np.float64, "A"))
        return [
            LossAlarm(**{name: value for name, value in alarm.items() if name != "shape"}) for alarm in found
        ]

    @property
    def evidence_bits(self) -> float:
        """Evidence now, in units of a pane."""
        return self._inner.evidence_bits
