"""The Prometheus page: the same families in text format 0.0.4.

Written here because the OpenTelemetry Prometheus exporter fails the whole page as soon as one exponential
histogram exists. Exponential histograms are left out, which the specification allows (compatibility with
Prometheus, "Exponential Histograms"); durations are there as histograms with fixed bounds.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

from pilotfish.telemetry.histogram import Exponential, Histogram
from pilotfish.telemetry.names import Metric
from pilotfish.telemetry.series import Attributes, AttributeValue, Family, Value

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_TYPES = {"counter": "counter", "updowncounter": "gauge", "gauge": "gauge", "histogram": "histogram"}
_UNITS = {"s": "_seconds", "By": "_bytes"}


def exposition(families: Iterable[Family], resource: Mapping[str, object]) -> bytes:
    """The page, with the resource as ``target_info``."""
    lines = [*_target(resource)]
    for family in families:
        if family.metric.prometheus and family.metric.instrument in _TYPES:
            lines.extend(_family(family))
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def metric_name(metric: Metric) -> str:
    """The name on the page: underscores for dots, the unit of seconds and bytes, ``_total`` for counters."""
    total = "_total" if metric.instrument == "counter" else ""
    return metric.name.replace(".", "_") + _UNITS.get(metric.unit, "") + total


def _target(resource: Mapping[str, object]) -> Iterator[str]:
    labels = _labels(tuple((name, str(value)) for name, value in sorted(resource.items())))
    yield "# HELP target_info What is measured: the OpenTelemetry resource."
    yield "# TYPE target_info gauge"
    yield f"target_info{labels} 1"


def _family(family: Family) -> Iterator[str]:
    name = metric_name(family.metric)
    yield f"# HELP {name} {_help(family.metric.description)}"
    yield f"# TYPE {name} {_TYPES[family.metric.instrument]}"
    for attributes, value in family.series.items():
        yield from _samples(name, attributes, value)


def _samples(name: str, attributes: Attributes, value: Value) -> Iterator[str]:
    if isinstance(value, Histogram):
        yield from _buckets(name, attributes, value)
    elif not isinstance(value, Exponential):
        yield f"{name}{_labels(attributes)} {_number(value)}"


def _buckets(name: str, attributes: Attributes, histogram: Histogram) -> Iterator[str]:
    below = 0
    for bound, count in zip((*histogram.bounds, math.inf), histogram.counts, strict=True):
        below += count
        yield f"{name}_bucket{_labels((*attributes, ('le', _number(float(bound)))))} {below}"
    yield f"{name}_sum{_labels(attributes)} {_number(histogram.sum)}"
    yield f"{name}_count{_labels(attributes)} {histogram.count}"


def _labels(attributes: tuple[tuple[str, AttributeValue], ...]) -> str:
    if not attributes:
        return ""
    return "{" + ",".join(f'{_label_name(name)}="{_escaped(value)}"' for name, value in attributes) + "}"


def _label_name(name: str) -> str:
    plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
    return f"_{plain}" if plain[:1].isdigit() else plain


def _escaped(value: AttributeValue) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(value)
