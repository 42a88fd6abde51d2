"""The registry as a page for users: ``python -m pilotfish.telemetry.reference > docs/telemetry.md``."""

import sys
from collections.abc import Iterable, Iterator, Mapping

from pilotfish.telemetry.names import Level, Metric, Registry, registry
from pilotfish.telemetry.prometheus import metric_name

_INTRODUCTION = """\
# What pilotfish exports

Generated from `python/pilotfish/telemetry/registry.yaml` by `python -m pilotfish.telemetry.reference`; do
not edit.

Names follow the OpenTelemetry semantic conventions {semconv} where those have one, and live under
`pilotfish.` where they have none. Durations are in seconds. A metric with a Prometheus name is also on the
`/metrics` page of the admin address; the others are exponential histograms or of unbounded detail, which
only OTLP carries. An attribute in *italics* is there only when it applies.

Nothing is sent unless an endpoint is configured (`telemetry.otlp.endpoint`, `OTEL_EXPORTER_OTLP_ENDPOINT` or
one of its variants for a signal) or `OTEL_{{METRICS,TRACES,LOGS}}_EXPORTER` asks for it (`otlp`, `console`,
`none`). Also honoured: `OTEL_SDK_DISABLED`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
`OTEL_EXPORTER_OTLP_*` (protocol, headers, time-out, compression, certificates, temporality preference),
`OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_BSP_*`, `OTEL_BLRP_*`, and `OTEL_TRACES_SAMPLER[_ARG]`, which chooses
among the calls that `sampling` keeps. The environment wins over the configuration file.

A metric has at most 2,000 series; later ones share a series with `otel.metric.overflow` set, counted in
`pilotfish.telemetry.overflows`.

At every scrape `pilotfish.journal.observed` is the sum of `pilotfish.journal.records` and
`pilotfish.journal.queue.size`, and `pilotfish.statistics.offered` that of `pilotfish.statistics.messages` and
`pilotfish.statistics.queue.size`; `pilotfish.accounting.difference` is what is left, always 0.
"""


def page(of: Registry) -> str:
    """The whole page as Markdown."""
    sections = (
        _INTRODUCTION.format(semconv=of.semconv),
        _section(
            "Metrics",
            ("Metric", "Kind", "Unit", "Attributes", "On /metrics", "Meaning"),
            map(_metric, of.metrics.values()),
        ),
        _section("Spans", ("Kind", "Attributes", "Meaning"), _spans(of)),
        _section("Events", ("Event", "Severity", "Attributes", "Meaning"), _events(of)),
        _section("Attributes", ("Attribute", "Type", "Meaning"), _attributes(of)),
    )
    return "\n".join(sections)


def _section(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"## {title}", "", _row(columns), _row(("---",) * len(columns)), *map(_row, rows), ""]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _metric(metric: Metric) -> tuple[str, ...]:
    kind = metric.instrument.replace("_", " ").replace("updowncounter", "up-down counter")
    page_name = f"`{metric_name(metric)}`" if metric.prometheus else ""
    return (
        f"`{metric.name}`",
        kind,
        f"`{metric.unit}`",
        _names(metric.attributes),
        page_name,
        metric.description,
    )


def _spans(of: Registry) -> Iterator[tuple[str, ...]]:
    for span in of.spans.values():
        yield span.kind, _names(span.attributes), span.description


def _events(of: Registry) -> Iterator[tuple[str, ...]]:
    for event in of.events.values():
        yield f"`{event.name}`", event.severity, _names(event.attributes), event.description


def _attributes(of: Registry) -> Iterator[tuple[str, ...]]:
    for attribute in of.attributes.values():
        yield f"`{attribute.name}`", attribute.type, attribute.description


def _names(attributes: Mapping[str, Level]) -> str:
    return ", ".join(
        f"`{name}`" if level == "required" else f"*`{name}`*" for name, level in attributes.items()
    )


if __name__ == "__main__":
    sys.stdout.write(page(registry()))
