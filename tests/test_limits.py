"""Limits on strangers: what the log tells of those who go beyond them."""

from collections.abc import Mapping

import structlog.testing

from pilotfish.limits import EXCEEDED, LimitWatch
from pilotfish.settings.root import Limits
from pilotfish.telemetry.names import registry


def told(*looks: tuple[float, Mapping[str, int]]) -> list[tuple[str, int]]:
    """What is logged of counters at these seconds."""
    counters, times = iter([look for _, look in looks]), iter([at for at, _ in looks])
    watch = LimitWatch(counters.__next__, now=times.__next__)
    with structlog.testing.capture_logs() as lines:
        for _ in looks:
            watch.look()
    assert {line["event"] for line in lines} <= {"limit.exceeded"}
    return [(line["limit"], line["count"]) for line in lines]


def test_a_limit_that_is_exceeded_is_told_at_once_and_then_once_a_minute_with_all_that_came() -> None:
    assert told(
        (0, {"abusive_resets": 0, "calls_refused": 0}),
        (1, {"abusive_resets": 2, "calls_refused": 0}),
        (2, {"abusive_resets": 5, "calls_refused": 7}),
        (60, {"abusive_resets": 9, "calls_refused": 7}),
        (61, {"abusive_resets": 9, "calls_refused": 7}),
        (200, {"abusive_resets": 9, "calls_refused": 7}),
    ) == [("limits.pending_resets", 2), ("limits.concurrent_streams", 7), ("limits.pending_resets", 7)]


def test_what_is_no_excess_is_not_told() -> None:
    assert told((0, {"connections_accepted": 5, "connections_idle": 3, "handshakes_failed": 9})) == []
    assert told((0, {})) == []  # the grpcio plane counts none of them


def test_each_counter_is_one_of_the_planes_and_each_limit_a_setting() -> None:
    assert set(EXCEEDED) <= set(registry().plane_counters)
    assert {limit for limit, _ in EXCEEDED.values()} <= set(Limits.model_fields)
