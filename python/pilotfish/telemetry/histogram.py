"""Histograms with fixed bounds and with base-2 exponential buckets, as plain values that add and subtract.

They exist because the core counts from its start and never resets: adding folds series into one, subtracting
two snapshots gives the delta some OTLP receivers prefer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts between fixed bounds.

    ``counts`` has one cell more than ``bounds``; bucket i is (bounds[i-1], bounds[i]].
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    count: int
    sum: float
    min: float | None
    max: float | None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Histogram":
        """Read a histogram of the snapshot."""
        return cls(
            tuple(value["bounds"]),
            tuple(value["counts"]),
            value["count"],
            float(value["sum"]),
            value.get("min") if value["count"] else None,
            value.get("max") if value["count"] else None,
        )

    def plus(self, other: "Histogram") -> "Histogram":
        """Both together. Raises ValueError when the bounds differ: such histograms cannot be added."""
        if self.bounds != other.bounds:
            raise ValueError(f"histograms with bounds {self.bounds} and {other.bounds} cannot be added")
        return Histogram(
            self.bounds,
            tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
            self.count + other.count,
            self.sum + other.sum,
            _least(self.min, other.min),
            _greatest(self.max, other.max),
        )

    def since(self, earlier: "Histogram") -> "Histogram":
        """What came after ``earlier``, a snapshot of the same series.

        Everything, when the counts went back: a restart. The least and greatest value of a part are not
        known, so they are None.
        """
        if self.bounds != earlier.bounds or self.count < earlier.count:
            return self
        return Histogram(
            self.bounds,
            tuple(a - b for a, b in zip(self.counts, earlier.counts, strict=True)),
            self.count - earlier.count,
            self.sum - earlier.sum,
            None,
            None,
        )


@dataclass(frozen=True, slots=True)
class Buckets:
    """One side of an exponential histogram: ``counts[i]`` belongs to bucket ``offset + i``."""

    offset: int
    counts: tuple[int, ...]

    def at_lower_scale(self, steps: int) -> "Buckets":
        """The same counts at a scale that is ``steps`` lower: 2**steps neighbours become one bucket."""
        if steps == 0 or not self.counts:
            return self
        # Python's >> rounds towards minus infinity, which is what the OpenTelemetry data model asks for.
        first = self.offset >> steps
        counts = [0] * (((self.offset + len(self.counts) - 1) >> steps) - first + 1)
        for index, count in enumerate(self.counts, start=self.offset):
            counts[(index >> steps) - first] += count
        return Buckets(first, tuple(counts))

    def combined(self, other: "Buckets", sign: int) -> "Buckets":
        """Counts of both added (``sign`` 1), or those of ``other`` taken away (-1)."""
        if not self.counts and not other.counts:
            return Buckets(0, ())
        sides = [side for side in (self, other) if side.counts]
        first = min(side.offset for side in sides)
        counts = [0] * (max(side.offset + len(side.counts) for side in sides) - first)
        for side, factor in ((self, 1), (other, sign)):
            for index, count in enumerate(side.counts, start=side.offset - first):
                counts[index] += factor * count
        return _trimmed(first, counts)


@dataclass(frozen=True, slots=True)
class Exponential:
    """Base-2 exponential histogram.

    Bucket i of ``positive`` is (base**i, base**(i+1)] with base = 2**(2**-scale). Source: OpenTelemetry
    metrics data model, "ExponentialHistogram".
    """

    scale: int
    count: int
    sum: float
    min: float | None
    max: float | None
    zero_count: int
    positive: Buckets
    negative: Buckets

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Exponential":
        """Read an exponential histogram of the snapshot."""
        return cls(
            value["scale"],
            value["count"],
            float(value["sum"]),
            value.get("min") if value["count"] else None,
            value.get("max") if value["count"] else None,
            value["zero_count"],
            _buckets(value["positive"]),
            _buckets(value["negative"]),
        )

    def at_scale(self, scale: int) -> "Exponential":
        """The same counts at a scale that is not higher than the present one."""
        steps = self.scale - scale
        return Exponential(
            scale,
            self.count,
            self.sum,
            self.min,
            self.max,
            self.zero_count,
            self.positive.at_lower_scale(steps),
            self.negative.at_lower_scale(steps),
        )

    def plus(self, other: "Exponential") -> "Exponential":
        """Both together, at the lower of the two scales."""
        scale = min(self.scale, other.scale)
        a, b = self.at_scale(scale), other.at_scale(scale)
        return Exponential(
            scale,
            a.count + b.count,
            a.sum + b.sum,
            _least(a.min, b.min),
            _greatest(a.max, b.max),
            a.zero_count + b.zero_count,
            a.positive.combined(b.positive, 1),
            a.negative.combined(b.negative, 1),
        )

    def since(self, earlier: "Exponential") -> "Exponential":
        """What came after ``earlier``, a snapshot of the same series.

        Everything, when the counts went back: a restart.
        """
        if self.count < earlier.count:
            return self
        scale = min(self.scale, earlier.scale)
        a, b = self.at_scale(scale), earlier.at_scale(scale)
        positive, negative = a.positive.combined(b.positive, -1), a.negative.combined(b.negative, -1)
        if min((*positive.counts, *negative.counts, a.zero_count - b.zero_count)) < 0:
            return self
        return Exponential(
            scale,
            a.count - b.count,
            a.sum - b.sum,
            None,
            None,
            a.zero_count - b.zero_count,
            positive,
            negative,
        )


def _buckets(value: Mapping[str, Any]) -> Buckets:
    return Buckets(value["offset"], tuple(value["counts"]))


def _trimmed(offset: int, counts: Sequence[int]) -> Buckets:
    start, end = 0, len(counts)
    while start < end and counts[start] == 0:
        start += 1
    while end > start and counts[end - 1] == 0:
        end -= 1
    return Buckets(offset + start if start < end else 0, tuple(counts[start:end]))


def _least(a: float | None, b: float | None) -> float | None:
    known = [value for value in (a, b) if value is not None]
    return min(known, default=None)


def _greatest(a: float | None, b: float | None) -> float | None:
    known = [value for value in (a, b) if value is not None]
    return max(known, default=None)
