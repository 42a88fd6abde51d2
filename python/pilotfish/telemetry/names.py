"""The names pilotfish exports: metrics, attributes, units and buckets, read once from ``registry.yaml``.

One table, because the same names appear in OTLP, on the Prometheus page, in the documentation and in the
tests, and because the RPC conventions still rename attributes between versions: a rename is one line in the
registry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast

import yaml

Instrument: TypeAlias = Literal["counter", "updowncounter", "gauge", "histogram", "exponential_histogram"]
Level: TypeAlias = Literal["required", "conditional"]


@dataclass(frozen=True)
class Metric:
    """One metric as registered."""

    name: str
    instrument: Instrument
    unit: str
    """UCUM, or ``{thing}`` for counted things."""
    description: str
    attributes: Mapping[str, Level]
    prometheus: bool
    """Whether the Prometheus page carries it."""
    source: Literal["snapshot", "process"]
    buckets: tuple[float, ...] = ()
    """Upper bounds of an explicit histogram."""


@dataclass(frozen=True)
class Span:
    """One kind of span as registered."""

    name: str
    kind: Literal["server", "client"]
    description: str
    attributes: Mapping[str, Level]


@dataclass(frozen=True)
class Event:
    """One kind of event (a log record with an ``event_name``) as registered."""

    name: str
    severity: str
    description: str
    attributes: Mapping[str, Level]


@dataclass(frozen=True)
class Attribute:
    """One attribute as registered."""

    name: str
    type: Literal["string", "int", "double", "boolean"]
    description: str


@dataclass(frozen=True)
class Part:
    """The metric that a counter of the native plane is part of, and what tells it apart there."""

    metric: str
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Registry:
    """The whole registry under one version of the semantic conventions."""

    semconv: str
    attributes: Mapping[str, Attribute]
    metrics: Mapping[str, Metric]
    spans: Mapping[str, Span]
    """By kind, ``server`` and ``client``."""
    events: Mapping[str, Event]
    plane_counters: Mapping[str, Part | None]
    """By the counter's name in the native plane; None for one that another metric says already."""


@cache
def registry(semconv: str | None = None) -> Registry:
    """The registry; ``semconv`` asks for another version of the conventions than its own."""
    document = _document()
    version = semconv or document["semconv"]
    renames = _renames(document["renames"], version)
    buckets = {name: tuple(float(bound) for bound in bounds) for name, bounds in document["buckets"].items()}
    return Registry(
        semconv=version,
        attributes=MappingProxyType(
            {
                renames.get(name, name): Attribute(
                    renames.get(name, name), entry["type"], entry["description"]
                )
                for name, entry in document["attributes"].items()
            }
        ),
        metrics=MappingProxyType(
            {entry["name"]: _metric(entry, renames, buckets) for entry in document["metrics"]}
        ),
        spans=MappingProxyType(
            {
                entry["kind"]: Span(
                    entry["name"], entry["kind"], entry["description"], _attributes(entry, renames)
                )
                for entry in document["spans"]
            }
        ),
        events=MappingProxyType(
            {
                entry["name"]: Event(
                    entry["name"], entry["severity"], entry["description"], _attributes(entry, renames)
                )
                for entry in document["events"]
            }
        ),
        plane_counters=MappingProxyType(
            {name: _part(entry, renames) for name, entry in document["plane_counters"].items()}
        ),
    )


def metric(name: str) -> Metric:
    """The registered metric of that name; KeyError for a name that is not registered."""
    return registry().metrics[name]


def severity(event: str) -> str:
    """The registered severity of an event; ``info`` for one that is not registered."""
    registered = registry().events.get(event)
    return registered.severity if registered else "info"


def attribute(name: str) -> str:
    """The name an attribute has in the registry's version of the conventions."""
    return _current_renames().get(name, name)


@cache
def _current_renames() -> Mapping[str, str]:
    document = _document()
    return _renames(document["renames"], document["semconv"])


@cache
def _document() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("registry.yaml").read_text(encoding="utf-8")
    return cast("dict[str, Any]", yaml.safe_load(text))


