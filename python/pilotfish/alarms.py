"""Alarms: takes the events of the core out to whoever wants to know.

The core never calls back, so a thread asks it once a second. Every event is published once and in order, to
each publisher; one that fails does not silence the others.
"""

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import structlog

from pilotfish.periodic import Periodic

Alarm: TypeAlias = dict[str, Any]
"""One event.

``sequence``, ``state`` (raised, cleared), ``model``, ``version``, ``feature``, ``direction``, ``method``,
``detector``, ``score``, ``threshold``, ``noise``, ``evidence_bits``, ``shape`` (what has changed:
``location up``), ``row``, ``change_row``, ``change_from_row``, ``change_to_row``, ``call``, ``at_ns``.
"""

Publisher: TypeAlias = Callable[[Alarm], None]

_MOST_WARNINGS = 1_000
"""Models that come and go with reloads must not fill the memory."""
_LEARNS = "the model is compared with its own first rows"

_log = structlog.get_logger("pilotfish.alarms")


class Engine(Protocol):
    """Where the events come from."""

    def alarms(self, after: int) -> bytes:
        """JSON array of the events after a sequence number, oldest first."""

    def unfitting(self) -> bytes:
        """JSON array of the models that no alarm can come of for want of a profile of theirs."""


class AlarmWatch(Periodic):
    """Polls the engine and publishes what is new.

    Events up to the sequence ``after`` are known already.
    """

    def __init__(
        self,
        engine: Engine,
        publish: Sequence[Publisher],
        *,
        after: int = 0,
        period: float = 1.0,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        super().__init__("alarms", period, self.poll, last=self.poll, wait=wait)
        self._engine = engine
        self._publish = tuple(publish)
        self._seen = after
        self._warned: set[tuple[str, str, str]] = set()
        self._polling = threading.Lock()

    def poll(self) -> int:
        """Publish the events since the last poll; how many there were. Never raises."""
        with self._polling:
            try:
                events: list[Alarm] = json.loads(self._engine.alarms(self._seen))
                self._warn(json.loads(self._engine.unfitting()))
            except Exception as exc:  # noqa: BLE001 - the thread must outlive one bad answer
                _log.error("alarms.unreadable", error=str(exc))
                return 0
            for event in events:
                self._announce(event)
            return len(events)

    def _warn(self, unfitting: Sequence[dict[str, str]]) -> None:
        """Say once of each model that its version's profile is not used: it was built for another one."""
        for found in unfitting:
            key = (found["version"], found["model"], found["profile_of"])
            if key not in self._warned and len(self._warned) < _MOST_WARNINGS:
                self._warned.add(key)
                remedy = f"build the profile with --model {found['model']!r}, or without --model for any"
                _log.warning("profile.not_used", consequence=_LEARNS, remedy=remedy, **found)

    def _announce(self, event: Alarm) -> None:
        missed = event["sequence"] - self._seen - 1
        if missed > 0:
            _log.warning("alarms.missed", count=missed)  # more at once than the core remembers
        self._seen = event["sequence"]
        for publisher in self._publish:
            try:
                publisher(event)
            except Exception as exc:  # noqa: BLE001 - a publisher may be anybody's code
                _log.error("alarms.publisher_failed", publisher=repr(publisher), error=str(exc))


def sentence(alarm: Alarm) -> str:
    """An alarm in words."""
    where = f"{alarm['model']} {alarm['version']}: {alarm['direction']} {alarm['feature']}"
    if alarm["state"] == "cleared":
        return f"{where} is back: {alarm['method']} {alarm['score']:.3g}, threshold {alarm['threshold']:.3g}"
    shape = f"{alarm['shape']}, " if alarm.get("shape") else ""
    return (
        f"{where} has drifted: {shape}{alarm['method']} {alarm['score']:.3g} above {alarm['threshold']:.3g}, "
        f"since about row {alarm['change_row']}"
    )


def log(alarm: Alarm) -> None:
    """Publisher: one log line."""
    raised = alarm["state"] == "raised"
    level = _log.warning if raised else _log.info
    # The name of the event that telemetry sends: lines that carry it are not mirrored as a second record.
    name = "pilotfish.drift.detected" if raised else "pilotfish.drift.cleared"
    level(f"drift.{alarm['state']}", says=sentence(alarm), event_name=name, **alarm)
