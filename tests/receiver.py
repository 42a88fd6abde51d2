"""A receiver that really decodes, and telemetry exported to it once: what its tests stand on."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from telemetry_snapshot import FakeCertificates, FakeEngine

from pilotfish.call import KeptCall
from pilotfish.settings.reporting import TelemetrySettings
from pilotfish.telemetry import Telemetry
from pilotfish.telemetry.names import registry
from pilotfish.testing.collector import Collector

NEVER = 3600.0  # an interval that no test lives to see: the export at shutdown is the only one


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def settings(endpoint: str | None, protocol: str = "grpc", **changes: Any) -> TelemetrySettings:
    otlp = {"endpoint": endpoint, "protocol": protocol, "timeout": changes.pop("timeout", 2.0)}
    return TelemetrySettings.model_validate({"otlp": otlp, "interval": NEVER} | changes)


def exported(collector: Collector, engine: Any = None, **changes: Any) -> Telemetry:
    """Start, let everything be exported once, and stop."""
    telemetry = Telemetry(
        settings(collector.grpc_endpoint, **changes),
        engine or FakeEngine(),
        certificates=FakeCertificates(),
        reloads=lambda: {None: 4, "invalid": 1},
        counters=lambda: {name: index for index, name in enumerate(registry().plane_counters, 1)},
    )
    telemetry.start()
    assert telemetry.shutdown(10.0)
    return telemetry


def kept(**changes: Any) -> KeptCall:
    values: dict[str, Any] = {
        "call_id": "call-1",
        "reason": "error",
        "route": "default",
        "version": "v2",
        "role": "canary",
        "strategy": "canary",
        "method": "/inference.GRPCInferenceService/ModelInfer",
        "code": 0,
        "message": "",
        "started_unix_ns": 1_000_000_000,
        "duration_ns": 10_000_000,
        "upstream_ns": 8_000_000,
        "request": b"secret payload",
        "response": None,
        "request_bytes": 14,
        "response_bytes": 20,
        "metadata": (("authorization", "Bearer abc"), ("tracestate", "vendor=1")),
        "traceparent": None,
        "peer": "ipv4:10.0.0.9:5000",
        "upstream": "127.0.0.1:8002",
    }
    return KeptCall(**(values | changes))


def spans_of(collector: Collector, *calls: KeptCall, **changes: Any) -> dict[str, Any]:
    telemetry = Telemetry(settings(collector.grpc_endpoint, **changes), FakeEngine())
    telemetry.start()
    for call in calls:
        telemetry.keep(call)
    assert telemetry.shutdown(10.0)
    return {span.kind: span for span in collector.spans}
