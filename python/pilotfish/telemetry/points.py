"""Families of series -> hand-built OpenTelemetry data points. Pure.

Hand-built because every number is already aggregated in the core: recording each call through the
OpenTelemetry API would cost more than the whole call path may.
"""

from collections.abc import Mapping

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    DataT,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData

from pilotfish.telemetry import compat
from pilotfish.telemetry.delta import Deltas
from pilotfish.telemetry.histogram import Exponential, Histogram
from pilotfish.telemetry.names import Instrument
from pilotfish.telemetry.series import Attributes, Family, Value

_DELTA = AggregationTemporality.DELTA


class Points:
    """Builds the points of one OTLP stream in the temporality its receiver prefers."""

    def __init__(
        self, temporalities: Mapping[Instrument, AggregationTemporality], start_unix_ns: int
    ) -> None:
        self._temporalities = temporalities
        self._start = start_unix_ns
        self._deltas = Deltas(start_unix_ns)

    def metric(self, family: Family, now_unix_ns: int) -> Metric | None:
        """The family as an OpenTelemetry metric; None when there is nothing to say."""
        temporality = self._temporalities[family.metric.instrument]
        delta = temporality is _DELTA
        series = self._deltas.take(family) if delta else family.series
        if not series:
            return None
        start = self._deltas.since_unix_ns if delta else self._start
        data = _data(family.metric.instrument, series, temporality, start, now_unix_ns)
        return Metric(family.metric.name, family.metric.description, family.metric.unit, data)

    def finish(self, now_unix_ns: int) -> None:
        """End the collection that was made at ``now_unix_ns``."""
        self._deltas.finish(now_unix_ns)


def _data(
    instrument: Instrument,
    series: Mapping[Attributes, Value],
    temporality: AggregationTemporality,
    start: int,
    now: int,
) -> DataT:
    if instrument == "histogram":
        return HistogramData([_histogram(at, value, start, now) for at, value in series.items()], temporality)
    if instrument == "exponential_histogram":
        points = [_exponential(at, value, start, now) for at, value in series.items()]
        return ExponentialHistogram(points, temporality)
    if instrument == "gauge":
        return Gauge([_number(at, value, 0, now) for at, value in series.items()])
    return Sum(
        [_number(at, value, start, now) for at, value in series.items()], temporality, instrument == "counter"
    )


def _number(attributes: Attributes, value: Value, start: int, now: int) -> NumberDataPoint:
    assert isinstance(value, (int, float))
    return NumberDataPoint(dict(attributes), start, now, value)


def _histogram(attributes: Attributes, value: Value, start: int, now: int) -> HistogramDataPoint:
    assert isinstance(value, Histogram)
    return compat.histogram_point(
        attributes=dict(attributes),
        start_time_unix_nano=start,
        time_unix_nano=now,
        count=value.count,
        sum=value.sum,
        bucket_counts=value.counts,
        explicit_bounds=value.bounds,
        minimum=value.min,
        maximum=value.max,
    )


def _exponential(attributes: Attributes, value: Value, start: int, now: int) -> ExponentialHistogramDataPoint:
    assert isinstance(value, Exponential)
    return compat.exponential_point(
        attributes=dict(attributes),
        start_time_unix_nano=start,
        time_unix_nano=now,
        count=value.count,
        sum=value.sum,
        scale=value.scale,
        zero_count=value.zero_count,
        positive=Buckets(value.positive.offset, value.positive.counts),
        negative=Buckets(value.negative.offset, value.negative.counts),
        minimum=value.min,
        maximum=value.max,
    )
