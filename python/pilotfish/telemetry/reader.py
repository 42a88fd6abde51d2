"""The metric reader: once per interval, the SDK's own points and ours go out together.

A subclass of the SDK's reader, so that its exporters, timers and ``OTEL_*`` variables work as everywhere
else.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.sdk.metrics.export import (
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from pilotfish import __version__
from pilotfish.telemetry import compat, garbage
from pilotfish.telemetry.names import SCHEMA_URL, SCOPE
from pilotfish.telemetry.points import Points
from pilotfish.telemetry.series import Collection

_log = logging.getLogger(__name__)

POINTS_PER_REQUEST = 256
"""Encoding holds the interpreter lock, about 20 ms for a thousand points; so a request carries fewer."""


class SnapshotReader(compat.AppendingReader):
    """Adds the families that ``collect`` returns to every export.

    ``start_unix_ns`` is when the totals began to be counted.
    """

    def __init__(
        self,
        exporter: MetricExporter,
        collect: Callable[[], Collection],
        start_unix_ns: int,
        interval_seconds: float | None,
    ) -> None:
        self._collect_families = collect
        self._points = Points(compat.temporalities(exporter), start_unix_ns)
        # Last: it starts the thread that uses all of the above.
        super().__init__(exporter, interval_seconds * 1e3 if interval_seconds is not None else None)

    def appended(self, metrics_data: MetricsData) -> MetricsData:
        """The SDK's points and ours; only the SDK's when the snapshot cannot be read."""
        try:
            with garbage.held_back():
                ours = ScopeMetrics(_scope(), list(self._metrics_now()), SCHEMA_URL)
        except Exception:  # noqa: BLE001 - a telemetry defect must not stop the SDK's thread for good
            _log.exception("pilotfish metrics could not be collected; only process metrics are exported")
            return metrics_data
        resource = metrics_data.resource_metrics[0]
        joined = replace(resource, scope_metrics=[*resource.scope_metrics, ours])
        return MetricsData([joined, *metrics_data.resource_metrics[1:]])

    def _metrics_now(self) -> Iterator[Metric]:
        families = self._collect_families()
        now = time.time_ns()
        for family in families:
            metric = self._points.metric(family, now)
            if metric is not None:
                yield metric
            time.sleep(0)  # let the event loop have the interpreter lock between metrics
        self._points.finish(now)


class PortionedExporter(MetricExporter):
    """Splits large exports into requests of ``POINTS_PER_REQUEST`` points; gives up at the first failure.

    The exporters can split by themselves, but the gRPC one then waits the whole time-out for every part when
    the receiver is gone.
    """

    def __init__(self, exporter: MetricExporter) -> None:
        super().__init__(**compat.preferences(exporter))
        self._exporter = exporter

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object
    ) -> MetricExportResult:
        """Export all portions in order."""
        for portion in portions(metrics_data, POINTS_PER_REQUEST):
            try:
                result = self._exporter.export(portion, timeout_millis=timeout_millis, **kwargs)
            except Exception as error:  # noqa: BLE001 - such as a channel that was closed at the deadline
                _log.warning("metrics could not be exported: %s", error)
                return MetricExportResult.FAILURE
            if result is not MetricExportResult.SUCCESS:
                return result
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is held back here."""
        return self._exporter.force_flush(timeout_millis=timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        """Shut the real exporter down."""
        self._exporter.shutdown(timeout_millis=timeout_millis, **kwargs)


def portions(metrics_data: MetricsData, limit: int) -> Iterator[MetricsData]:
    """Split by whole points, keeping resource, scope and metric around every part."""
    for resource in metrics_data.resource_metrics:
        portion: list[tuple[ScopeMetrics, Metric]] = []
        points = 0
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for part in _parts(metric, limit):
                    size = len(part.data.data_points)
                    if points + size > limit:
                        yield _portion(resource, portion)
                        portion, points = [], 0
                    portion.append((scope, part))
                    points += size
        if portion:
            yield _portion(resource, portion)


def _parts(metric: Metric, limit: int) -> Iterator[Metric]:
    points: Sequence[Any] = metric.data.data_points
    if len(points) <= limit:
        yield metric
        return
    for first in range(0, len(points), limit):
        data: Any = replace(metric.data, data_points=points[first : first + limit])  # type: ignore[arg-type]
        yield replace(metric, data=data)


def _portion(resource: ResourceMetrics, metrics: list[tuple[ScopeMetrics, Metric]]) -> MetricsData:
    scopes: dict[int, tuple[ScopeMetrics, list[Metric]]] = {}
    for scope, metric in metrics:
        scopes.setdefault(id(scope), (scope, []))[1].append(metric)
    return MetricsData(
        [replace(resource, scope_metrics=[replace(scope, metrics=held) for scope, held in scopes.values()])]
    )


def _scope() -> InstrumentationScope:
    return InstrumentationScope(SCOPE, __version__, SCHEMA_URL)
