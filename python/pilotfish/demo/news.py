"""News: alarm events as sentences, with the call at which the change began, as estimated and in truth.

Calls are those of the version that an alarm is about, which counts nothing else.

Haze moves every pixel at once; pixels that are not what the phase is about are therefore told in one
sentence. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from pilotfish.demo.configuration import ROWS_PER_CALL
from pilotfish.demo.story import Alarm, Change


@dataclass(frozen=True, slots=True)
class Item:
    """One sentence about one or more alarm events."""

    raised: bool
    expected: bool
    """Whether the phase is about this alarm."""
    text: str


def news(alarms: Sequence[Alarm], changes: Sequence[Change]) -> list[Item]:
    """What is to be said of ``alarms``, oldest first; ``changes`` are those so far."""
    items = []
    for (_state, version, row), same in groupby(alarms, key=lambda a: (a.state, a.version, a.row)):
        group = list(same)
        told = [alarm for alarm in group if _is_told_alone(alarm, changes)]
        others = [alarm for alarm in group if alarm not in told]
        items += [_alone(alarm, changes) for alarm in told]
        if others:
            items.append(_together(others, version, row))
    return items


def newest(items: Sequence[Item], count: int) -> list[Item]:
    """The latest ``count`` sentences, in order; what the phases are about stays before what is not."""
    ranked = sorted(range(len(items)), key=lambda place: (items[place].expected, place))
    return [items[place] for place in sorted(ranked[-count:])]


def call(row: int) -> int:
    """The number of the call that brought ``row``; every call of the demo brings equally many."""
    return -(-row // ROWS_PER_CALL)


def explanation(alarm: Alarm, changes: Sequence[Change]) -> Change | None:
    """The true change that an alarm is about: the latest one before it fired."""
    earlier = [change for change in changes if change.row(alarm.version) < alarm.row]
    return earlier[-1] if earlier else None


def _is_told_alone(alarm: Alarm, changes: Sequence[Change]) -> bool:
    return _is_expected(alarm, changes) or not alarm.feature.startswith(("image[", "proba["))


def _is_expected(alarm: Alarm, changes: Sequence[Change]) -> bool:
    change = explanation(alarm, changes)
    return change is not None and change.phase.expects == alarm.feature


def _alone(alarm: Alarm, changes: Sequence[Change]) -> Item:
    what = f"{alarm.version} {alarm.feature}: {alarm.method} {alarm.score:.2f}"
    if not alarm.raised:
        return Item(False, False, f"clear {what} at call {call(alarm.row):,}")
    began = f"began at call {call(alarm.change_row):,}"
    change = explanation(alarm, changes)
    if change is not None and change.phase.expects is not None:
        began += f" (estimated), {call(change.row(alarm.version)) + 1:,} (true)"
    text = f"ALARM {what} above {alarm.threshold:.2f} at call {call(alarm.row):,}; {began}"
    return Item(True, _is_expected(alarm, changes), text)


def _together(alarms: Sequence[Alarm], version: str, row: int) -> Item:
    names = [alarm.feature for alarm in alarms[:3]]
    if len(alarms) > len(names):
        names.append(f"{len(alarms) - len(names)} more")
    word = "ALARM" if alarms[0].raised else "clear"
    return Item(alarms[0].raised, False, f"{word} {version} {', '.join(names)} at call {call(row):,}")
