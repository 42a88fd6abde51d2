"""The telemetry of one sidecar: builds readers and exporters, and stops them under one deadline."""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import structlog
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from pilotfish import __version__, log
from pilotfish.call import KeptCall
from pilotfish.settings.reporting import TelemetrySettings
from pilotfish.telemetry import compat, environment, exporters, garbage, names
from pilotfish.telemetry.backlog import Backlog
from pilotfish.telemetry.cardinality import Cardinality
from pilotfish.telemetry.events import from_alarm
from pilotfish.telemetry.logs import LogQueue, Logs
from pilotfish.telemetry.methods import Methods
from pilotfish.telemetry.names import OUTCOME, PROCESS_SCOPE, SCHEMA_URL, SIGNAL
from pilotfish.telemetry.process import Process
from pilotfish.telemetry.prometheus import exposition
from pilotfish.telemetry.reader import SnapshotReader
from pilotfish.telemetry.readings import (
    joined,
    read,
    read_certificates,
    read_counters,
    read_reloads,
)
from pilotfish.telemetry.resource import resource
from pilotfish.telemetry.series import Collection
from pilotfish.telemetry.stopping import Part, stop_together
from pilotfish.telemetry.traces import SpanQueue, Traces

SHUTDOWN_SECONDS = 3.0
"""Default deadline of :meth:`Telemetry.shutdown`."""

_log = structlog.get_logger("pilotfish.telemetry")
_QUEUE_SIZE = 2048  # the SDK's defaults
_BATCH_SIZE = 512
_PIECE_FEATURES = 64
"""Features whose JSON is read at once: a millisecond or so in which no other Python thread runs."""


class Snapshots(Protocol):
    """What telemetry needs of the engine."""

    def snapshot(self, now_ns: int, detail: bool = False) -> bytes:
        """All numbers as JSON."""

    def snapshot_pieces(self, now_ns: int, detail: bool, features: int) -> list[bytes]:
        """The same in pieces: see ``_core.Engine``."""


class Certificates(Protocol):
    """What telemetry needs of the certificates."""

    def states(self) -> bytes:
        """How each stands, as JSON."""


