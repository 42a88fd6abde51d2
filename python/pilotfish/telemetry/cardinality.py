"""The cardinality limit: at most 2,000 series per metric; whatever comes later shares one overflow series.

The OpenTelemetry SDK does this for its own instruments (specification, "Cardinality limits"); hand-built
points pass it by, so the same rule is here. Who was there first stays: a series never changes between named
and overflowed.
"""

import threading

from pilotfish.telemetry.names import OVERFLOW, STREAM
from pilotfish.telemetry.series import Attributes, Collection, Family

LIMIT = 2000
_OVERFLOW: Attributes = ((OVERFLOW, True),)


class Cardinality:
    """Remembers which series of each metric are let through.

    Safe to share between the OTLP and the Prometheus side.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._admitted: dict[str, set[Attributes]] = {}
        self._overflows: dict[str, int] = {}

    def limit(self, collection: Collection) -> None:
        """Fold what is too much, in place, and add how much as ``pilotfish.telemetry.overflows``."""
        with self._lock:
            for family in collection:
                self._fold(family)
            for stream, count in self._overflows.items():
                collection.add("pilotfish.telemetry.overflows", count, {STREAM: stream})

    def _fold(self, family: Family) -> None:
        admitted = self._admitted.setdefault(family.metric.name, set())
        outside = [attributes for attributes in family.series if attributes not in admitted]
        room = self._limit - 1 - len(admitted)  # the overflow series is one of the limit
        admitted.update(outside[: max(room, 0)])
        folded = outside[max(room, 0) :]
        for attributes in folded:
            family.add(family.series.pop(attributes), _OVERFLOW)
        if folded:
            # The core never forgets a series, so the most ever folded at once is how many there were.
            before = self._overflows.get(family.metric.name, 0)
            self._overflows[family.metric.name] = max(before, len(folded))
