"""The running demo as plain lines, for logs and wherever there is no terminal."""

import time

from rich.console import Console

from pilotfish.demo.news import call, news
from pilotfish.demo.story import WATCHED, Change
from pilotfish.demo.view import View, milliseconds

LINE_EVERY_SECONDS = 2.0
DRIFTS_SHOWN = 4


class Lines:
    """Plain lines, as a log wants them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._changes = 0
        self._alarms = 0
        self._due = 0.0

    def show(self, view: View) -> None:
        """A line for each new phase and each alarm, and a line of numbers every two seconds."""
        for change in view.changes[self._changes :]:
            self._say(_beginning(change))
        for item in news(view.alarms[self._alarms :], view.changes):
            self._say(item.text)
        self._changes, self._alarms = len(view.changes), len(view.alarms)
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + LINE_EVERY_SECONDS
            self._say("      " + _summary(view))

    def close(self) -> None:
        """Nothing to leave."""

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _beginning(change: Change) -> str:
    own = call(change.row(WATCHED)) + 1
    return f"lens  {change.phase.name} from call {change.call + 1:,} on, {WATCHED}'s call {own:,}"


def _summary(view: View) -> str:
    added = view.added
    parts = [
        f"{view.calls:,} calls, {view.calls_per_second:.0f}/s, {view.errors} failed",
        f"added p50 {milliseconds(added.p50)}, p99 {milliseconds(added.p99)}" if added else "",
        ", ".join(f"{share.version} {share.reached:.1%} of {share.planned:.0%}" for share in view.shares),
        f"shadow disagrees {view.shadow.disagreement:.1%}" if view.shadow and view.shadow.compared else "",
        ", ".join(f"{drift.feature} {drift.score:.3f}" for drift in view.worst(DRIFTS_SHOWN)),
        f"accuracy {view.accuracy:.1%}" if view.accuracy is not None else "",
        f"{view.active_alarms} alarms",
    ]
    return " | ".join(part for part in parts if part)