class Telemetry:
    """Metrics, traces and logs of one sidecar.

    ``methods`` are recognised RPC methods beside the built-in ones; ``reloads`` and ``counters`` are asked
    for the counts that are not the engine's, at every collection. Nothing is sent before :meth:`start`, and
    only what settings or ``OTEL_*`` variables ask for.
    """

    def __init__(
        self,
        settings: TelemetrySettings,
        engine: Snapshots,
        *,
        methods: Iterable[str] = (),
        certificates: Certificates | None = None,
        reloads: Callable[[], Mapping[str | None, int]] = dict,
        counters: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._certificates = certificates
        self._reloads = reloads
        self._counters = counters
        self._methods = Methods(methods)
        self._resource = resource(settings.resource)
        self._cardinality = Cardinality()
        self._process = Process()
        self._backlogs: list[tuple[str, Backlog]] = []
        self._parts: list[Part] = []
        self._traces: Traces | None = None
        self._logs: Logs | None = None

    def start(self) -> None:
        """Start the exporters that are asked for.

        Returns at once: an unreachable receiver is not waited for.
        """
        plan = environment.plan(self._settings, os.environ)
        for warning in plan.warnings:
            _log.warning(warning)
        if plan.metrics:
            self._start_metrics(plan)
        if plan.traces:
            sampler = environment.sampler(os.environ)
            queues = tuple(self._span_queue(destination) for destination in plan.traces)
            self._traces = Traces(queues, self._resource, self._methods, sampler)
        if plan.logs:
            self._logs = Logs(
                tuple(self._log_queue(destination) for destination in plan.logs), self._resource
            )
            log.mirror(self._logs.line)

    @property
    def tracing(self) -> bool:
        """Whether spans are made of kept calls: settled once it has started."""
        return self._traces is not None

    def keep(self, call: KeptCall) -> None:
        """Make spans of a kept call. Takes microseconds, never blocks, never raises."""
        if self._traces is None:
            return
        try:
            self._traces.keep(call)
        except Exception:  # noqa: BLE001 - the call has been answered; whatever is wrong with its trace is not its problem
            _log.exception("a kept call could not be traced")

    def event(self, name: str, attributes: Mapping[str, Any], body: str, severity: str | None = None) -> None:
        """Emit a log record with an ``event_name``, such as ``pilotfish.drift.detected``. Never blocks.

        Without a ``severity`` it is the registered one.
        """
        if self._logs is not None:
            self._logs.event(name, severity or names.severity(name), attributes, body)

    def alarm(self, alarm: Mapping[str, Any]) -> None:
        """Emit the event of an alarm, from its JSON as ``Engine.alarms`` gives it."""
        event = from_alarm(alarm)
        self.event(event.name, event.attributes, event.body)

    def prometheus(self) -> bytes:
        """The Prometheus page. Works whether or not anything was started."""
        with garbage.held_back():
            collection = self._collect(detail=False)
            collection.join(self._process.readings())
            return exposition(collection, self._resource.attributes)

    def shutdown(self, deadline_seconds: float = SHUTDOWN_SECONDS) -> bool:
        """Send what is left and stop, all exporters at the same time.

        True when everything ended in time. What does not end before the deadline is cut off: a receiver that
        does not answer costs its data, not more.
        """
        if self._logs is not None:
            log.unmirror(self._logs.line)
        self._traces = self._logs = None
        parts, self._parts = self._parts, []
        in_time = stop_together(parts, deadline_seconds)
        if not in_time:
            _log.warning(
                "cut_off", after_seconds=deadline_seconds, hint="is the OpenTelemetry receiver there?"
            )
        return in_time

    def _collect(self, detail: bool) -> Collection:
        snapshot = joined(self._engine.snapshot_pieces(time.monotonic_ns(), detail, _PIECE_FEATURES))
        collection = read(snapshot)
        read_reloads(self._reloads(), collection)
        read_counters(self._counters(), collection)
        if self._certificates is not None:
            read_certificates(json.loads(self._certificates.states()), time.time(), collection)
        for signal, backlog in self._backlogs:
            for outcome, count in backlog.outcomes().items():
                collection.add("pilotfish.telemetry.records", count, {SIGNAL: signal, OUTCOME: outcome})
        self._cardinality.limit(collection)
        return collection

    def _start_metrics(self, plan: environment.Plan) -> None:
        began = self._began()
        for destination in plan.metrics:
            exporter = exporters.metric_exporter(destination)
            reader = SnapshotReader(exporter, self._collect_detail, began, plan.interval_seconds)
            # One provider for each destination: a provider stops its readers one after the other.
            provider = MeterProvider([reader], self._resource, shutdown_on_exit=False)
            self._process.register(provider.get_meter(PROCESS_SCOPE, __version__, SCHEMA_URL))
            self._parts.append(Part(provider.shutdown, exporter.shutdown))

    def _collect_detail(self) -> Collection:
        return self._collect(detail=True)

    def _began(self) -> int:
        uptime = json.loads(self._engine.snapshot(time.monotonic_ns(), False))["uptime_seconds"]
        return time.time_ns() - int(uptime * 1e9)

    def _span_queue(self, destination: environment.Destination) -> SpanQueue:
        size = environment.positive(os.environ, "OTEL_BSP_MAX_QUEUE_SIZE", _QUEUE_SIZE)
        batch = environment.positive(os.environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", _BATCH_SIZE)
        backlog = self._backlog("traces", size)
        exporter = exporters.CountedSpans(exporters.span_exporter(destination), backlog)
        processor = BatchSpanProcessor(exporter, max_queue_size=size, max_export_batch_size=min(batch, size))
        self._parts.append(Part(processor.shutdown, exporter.shutdown))
        return SpanQueue(processor, backlog)

    def _log_queue(self, destination: environment.Destination) -> LogQueue:
        size = environment.positive(os.environ, "OTEL_BLRP_MAX_QUEUE_SIZE", _QUEUE_SIZE)
        batch = environment.positive(os.environ, "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", _BATCH_SIZE)
        backlog = self._backlog("logs", size)
        exporter = exporters.CountedLogs(exporters.log_exporter(destination), backlog)
        processor = compat.BatchLogRecordProcessor(
            exporter, max_queue_size=size, max_export_batch_size=min(batch, size)
        )
        self._parts.append(Part(processor.shutdown, exporter.shutdown))
        return LogQueue(processor, backlog)

    def _backlog(self, signal: str, size: int) -> Backlog:
        backlog = Backlog(size)
        self._backlogs.append((signal, backlog))
        return backlog
