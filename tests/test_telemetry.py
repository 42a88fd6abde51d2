"""Metrics against a receiver that really decodes: what is sent is what the snapshot says."""

import json
import threading
import time
from collections.abc import Callable

import pytest
from receiver import collector, exported, kept, no_environment, settings, spans_of
from telemetry_snapshot import FakeEngine, exponential

from pilotfish import _core
from pilotfish.settings.reporting import TelemetrySettings
from pilotfish.telemetry import Telemetry
from pilotfish.telemetry.names import registry
from pilotfish.testing.collector import Collector
from pilotfish.testing.otlp import Buckets, Point
from pilotfish.testing.plane import running

__all__ = ["collector", "no_environment"]  # fixtures


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_metrics_arrive_over_both_protocols(collector: Collector, protocol: str) -> None:
    endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint
    telemetry = Telemetry(settings(endpoint, protocol, interval=0.05), FakeEngine())
    telemetry.start()
    active = collector.wait(lambda c: c.latest("pilotfish.call.active"))
    assert (active.value, active.kind, active.monotonic) == (2, "sum", False)
    assert telemetry.shutdown(10.0)


def test_every_metric_that_arrives_is_registered_with_its_kind_unit_and_attributes(
    collector: Collector,
) -> None:
    exported(collector)
    assert collector.points
    for point in collector.points:
        registered = registry().metrics[point.name]
        required = {name for name, level in registered.attributes.items() if level == "required"}
        assert required <= set(point.attributes) <= set(registered.attributes), point.name
        assert (point.unit, point.description) == (registered.unit, registered.description)
        assert _instrument(point) == registered.instrument, point.name
        if registered.instrument == "histogram":
            assert len(point.distribution.bounds) == len(registered.buckets) or "overhead" in point.name
        for name, value in point.attributes.items():
            assert isinstance(value, _TYPES[registry().attributes[name].type]), name


def test_every_registered_metric_arrives(collector: Collector) -> None:
    exported(collector)
    assert {point.name for point in collector.points} == set(registry().metrics)


_TYPES = {"string": str, "int": int, "double": float, "boolean": bool}


def _instrument(point: Point) -> str:
    if point.kind == "sum":
        return "counter" if point.monotonic else "updowncounter"
    return point.kind


def test_calls_are_summed_over_versions_for_the_server_and_kept_apart_for_the_client(
    collector: Collector,
) -> None:
    exported(collector)
    ok = collector.latest("rpc.server.call.duration", rpc_response_status_code="OK")
    failed = collector.latest("rpc.server.call.duration", rpc_response_status_code="UNAVAILABLE")
    assert ok is not None
    assert failed is not None
    assert ok.distribution.counts[:3] == (5, 4, 0)
    assert "error.type" not in ok.attributes
    assert failed.attributes["error.type"] == "UNAVAILABLE"
    assert ok.attributes["rpc.method"] == "inference.GRPCInferenceService/ModelInfer"
    canary = collector.latest("rpc.client.call.duration", pilotfish_model_version="v2")
    primary = collector.latest(
        "rpc.client.call.duration", pilotfish_model_version="v1", rpc_response_status_code="OK"
    )
    assert canary is not None
    assert primary is not None
    assert (canary.distribution.count, canary.attributes["pilotfish.upstream.role"]) == (3, "canary")
    assert canary.attributes["server.address"] == "/run/v2.sock"
    assert (primary.attributes["server.address"], primary.attributes["server.port"]) == ("127.0.0.1", 8001)


def test_an_exponential_histogram_arrives_bit_for_bit(collector: Collector) -> None:
    exported(collector)
    point = collector.latest("pilotfish.tensor.observation", pilotfish_feature_name="x[0]")
    assert point is not None
    assert (point.distribution.scale, point.distribution.zero_count, point.distribution.count) == (3, 2, 6)
    assert point.distribution.positive == Buckets(-4, (1, 0, 3))
    assert point.distribution.negative == Buckets(0, ())
    assert (point.distribution.min, point.distribution.max) == (0.0, 16.0)


def test_totals_begin_when_the_core_began(collector: Collector) -> None:
    before = time.time_ns()
    exported(collector)
    point = collector.latest("pilotfish.journal.observed")
    assert point is not None
    assert before - 13e9 < point.start_unix_ns < time.time_ns() - 12e9
    assert before <= point.time_unix_ns <= time.time_ns()


