"""Traces of kept calls, log lines, and what a receiver that is gone may cost."""

import io
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import structlog
from receiver import collector, kept, no_environment, settings, spans_of
from telemetry_snapshot import FakeEngine

from pilotfish import log
from pilotfish.telemetry import Telemetry
from pilotfish.telemetry.names import registry
from pilotfish.testing.collector import Collector

__all__ = ["collector", "no_environment"]  # fixtures

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


# === traces ===


def test_a_kept_call_becomes_a_server_span_with_a_client_child(collector: Collector) -> None:
    spans = spans_of(collector, kept(traceparent=TRACEPARENT))
    server, client = spans["server"], spans["client"]
    assert server.trace_id == client.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert server.parent_span_id == "b7ad6b7169203331"
    assert server.trace_state == "vendor=1"
    assert client.parent_span_id == server.span_id
    assert server.name == client.name == "inference.GRPCInferenceService/ModelInfer"
    assert (server.start_unix_ns, server.end_unix_ns) == (1_000_000_000, 1_010_000_000)
    assert (client.start_unix_ns, client.end_unix_ns) == (1_001_000_000, 1_009_000_000)
    assert (client.attributes["server.address"], client.attributes["server.port"]) == ("127.0.0.1", 8002)
    assert server.attributes["network.peer.address"] == "10.0.0.9"
    assert server.status == "unset"


def test_spans_have_the_registered_attributes_and_no_payload_or_metadata(collector: Collector) -> None:
    spans = spans_of(collector, kept(code=14, message="down", method="/x.Y/Z"), kept(code=14))
    for span in collector.spans:
        registered = registry().spans[span.kind].attributes
        required = {name for name, level in registered.items() if level == "required"}
        assert required <= set(span.attributes) <= set(registered)
    assert "secret" not in repr(collector.spans)
    assert "Bearer" not in repr(collector.spans)
    assert set(spans) == {"server", "client"}


def test_a_failed_call_is_an_error_with_its_status(collector: Collector) -> None:
    server = spans_of(collector, kept(code=14, message="m" * 5000, upstream_ns=0))["server"]
    assert (server.status, server.attributes["error.type"]) == ("error", "UNAVAILABLE")
    assert server.attributes["rpc.response.status_code"] == "UNAVAILABLE"
    assert len(server.message) == 1024
    assert [span.kind for span in collector.spans] == ["server"]


