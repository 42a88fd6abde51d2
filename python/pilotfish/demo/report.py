"""The last page: whether the story went as it had to, what was exported, and whether the books balance.

Counts what really arrived: lines and rows in the files, messages at the receiver.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.lib
import pyarrow.parquet as parquet

from pilotfish.demo.news import call
from pilotfish.demo.story import WATCHED, Alarm, Change, Verdict
from pilotfish.testing.collector import Collector, names


@dataclass(frozen=True, slots=True)
class Identity:
    """A sum that must hold at any moment: everything taken in has gone exactly one way."""

    name: str
    whole: int
    parts: Mapping[str, int]

    @property
    def holds(self) -> bool:
        """Whether nothing is lost and nothing counted twice."""
        return self.whole == sum(self.parts.values())

    def __str__(self) -> str:
        parts = " + ".join(f"{count:,} {name}" for name, count in self.parts.items())
        return f"{self.name}: {self.whole:,} = {parts}{'' if self.holds else '  DOES NOT HOLD'}"


@dataclass(frozen=True, slots=True)
class JournalFile:
    """One file of the journal; ``records`` is None while it is being written (and no Parquet yet)."""

    path: Path
    records: int | None

    def __str__(self) -> str:
        return f"{self.path.name}: " + (
            "still being written" if self.records is None else f"{self.records:,} records"
        )


def identities(snapshot: Mapping[str, Any]) -> list[Identity]:
    """The accounts of a snapshot: calls through the journal, messages through the statistics."""
    journal, statistics = snapshot["journal"], snapshot["statistics"]
    calls = {
        "kept": journal["kept"],
        "sampled out": journal["sampled_out"],
        "queued": journal["queued"],
        "dropped": sum(journal["dropped"].values()),
    }
    messages = {
        "decoded": statistics["decoded"],
        "thinned": statistics["thinned"],
        "unreadable": sum(statistics["unreadable"].values()),
        "queued": statistics["queued"],
        "dropped": sum(statistics["dropped"].values()),
    }
    return [
        Identity("calls observed", journal["observed"], calls),
        Identity("messages offered", statistics["offered"], messages),
    ]


def client_identity(made: int, snapshot: Mapping[str, Any]) -> Identity:
    """The client's own count against the sidecar's, once the client has ended."""
    return Identity("calls made", made, {"counted by pilotfish": snapshot["calls"]["total"]})


def received(collector: Collector) -> list[str]:
    """What has arrived at the OpenTelemetry receiver, decoded."""
    points, spans, logs = names(collector.points), collector.spans, collector.logs
    events = sum(1 for log in logs if log.event_name)
    return [
        f"metrics: {sum(points.values()):,} points of {len(points)} metrics",
        f"traces:  {len(spans):,} spans",
        f"logs:    {len(logs):,} records, {events:,} of them events",
    ]


def journal_files(directory: Path) -> list[JournalFile]:
    """The files of the journal with what they hold."""
    return [JournalFile(path, _records(path)) for path in sorted(directory.rglob("*")) if path.is_file()]


def _records(path: Path) -> int | None:
    if path.suffix == ".jsonl":
        with path.open("rb") as lines:
            return sum(1 for line in lines if json.loads(line))
    try:
        rows: int = parquet.ParquetFile(path).metadata.num_rows
    except (pyarrow.lib.ArrowException, OSError):
        return None
    return rows


def judgement(verdict: Verdict, changes: Sequence[Change]) -> list[str]:
    """The verdict as lines."""
    first = next((change for change in changes if change.phase.expects), None)
    lines = [_early(alarm) for alarm in verdict.early]
    if first is not None and not verdict.early:
        lines.append(f"ok       clean: no alarm in the first {first.call:,} calls")
    for change in changes:
        found = verdict.found.get(change.phase.name)
        if found is not None:
            lines.append(_found(found, change))
    return lines + [f"MISSING  no alarm for {what}" for what in verdict.missing]


def _early(alarm: Alarm) -> str:
    what = f"{alarm.version} {alarm.feature} ({alarm.method} {alarm.score:.2f})"
    return f"EARLY    {what} was raised at call {call(alarm.row):,}, while the lens was clean"


def _found(alarm: Alarm, change: Change) -> str:
    true, estimate = call(change.row(WATCHED)) + 1, call(alarm.change_row)
    what = f"{change.phase.name}: {alarm.feature} raised {call(alarm.row) - true:,} calls after the change"
    return f"ok       {what}, which was at {WATCHED}'s call {true:,} (estimated: {estimate:,})"
