"""Log lines and events -> OpenTelemetry log records.

An event is a record with an ``event_name``: something a machine may act on, such as drift detected in a
feature. Payloads are never log records.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from pilotfish import __version__
from pilotfish.telemetry import compat
from pilotfish.telemetry.backlog import Backlog
from pilotfish.telemetry.names import SCHEMA_URL, SCOPE
from pilotfish.telemetry.text import sendable

_SEVERITIES = {
    "debug": compat.SeverityNumber.DEBUG,
    "info": compat.SeverityNumber.INFO,
    "warning": compat.SeverityNumber.WARN,
    "error": compat.SeverityNumber.ERROR,
    "critical": compat.SeverityNumber.FATAL,
}
_TEXTS = {"warning": "WARN", "critical": "FATAL"}
_NOT_ATTRIBUTES = frozenset({"event", "level", "timestamp", "trace_id", "span_id"})


@dataclass(frozen=True)
class LogQueue:
    """A batch processor, with the bound before it."""

    processor: compat.BatchLogRecordProcessor
    backlog: Backlog


class Logs:
    """Emits log records to all queues."""

    def __init__(self, queues: tuple[LogQueue, ...], resource: Resource) -> None:
        self._backlogs = tuple(queue.backlog for queue in queues)
        self._loggers = tuple(_logger(queue, resource) for queue in queues)

    def line(self, event: Mapping[str, Any]) -> None:
        """Mirror one structlog line.

        Lines about an event are left out: the event itself is a record already.
        """
        if "event_name" in event:
            return
        attributes = {name: value for name, value in event.items() if name not in _NOT_ATTRIBUTES}
        self._emit(
            str(event.get("level", "info")), str(event.get("event", "")), attributes, None, _context(event)
        )

    def event(self, name: str, severity: str, attributes: Mapping[str, Any], body: str) -> None:
        """Emit an event."""
        self._emit(severity, body, attributes, name, None)

    def _emit(
        self, level: str, body: str, attributes: Mapping[str, Any], name: str | None, context: Context | None
    ) -> None:
        for logger, backlog in zip(self._loggers, self._backlogs, strict=True):
            if backlog.admit(1):
                record = compat.LogRecord(
                    timestamp=time.time_ns(),
                    context=context,
                    severity_text=_TEXTS.get(level, level.upper()),
                    severity_number=_SEVERITIES.get(level, compat.SeverityNumber.INFO),
                    body=sendable(body),
                    attributes={
                        sendable(key): _plain(value) for key, value in attributes.items() if value is not None
                    },
                    event_name=name,
                )
                logger.emit(record)


def _logger(queue: LogQueue, resource: Resource) -> compat.Logger:
    # One provider for each queue, so that the bound of one cannot starve the other.
    provider = compat.LoggerProvider(resource, shutdown_on_exit=False)
    provider.add_log_record_processor(queue.processor)
    return provider.get_logger(SCOPE, __version__, SCHEMA_URL)


def _context(event: Mapping[str, Any]) -> Context | None:
    try:
        trace_id, span_id = int(event["trace_id"], 16), int(event["span_id"], 16)
    except (KeyError, TypeError, ValueError):
        return None
    span = SpanContext(trace_id, span_id, True, TraceFlags(0))
    return set_span_in_context(NonRecordingSpan(span), Context())


def _plain(value: object) -> str | int | float | bool:
    return value if isinstance(value, (int, float)) else sendable(str(value))