def test_the_accounts_add_up_at_every_export(collector: Collector) -> None:
    exported(collector)

    def total(name: str) -> float:
        return sum(point.value for point in collector.points if point.name == name)

    assert total("pilotfish.journal.observed") == 12
    assert total("pilotfish.journal.records") + total("pilotfish.journal.queue.size") == 12
    assert total("pilotfish.statistics.messages") + total("pilotfish.statistics.queue.size") == 24
    assert {p.value for p in collector.points if p.name == "pilotfish.accounting.difference"} == {0}


def test_an_account_that_does_not_add_up_is_seen(collector: Collector) -> None:
    engine = FakeEngine()
    engine.state["journal"]["kept"] -= 1
    exported(collector, engine)
    point = collector.latest("pilotfish.accounting.difference", pilotfish_accounting_ledger="journal")
    assert point is not None
    assert point.value == 1


def test_invalid_values_are_told_apart_and_nan_is_not_counted_twice(collector: Collector) -> None:
    exported(collector)
    defects = {
        (point.attributes["pilotfish.feature.name"], point.attributes["pilotfish.tensor.defect"]): point.value
        for point in collector.points
        if point.name == "pilotfish.tensor.invalid_values"
    }
    assert defects == {
        ("x[0]", "nan"): 3,
        ("x[0]", "null"): 2,
        ("x[0]", "pos_inf"): 1,
        ("x[0]", "below_range"): 2,
        ("class", "unseen_category"): 4,
    }


def test_a_distance_that_is_not_known_has_no_point(collector: Collector) -> None:
    exported(collector)
    scores = {
        point.attributes["pilotfish.drift.method"]: point.value
        for point in collector.points
        if point.name == "pilotfish.drift.score"
    }
    assert scores == {"psi": 0.31, "jensen_shannon": 0.1}
    active = {
        point.attributes["pilotfish.drift.method"]: point.value
        for point in collector.points
        if point.name == "pilotfish.drift.alert.active"
    }
    assert active == {"edetector": 0, "psi": 1, "jensen_shannon": 0, "ks": 0, "schema": 0}


def test_a_window_has_scores_a_noise_floor_and_a_size_under_its_name(collector: Collector) -> None:
    exported(collector)
    of_window = {
        (
            point.name.removeprefix("pilotfish.drift.window."),
            point.attributes.get("pilotfish.drift.method"),
        ): (point.value)
        for point in collector.points
        if point.attributes.get("pilotfish.drift.window") == "1h"
        and point.attributes["pilotfish.feature.name"] == "x[0]"
    }
    assert of_window == {
        ("score", "psi"): 0.21,
        ("score", "jensen_shannon"): 0.09,
        ("expected_noise", "psi"): 0.02,
        ("expected_noise", "jensen_shannon"): 0.05,
        ("samples", None): 700,
    }


def test_the_evidence_of_a_model_stands_beside_what_raises_its_alarm(collector: Collector) -> None:
    exported(collector)
    evidence = {point.name: point.value for point in collector.points if "evidence" in point.name}
    assert evidence == {"pilotfish.model.evidence": 4.5, "pilotfish.model.evidence_threshold": 11.0}


def test_what_the_scores_promise_stands_beside_what_was_realised_on_the_reference(
    collector: Collector,
) -> None:
    exported(collector)
    found = {
        (
            point.name.removeprefix("pilotfish.performance."),
            point.attributes["pilotfish.performance.measure"],
        ): (point.value)
        for point in collector.points
        if point.name.startswith("pilotfish.performance.")
    }
    shared = {"precision": 0.8, "recall": 0.7, "f1": 0.75, "roc_auc": 0.9}
    assert found == {
        **{("estimate", measure): value for measure, value in {**shared, "accuracy": 0.91}.items()},
        **{("reference", measure): value for measure, value in {**shared, "accuracy": 0.94}.items()},
        ("estimate_noise", "accuracy"): 0.002,
    }


def test_the_classes_of_a_window_are_counted_by_name(collector: Collector) -> None:
    engine = FakeEngine()
    pixel = engine.state["models"][0]["features"][0]
    pixel |= {"kind": "discrete", "bins": {"edges": [], "labels": ["0", "1"], "window": [8, 8]}}
    exported(collector, engine)
    counts = {
        point.attributes["pilotfish.category.name"]: point.value
        for point in collector.points
        if point.name == "pilotfish.category.count"
    }
    assert counts == {"cat": 7, "dog": 3}


