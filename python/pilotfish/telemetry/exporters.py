"""Destinations -> exporters of the OpenTelemetry SDK."""

import logging
import sys
from collections.abc import Sequence

from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult

from pilotfish.telemetry import compat
from pilotfish.telemetry.backlog import Backlog
from pilotfish.telemetry.environment import Destination
from pilotfish.telemetry.reader import PortionedExporter

_log = logging.getLogger(__name__)


def metric_exporter(to: Destination) -> MetricExporter:
    """An exporter of metrics, in portions."""
    if to.kind == "console":
        return ConsoleMetricExporter(out=sys.stdout)
    from pilotfish.telemetry import otlp

    make = otlp.METRICS[to.protocol]
    return PortionedExporter(make(endpoint=to.endpoint, timeout=to.timeout_seconds))


def span_exporter(to: Destination) -> SpanExporter:
    """An exporter of spans."""
    if to.kind == "console":
        return ConsoleSpanExporter(out=sys.stdout)
    from pilotfish.telemetry import otlp

    make = otlp.SPANS[to.protocol]
    return make(endpoint=to.endpoint, timeout=to.timeout_seconds)


def log_exporter(to: Destination) -> compat.LogRecordExporter:
    """An exporter of log records."""
    if to.kind == "console":
        return compat.ConsoleLogRecordExporter(out=sys.stdout)
    from pilotfish.telemetry import otlp

    make = otlp.LOGS[to.protocol]
    return make(endpoint=to.endpoint, timeout=to.timeout_seconds)


class CountedSpans(SpanExporter):
    """Reports the fate of every span to a backlog."""

    def __init__(self, exporter: SpanExporter, backlog: Backlog) -> None:
        self._exporter = exporter
        self._backlog = backlog

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, and count."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - such as a channel that was closed at the deadline
            _log.warning("spans could not be exported: %s", error)
        finally:
            self._backlog.settle(len(spans), result is SpanExportResult.SUCCESS)
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back here."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Shut the real exporter down."""
        self._exporter.shutdown()


class CountedLogs(compat.LogRecordExporter):
    """Reports the fate of every log record to a backlog."""

    def __init__(self, exporter: compat.LogRecordExporter, backlog: Backlog) -> None:
        self._exporter = exporter
        self._backlog = backlog

    def export(self, batch: Sequence[compat.ReadableLogRecord]) -> compat.LogRecordExportResult:
        """Export, and count."""
        result = compat.LogRecordExportResult.FAILURE
        try:
            result = self._exporter.export(batch)
        except Exception as error:  # noqa: BLE001 - such as a channel that was closed at the deadline
            _log.warning("log records could not be exported: %s", error)
        finally:
            self._backlog.settle(len(batch), result is compat.LogRecordExportResult.SUCCESS)
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back here."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Shut the real exporter down."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
