"""The pure half of telemetry: histograms that add and subtract, names, what is asked for."""

import math
import random
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotfish.settings.reporting import TelemetrySettings
from pilotfish.telemetry.cardinality import Cardinality
from pilotfish.telemetry.delta import Deltas, difference
from pilotfish.telemetry.environment import Destination, plan, positive
from pilotfish.telemetry.histogram import Buckets, Exponential, Histogram
from pilotfish.telemetry.methods import Methods
from pilotfish.telemetry.names import Registry, metric, registry
from pilotfish.telemetry.prometheus import metric_name
from pilotfish.telemetry.reference import page
from pilotfish.telemetry.series import Collection, Family
from pilotfish.telemetry.upstreams import server

ROOT = Path(__file__).parent.parent


def exponential(values: list[float], scale: int) -> Exponential:
    """By the definition: bucket i is (base**i, base**(i+1)]."""
    counts: dict[int, int] = {}
    for value in values:
        if value:
            index = math.ceil(math.log2(value) * 2**scale) - 1
            counts[index] = counts.get(index, 0) + 1
    first = min(counts, default=0)
    cells = tuple(counts.get(i, 0) for i in range(first, max(counts, default=-1) + 1))
    zeros = sum(value == 0 for value in values)
    least, greatest = min(values, default=None), max(values, default=None)
    return Exponential(
        scale, len(values), math.fsum(values), least, greatest, zeros, Buckets(first, cells), Buckets(0, ())
    )


def cells(histogram: Exponential) -> Mapping[int, int]:
    side = histogram.positive
    return {index: count for index, count in enumerate(side.counts, start=side.offset) if count}


# Powers of two times a few fractions: their bucket is certain at every scale.
_VALUES = st.lists(st.sampled_from([0.0, 0.3, 0.7, 1.3, 2.6, 5.3, 11.0, 100.0, 3000.0]), max_size=30)


@given(_VALUES, _VALUES, st.integers(0, 5), st.integers(0, 4))
def test_what_came_after_is_the_difference_at_the_lower_scale(
    before: list[float], after: list[float], scale: int, steps: int
) -> None:
    total = exponential(before + after, scale)
    change = total.since(exponential(before, scale + steps))
    expected = exponential(after, scale)
    assert (change.scale, change.count, change.zero_count) == (scale, expected.count, expected.zero_count)
    assert cells(change) == cells(expected)
    assert change.sum == pytest.approx(expected.sum, abs=1e-6)


@given(_VALUES, _VALUES, st.integers(0, 5), st.integers(0, 4))
def test_adding_two_is_counting_everything_at_the_lower_scale(
    one: list[float], other: list[float], scale: int, steps: int
) -> None:
    both = exponential(one, scale + steps).plus(exponential(other, scale))
    assert cells(both) == cells(exponential(one + other, scale))
    assert (both.count, both.zero_count) == (len(one) + len(other), sum(v == 0 for v in one + other))
    assert (both.min, both.max) == (min(one + other, default=None), max(one + other, default=None))


def test_lowering_the_scale_rounds_negative_indexes_down() -> None:
    assert Buckets(-3, (1, 2, 4)).at_lower_scale(1) == Buckets(-2, (1, 6))
    assert Buckets(0, ()).at_lower_scale(3) == Buckets(0, ())


def test_after_a_restart_everything_is_new() -> None:
    assert exponential([1.3], 2).since(exponential([1.3, 2.6], 2)) == exponential([1.3], 2)
    assert exponential([1.3, 2.6], 2).since(exponential([5.3], 2)) == exponential([1.3, 2.6], 2)
    assert difference(3, 5) == 3
    small, large = Histogram((1.0,), (1, 0), 1, 0.5, 0.5, 0.5), Histogram((1.0,), (2, 1), 3, 4.5, 0.5, 3.0)
    assert small.since(large) == small
    assert large.since(small) == Histogram((1.0,), (1, 1), 2, 4.0, None, None)


def test_histograms_of_other_bounds_are_not_added() -> None:
    with pytest.raises(ValueError, match="cannot be added"):
        Histogram((1.0,), (1, 0), 1, 0.5, 0.5, 0.5).plus(Histogram((2.0,), (1, 0), 1, 0.5, 0.5, 0.5))


def test_a_series_that_did_not_change_has_no_delta() -> None:
    deltas = Deltas(100)
    family = Family(metric("pilotfish.journal.observed"))
    family.add(5, ())
    assert deltas.take(family) == {(): 5}
    deltas.finish(200)
    assert (deltas.take(family), deltas.since_unix_ns) == ({}, 200)
    deltas.finish(300)
    family.add(2, ())
    assert deltas.take(family) == {(): 2}


def test_who_was_there_first_keeps_its_own_series() -> None:
    cardinality = Cardinality(limit=3)

    def names(*features: str) -> dict[str, float]:
        collection = Collection()
        for feature in features:
            collection.add("pilotfish.tensor.values", 1, {"pilotfish.feature.name": feature})
        cardinality.limit(collection)
        series = collection["pilotfish.tensor.values"].series
        return {
            str(dict(at).get("pilotfish.feature.name", "overflow")): value for at, value in series.items()
        }

    assert names("a", "b", "c", "d") == {"a": 1, "b": 1, "overflow": 2}
    assert names("d", "c", "b", "a") == {"a": 1, "b": 1, "overflow": 2}


# === names ===


def test_every_attribute_of_every_signal_is_registered() -> None:
    held = registry()
    for entry in (*held.metrics.values(), *held.spans.values(), *held.events.values()):
        assert set(entry.attributes) <= set(held.attributes), entry.name