@pytest.mark.parametrize(
    "header", [None, "", "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "ff" + TRACEPARENT[2:]]
)
def test_without_a_valid_traceparent_a_call_begins_its_own_trace(
    collector: Collector, header: str | None
) -> None:
    server = spans_of(collector, kept(traceparent=header))["server"]
    assert server.parent_span_id == ""
    assert len(server.trace_id) == 32
    assert server.trace_id != "0" * 32


def test_a_method_nobody_implements_does_not_become_a_name(collector: Collector) -> None:
    server = spans_of(collector, kept(method="/made.Up/Name17", code=12))["server"]
    assert server.attributes["rpc.method"] == "_OTHER"
    assert server.attributes["rpc.method_original"] == "made.Up/Name17"
    assert server.name == "grpc"


def test_kept_calls_are_traced_unless_the_sampler_of_the_environment_objects(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_on")
    spans_of(collector, kept(traceparent=TRACEPARENT[:-2] + "00"), kept(traceparent=TRACEPARENT))
    assert [span.kind for span in collector.spans] == ["server", "client"]


def test_when_too_many_spans_wait_the_rest_are_dropped_and_counted(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    telemetry = Telemetry(settings("http://127.0.0.1:1", timeout=10.0), FakeEngine())
    telemetry.start()
    for _ in range(100):
        telemetry.keep(kept())
    text = telemetry.prometheus().decode()
    telemetry.shutdown(0.1)
    dropped = next(
        line for line in text.splitlines() if 'outcome="dropped"' in line and 'signal="traces"' in line
    )
    assert int(dropped.split()[-1]) == 190  # ten of the two hundred wait for the receiver


def test_keeping_a_call_never_raises(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    telemetry = Telemetry(settings(collector.grpc_endpoint), FakeEngine())
    telemetry.start()
    telemetry.keep(kept(duration_ns=None))
    telemetry.keep(kept())
    assert telemetry.shutdown(10.0)
    assert len(collector.spans) == 2


# === logs ===


def test_an_alarm_becomes_an_event_with_the_registered_attributes(collector: Collector) -> None:
    telemetry = Telemetry(settings(collector.grpc_endpoint), FakeEngine())
    telemetry.start()
    alarm = {
        "sequence": 1, "state": "raised", "model": "digits", "version": "v1", "feature": "x.brightness",
        "direction": "input", "method": "psi", "score": 0.41, "threshold": 0.2, "noise": 0.03, "row": 5500,
        "change_row": 4500, "call": 5400, "at_ns": 1,
    }  # fmt: skip
    telemetry.alarm(alarm)
    telemetry.alarm(alarm | {"state": "cleared", "score": 0.1, "change_row": None})
    dated = {"change_from_row": 4400, "change_to_row": 4600}
    telemetry.alarm(alarm | dated | {"method": "edetector", "noise": None, "shape": "location up"})
    telemetry.alarm(alarm | {"method": "schema", "noise": None, "shape": "absent"})
    assert telemetry.shutdown(10.0)
    raised, cleared, evident, gone = collector.logs
    assert (gone.event_name, gone.body) == (
        "pilotfish.drift.detected",
        "x.brightness of digits/v1 is absent",
    )
    assert evident.attributes["pilotfish.drift.shape"] == "location up"
    assert "location up" in evident.body
    assert evident.attributes["pilotfish.drift.change_from_row"] == 4400
    assert evident.attributes["pilotfish.drift.change_to_row"] == 4600
    assert (raised.event_name, raised.severity) == ("pilotfish.drift.detected", "WARN")
    assert (cleared.event_name, cleared.severity) == ("pilotfish.drift.cleared", "INFO")
    assert raised.attributes["pilotfish.feature.name"] == "x.brightness"
    assert raised.attributes["pilotfish.drift.change_row"] == 4500
    for record in collector.logs:
        registered = registry().events[record.event_name].attributes
        required = {name for name, level in registered.items() if level == "required"}
        assert required <= set(record.attributes) <= set(registered)


def test_log_lines_arrive_with_their_trace_and_without_secrets(
    collector: Collector, restored_logging: None
) -> None:
    log.configure("info", "json", io.StringIO())
    telemetry = Telemetry(settings(collector.grpc_endpoint), FakeEngine())
    telemetry.start()
    structlog.get_logger("pilotfish.plane").warning("upstream.lost", traceparent=TRACEPARENT, token="t0p")
    structlog.get_logger("pilotfish.plane").warning("drift.raised", event_name="pilotfish.drift.detected")
    assert telemetry.shutdown(10.0)
    structlog.get_logger("pilotfish.plane").warning("after the end")
    [record] = collector.logs
    assert (record.body, record.severity, record.event_name) == ("upstream.lost", "WARN", "")
    assert (record.trace_id, record.span_id) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert record.attributes["logger"] == "pilotfish.plane"
    assert "t0p" not in repr(record)


def test_text_that_is_not_unicode_does_not_lose_what_is_sent_with_it(collector: Collector) -> None:
    telemetry = Telemetry(settings(collector.grpc_endpoint), FakeEngine())
    telemetry.start()
    telemetry.keep(kept(method="/x.Y/\ud800", call_id="\udcff", code=2, message="\ud800"))
    telemetry.event("pilotfish.drift.detected", {"\ud800": "a\ud800", "list": [1]}, "\ud800")
    telemetry.event("pilotfish.drift.detected", {}, "é")
    assert telemetry.shutdown(10.0)
    assert [record.body for record in collector.logs] == ["?", "é"]
    assert collector.logs[0].attributes == {"?": "a?", "list": "[1]"}
    assert [span.message for span in collector.spans] == ["?", "?"]


# === a receiver that is gone ===


@pytest.fixture
def dead_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.fixture
def black_hole() -> Iterator[int]:
    """Accepts connections, reads nothing, answers nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield int(listening.getsockname()[1])


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("where", ["dead_port", "black_hole"])
def test_a_receiver_that_is_gone_costs_a_bounded_time_at_the_end(
    request: pytest.FixtureRequest, where: str, protocol: str
) -> None:
    port = request.getfixturevalue(where)
    # One export alone may take longer than this whole test: whoever waited for it once would be too late.
    telemetry = Telemetry(settings(f"http://127.0.0.1:{port}", protocol, timeout=20.0), FakeEngine())
    began = time.monotonic()
    telemetry.start()
    for _ in range(2000):
        telemetry.keep(kept())
        telemetry.event("pilotfish.drift.detected", {}, "x")
    assert not telemetry.shutdown(0.5)
    assert time.monotonic() - began < 10.0


def test_parts_are_stopped_at_the_same_time_and_late_ones_are_cut_off() -> None:
    from pilotfish.telemetry.stopping import Part, stop_together

    together = threading.Barrier(3)
    cut = threading.Event()

    def waits() -> None:
        cut.wait(30.0)

    def fails() -> None:
        together.wait(5.0)
        raise RuntimeError("cannot be sent")

    def ends() -> None:
        together.wait(5.0)

    parts = [Part(ends, ends), Part(ends, ends), Part(fails, ends)]
    assert stop_together(parts, 10.0)
    assert not stop_together([Part(waits, cut.set)], 0.05)
    assert cut.wait(5.0)
