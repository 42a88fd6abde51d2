"""Deltas: what happened between two collections, for receivers that prefer it to running totals.

Needed because ``OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`` reaches only the SDK's own instruments;
points built by hand have to follow it by themselves.
"""

from collections.abc import Mapping

from pilotfish.telemetry.histogram import Exponential, Histogram
from pilotfish.telemetry.series import Attributes, Family, Value


class Deltas:
    """The totals of the last collection, and when it was.

    Not thread-safe: its reader collects one at a time.
    """

    def __init__(self, start_unix_ns: int) -> None:
        self._since = start_unix_ns
        self._totals: Mapping[str, Mapping[Attributes, Value]] = {}
        self._next: dict[str, Mapping[Attributes, Value]] = {}

    @property
    def since_unix_ns(self) -> int:
        """When the present interval began: the start timestamp of its points."""
        return self._since

    def take(self, family: Family) -> dict[Attributes, Value]:
        """The change of every series since the last collection. A series without one has no point."""
        before = self._totals.get(family.metric.name, {})
        self._next[family.metric.name] = dict(family.series)
        changes = ((at, difference(value, before.get(at))) for at, value in family.series.items())
        return {at: change for at, change in changes if _counts(change)}

    def finish(self, now_unix_ns: int) -> None:
        """End the interval: the totals of this collection are what the next changes are measured against."""
        self._totals, self._next = self._next, {}
        self._since = now_unix_ns


def difference(value: Value, before: Value | None) -> Value:
    """``value`` less ``before``; all of it when there was none or the count went back, as after a restart."""
    if isinstance(value, Histogram):
        return value.since(before) if isinstance(before, Histogram) else value
    if isinstance(value, Exponential):
        return value.since(before) if isinstance(before, Exponential) else value
    if isinstance(before, (int, float)) and before <= value:
        return value - before
    return value


def _counts(change: Value) -> bool:
    return bool(change.count if isinstance(change, (Histogram, Exponential)) else change)
