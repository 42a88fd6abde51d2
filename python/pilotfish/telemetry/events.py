"""Alarm events of the core -> OpenTelemetry events."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotfish.telemetry import names


@dataclass(frozen=True)
class Event:
    """What :meth:`pilotfish.telemetry.Telemetry.event` takes."""

    name: str
    attributes: Mapping[str, str | int | float]
    body: str


def from_alarm(alarm: Mapping[str, Any]) -> Event:
    """The event of an alarm that was raised or cleared, from the JSON of ``Engine.alarms``."""
    name = "pilotfish.drift.detected" if alarm["state"] == "raised" else "pilotfish.drift.cleared"
    attributes = {
        names.MODEL: alarm["model"],
        names.VERSION: alarm["version"],
        names.FEATURE: alarm["feature"],
        names.FEATURE_DIRECTION: alarm["direction"],
        names.DRIFT_METHOD: alarm["method"],
        names.DRIFT_SCORE: alarm["score"],
        names.DRIFT_THRESHOLD: alarm["threshold"],
        names.DRIFT_NOISE: alarm.get("noise"),
        names.DRIFT_SHAPE: alarm.get("shape"),
        names.DRIFT_ROW: alarm["row"],
        names.CHANGE_ROW: alarm.get("change_row"),
        names.CHANGE_FROM_ROW: alarm.get("change_from_row"),
        names.CHANGE_TO_ROW: alarm.get("change_to_row"),
    }
    present = {key: value for key, value in attributes.items() if value is not None}
    return Event(name, present, _body(alarm))


def _body(alarm: Mapping[str, Any]) -> str:
    if alarm["method"] == "schema":
        still = "is" if alarm["state"] == "raised" else "is no longer"
        return f"{alarm['feature']} of {alarm['model']}/{alarm['version']} {still} {alarm['shape']}"
    shape = f"{alarm['shape']}, " if alarm.get("shape") else ""
    what = (
        f"{alarm['feature']} of {alarm['model']}/{alarm['version']}: "
        f"{shape}{alarm['method']} {alarm['score']:.3g}"
    )
    if alarm["state"] == "raised":
        return f"drift in {what}, above {alarm['threshold']:.3g}"
    return f"drift has gone from {what}, threshold {alarm['threshold']:.3g}"
