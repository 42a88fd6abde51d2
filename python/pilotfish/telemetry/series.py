"""Series: what one collection holds, before it takes the form OTLP or Prometheus wants.

Both outputs are made from the same families, so they cannot tell different stories.
"""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from pilotfish.telemetry.histogram import Exponential, Histogram
from pilotfish.telemetry.names import Metric, metric

AttributeValue: TypeAlias = str | int | float | bool
Attributes: TypeAlias = tuple[tuple[str, AttributeValue], ...]
"""Sorted by name, so that equal sets are equal keys."""
Value: TypeAlias = int | float | Histogram | Exponential


class Family:
    """All series of one metric in one collection."""

    __slots__ = ("metric", "series")

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.series: dict[Attributes, Value] = {}

    def add(self, value: Value, attributes: Attributes) -> None:
        """Add to the series with these attributes; a gauge takes the last value instead."""
        present = self.series.get(attributes)
        if present is None or self.metric.instrument == "gauge":
            self.series[attributes] = value
        else:
            self.series[attributes] = added(present, value)


class Collection:
    """The families of one collection, in the order of their first series."""

    __slots__ = ("_families",)

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def __iter__(self) -> Iterator[Family]:
        return iter(self._families.values())

    def __getitem__(self, name: str) -> Family:
        return self._families[name]

    def __contains__(self, name: str) -> bool:
        return name in self._families

    def add(
        self, name: str, value: Value | None, attributes: Mapping[str, AttributeValue | None] | None = None
    ) -> None:
        """Add a value to a registered metric. None is no value; an attribute that is None is left out."""
        if value is None:
            return
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = Family(metric(name))
        family.add(value, key(attributes or {}))

    def join(self, other: "Collection") -> None:
        """Take over the families of another collection; the two must not share a metric."""
        self._families.update(other._families)


def key(attributes: Mapping[str, AttributeValue | None]) -> Attributes:
    """Attributes as a key of a series."""
    return tuple(sorted((name, value) for name, value in attributes.items() if value is not None))


def added(a: Value, b: Value) -> Value:
    """The sum of two values of one metric. Raises TypeError when they are of different kinds."""
    if isinstance(a, Histogram) and isinstance(b, Histogram):
        return a.plus(b)
    if isinstance(a, Exponential) and isinstance(b, Exponential):
        return a.plus(b)
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a + b
    raise TypeError(f"a {type(a).__name__} and a {type(b).__name__} are not values of one metric")