def _renames(table: Mapping[str, Mapping[str, str]], version: str) -> Mapping[str, str]:
    names: dict[str, str] = {}
    for since in sorted(table, key=_ordinal):
        if _ordinal(since) <= _ordinal(version):
            names.update(table[since])
    return names


def _ordinal(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _metric(
    entry: dict[str, Any], renames: Mapping[str, str], buckets: Mapping[str, tuple[float, ...]]
) -> Metric:
    return Metric(
        name=entry["name"],
        instrument=entry["instrument"],
        unit=entry["unit"],
        description=entry["description"],
        attributes=_attributes(entry, renames),
        prometheus=entry["prometheus"],
        source=entry.get("source", "snapshot"),
        buckets=buckets[entry["buckets"]] if "buckets" in entry else (),
    )


def _part(entry: dict[str, Any] | None, renames: Mapping[str, str]) -> Part | None:
    if entry is None:
        return None
    attributes = {renames.get(name, name): value for name, value in entry.get("attributes", {}).items()}
    return Part(entry["metric"], MappingProxyType(attributes))


def _attributes(entry: dict[str, Any], renames: Mapping[str, str]) -> Mapping[str, Level]:
    return MappingProxyType(
        {renames.get(name, name): cast("Level", level) for name, level in entry["attributes"].items()}
    )


SCOPE = "pilotfish"
PROCESS_SCOPE = "pilotfish.process"
"""Another one for the SDK's own instruments: the encoder keeps only one set of metrics for each scope."""
SCHEMA_URL = f"https://opentelemetry.io/schemas/{registry().semconv}"

# === attributes ===

RPC_SYSTEM = attribute("rpc.system.name")
RPC_METHOD = attribute("rpc.method")
RPC_METHOD_ORIGINAL = attribute("rpc.method_original")
RPC_STATUS = attribute("rpc.response.status_code")
ERROR_TYPE = attribute("error.type")
SERVER_ADDRESS = attribute("server.address")
SERVER_PORT = attribute("server.port")
PEER_ADDRESS = attribute("network.peer.address")
PEER_PORT = attribute("network.peer.port")
IO_DIRECTION = attribute("network.io.direction")
OVERFLOW = attribute("otel.metric.overflow")
CPU_MODE = attribute("cpu.mode")
LEDGER = "pilotfish.accounting.ledger"
AGGREGATION = "pilotfish.aggregation"
ALERT_STATE = "pilotfish.alert.state"
CALL_ID = "pilotfish.call.id"
CATEGORY = "pilotfish.category.name"
CERTIFICATE_SIDE = "pilotfish.certificate.side"
COMPARISON = "pilotfish.comparison.result"
CHANGE_FROM_ROW = "pilotfish.drift.change_from_row"
CHANGE_ROW = "pilotfish.drift.change_row"
CHANGE_TO_ROW = "pilotfish.drift.change_to_row"
DRIFT_METHOD = "pilotfish.drift.method"
DRIFT_NOISE = "pilotfish.drift.noise"
DRIFT_ROW = "pilotfish.drift.row"
DRIFT_SCORE = "pilotfish.drift.score"
DRIFT_SHAPE = "pilotfish.drift.shape"
DRIFT_THRESHOLD = "pilotfish.drift.threshold"
DRIFT_WINDOW = "pilotfish.drift.window"
FEATURE = "pilotfish.feature.name"
FEATURE_DIRECTION = "pilotfish.feature.direction"
MODEL = "pilotfish.model.name"
VERSION = "pilotfish.model.version"
OUTCOME = "pilotfish.outcome"
PERFORMANCE_MEASURE = "pilotfish.performance.measure"
REQUEST_SIZE = "pilotfish.request.size"
RESPONSE_SIZE = "pilotfish.response.size"
ROUTE = "pilotfish.route.name"
STRATEGY = "pilotfish.route.strategy"
SAMPLE_DECISION = "pilotfish.sample.decision"
SAMPLE_REASON = "pilotfish.sample.reason"
SIGNAL = "pilotfish.telemetry.signal"
STREAM = "pilotfish.telemetry.stream"
DEFECT = "pilotfish.tensor.defect"
TENSOR = "pilotfish.tensor.name"
ROLE = "pilotfish.upstream.role"
