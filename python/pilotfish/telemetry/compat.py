"""The one place that touches what OpenTelemetry calls private or unfinished.

Python has no MetricProducer (open-telemetry/opentelemetry-python#4768), logs still live under ``_logs``, and
an exporter keeps its temporality preference in a private attribute. When one of them moves, this file
changes and no other.
"""

from collections.abc import Mapping
from typing import Any, cast

from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    ConsoleLogRecordExporter,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter, ObservableUpDownCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    MetricExporter,
    MetricsData,
    PeriodicExportingMetricReader,
)

from pilotfish.telemetry.names import Instrument

__all__ = [
    "AppendingReader",
    "BatchLogRecordProcessor",
    "ConsoleLogRecordExporter",
    "Counter",
    "LogRecord",
    "LogRecordExportResult",
    "LogRecordExporter",
    "Logger",
    "LoggerProvider",
    "ReadableLogRecord",
    "SeverityNumber",
    "exponential_point",
    "histogram_point",
    "preferences",
    "temporalities",
]


class AppendingReader(PeriodicExportingMetricReader):
    """A periodic reader whose subclass may add to what the SDK has collected before it is exported.

    The SDK calls it only when at least one of its own instruments has data.
    """

    def appended(self, metrics_data: MetricsData) -> MetricsData:
        """What to export in place of ``metrics_data``."""
        raise NotImplementedError

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> None:
        super()._receive_metrics(self.appended(metrics_data), timeout_millis=timeout_millis, **kwargs)


def preferences(exporter: MetricExporter) -> dict[str, Any]:
    """Constructor arguments that give a wrapping exporter the preferences of the wrapped one."""
    return {
        "preferred_temporality": exporter._preferred_temporality,
        "preferred_aggregation": exporter._preferred_aggregation,
    }


def temporalities(exporter: MetricExporter) -> Mapping[Instrument, AggregationTemporality]:
    """The temporality an exporter wants for each kind of instrument.

    Ours behave like asynchronous instruments: the totals are kept elsewhere and only looked at.
    """
    preferred: Mapping[type, AggregationTemporality] = exporter._preferred_temporality or {}
    cumulative = AggregationTemporality.CUMULATIVE
    return {
        "counter": preferred.get(ObservableCounter, cumulative),
        "updowncounter": preferred.get(ObservableUpDownCounter, cumulative),
        "gauge": cumulative,
        "histogram": preferred.get(Histogram, cumulative),
        "exponential_histogram": preferred.get(Histogram, cumulative),
    }


def histogram_point(*, minimum: float | None, maximum: float | None, **values: Any) -> HistogramDataPoint:
    """A point that may leave min and max open: the protocol allows it, the SDK's annotations do not."""
    return HistogramDataPoint(min=cast("float", minimum), max=cast("float", maximum), **values)


def exponential_point(
    *, minimum: float | None, maximum: float | None, **values: Any
) -> ExponentialHistogramDataPoint:
    """As :func:`histogram_point`."""
    return ExponentialHistogramDataPoint(
        min=cast("float", minimum), max=cast("float", maximum), flags=0, **values
    )
