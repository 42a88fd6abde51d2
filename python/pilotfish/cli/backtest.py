"""``pilotfish backtest``: recorded rows through the live code, and the alarms it would have raised."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pilotfish.errors import ConfigurationError, ProfileError, UsageError

if TYPE_CHECKING:
    from pilotfish.backtest import Alarm, Run

EXAMPLES = (
    "\b\nExamples:\n"
    "  pilotfish backtest --profile model.profile --data last-week.parquet\n"
    "  pilotfish backtest --profile model.profile --data last-week.csv --detector adwin --json\n"
    "  pilotfish backtest --profile model.profile --data journal/\n\n"
    "A table has a column for each feature of the profile, or the columns of its tensor in order; a "
    "journal must have been written with its messages (journal.payloads: true)."
)
_SHOWN = 10
_WORDS = ("feature", "direction")
_DISTANCES = {"psi": "PSI", "jensen_shannon": "JS", "ks": "KS"}

Profile = Annotated[Path, typer.Option(metavar="FILE", help="Reference to compare with.")]
Data = Annotated[
    Path, typer.Option(metavar="FILE", help="Rows: .csv with a header line, .parquet, or a journal's folder.")
]
Columns = Annotated[
    str | None, typer.Option(metavar="A,B,...", help="Columns to use. [default: all of the profile]")
]
ModelVersion = Annotated[
    str | None, typer.Option(metavar="NAME", help="Version whose calls are taken from a journal.")
]


def backtest(
    *,
    profile: Profile,
    data: Data,
    pane: Annotated[
        int | None,
        typer.Option(metavar="ROWS", min=1, help="Rows that are compared at a time. [default: 1000]"),
    ] = None,
    arl: Annotated[
        int | None,
        typer.Option(metavar="ROWS", min=1, help="Rows between two false alarms, at least (e-detector)."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="NATS", min=0, help="Change that is to be ignored, as relative entropy (e-detector)."
        ),
    ] = None,
    columns: Columns = None,
    detector: Annotated[
        str | None, typer.Option(metavar="NAME", help="What raises the alarms. [default: as live]")
    ] = None,
    model_version: ModelVersion = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each alarm as a line of JSON.")] = False,
) -> None:
    """Run recorded data through the live code; print the alarms it would have raised.

    The detector is that of the live monitor; or, without the profile's help and without a promise of how
    rarely it is wrong, adwin, cusum, ddm, eddm, hddm_a, hddm_w, kswin or page_hinkley.
    """
    from pilotfish.backtest import DEFAULT, Plan

    plan = Plan(detector or DEFAULT, pane, arl, tolerance, names(columns), model_version)
    run = opened(profile, data, plan)
    if as_json:
        for alarm in run:
            typer.echo(alarm.as_json())
    else:
        _print(Report.of(run), run, plan)
    for note in notes(run):
        typer.echo(f"{data}: {note}", err=True)


def opened(profile: Path, data: Path, plan: Any) -> "Run":
    """A backtest that is ready to run. Raises PilotfishError; messages about the profile name its file."""
    from pilotfish.backtest import run
    from pilotfish.profile import read

    try:
        return run(read(profile), data, plan)
    except ProfileError as exc:
        raise ProfileError(f"{profile}: {exc}") from exc
    except ConfigurationError as exc:
        raise UsageError(str(exc)) from exc


def names(columns: str | None) -> list[str] | None:
    """The names in ``A,B,C``. Raises UsageError."""
    if columns is None:
        return None
    parts = [name.strip() for name in columns.split(",")]
    if not all(parts) or len(set(parts)) < len(parts):
        raise UsageError(f"--columns: got {columns!r}: a name is empty or twice; write A,B,C")
    return parts


def notes(run: "Run") -> Iterable[str]:
    """What the reader should know beside the alarms."""
    yield from run.notes
    if run.rows < run.fewest_rows:
        yield f"has {run.rows} rows; {run.fewest_rows} are the fewest that are compared (--pane), so none was"
    for reason, count in run.account.skipped.items():
        yield f"{count} messages were skipped: {reason}"


@dataclass
class Report:
    """The alarms of a backtest, as many as are shown of each feature, and all of them counted."""

    shown: "dict[str, list[Alarm]]" = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, run: "Run") -> "Report":
        """Runs it."""
        report = cls()
        for alarm in run:
            report.counts[alarm.feature] += 1
            if len(report.shown[alarm.feature]) < _SHOWN:
                report.shown[alarm.feature].append(alarm)
        return report


def _print(report: Report, run: "Run", plan: Any) -> None:
    from pilotfish.cli import terminal

    console = terminal.console()
    if report.shown:
        console.print(_table(report))
    total, watched = sum(report.counts.values()), run.watched
    quiet = [name for name in watched if name not in report.counts]
    console.print(
        f"{_plural(run.rows, 'row')}, {_plural(len(watched), 'feature')} watched by {plan.detector}: "
        f"{_plural(total, 'alarm')} of {len(report.counts)}, silence of {len(quiet)}",
        soft_wrap=True,
    )


def _table(report: Report) -> Any:
    from rich.table import Table
    from rich.text import Text

    from pilotfish.cli.terminal import visible

    table = Table(header_style="dim")
    for title in ("feature", "row", "change row", "direction", "bits", *_DISTANCES.values()):
        table.add_column(title, justify="left" if title in _WORDS else "right", overflow="fold")
    for feature, alarms in report.shown.items():
        for alarm in alarms:
            distances = [_number(alarm.distances.get(name)) for name in _DISTANCES]
            evidence = _number(alarm.evidence_bits)
            rows = (str(alarm.row), str(alarm.change_row))
            direction = (alarm.direction or "-") + (f" ({alarm.place})" if alarm.place else "")
            table.add_row(Text(visible(feature)), *rows, Text(visible(direction)), evidence, *distances)
        if more := report.counts[feature] - len(alarms):
            table.add_row(Text(visible(feature)), f"and {more} more")
    return table


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, (int, float)) else "-"
