"""The e-detector for Python: alarms whose mean time between false ones is at least what was asked for."""

import json
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pilotfish import _core
from pilotfish.errors import ConfigurationError, ProfileError, UsageError
from pilotfish.statistics.data import by_name, column, opened
from pilotfish.statistics.profile import Profile

MAX_PANE, MAX_ARL = 2**32 - 1, 2**63 - 1
"""Rows: what the core counts with."""


@dataclass(frozen=True)
class Alarm:
    """A change that was found."""

    feature: str
    row: int
    """Rows seen when the alarm was raised."""
    change_row: int
    """Where the change is estimated to have begun, counted from 0..."""
    change_from_row: int
    """...and between which rows it lies (see ``docs/statistics.md`` for what that promises)."""
    change_to_row: int
    evidence_bits: float
    direction: str
    """What changed, such as ``location up`` or ``missing up``."""


@dataclass(frozen=True)
class Evidence:
    """How much speaks for a change, in bits."""

    bits: float
    threshold_bits: float
    """What raises an alarm."""
    direction: str | None
    """The likeliest change; None with next to no evidence."""
    by_direction: Mapping[str, float]
    """All of it, by direction."""


class EDetector:
    """Watches features against a profile: panes of rows are bets against "nothing has changed".

    As long as nothing has changed, the mean number of rows until the first alarm is at least ``arl``, for all
    features together, under continuous watching, at any volume (Shin, Ramdas and Rinaldo, *E-detectors*,
    NEJSDS 2023, arXiv 2203.03532; what it assumes is in ``docs/statistics.md``). It is the code of the live
    monitor.

    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> profile = Profile.build({"age": random.normal(40, 10, 20_000)})
    >>> detector = EDetector(profile, arl=1_000_000, pane_rows=100)
    >>> detector.update({"age": random.normal(40, 10, 10_000)})
    []
    >>> alarm, = detector.update({"age": random.normal(45, 10, 10_000)})
    >>> alarm.direction, 10_000 < alarm.row <= 10_500, abs(alarm.change_row - 10_000) < 300
    ('location up', True, True)

    Args:
        profile: The reference; every feature of it is watched, use :meth:`Profile.only` for some.
        arl: Mean rows between false alarms, at least ("average run length").
        tolerance: Relative entropy from the profile, in nats, below which nothing is a change at any volume.
            0.0002, the default, is a mean moved by 0.02 standard deviations.
        delta: Probability, over all features, that the profile misleads because its rows are few.
        pane_rows: Rows that are judged together. Fewer find large changes sooner.

    Raises:
        ConfigurationError: A number that makes no sense.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        arl: int = _core.ARL,
        tolerance: float = _core.TOLERANCE,
        delta: float = _core.DELTA,
        pane_rows: int = 1_000,
    ) -> None:
        alarm = {
            "arl": whole("arl", arl),
            "tolerance": finite("tolerance", tolerance),
            "delta": finite("delta", delta),
        }
        monitor = {
            "pane_rows": whole("pane_rows", pane_rows, MAX_PANE),
            "alarm": alarm,
            "max_features": max(4_096, 2 * len(profile.features)),
        }
        self._features = {feature.name: feature for feature in profile.features}
        self._texts = frozenset(
            name for name, feature in self._features.items() if feature.kind == "category"
        )
        try:
            self._inner = _core.Backtest(profile.to_bytes(), json.dumps({"monitor": monitor}))
        except _core.ConfigurationError as exc:
            raise ConfigurationError(str(exc)) from exc
        except _core.ProfileError as exc:
            raise ProfileError(str(exc)) from exc

    def update(self, data: Mapping[str, Any] | npt.ArrayLike | Sequence[str | bytes | None]) -> list[Alarm]:
        """Take in the next rows; the alarms they raise, in order.

        Args:
            data: Columns by the name of their feature, each of shape ``[rows]``: a mapping, a data frame,
                an Arrow table; or, of a profile with a single feature, its values. The last pane waits
                until it is full. Features without a column are not judged.

        Raises:
            TableError: Values that are neither numbers nor texts.
            UsageError: A column that the profile does not know, or columns of different lengths.
        """
        if hasattr(data, "__arrow_c_stream__") and hasattr(data, "schema") and not hasattr(data, "to_numpy"):
            return [
                alarm for chunk in opened(data, None, self._texts).chunks() for alarm in self.update(chunk)
            ]
        held = by_name(data)
        columns = {self._single(): data} if held is None else held
        try:
            self._inner.add_rows([self._tensor(name, values) for name, values in columns.items()])
        except ValueError as exc:
            raise UsageError(str(exc)) from exc
        return [_alarm(told["event"]) for told in json.loads(self._inner.alarms())]

    @property
    def rows(self) -> int:
        """Rows so far."""
        return self._inner.rows

    def evidence(self) -> dict[str, Evidence]:
        """What speaks for a change of each feature, by the pane closed last; empty before the first one."""
        features = json.loads(self._inner.snapshot(True))["features"]
        return {
            feature["name"]: _evidence(feature["evidence"])
            for feature in features
            if feature["evidence"] is not None and feature["name"] in self._features
        }

    def _single(self) -> str:
        if len(self._features) != 1:
            raise UsageError(
                f"the profile has {len(self._features)} features: give columns by name, or choose one with "
                "Profile.only"
            )
        return next(iter(self._features))

    def _tensor(self, name: str, values: Any) -> Any:
        feature = self._features.get(name)
        if feature is None:
            raise UsageError(
                f"the profile has no feature {name!r}; it has {', '.join(list(self._features)[:12])}"
            )
        held = column(name, values, feature.kind == "category")
        if isinstance(held, np.ndarray):
            return name, feature.direction, held.reshape(-1, 1)
        if feature.kind != "category":
            raise UsageError(f"the column {name!r} holds texts, the profile knows numbers; convert it")
        return name, feature.direction, held


def whole(name: str, value: Any, most: int = MAX_ARL) -> int:
    """A whole number from 1. Raises ConfigurationError."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if not 1 <= number <= most:
        raise ConfigurationError(f"{name} is {value!r}; use a whole number from 1 to {most}")
    return number


def finite(name: str, value: Any) -> float:
    """A finite number. Raises ConfigurationError."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigurationError(f"{name} is {value!r}; use a finite number")
    return number


def _alarm(event: Mapping[str, Any]) -> Alarm:
    return Alarm(
        feature=event["feature"],
        row=event["row"],
        change_row=event["change_row"],
        change_from_row=event["change_from_row"],
        change_to_row=event["change_to_row"],
        evidence_bits=event["evidence_bits"],
        direction=event["shape"],
    )


def _evidence(told: Mapping[str, Any]) -> Evidence:
    return Evidence(told["bits"], told["threshold_bits"], told["shape"], dict(told["by_shape"] or ()))
