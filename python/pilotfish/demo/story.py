"""The story: what happens to the lens, which alarms that must raise, and whether they came.

Pure: phases, counts and alarms in, a verdict out. Everything is measured in rows (images) that a version has
answered, not in seconds, so that the verdict is the same on a slow machine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotfish.demo.lens import Lens

WATCHED = "v1"
"""The version that takes 90 % of the calls: enough to raise the alarms within the demo."""
SHADOW = "v3"
STUCK_PIXEL = 43
HAZE = 0.2


@dataclass(frozen=True, slots=True)
class Phase:
    """One state of the lens."""

    name: str
    lens: Lens
    share: float
    """Of the time that the whole story takes."""
    panes: int
    """The phase lasts until the watched version has filled so many panes, however slow the machine is."""
    expects: str | None = None
    """Feature whose alarm must be raised in this phase."""


STORY = (
    Phase("clean", Lens(), share=0.34, panes=4),
    Phase(f"haze {HAZE:.0%}", Lens(haze=HAZE), share=0.26, panes=4, expects="image.brightness"),
    Phase("wiped clean", Lens(), share=0.18, panes=4),
    Phase(
        f"pixel {STUCK_PIXEL} stuck",
        Lens(stuck=STUCK_PIXEL),
        share=0.22,
        panes=4,
        expects=f"image[{STUCK_PIXEL}]",
    ),
)

PATIENCE = 3.0
"""A phase that has not filled its panes ends after so many times its planned duration all the same."""


@dataclass(frozen=True, slots=True)
class Change:
    """When a phase really began, by the client's count; of the unseen shadow, by pilotfish's."""

    phase: Phase
    call: int
    """Calls that had been answered before, by all versions."""
    rows: Mapping[str, int]
    """Rows that each version had answered before."""

    def row(self, version: str) -> int:
        """Rows that ``version`` had answered before."""
        return self.rows.get(version, 0)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm event, as the sidecar tells it; counts are those of the version it is about."""

    sequence: int
    state: str
    """``raised`` or ``cleared``."""
    version: str
    feature: str
    method: str
    score: float
    threshold: float
    row: int
    """Rows seen when it fired."""
    change_row: int
    """First row of the change, as the alarm estimates it."""

    @property
    def raised(self) -> bool:
        """Whether it says that something is wrong, and not that something is well again."""
        return self.state == "raised"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the story went as it had to."""

    found: Mapping[str, Alarm]
    """The expected alarms that fired, by the name of the phase."""
    missing: tuple[str, ...]
    early: tuple[Alarm, ...]
    """Alarms that fired while the lens was still clean."""

    @property
    def passed(self) -> bool:
        """Every expected alarm, and none before the first change."""
        return not self.missing and not self.early


def alarm(event: Mapping[str, Any]) -> Alarm:
    """An alarm event of ``GET /api/v1/alarms``."""
    return Alarm(
        sequence=int(event["sequence"]),
        state=str(event["state"]),
        version=str(event["version"]),
        feature=str(event["feature"]),
        method=str(event["method"]),
        score=float(event["score"]),
        threshold=float(event["threshold"]),
        row=int(event["row"]),
        change_row=int(event["change_row"]),
    )


def seconds(phase: Phase, whole: float) -> float:
    """How long ``phase`` lasts at least, in a story of ``whole`` seconds."""
    return phase.share * whole


def over(phase: Phase, elapsed: float, whole: float, rows: int, pane_rows: int) -> bool:
    """Whether ``phase`` may end: ``elapsed`` seconds and ``rows`` watched rows after it began."""
    planned = seconds(phase, whole)
    filled = rows >= phase.panes * pane_rows
    return elapsed >= planned and (filled or elapsed >= PATIENCE * planned)


def judge(changes: Sequence[Change], alarms: Sequence[Alarm], pane_rows: int) -> Verdict:
    """Hold the alarms against the true changes; ``changes[0]`` is the clean start.

    An alarm can only tell in which pane a change lies. One that names a pane with a change in it, or a later
    one, is after the change; one whose run of bad panes began before that is not explained by it.
    """
    found: dict[str, Alarm] = {}
    missing = []
    for number, change in enumerate(changes):
        if change.phase.expects is None:
            continue
        until = changes[number + 1] if number + 1 < len(changes) else None
        answer = next((a for a in alarms if _answers(a, change, until, pane_rows)), None)
        if answer is None:
            missing.append(f"{change.phase.expects} ({change.phase.name})")
        else:
            found[change.phase.name] = answer
    dirt = next((change for change in changes if change.phase.expects is not None), None)
    early = tuple(a for a in alarms if a.raised and not (dirt and _after(a, dirt, pane_rows)))
    return Verdict(found, tuple(missing), early)


def _answers(alarm: Alarm, change: Change, until: Change | None, pane_rows: int) -> bool:
    """Whether it is the alarm that ``change`` must raise, and its run of bad panes began before ``until``."""
    return (
        alarm.raised
        and alarm.version == WATCHED
        and alarm.feature == change.phase.expects
        and _after(alarm, change, pane_rows)
        and (until is None or alarm.change_row <= until.row(WATCHED))
    )


def _after(alarm: Alarm, change: Change, pane_rows: int) -> bool:
    return alarm.change_row + pane_rows > change.row(alarm.version)
