"""Model servers that go and come: what the log tells of it."""

import signal
from collections.abc import Callable, Mapping
from typing import Any

import structlog.testing
from running import Process, model, run, start

from pilotfish.plane import UpstreamState
from pilotfish.upstreams import UpstreamWatch

__all__ = ["model", "start"]  # fixtures


def told(*looks: Mapping[str, UpstreamState]) -> list[tuple[str, str]]:
    watch = UpstreamWatch(iter(looks).__next__)
    with structlog.testing.capture_logs() as lines:
        for _ in looks:
            watch.look()
    return [(line["event"], line["version"]) for line in lines]


def test_a_server_that_goes_and_comes_is_told_once_each() -> None:
    assert told(
        {"v1": "connecting", "v2": "ready"},
        {"v1": "ready", "v2": "unreachable"},
        {"v1": "ready", "v2": "connecting"},
        {"v1": "ready", "v2": "unreachable"},
        {"v1": "ready", "v2": "ready"},
        {"v1": "ready", "v2": "ready"},
    ) == [("upstream.unreachable", "v2"), ("upstream.reachable_again", "v2")]


def test_a_version_that_a_reload_took_away_is_forgotten() -> None:
    down: Mapping[str, UpstreamState] = {"v1": "unreachable"}
    assert told(down, {"v2": "ready"}, down) == [("upstream.unreachable", "v1")] * 2


def test_a_sidecar_that_starts_before_its_model_says_so(start: Callable[..., Process]) -> None:
    process, _ = run(start, "127.0.0.1:1")
    line: dict[str, Any] = process.event("upstream.unreachable")
    assert (line["version"], line["level"]) == ("v1", "warning")
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
