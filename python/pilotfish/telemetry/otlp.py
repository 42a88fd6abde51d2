"""The OTLP exporters of the OpenTelemetry SDK, by signal and protocol.

A module of its own, imported where an exporter is made: they bring protobuf along, which a sidecar that
sends nothing does without.
"""

from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter

METRICS: dict[str, type[GrpcMetricExporter] | type[HttpMetricExporter]] = {
    "grpc": GrpcMetricExporter,
    "http": HttpMetricExporter,
}
SPANS: dict[str, type[GrpcSpanExporter] | type[HttpSpanExporter]] = {
    "grpc": GrpcSpanExporter,
    "http": HttpSpanExporter,
}
LOGS: dict[str, type[GrpcLogExporter] | type[HttpLogExporter]] = {
    "grpc": GrpcLogExporter,
    "http": HttpLogExporter,
}
