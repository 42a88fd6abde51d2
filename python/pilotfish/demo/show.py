"""The show: goes through the story phase by phase, judges it, and clears everything away."""

import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from rich.console import Console

from pilotfish.demo import models, report, story
from pilotfish.demo.child import ChildError
from pilotfish.demo.configuration import PANE_ROWS
from pilotfish.demo.lines import Lines
from pilotfish.demo.picture import Picture
from pilotfish.demo.stage import Stage
from pilotfish.demo.story import STORY, WATCHED, Phase, Verdict
from pilotfish.demo.view import View

STORY_SECONDS = 70.0
ENDING_SECONDS = 5.0
"""What stopping and the last page take; kept back from ``--for``."""
SHORTEST_SECONDS = 12.0
LOOK_EVERY_SECONDS = 0.5
CALLS_PER_SECOND = 200.0
STYLES = {"ok": "green", "MISSING": "bold red", "EARLY": "bold red", "demo": "bold"}


class Screen(Protocol):
    """Where the demo is shown."""

    def show(self, view: View) -> None:
        """Show how things stand; called twice a second."""

    def close(self) -> None:
        """Leave the last picture where it is, so that text can follow."""


def show(duration: float | None, directory: Path | None, seed: int) -> int:
    """See :func:`pilotfish.demo.run`."""
    began = time.monotonic()
    console = Console()
    verdict: Verdict | None = None
    try:
        with interruptible(), home(directory) as place:
            console.print("pilotfish demo: training three models, starting four processes …", highlight=False)
            with Stage(place, seed, CALLS_PER_SECOND) as stage:
                whole = STORY_SECONDS
                if duration is not None:
                    whole = max(SHORTEST_SECONDS, duration - (time.monotonic() - began) - ENDING_SECONDS)
                verdict = perform(stage, console, seed, whole)
                if duration is None:
                    accounts = report.identities(stage.sidecar.snapshot())
                    print_lines(console, last_page(stage, verdict, accounts))
                    hold(stage, console)
                else:
                    snapshot = stage.end()
                    made = report.client_identity(stage.calls_made(), snapshot)
                    print_lines(console, last_page(stage, verdict, [made, *report.identities(snapshot)]))
    except KeyboardInterrupt:
        console.print("\npilotfish demo: stopped; nothing is left running", highlight=False)
    except ChildError as error:
        sys.stderr.write(f"pilotfish demo: {error}\n")
        return 1
    return 0 if verdict is not None and verdict.passed else 1


def perform(stage: Stage, console: Console, seed: int, whole: float) -> Verdict:
    """Play the story in about ``whole`` seconds, and judge the alarms."""
    screen = open_screen(console, seed)
    try:
        for phase in STORY:
            play(stage, screen, phase, whole)
    finally:
        screen.close()
    view = stage.look()
    return story.judge(view.changes, view.alarms, PANE_ROWS)


def play(stage: Stage, screen: Screen, phase: Phase, whole: float) -> None:
    """Play one phase until it may end."""
    change, began = stage.change(phase), time.monotonic()
    while True:
        view = stage.look()
        screen.show(view)
        rows = view.rows.get(WATCHED, 0) - change.row(WATCHED)
        if story.over(phase, time.monotonic() - began, whole, rows, PANE_ROWS):
            return
        time.sleep(LOOK_EVERY_SECONDS)


def open_screen(console: Console, seed: int) -> Screen:
    """The live picture on a terminal, lines elsewhere."""
    if not console.is_terminal:
        return Lines(console)
    _training, live = models.halves(seed)
    return Picture(console, live.images[:1])


def last_page(stage: Stage, verdict: Verdict, accounts: Iterable[report.Identity]) -> list[str]:
    """The verdict, and what was exported."""
    return [
        "",
        *report.judgement(verdict, stage.look_back()),
        "",
        *(f"opentelemetry  {line}" for line in report.received(stage.collector)),
        *(f"journal        {file}" for file in report.journal_files(stage.journal)),
        *(f"account        {identity}" for identity in accounts),
        "",
        f"demo {'passed' if verdict.passed else 'FAILED'}",
    ]


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print text as it is, in the colour of its first word."""
    for line in lines:
        style = STYLES.get(line.partition(" ")[0])
        console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def hold(stage: Stage, console: Console) -> None:
    """Leave everything running until Ctrl-C, and say where to look meanwhile."""
    print_lines(
        console,
        [
            "",
            "Everything is still running: the traffic, the models, the sidecar, the receiver. Look around:",
            f"  pilotfish status --admin {stage.admin}",
            f"  curl {stage.sidecar.admin}/metrics    (/api/v1/snapshot, /api/v1/alarms, /api/v1/config)",
            f"  call the model through pilotfish at {stage.address}",
            f"  configuration, profiles, journal, logs: {stage.home} (removed at the end, but for --keep)",
            "Ctrl-C ends it.",
        ],
    )
    while True:
        stage.look()
        time.sleep(LOOK_EVERY_SECONDS)


@contextmanager
def home(directory: Path | None) -> Iterator[Path]:
    """The directory for the demo's files: the given one, which is kept, or a new one, which is removed."""
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        yield directory.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="pilotfish-demo-") as temporary:
        yield Path(temporary)


@contextmanager
def interruptible() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end the demo as cleanly as Ctrl-C does, and a second one not disturb that."""
    before: dict[signal.Signals, Any] = {}

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
