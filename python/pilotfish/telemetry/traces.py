"""Kept calls -> spans: a SERVER span as the client sees it, with a CLIENT child for the upstream's part.

Built when a call has ended and only if it is kept, so calls that are not kept cost nothing. The spans are
made by hand and handed to the SDK's batch processor; no tracer runs on the call path.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import grpc
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from pilotfish import __version__
from pilotfish.call import KeptCall
from pilotfish.telemetry import names
from pilotfish.telemetry.backlog import Backlog
from pilotfish.telemetry.methods import OTHER, Methods
from pilotfish.telemetry.series import AttributeValue
from pilotfish.telemetry.text import sendable
from pilotfish.telemetry.upstreams import server
from pilotfish.traceparent import TraceParent, parse

_CODES: Mapping[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_MESSAGE_LIMIT = 1024
"""Characters of a status message; servers put whole stack traces there."""


@dataclass(frozen=True)
class SpanQueue:
    """A batch processor, with the bound before it."""

    processor: BatchSpanProcessor
    backlog: Backlog


class Traces:
    """Turns kept calls into spans and queues them."""

    def __init__(
        self, queues: tuple[SpanQueue, ...], resource: Resource, methods: Methods, sampler: Sampler
    ) -> None:
        self._queues = queues
        self._resource = resource
        self._methods = methods
        self._sampler = sampler
        self._ids = RandomIdGenerator()
        self._scope = InstrumentationScope(names.SCOPE, __version__, names.SCHEMA_URL)

    def keep(self, call: KeptCall) -> None:
        """Queue the spans of a call; drop and count them when too many wait."""
        parent = _parent(call)
        trace_id = parent.trace_id if parent else self._ids.generate_trace_id()
        if not self._sampled(call, parent, trace_id):
            return
        spans = self._spans(call, parent, trace_id)
        for queue in self._queues:
            if queue.backlog.admit(len(spans)):
                for span in spans:
                    queue.processor.on_end(span)

    def _sampled(self, call: KeptCall, parent: SpanContext | None, trace_id: int) -> bool:
        context = set_span_in_context(NonRecordingSpan(parent)) if parent else None
        result = self._sampler.should_sample(context, trace_id, call.method, SpanKind.SERVER)
        return result.decision is not Decision.DROP

    def _spans(self, call: KeptCall, parent: SpanContext | None, trace_id: int) -> list[ReadableSpan]:
        state = parent.trace_state if parent else None
        context = self._context(trace_id, state)
        ended = call.started_unix_ns + call.duration_ns
        method = self._methods.name(call.method, call.code)
        rpc = _rpc(call, method)
        served = {**rpc, **_served(call)}
        spans = [
            self._span(call, method, SpanKind.SERVER, context, parent, served, call.started_unix_ns, ended)
        ]
        if call.upstream_ns > 0:
            # When exactly the upstream was asked is not recorded; what pilotfish added is split evenly
            # around it.
            began = call.started_unix_ns + max(call.duration_ns - call.upstream_ns, 0) // 2
            asked = {**rpc, **_asked(call)}
            child = self._context(trace_id, state)
            until = min(began + call.upstream_ns, ended)
            spans.append(self._span(call, method, SpanKind.CLIENT, child, context, asked, began, until))
        return spans

    def _context(self, trace_id: int, state: TraceState | None) -> SpanContext:
        return SpanContext(trace_id, self._ids.generate_span_id(), False, _SAMPLED, state)

    def _span(
        self,
        call: KeptCall,
        method: str,
        kind: SpanKind,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: Mapping[str, AttributeValue],
        start: int,
        end: int,
    ) -> ReadableSpan:
        return ReadableSpan(
            name="grpc" if method == OTHER else method,  # the conventions' name for a span of no known method
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            kind=kind,
            status=_status(call),
            start_time=start,
            end_time=end,
            instrumentation_scope=self._scope,
        )


def _parent(call: KeptCall) -> SpanContext | None:
    trace: TraceParent | None = parse(call.traceparent)
    if trace is None:
        return None
    states = [value for name, value in call.metadata if name == "tracestate" and isinstance(value, str)]
    return SpanContext(
        trace.trace_id, trace.span_id, True, TraceFlags(trace.flags), TraceState.from_header(states)
    )


def _rpc(call: KeptCall, method: str) -> dict[str, AttributeValue]:
    code = _CODES.get(call.code, str(call.code))
    attributes: dict[str, AttributeValue] = {
        names.RPC_SYSTEM: "grpc",
        names.RPC_METHOD: method,
        names.RPC_STATUS: code,
        names.ROUTE: call.route,
        names.VERSION: call.version,
        names.ROLE: call.role,
    }
    if method == OTHER:
        attributes[names.RPC_METHOD_ORIGINAL] = sendable(call.method.removeprefix("/"))
    if call.code:
        attributes[names.ERROR_TYPE] = code
    return attributes


def _served(call: KeptCall) -> dict[str, AttributeValue]:
    return {
        names.CALL_ID: sendable(call.call_id),
        names.SAMPLE_REASON: call.reason,
        names.STRATEGY: call.strategy,
        names.REQUEST_SIZE: call.request_bytes,
        names.RESPONSE_SIZE: call.response_bytes,
        **_peer(call.peer),
    }


def _asked(call: KeptCall) -> dict[str, AttributeValue]:
    return server(call.upstream)


def _peer(peer: str) -> dict[str, AttributeValue]:
    # gRPC writes `ipv4:127.0.0.1:5000` and `ipv6:%5B::1%5D:5000`; anything else has no address to speak of.
    family, _, rest = peer.partition(":")
    address, _, port = rest.replace("%5B", "[").replace("%5D", "]").rpartition(":")
    if family not in ("ipv4", "ipv6") or not (port.isascii() and port.isdigit()):
        return {}
    return {names.PEER_ADDRESS: address.strip("[]"), names.PEER_PORT: int(port)}


def _status(call: KeptCall) -> Status:
    if call.code == 0:
        return Status(StatusCode.UNSET)
    return Status(StatusCode.ERROR, sendable(call.message[:_MESSAGE_LIMIT]))
