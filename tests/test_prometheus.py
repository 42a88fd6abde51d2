"""The Prometheus page, read with the official parser."""

import math
import time
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from telemetry_snapshot import FakeCertificates, FakeEngine

from pilotfish.settings.reporting import TelemetrySettings
from pilotfish.telemetry import CONTENT_TYPE, Telemetry
from pilotfish.telemetry.names import registry
from pilotfish.telemetry.prometheus import exposition, metric_name
from pilotfish.telemetry.series import Collection


def page(engine: FakeEngine | None = None) -> str:
    counters = dict.fromkeys(registry().plane_counters, 1)
    telemetry = Telemetry(
        TelemetrySettings(),
        engine or FakeEngine(),
        certificates=FakeCertificates(),
        reloads=lambda: {None: 1},
        counters=lambda: counters,
    )
    return telemetry.prometheus().decode()


def families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def test_the_page_is_valid_and_every_family_has_help_and_type() -> None:
    text = page()
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        assert family.type in ("counter", "gauge", "histogram"), family.name
    for line in text.splitlines():
        assert line.startswith("# ") or line.rpartition(" ")[2]
    assert text.endswith("\n")
    assert CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"


def test_every_metric_registered_for_prometheus_is_there_and_no_other() -> None:
    types = {"counter": "counter", "updowncounter": "gauge", "gauge": "gauge", "histogram": "histogram"}
    expected = {
        metric_name(metric).removesuffix("_total"): types[metric.instrument]
        for metric in registry().metrics.values()
        # Without an exporter there are no records to count.
        if metric.prometheus and metric.name != "pilotfish.telemetry.records"
    }
    found = {name: family.type for name, family in families(page()).items()}
    assert found == expected | {"target_info": "gauge"}


def test_exponential_histograms_do_not_disturb_the_page() -> None:
    engine = FakeEngine()
    engine.snapshot = lambda now_ns, detail=False: FakeEngine.snapshot(engine, now_ns, True)  # type: ignore[method-assign]
    text = page(engine)
    assert "pilotfish_tensor_observation" not in text
    assert "pilotfish_message_size" not in text
    assert families(text)["pilotfish_drift_score"].samples


def test_units_and_suffixes_are_those_of_the_opentelemetry_translation() -> None:
    found = families(page())
    assert "rpc_server_call_duration_seconds" in found
    assert "process_memory_usage_bytes" in found
    assert "pilotfish_drift_score" in found
    assert [s.name for s in found["pilotfish_journal_observed"].samples] == [
        "pilotfish_journal_observed_total"
    ]


def test_histogram_buckets_are_cumulative_and_end_with_the_count() -> None:
    [family] = [f for name, f in families(page()).items() if name == "rpc_server_call_duration_seconds"]
    ok = [s for s in family.samples if s.labels.get("rpc_response_status_code") == "OK"]
    buckets = [(float(s.labels["le"]), s.value) for s in ok if s.name.endswith("_bucket")]
    assert buckets[:3] == [(0.005, 5), (0.01, 9), (0.025, 9)]
    assert buckets[-1] == (math.inf, 9)
    assert [s.value for s in ok if s.name.endswith("_count")] == [9]
    assert [s.value for s in ok if s.name.endswith("_sum")] == [2.0]


def test_the_accounts_add_up_on_every_page() -> None:
    values = samples(page())

    def total(name: str) -> float:
        return sum(value for (sample, _), value in values.items() if sample == name)

    records, queued = total("pilotfish_journal_records_total"), total("pilotfish_journal_queue_size")
    assert total("pilotfish_journal_observed_total") == records + queued == 12
    messages, waiting = total("pilotfish_statistics_messages_total"), total("pilotfish_statistics_queue_size")
    assert total("pilotfish_statistics_offered_total") == messages + waiting == 24
    assert total("pilotfish_accounting_difference") == 0


def test_names_from_clients_cannot_break_a_line_or_a_label() -> None:
    hostile = 'x"} 1\nfake_metric 7\\'
    engine = FakeEngine()
    engine.state["models"][0]["model"] = hostile
    engine.state["models"][0]["features"][0]["name"] = "\ud800\x00é"
    values = samples(page(engine))
    models = {label for _, labels in values for name, label in labels if name == "pilotfish_model_name"}
    assert models == {hostile}
    assert not any(name == "fake_metric" for name, _ in values)


def test_scores_are_gauges_by_feature_and_method() -> None:
    values = samples(page())
    labels = {
        "pilotfish_model_name": "digits",
        "pilotfish_model_version": "v1",
        "pilotfish_feature_name": "x[0]",
        "pilotfish_feature_direction": "input",
        "pilotfish_drift_method": "psi",
    }
    assert values["pilotfish_drift_score", tuple(sorted(labels.items()))] == 0.31


@pytest.mark.parametrize(
    ("value", "text"), [(math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"), (0.1, "0.1")]
)
def test_numbers_are_written_as_prometheus_reads_them(value: float, text: str) -> None:
    collection = Collection()
    collection.add("pilotfish.route.weight", value, {})
    assert exposition(collection, {}).decode().splitlines()[-1] == f"pilotfish_route_weight {text}"


def test_one_stream_too_many_is_folded_on_the_page_too() -> None:
    engine = FakeEngine()
    one = engine.state["models"][0]["features"][0]
    engine.state["models"][0]["features"] = [one | {"name": f"x[{i}]"} for i in range(2100)]
    values = [key for key in samples(page(engine)) if key[0] == "pilotfish_tensor_values_total"]
    assert len(values) == 2000
    assert (("otel_metric_overflow", "true"),) in [labels for _, labels in values]


def test_certificates_say_how_long_they_last_and_how_often_they_were_renewed() -> None:
    text = page()
    listener = 'pilotfish_certificate_side="listener"'
    outcome = 'pilotfish_outcome="renewed"'
    assert f"pilotfish_certificate_renewals_total{{{listener},{outcome}}} 3" in text
    remaining = samples(text)[
        ("pilotfish_certificate_remaining_seconds", (("pilotfish_certificate_side", "listener"),))
    ]
    assert abs(remaining - (4_000_000_000 - time.time())) < 60
