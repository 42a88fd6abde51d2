import json
from collections.abc import Callable
from typing import Any

import structlog.testing

from pilotfish.alarms import Alarm, AlarmWatch, log, sentence


def alarm(sequence: int, **changes: Any) -> Alarm:
    return {
        "sequence": sequence,
        "state": "raised",
        "model": "digits",
        "version": "v1",
        "feature": "x.brightness",
        "direction": "input",
        "method": "psi",
        "score": 0.41,
        "threshold": 0.2,
        "noise": 0.03,
        "row": 5500,
        "change_row": 4500,
        "call": 5400,
        "at_ns": 1,
        **changes,
    }


class Core:
    """Remembers events and answers as the engine does."""

    def __init__(self, *events: Alarm) -> None:
        self.events = list(events)
        self.unfit: list[dict[str, str]] = []

    def alarms(self, after: int) -> bytes:
        return json.dumps([event for event in self.events if event["sequence"] > after]).encode()

    def unfitting(self) -> bytes:
        return json.dumps(self.unfit).encode()


def after(polls: int, then: Callable[[], None] = lambda: None) -> Callable[[float], bool]:
    """A `wait` that does not sleep: lets that many polls happen, then says that it is time to stop."""
    left = [polls]

    def wait(seconds: float) -> bool:
        if left[0] == 0:
            then()
            return True
        left[0] -= 1
        return False

    return wait


def test_a_profile_that_is_of_another_model_is_told_once() -> None:
    core = Core()
    watch = AlarmWatch(core, [])
    core.unfit = [{"model": "wine", "version": "v1", "profile_of": "vine"}]
    with structlog.testing.capture_logs() as lines:
        watch.poll()
        watch.poll()
    (line,) = lines
    assert (line["event"], line["model"], line["profile_of"]) == ("profile.not_used", "wine", "vine")


def test_every_event_is_published_once_and_in_order() -> None:
    core, seen = Core(alarm(1), alarm(2)), []
    watch = AlarmWatch(core, [lambda event: seen.append(event["sequence"])])
    assert watch.poll() == 2
    core.events += [alarm(3)]
    assert watch.poll() == 1
    assert watch.poll() == 0
    assert seen == [1, 2, 3]


def test_a_publisher_that_raises_silences_nobody() -> None:
    def broken(event: Alarm) -> None:
        raise RuntimeError("the receiver is gone")

    before: list[int] = []
    behind: list[int] = []
    publishers = [
        lambda event: before.append(event["sequence"]),
        broken,
        lambda event: behind.append(event["sequence"]),
    ]
    with structlog.testing.capture_logs() as logs:
        AlarmWatch(Core(alarm(1), alarm(2)), publishers).poll()
    assert before == behind == [1, 2]
    assert [entry["event"] for entry in logs] == ["alarms.publisher_failed"] * 2


def test_what_happens_while_it_stops_is_published_too() -> None:
    core, seen = Core(), []
    watch = AlarmWatch(
        core,
        [lambda event: seen.append(event["sequence"])],
        wait=after(3, lambda: core.events.append(alarm(1))),
    )
    watch.start()
    watch.stop(10)
    assert seen == [1]


def test_it_stops_at_once_and_stopping_twice_is_harmless() -> None:
    watch = AlarmWatch(Core(), [], period=3600)
    watch.start()
    watch.stop(10)
    watch.stop(10)
    assert not watch._thread.is_alive()


def test_events_the_core_has_forgotten_are_mentioned() -> None:
    with structlog.testing.capture_logs() as logs:
        AlarmWatch(Core(alarm(1), alarm(5)), []).poll()
    assert [(entry["event"], entry["count"]) for entry in logs] == [("alarms.missed", 3)]


def test_a_bad_answer_does_not_end_the_watch() -> None:
    class Broken(Core):
        def alarms(self, after: int) -> bytes:
            return b"not JSON"

    with structlog.testing.capture_logs() as logs:
        assert AlarmWatch(Broken(), []).poll() == 0
    assert logs[0]["event"] == "alarms.unreadable"


def test_the_log_line_names_the_feature_and_where_the_change_began() -> None:
    with structlog.testing.capture_logs() as logs:
        log(alarm(1))
        log(alarm(2, state="cleared", score=0.01))
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("drift.raised", "warning"),
        ("drift.cleared", "info"),
    ]
    assert logs[0]["says"] == (
        "digits v1: input x.brightness has drifted: psi 0.41 above 0.2, since about row 4500"
    )
    assert "is back" in sentence(alarm(2, state="cleared"))
