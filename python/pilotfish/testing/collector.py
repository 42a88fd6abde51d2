"""An OpenTelemetry receiver inside the process, which really decodes: for tests and for the demo.

It speaks OTLP over gRPC and over HTTP on ports of its own choice and turns what arrives into plain values.
Waiting is by condition: :meth:`Collector.wait` returns the moment the awaited thing is there.
"""

import gzip
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from concurrent import futures
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from pilotfish.testing.otlp import LogRecord, Point, Span, read_logs, read_metrics, read_spans

T = TypeVar("T")

_OPTIONS = (("grpc.max_receive_message_length", 64 * 1024 * 1024), ("grpc.so_reuseport", 0))


@dataclass(frozen=True)
class _Signal:
    service: str
    path: str
    request: type[Message]
    response: type[Message]


_SIGNALS = (
    _Signal(
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
        "/v1/metrics",
        metrics_service_pb2.ExportMetricsServiceRequest,
        metrics_service_pb2.ExportMetricsServiceResponse,
    ),
    _Signal(
        "opentelemetry.proto.collector.trace.v1.TraceService",
        "/v1/traces",
        trace_service_pb2.ExportTraceServiceRequest,
        trace_service_pb2.ExportTraceServiceResponse,
    ),
    _Signal(
        "opentelemetry.proto.collector.logs.v1.LogsService",
        "/v1/logs",
        logs_service_pb2.ExportLogsServiceRequest,
        logs_service_pb2.ExportLogsServiceResponse,
    ),
)
_PATHS = {signal.path: signal for signal in _SIGNALS}


class Collector:
    """Receives OTLP while it is open; use it as a context manager.

    ``remember`` bounds how many points, spans and log records are kept, the oldest going first.
    """

    def __init__(self, host: str = "127.0.0.1", remember: int = 100_000) -> None:
        self._host = host
        self._changed = threading.Condition()
        self._points: deque[Point] = deque(maxlen=remember)
        self._spans: deque[Span] = deque(maxlen=remember)
        self._logs: deque[LogRecord] = deque(maxlen=remember)
        self._requests = 0
        self._grpc, self._grpc_port = self._start_grpc()
        self._http: ThreadingHTTPServer | None = None

    def __enter__(self) -> "Collector":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop receiving. What arrived can still be read."""
        self._grpc.stop(grace=0).wait()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()

    # === where ===

    @property
    def grpc_endpoint(self) -> str:
        """URL for the protocol ``grpc``."""
        return f"http://{self._host}:{self._grpc_port}"

    @property
    def http_endpoint(self) -> str:
        """URL for the protocol ``http``, without the path of a signal; its server starts when first asked."""
        with self._changed:
            if self._http is None:
                self._http = self._start_http()
        return f"http://{self._host}:{self._http.server_address[1]}"

    # === what arrived ===

    @property
    def points(self) -> list[Point]:
        """Data points of metrics, oldest first."""
        with self._changed:
            return list(self._points)

    @property
    def spans(self) -> list[Span]:
        """Spans, oldest first."""
        with self._changed:
            return list(self._spans)

    @property
    def logs(self) -> list[LogRecord]:
        """Log records and events, oldest first."""
        with self._changed:
            return list(self._logs)

    @property
    def requests(self) -> int:
        """How many export requests arrived."""
        with self._changed:
            return self._requests

    def latest(self, metric: str, **attributes: object) -> Point | None:
        """The newest point of a metric that has these attributes; write ``_`` for a dot (``rpc_method``)."""
        return next((point for point in reversed(self.points) if point.fits(metric, attributes)), None)

    def wait(self, condition: Callable[["Collector"], T | None], timeout: float = 10.0) -> T:
        """Wait until ``condition(self)`` is neither None nor false, and return it. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (found := condition(self)):
                if (
                    not self._changed.wait(max(deadline - time.monotonic(), 0.0))
                    and time.monotonic() >= deadline
                ):
                    raise TimeoutError(self._summary(timeout))
            return found

    def _summary(self, timeout: float) -> str:
        names = sorted({point.name for point in self._points})
        return (
            f"nothing that fits within {timeout} s; {self._requests} requests brought "
            f"{len(self._spans)} spans, "
            f"{len(self._logs)} log records, metrics: {names}"
        )

    # === receiving ===

    def receive(self, request: Message) -> None:
        """Take a decoded export request of any of the three signals."""
        with self._changed:
            self._requests += 1
            if isinstance(request, metrics_service_pb2.ExportMetricsServiceRequest):
                self._points.extend(read_metrics(request))
            elif isinstance(request, trace_service_pb2.ExportTraceServiceRequest):
                self._spans.extend(read_spans(request))
            elif isinstance(request, logs_service_pb2.ExportLogsServiceRequest):
                self._logs.extend(read_logs(request))
            self._changed.notify_all()

    def _start_grpc(self) -> tuple[grpc.Server, int]:
        server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=4, thread_name_prefix="collector"),
            options=_OPTIONS,
        )
        server.add_generic_rpc_handlers(tuple(self._service(signal) for signal in _SIGNALS))
        port = server.add_insecure_port(f"{self._host}:0")
        server.start()
        return server, port

    def _service(self, signal: _Signal) -> grpc.GenericRpcHandler:
        def export(request: Message, _: grpc.ServicerContext) -> Message:
            self.receive(request)
            return signal.response()

        handler = grpc.unary_unary_rpc_method_handler(
            export,
            request_deserializer=signal.request.FromString,
            response_serializer=signal.response.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(signal.service, {"Export": handler})

    def _start_http(self) -> ThreadingHTTPServer:
        collector = self

        class Handler(_Handler):
            def received(self, request: Message) -> None:
                collector.receive(request)

        server = ThreadingHTTPServer((self._host, 0), Handler)
        threading.Thread(
            target=server.serve_forever, args=(0.05,), name="collector-http", daemon=True
        ).start()
        return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def received(self, request: Message) -> None:
        raise NotImplementedError

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        signal = _PATHS.get(self.path)
        if signal is None:
            self._answer(404, b"")
            return
        request = signal.request()
        try:
            request.ParseFromString(_inflated(body, self.headers.get("content-encoding", "")))
        except (DecodeError, OSError, zlib.error):
            self._answer(400, b"")
            return
        self.received(request)
        self._answer(200, signal.response().SerializeToString())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name given by the base class
        """Say nothing."""


def _inflated(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    return zlib.decompress(body) if encoding == "deflate" else body


def names(points: Iterable[Point]) -> dict[str, int]:
    """How many points of each metric arrived."""
    counts: dict[str, int] = {}
    for point in points:
        counts[point.name] = counts.get(point.name, 0) + 1
    return counts