def test_names_follow_the_rules_of_the_conventions() -> None:
    held = registry()
    names = {*held.metrics, *held.attributes}
    for name in held.metrics:
        assert not name.endswith(("_total", ".total", "_seconds")), name
        assert not any(other.startswith(f"{name}.") for other in names), f"{name} is the namespace of another"
    for entry in held.metrics.values():
        assert bool(entry.buckets) == (entry.instrument == "histogram"), entry.name
        assert not (entry.prometheus and entry.instrument == "exponential_histogram"), entry.name
        if entry.name.endswith("duration") or entry.name.endswith(".time"):
            assert entry.unit == "s", entry.name
        if entry.instrument == "gauge":
            assert entry.unit != "1", f"{entry.name}: Prometheus would call it a ratio on some paths only"
    pages = [metric_name(entry) for entry in held.metrics.values() if entry.prometheus]
    assert len(pages) == len(set(pages))


def test_an_attribute_is_called_what_its_version_of_the_conventions_calls_it() -> None:
    assert "rpc.response.status_code" in registry("1.44.0").attributes
    later: Registry = registry("1.45.0")
    assert "rpc.status_code" in later.metrics["rpc.server.call.duration"].attributes
    assert "rpc.response.status_code" not in later.attributes


def test_the_page_about_telemetry_is_current() -> None:
    written = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
    assert written == page(registry()), "run: python -m pilotfish.telemetry.reference > docs/telemetry.md"


def test_methods_are_named_when_they_are_known_or_answered() -> None:
    methods = Methods(["/my.Service/Score"])
    assert (
        methods.name("/inference.GRPCInferenceService/ModelInfer", 12)
        == "inference.GRPCInferenceService/ModelInfer"
    )
    assert methods.name("/my.Service/Score", 12) == "my.Service/Score"
    assert methods.name("/x.Y/Z", 12) == "_OTHER"
    assert methods.name("/x.Y/Z", 0) == "x.Y/Z"
    assert methods.name("/x.Y/Z", 12) == "x.Y/Z"


def test_the_number_of_method_names_is_bounded() -> None:
    methods = Methods()
    names = {methods.name(f"/made.Up/Name{random.random()}", 0) for _ in range(1000)}
    assert len(names) == 65
    assert "_OTHER" in names


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:8001", {"server.address": "127.0.0.1", "server.port": 8001}),
        ("[::1]:8001", {"server.address": "::1", "server.port": 8001}),
        ("unix:/run/model.sock", {"server.address": "/run/model.sock"}),
        ("model", {"server.address": "model"}),
        ("", {}),
    ],
)
def test_an_upstream_is_named_as_configured(address: str, expected: dict[str, object]) -> None:
    assert server(address) == expected


# === what is asked for ===


def asked(environ: dict[str, str], **settings: object) -> dict[str, tuple[Destination, ...]]:
    made = plan(TelemetrySettings.model_validate(settings), environ)
    return {"metrics": made.metrics, "traces": made.traces, "logs": made.logs}


def test_without_an_endpoint_nothing_is_exported() -> None:
    assert asked({}) == {"metrics": (), "traces": (), "logs": ()}


def test_an_endpoint_in_the_settings_is_for_all_three_signals() -> None:
    made = asked({}, otlp={"endpoint": "http://c:4318/", "protocol": "http"})
    assert made["metrics"] == (Destination("otlp", "http", "http://c:4318/v1/metrics", 2.0),)
    assert made["logs"] == (Destination("otlp", "http", "http://c:4318/v1/logs", 2.0),)


def test_an_endpoint_for_one_signal_is_for_that_signal() -> None:
    made = asked({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4317"})
    assert made == {"metrics": (), "traces": (Destination("otlp", "grpc", None, 2.0),), "logs": ()}


def test_an_exporter_that_is_asked_for_needs_no_endpoint() -> None:
    made = asked({"OTEL_METRICS_EXPORTER": "otlp,console", "OTEL_EXPORTER_OTLP_TIMEOUT": "5"})
    assert made["metrics"] == (Destination("otlp", "grpc", None, None), Destination("console"))


def test_none_and_disabled_mean_nothing() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"}
    assert asked(endpoint | {"OTEL_LOGS_EXPORTER": "none"})["logs"] == ()
    assert asked(endpoint | {"OTEL_SDK_DISABLED": "TRUE"}) == {"metrics": (), "traces": (), "logs": ()}
    assert asked(endpoint, traces=False)["traces"] == ()


def test_values_nobody_knows_are_ignored_and_said() -> None:
    made = plan(TelemetrySettings(), {"OTEL_METRICS_EXPORTER": "zipkin", "OTEL_LOGS_EXPORTER": "otlp",
                                      "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})  # fmt: skip
    assert made.metrics == ()
    assert made.logs == (Destination("otlp", "grpc", None, 2.0),)
    assert ["'zipkin'" in made.warnings[0], "'http/json'" in made.warnings[1]] == [True, True]


def test_the_interval_of_the_environment_wins() -> None:
    assert plan(TelemetrySettings(interval=7.0), {}).interval_seconds == 7.0
    assert (
        plan(TelemetrySettings(interval=7.0), {"OTEL_METRIC_EXPORT_INTERVAL": "500"}).interval_seconds is None
    )


@pytest.mark.parametrize(("text", "expected"), [("", 5), ("0", 5), ("-1", 5), ("x", 5), ("²", 5), ("12", 12)])
def test_a_size_from_the_environment_is_a_positive_number_or_the_default(text: str, expected: int) -> None:
    assert positive({"N": text}, "N", 5) == expected