def test_deltas_are_sent_to_who_prefers_them(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    engine = FakeEngine()
    telemetry = Telemetry(settings(collector.grpc_endpoint, interval=0.05), engine)
    telemetry.start()
    first = collector.wait(lambda c: c.latest("pilotfish.journal.observed"))
    collector.wait(lambda c: c.requests > 2 or None)
    with engine.lock:
        engine.state["journal"] |= {"observed": 15, "kept": 6}
        engine.state["models"][0]["features"][0]["histogram"] = exponential(
            -2, 2, 4, scale=2, zero=2, total=2.5
        )
    second = collector.wait(lambda c: _another(c, "pilotfish.journal.observed", first))
    values = collector.wait(
        lambda c: _another(
            c, "pilotfish.tensor.observation", c.points[_index(c, "pilotfish.tensor.observation")]
        )
    )
    assert telemetry.shutdown(10.0)
    assert (first.temporality, first.value) == ("delta", 12)
    assert second.value == 3
    assert second.start_unix_ns >= first.time_unix_ns
    # Buckets -4, -2 of scale 3 are -2, -1 of scale 2: (1, 3) was there, (2, 4) is, one each is new.
    assert values.distribution.scale == 2
    assert values.distribution.positive == Buckets(-2, (1, 1))
    assert (values.distribution.count, values.distribution.zero_count) == (2, 0)
    assert values.distribution.sum == pytest.approx(1.5)
    active = collector.latest("pilotfish.call.active")
    assert active is not None
    assert (active.temporality, active.value) == ("cumulative", 2)
    # 15 calls in all, however the deltas were cut.
    assert sum(p.value for p in collector.points if p.name == "pilotfish.journal.observed") == 15


def _another(collector: Collector, name: str, than: Point) -> Point | None:
    found = collector.latest(name)
    return found if found != than else None


def _index(collector: Collector, name: str) -> int:
    return next(index for index, point in enumerate(collector.points) if point.name == name)


def test_what_exceeds_the_cardinality_limit_shares_one_series_and_is_counted(collector: Collector) -> None:
    engine = FakeEngine()
    one = engine.state["models"][0]["features"][0]
    engine.state["models"][0]["features"] = [one | {"name": f"x[{i}]"} for i in range(2500)]
    exported(collector, engine)
    values = [point for point in collector.points if point.name == "pilotfish.tensor.values"]
    overflow = [point for point in values if point.attributes.get("otel.metric.overflow") is True]
    assert len(values) == 2000
    assert [point.value for point in overflow] == [501 * 900]
    counted = collector.latest(
        "pilotfish.telemetry.overflows", pilotfish_telemetry_stream="pilotfish.tensor.values"
    )
    assert counted is not None
    assert counted.value == 501
    merged = collector.latest("pilotfish.tensor.observation", otel_metric_overflow=True)
    assert merged is not None
    assert merged.distribution.positive == Buckets(-4, (501, 0, 1503))


def test_large_exports_are_sent_in_portions(collector: Collector) -> None:
    engine = FakeEngine()
    one = engine.state["models"][0]["features"][0]
    engine.state["models"][0]["features"] = [one | {"name": f"x[{i}]"} for i in range(300)]
    exported(collector, engine)
    names = [
        p.attributes["pilotfish.feature.name"]
        for p in collector.points
        if p.name == "pilotfish.tensor.values"
    ]
    assert sorted(names) == sorted(f"x[{i}]" for i in range(300))
    assert collector.requests > len(collector.points) // 256


def test_a_snapshot_that_cannot_be_read_leaves_the_process_metrics(collector: Collector) -> None:
    engine = FakeEngine()
    telemetry = Telemetry(settings(collector.grpc_endpoint), engine)
    telemetry.start()
    with engine.lock:
        engine.state.pop("calls")
    assert telemetry.shutdown(10.0)
    assert {point.name.partition(".")[0] for point in collector.points} == {"process"}


# === who asks for what ===


def test_nothing_is_sent_unless_something_asks_for_it() -> None:
    threads = set(threading.enumerate())
    telemetry = Telemetry(TelemetrySettings(), FakeEngine())
    telemetry.start()
    telemetry.keep(kept())
    telemetry.event("pilotfish.drift.detected", {}, "")
    assert set(threading.enumerate()) <= threads
    assert telemetry.shutdown(0.0)


def test_the_environment_wins_over_the_settings(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.http_endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,team=a")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
    telemetry = Telemetry(settings("http://127.0.0.1:1", resource={"team": "b", "zone": "z"}), FakeEngine())
    telemetry.start()
    point = collector.wait(lambda c: c.latest("process.uptime"))
    assert telemetry.shutdown(10.0)
    assert point.resource["service.name"] == "shop"
    assert point.resource["deployment.environment.name"] == "prod"
    assert (point.resource["team"], point.resource["zone"]) == ("a", "z")


def test_the_resource_names_this_instance(collector: Collector) -> None:
    exported(collector)
    resource = collector.points[0].resource
    assert resource["service.name"] == "pilotfish"
    assert resource["service.version"] == _core.__version__
    assert resource["service.instance.id"]


def test_a_signal_can_be_switched_off(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    spans = spans_of(collector, kept(), logs=False)
    assert set(spans) == {"server", "client"}
    assert collector.points == []


def test_the_sdk_can_be_disabled(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    telemetry = exported(collector)
    assert collector.requests == 0
    assert b"pilotfish_call_active 2" in telemetry.prometheus()


def test_the_console_exporter_prints_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "console")
    telemetry = Telemetry(TelemetrySettings(), FakeEngine())
    telemetry.start()
    assert telemetry.shutdown(10.0)
    names = [
        metric["name"]
        for resource in json.loads(capsys.readouterr().out)["resource_metrics"]
        for scope in resource["scope_metrics"]
        for metric in scope["metrics"]
    ]
    assert "pilotfish.call.active" in names


# === the real engine ===


def _real_engine() -> _core.Engine:
    route = {"name": "default", "stable": "v1", "candidates": [{"version": "v2", "weight_ppm": 300_000}]}
    configuration = {
        "plane": "grpcio",
        "versions": [{"name": "v1"}, {"name": "v2"}],
        "routes": [route],
        "sampling": {"share_ppm": 500_000, "errors": True},
        "monitor": {"pane_rows": 50, "learn_rows": 100},
        "queue": {"messages": 4096, "bytes": 1 << 26},
    }
    return _core.Engine(json.dumps(configuration), {}, time.monotonic_ns())


async def test_every_counter_of_the_native_plane_is_exported() -> None:
    async with running(plane="native", versions={"v1": {"upstream": "127.0.0.1:1"}}) as plane:
        counters = plane.plane.counters()
    assert counters
    assert counters.keys() - registry().plane_counters.keys() == set(), "name them in registry.yaml"
    for part in registry().plane_counters.values():
        if part is not None:
            assert part.attributes.keys() == registry().metrics[part.metric].attributes.keys()


def test_what_the_real_engine_says_is_exported_as_registered(
    collector: Collector, model_request: Callable[[float], bytes]
) -> None:
    engine = _real_engine()
    telemetry = Telemetry(settings(collector.grpc_endpoint), engine)
    telemetry.start()
    for i in range(400):
        decision = engine.decide("/inference.GRPCInferenceService/ModelInfer", (), i)
        message = model_request(float(i % 7))
        reason = engine.observe(
            decision,
            14 if i % 10 == 5 else 0,
            3_000_000,
            2_000_000,
            time.monotonic_ns(),
            message,
            None,
            len(message),
            9,
        )
        if reason is not None:
            engine.settle(None if i % 2 else "queue_full")
    assert engine.flush(10.0)
    page = telemetry.prometheus().decode()
    assert telemetry.shutdown(10.0)
    engine.close()
    for point in collector.points:
        registered = registry().metrics[point.name]
        required = {name for name, level in registered.attributes.items() if level == "required"}
        assert required <= set(point.attributes) <= set(registered.attributes), point.name
        if registered.buckets:
            assert point.distribution.bounds == pytest.approx(registered.buckets)
    assert {p.value for p in collector.points if p.name == "pilotfish.accounting.difference"} == {0}
    observed = collector.latest("pilotfish.journal.observed")
    assert observed is not None
    assert observed.value == 400
    values = [p.distribution for p in collector.points if p.name == "pilotfish.tensor.observation"]
    assert sum(value.count for value in values) == 400
    assert sum(value.sum for value in values) == pytest.approx(sum(i % 7 for i in range(400)))
    assert 'pilotfish_accounting_difference{pilotfish_accounting_ledger="journal"} 0' in page


@pytest.fixture
def model_request() -> Callable[[float], bytes]:
    """A ModelInfer request with one FP64 value named x."""
    import struct

    def build(value: float) -> bytes:
        raw = struct.pack("<d", value)
        tensor = b"\x0a\x01x\x12\x04FP64\x1a\x02\x01\x01"
        return b"\x0a\x01m" + b"\x2a" + bytes([len(tensor)]) + tensor + b"\x3a" + bytes([len(raw)]) + raw

    return build
