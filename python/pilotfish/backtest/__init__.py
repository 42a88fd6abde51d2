"""Backtests: recorded rows through the live code, and the alarms it would have raised.

It answers "would this have fired last week, and how often falsely?" before anybody is woken by it. Rows are
read in chunks and alarms are handed out as they come, so a recording may be of any length.

>>> from pathlib import Path
>>> from pilotfish import backtest, profile
>>> reference = profile.read(Path("model.profile"))                         # doctest: +SKIP
>>> for alarm in backtest.run(reference, Path("last-week.parquet")):        # doctest: +SKIP
...     print(alarm.feature, alarm.row, alarm.direction)
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotfish import _core, detectors, profile
from pilotfish.backtest import journal
from pilotfish.backtest.columns import Matched, match
from pilotfish.backtest.place import held
from pilotfish.errors import ConfigurationError, ProfileError
from pilotfish.statistics.edetector import MAX_PANE, whole

LIVE = ("edetector", "threshold")
"""The detectors of the live monitor, its default first."""
DEFAULT = LIVE[0]
SCHEMA = "schema"
"""The detector of an alarm about a feature that is gone; in a journal, also new or of another type."""
NO_COLUMNS = "columns are those of a table; a journal is read as its messages are"
DETECTORS = (*LIVE, *detectors.NAMES)


@dataclass(frozen=True)
class Plan:
    """What to run. None is the default of the live monitor."""

    detector: str = DEFAULT
    pane: int | None = None
    """Rows in a pane."""
    arl: int | None = None
    """Rows between two false alarms, at least; only of the e-detector."""
    tolerance: float | None = None
    """Relative entropy from the reference, in nats, that is no change; only of the e-detector."""
    columns: Sequence[str] | None = None
    """Columns of the table to use; all of the profile without."""
    version: str | None = None
    """Model version whose calls are taken from a journal."""


@dataclass(frozen=True)
class Alarm:
    """An alarm that would have been raised."""

    feature: str
    row: int
    """Rows seen when it was raised."""
    change_row: int
    """Where the change is estimated to have begun, counted from 0."""
    evidence_bits: float | None
    """None for a detector that weighs no evidence."""
    direction: str | None
    """What changed, such as ``location up``; None for a detector that does not tell."""
    detector: str
    place: str | None = None
    """What the bins hold that ``direction`` names; None for a direction that names none."""
    distances: Mapping[str, float] = field(default_factory=dict)
    """Of the pane in which it was raised, from the reference, by name; empty where no pane was closed."""

    def as_json(self) -> str:
        """One line of JSON, without the place and the distances."""
        names = ("feature", "row", "change_row", "evidence_bits", "direction", "detector")
        return json.dumps({name: getattr(self, name) for name in names}, ensure_ascii=False)


class Run:
    """A backtest: iterate over it once for its alarms, then ask what it has seen.

    Raises PilotfishError: ProfileError, TableError, or ConfigurationError for a plan that makes no sense.
    """

    def __init__(self, reference: bytes, data: Path, plan: Plan | None = None) -> None:
        self._plan = plan or Plan()
        features = profile.check(reference, detail=True)["features"]
        self._features = {(feature["direction"], feature["name"]): feature for feature in features}
        self._data = data
        self._matched: Matched | None = None
        if not data.is_dir():
            self._matched = match(features, data, self._plan.columns)
        elif self._plan.columns is not None:
            raise ConfigurationError(NO_COLUMNS)
        is_whole = self._matched is not None and bool(self._matched.lacking)
        self._inner = opened(reference, configuration(self._plan, features, is_whole=is_whole))
        self.account = journal.Account()
        """What became of the messages of a journal."""

    def __iter__(self) -> Iterator[Alarm]:
        """Alarms in the order of their rows, pane by pane. Raises TableError."""
        if self._matched is None:
            for _ in journal.feed(self._inner, self._data, self._plan.version, self.account):
                yield from self._alarms(self._inner.alarms())
        else:
            for rows in self._matched.chunks():
                self._inner.add_rows(rows)
                yield from self._alarms(self._inner.alarms())
        yield from self._alarms(self._inner.finish())

    @property
    def rows(self) -> int:
        """Rows so far."""
        return self._inner.rows

    @property
    def fewest_rows(self) -> int:
        """Rows before which nothing is compared: a look, a pane, or for a familiar detector one."""
        return self._inner.fewest_rows

    @property
    def notes(self) -> Sequence[str]:
        """What of a table was read otherwise than it stands there."""
        return () if self._matched is None else self._matched.notes

    @property
    def watched(self) -> list[str]:
        """Features that could have raised an alarm."""
        fed = None if self._matched is None else self._matched.features
        return [name for side, name in self._inner.watched() if fed is None or (side, name) in fed]

    def _alarms(self, told: bytes) -> Iterator[Alarm]:
        for alarm in json.loads(told):
            event = alarm["event"]
            feature = self._features.get((event["direction"], event["feature"]), {})
            yield _alarm(event, alarm["drift"], feature, self._plan.detector)


def run(reference: bytes, data: Path, plan: Plan | None = None) -> Run:
    """The alarms of a table (``.csv``, ``.parquet``) or of a journal (its directory)."""
    return Run(reference, data, plan)


def configuration(plan: Plan, features: Sequence[Mapping[str, Any]] = (), *, is_whole: bool = False) -> str:
    """The configuration of :class:`pilotfish._core.Backtest`. Raises ConfigurationError.

    Features that a table lacks are absent if it ``is_whole``: if nobody chose its columns.
    """
    if plan.detector not in DETECTORS:
        raise ConfigurationError(
            f"no detector is called {plan.detector!r}; use one of {', '.join(DETECTORS)}"
        )
    is_familiar = plan.detector in detectors.NAMES
    monitor: dict[str, Any] = {
        "max_features": max(4096, 2 * len(features)),
        "tensors": {name: {"kind": "image"} for name in _images(features)},
        "alarm": _alarm_configuration(plan),
    }
    if plan.pane is not None:
        monitor["pane_rows"] = whole("pane", plan.pane, MAX_PANE)
    familiar = {"name": plan.detector} if is_familiar else None
    return json.dumps({"monitor": monitor, "familiar": familiar, "whole": is_whole})


def _alarm_configuration(plan: Plan) -> dict[str, Any]:
    wanted = {name: getattr(plan, name) for name in ("arl", "tolerance") if getattr(plan, name) is not None}
    if plan.detector == "edetector":
        if plan.arl is not None:
            whole("arl", plan.arl)
        return wanted
    if wanted:
        name = next(iter(wanted))
        raise ConfigurationError(f"--{name} is of the e-detector; {plan.detector} has none, leave it out")
    alarm: dict[str, Any] = {"detector": "threshold"} if len(LIVE) > 1 else {}
    return {**alarm, "psi": None} if plan.detector in detectors.NAMES else alarm


def opened(reference: bytes, configured: str) -> _core.Backtest:
    """The backtest in the core. Raises ConfigurationError or ProfileError."""
    try:
        return _core.Backtest(reference, configured)
    except _core.ConfigurationError as exc:
        raise ConfigurationError(str(exc)) from exc
    except _core.ProfileError as exc:
        raise ProfileError(str(exc)) from exc


def _images(features: Sequence[Mapping[str, Any]]) -> list[str]:
    """Tensors that were images when the profile was made: those with a brightness."""
    names = {feature["name"] for feature in features}
    of_brightness = {name.removesuffix(".brightness") for name in names if name.endswith(".brightness")}
    return sorted(name for name in of_brightness if names & {f"{name}[0]", f"{name}[*]", name})


def _alarm(
    event: Mapping[str, Any], drift: Mapping[str, Any] | None, feature: Mapping[str, Any], detector: str
) -> Alarm:
    """An alarm event of the core, whichever detector raised it; what it does not say is None."""
    direction = event.get("shape") or event.get("side")
    return Alarm(
        feature=event["feature"],
        row=event["row"],
        change_row=event["change_row"],
        evidence_bits=event.get("evidence_bits"),
        direction=direction,
        detector=event.get("detector") or detector,
        place=held(direction, feature) if direction else None,
        distances={name: one["value"] for name, one in (drift or {}).get("distances", {}).items()},
    )
