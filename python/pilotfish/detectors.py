"""The familiar drift detectors: one number at a time, alarm for alarm as river 0.23 raises them.

They compare a stream with its own past and need no profile. None of them promises how rarely it is wrong;
pilotfish ships them because people know them, and to show them beside its own alarms (``pilotfish backtest
--detector adwin``).

>>> import numpy as np
>>> from pilotfish.detectors import Detector
>>> values = np.concatenate([np.arange(1_000) % 2, 4 + np.arange(1_000) % 4])
>>> Detector("adwin", delta=0.002).update_many(values)
array([1023])
>>> Detector("page_hinkley").drifts(values)
[Drift(index=1010, change_index=999, side='up')]

================  ==================================================================================
``adwin``         delta 0.002, clock 32, max_buckets 5, min_window_length 5, grace_period 10
``cusum``         threshold 5, allowance 0.5, warm_start 100; mean and deviation of the first values
``ddm``           of 0 and 1: warm_start 30, warning_threshold 2, drift_threshold 3
``eddm``          of 0 and 1: warm_start 30, alpha 0.95, beta 0.9
``hddm_a``        from 0 to 1: drift_confidence 0.001, warning_confidence 0.005, two_sided_test False
``hddm_w``        as ``hddm_a``, and lambda_val 0.05
``kswin``         alpha 0.005, window_size 100, stat_size 30, seed 0
``page_hinkley``  min_instances 30, delta 0.005, threshold 50, alpha 0.9999, mode "both", "up", "down"
================  ==================================================================================
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pilotfish import _core
from pilotfish.errors import ConfigurationError

NAMES = ("adwin", "cusum", "ddm", "eddm", "hddm_a", "hddm_w", "kswin", "page_hinkley")


@dataclass(frozen=True)
class Drift:
    """A change that was found."""

    index: int
    """Of the value that gave it away, in the array it came in."""
    change_index: int
    """Of the first value after the change, as the detector estimates it; below 0 in an earlier array."""
    side: Literal["up", "down"] | None
    """Where the values went; None for detectors that look at whole distributions."""


class Detector:
    """One detector, watching one stream. After an alarm it starts anew. May be used from any thread.

    NaN and infinite values are passed over. Raises ConfigurationError for a name or a parameter that does
    not exist or makes no sense.
    """

    def __init__(self, name: str, **parameters: Any) -> None:
        try:
            self._inner = _core.Detector(name, **parameters)
        except (_core.ConfigurationError, TypeError) as exc:
            raise ConfigurationError(str(exc)) from exc

    def update(self, value: float) -> Literal["quiet", "warning", "drift"]:
        """Take in the next value. Raises ValueError for one that the detector cannot judge."""
        return self._inner.update(float(value))

    def update_many(self, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Take in many values at once; the indices of those that raised an alarm. Raises ValueError."""
        return self._inner.update_many(np.require(values, np.float64, "A"))

    def drifts(self, values: npt.ArrayLike) -> list[Drift]:
        """As :meth:`update_many`, with when each change is estimated to have been, and where it led."""
        found = self._inner.find(np.require(values, np.float64, "A"))
        return [Drift(index, index + 1 - since, side) for index, since, side in found]
