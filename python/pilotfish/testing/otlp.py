"""OTLP messages -> plain values, so that a test or a page needs no protobuf to look at them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status

Kind = Literal["sum", "gauge", "histogram", "exponential_histogram"]


@dataclass(frozen=True)
class Buckets:
    """Counts of an exponential histogram: ``counts[i]`` belongs to bucket ``offset + i``."""

    offset: int
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Distribution:
    """The value of a histogram point, of either kind."""

    count: int
    sum: float
    min: float | None
    max: float | None
    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    scale: int | None = None
    """Only of exponential histograms, as are the following."""
    zero_count: int = 0
    positive: Buckets = Buckets(0, ())
    negative: Buckets = Buckets(0, ())


@dataclass(frozen=True)
class Point:
    """One data point of a metric."""

    name: str
    kind: Kind
    unit: str
    description: str
    temporality: Literal["cumulative", "delta"] | None
    monotonic: bool
    attributes: Mapping[str, Any]
    value: int | float | Distribution
    start_unix_ns: int
    time_unix_ns: int
    scope: str
    schema_url: str
    resource: Mapping[str, Any]

    @property
    def distribution(self) -> Distribution:
        """The value of a histogram. Raises TypeError for a number."""
        if not isinstance(self.value, Distribution):
            raise TypeError(f"{self.name} is a {self.kind}, not a histogram")
        return self.value

    def fits(self, name: str, attributes: Mapping[str, object]) -> bool:
        """Whether the point is of this metric and has these attributes; their dots may be written ``_``."""
        if self.name != name:
            return False
        held = {key.replace(".", "_"): value for key, value in self.attributes.items()}
        return all(held.get(key.replace(".", "_")) == value for key, value in attributes.items())


@dataclass(frozen=True)
class Span:
    """One span."""

    name: str
    kind: str
    """``server``, ``client``..."""
    trace_id: str
    """Hexadecimal, as are the other ids."""
    span_id: str
    parent_span_id: str
    """Empty for a root."""
    trace_state: str
    start_unix_ns: int
    end_unix_ns: int
    attributes: Mapping[str, Any]
    status: str
    """``unset``, ``ok`` or ``error``."""
    message: str
    resource: Mapping[str, Any]


@dataclass(frozen=True)
class LogRecord:
    """One log record; an event has a name."""

    event_name: str
    severity: str
    body: Any
    attributes: Mapping[str, Any]
    trace_id: str
    span_id: str
    time_unix_ns: int
    resource: Mapping[str, Any]


def read_metrics(request: ExportMetricsServiceRequest) -> Iterator[Point]:
    """All points of a request."""
    for group in request.resource_metrics:
        resource = read_attributes(group.resource.attributes)
        for scoped in group.scope_metrics:
            for metric in scoped.metrics:
                yield from _points(metric, scoped.scope.name, scoped.schema_url, resource)


def read_spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """All spans of a request."""
    for group in request.resource_spans:
        resource = read_attributes(group.resource.attributes)
        for scoped in group.scope_spans:
            for span in scoped.spans:
                yield Span(
                    name=span.name,
                    kind=SpanMessage.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_span_id=span.parent_span_id.hex(),
                    trace_state=span.trace_state,
                    start_unix_ns=span.start_time_unix_nano,
                    end_unix_ns=span.end_time_unix_nano,
                    attributes=read_attributes(span.attributes),
                    status=Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_").lower(),
                    message=span.status.message,
                    resource=resource,
                )


def read_logs(request: ExportLogsServiceRequest) -> Iterator[LogRecord]:
    """All log records of a request."""
    for group in request.resource_logs:
        resource = read_attributes(group.resource.attributes)
        for scoped in group.scope_logs:
            for record in scoped.log_records:
                yield LogRecord(
                    event_name=record.event_name,
                    severity=record.severity_text,
                    body=_value(record.body),
                    attributes=read_attributes(record.attributes),
                    trace_id=record.trace_id.hex(),
                    span_id=record.span_id.hex(),
                    time_unix_ns=record.time_unix_nano,
                    resource=resource,
                )


def read_attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes as a dictionary; values are str, bool, int, float, bytes, list, dict or None."""
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    field = value.WhichOneof("value")
    if field is None:
        return None
    if field == "array_value":
        return [_value(item) for item in value.array_value.values]
    if field == "kvlist_value":
        return read_attributes(value.kvlist_value.values)
    return getattr(value, field)


def _points(metric: Metric, scope: str, schema_url: str, resource: Mapping[str, Any]) -> Iterator[Point]:
    field = metric.WhichOneof("data")
    if field not in ("sum", "gauge", "histogram", "exponential_histogram"):
        return
    kind: Kind = field
    data: Any = getattr(metric, kind)
    for point in data.data_points:
        yield Point(
            name=metric.name,
            kind=kind,
            unit=metric.unit,
            description=metric.description,
            temporality=None if kind == "gauge" else _temporality(data.aggregation_temporality),
            monotonic=kind == "sum" and data.is_monotonic,
            attributes=read_attributes(point.attributes),
            value=_point_value(kind, point),
            start_unix_ns=point.start_time_unix_nano,
            time_unix_ns=point.time_unix_nano,
            scope=scope,
            schema_url=schema_url,
            resource=resource,
        )


def _temporality(value: int) -> Literal["cumulative", "delta"]:
    return "delta" if value == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA else "cumulative"


def _point_value(kind: Kind, point: Any) -> int | float | Distribution:
    if kind in ("sum", "gauge"):
        value: int | float = getattr(point, point.WhichOneof("value"))
        return value
    common = {
        "count": point.count,
        "sum": point.sum,
        "min": point.min if point.HasField("min") else None,
        "max": point.max if point.HasField("max") else None,
    }
    if kind == "histogram":
        return Distribution(**common, bounds=tuple(point.explicit_bounds), counts=tuple(point.bucket_counts))
    return Distribution(
        **common,
        scale=point.scale,
        zero_count=point.zero_count,
        positive=Buckets(point.positive.offset, tuple(point.positive.bucket_counts)),
        negative=Buckets(point.negative.offset, tuple(point.negative.bucket_counts)),
    )
