"""From clean history to the settings of the alarm: what happens there by itself must not be called a change.

The tolerance is a relative entropy: how far a stream may be from its reference without having changed. Clean
history shows how far it goes by itself, between day and night, say. So the history is cut into blocks of
2,000 and of 20,000 rows; where the PSI of a block exceeds what chance explains (the noise floor that is
exported beside it), its relative entropy counts, less what is expected of it without a change. Of rows that
hang together so many are worth one as the profile's autocorrelation time says, and chance explains that much
more; what the alarm allows for by itself needs no tolerance. The proposal
is the largest of these, times 2 so that a day a little worse than any in the history is silent too, and never
below 0.0002, about 0.02 standard deviations of a normal mean.

Last, the alarm itself is run over the history with what is proposed, and the tolerance raised by half for as
long as it is not silent.

The ARL is what the user wants; what is proposed is ten times the rows of the history, because a history
cannot vouch for rarer false alarms than that.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pilotfish import backtest, profile
from pilotfish.backtest import journal
from pilotfish.backtest.columns import Rows, match
from pilotfish.errors import ConfigurationError, TableError

BLOCKS = (2_000, 20_000)
"""Rows: few show what is fast and large, many what is slow and small."""
MIN_TOLERANCE = 0.0002
MAX_TOLERANCE = 1.0
"""More than a shift of a normal mean by a standard deviation (0.5)."""
HIGH_TOLERANCE = 0.1
"""A shift of a normal mean by 0.45 standard deviations."""
_SAFETY = 2.0
_HISTORIES = 10


@dataclass(frozen=True)
class Proposal:
    """Settings for the alarm, and what they were taken from."""

    arl: int
    """Rows."""
    tolerance: float
    """Nats."""
    rows: int
    """Of the history."""
    restless: Mapping[str, float] = field(default_factory=dict)
    """Features that strayed by more than chance explains, and how far (nats), the farthest first."""
    notes: Sequence[str] = ()
    """What of a table was read otherwise than it stands there."""


def propose(
    reference: bytes, data: Path, columns: Sequence[str] | None = None, version: str | None = None
) -> Proposal:
    """Settings under which clean history is silent. Raises ProfileError or TableError."""
    features = profile.check(reference)["features"]
    straying = [_Straying(reference, features, rows) for rows in BLOCKS]
    notes: Sequence[str] = ()
    if data.is_dir():
        if columns is not None:
            raise ConfigurationError(backtest.NO_COLUMNS)
        _read_journal(straying, data, version)
    else:
        matched = match(features, data, columns)
        notes = matched.notes
        for rows in matched.chunks():
            for one in straying:
                one.add(rows)
    seen = straying[0].inner.rows
    if seen < BLOCKS[0]:
        raise TableError(
            f"{data}: has {seen} rows; {BLOCKS[0]} of clean history are the least, more are better"
        )
    farthest: dict[str, float] = {}
    for feature, distance in (item for one in straying for item in one.farthest.items()):
        farthest[feature] = max(distance, farthest.get(feature, 0.0))
    restless = dict(sorted(farthest.items(), key=lambda item: -item[1]))
    tolerance = max([MIN_TOLERANCE, *(_SAFETY * distance for distance in restless.values())])
    proposal = Proposal(rounded_up(_HISTORIES * seen), two_digits_up(tolerance), seen, restless, notes)
    if proposal.tolerance > MAX_TOLERANCE:
        raise _unclean(data, proposal)
    return _silent(proposal, reference, data, columns, version) if "edetector" in backtest.LIVE else proposal


def _silent(
    proposal: Proposal, reference: bytes, data: Path, columns: Sequence[str] | None, version: str | None
) -> Proposal:
    """The proposal, with a tolerance under which the alarm itself is silent about the history."""
    while proposal.tolerance <= MAX_TOLERANCE:
        arl, tolerance = proposal.arl, proposal.tolerance
        plan = backtest.Plan("edetector", arl=arl, tolerance=tolerance, columns=columns, version=version)
        alarms = backtest.run(reference, data, plan)
        if all(alarm.detector == backtest.SCHEMA for alarm in alarms):
            return proposal
        proposal = replace(proposal, tolerance=two_digits_up(1.5 * tolerance))
    raise _unclean(data, proposal)


def _unclean(data: Path, proposal: Proposal) -> TableError:
    farthest = ", ".join(list(proposal.restless)[:3]) or "several features together"
    return TableError(
        f"{data}: is no clean history: {farthest} would need a tolerance of {proposal.tolerance:g} nats, "
        "which hides everything; look at them with pilotfish backtest, and choose other rows or columns"
    )


class _Straying:
    """How far each feature strays from the reference in blocks of so many rows."""

    def __init__(self, reference: bytes, features: Sequence[Mapping[str, Any]], block: int) -> None:
        plan = backtest.Plan("threshold", pane=block)
        self.inner = backtest.opened(reference, backtest.configuration(plan, features))
        self.times = {
            (one["direction"], one["name"]): float(one["autocorrelation_time"] or 1) for one in features
        }
        self.farthest: dict[str, float] = {}
        self.block = block

    def add(self, rows: Rows) -> None:
        """Takes in rows of a table."""
        for part in _cut(rows, self.inner.rows, self.block):
            self.inner.add_rows(part)
            if self.inner.rows % self.block == 0:
                self.look()

    def look(self) -> None:
        """Takes in the block that was closed last."""
        self.inner.alarms()  # none is wanted
        for measured in json.loads(self.inner.measured()):
            name = measured["feature"]
            distance = _relative_entropy(
                measured["drift"], self.times.get((measured["direction"], name), 1.0)
            )
            if distance > 0:
                self.farthest[name] = max(distance, self.farthest.get(name, 0.0))


def _relative_entropy(drift: Mapping[str, Any], time: float) -> float:
    """Nats beyond what is to be expected without a change; 0 where chance alone explains the distance.

    ``time`` rows are worth one.
    """
    if drift["psi"] <= time * drift["psi_noise"]:
        return 0.0
    measured = drift["distances"]["kullback_leibler_reverse"]
    return max(0.0, float(measured["value"]) - time * float(measured["expected"] or 0.0))


def _cut(rows: Rows, seen: int, block: int) -> Iterator[Rows]:
    """The rows in pieces that end where blocks end."""
    total = len(rows[0][2]) if rows else 0
    start = 0
    while start < total:
        end = min(total, start + block - (seen + start) % block)
        yield [(name, direction, values[start:end]) for name, direction, values in rows]
        start = end


def _read_journal(straying: Sequence[_Straying], data: Path, version: str | None) -> None:
    for one in straying:
        blocks = 0
        for _ in journal.feed(one.inner, data, version, journal.Account()):
            if one.inner.rows // one.block > blocks:
                blocks = one.inner.rows // one.block
                one.look()


def rounded_up(number: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50, ..."""
    power = 1
    while 10 * power < number:
        power *= 10
    return next(step * power for step in (1, 2, 5, 10) if step * power >= number)


def two_digits_up(number: float) -> float:
    """The next number with two digits that count."""
    step = 10.0 ** (math.floor(math.log10(number)) - 1)
    return round(math.ceil(number / step - 1e-9) * step, 12)
