"""Translation of the settings into the configuration of the Rust engine.

The engine reads times in nanoseconds and refuses unknown keys; this is the only place that knows its form.
"""

import json
from typing import TYPE_CHECKING, Any

from pilotfish.settings.observing import MonitorSettings, VolumeSettings
from pilotfish.settings.routing import Route, Shadow

if TYPE_CHECKING:
    from pilotfish.settings.root import Settings


def engine_configuration(settings: "Settings") -> str:
    """JSON for ``pilotfish._core.Engine``."""
    monitor = settings.monitor
    fixed = {
        "plane": settings.plane,
        "monitor": _monitor(monitor) if monitor.enabled else None,
        "queue": {"messages": monitor.queue, "bytes": monitor.queue_bytes},
    }
    return json.dumps(fixed | _policy(settings))


def policy_configuration(settings: "Settings") -> str:
    """JSON for ``Engine.apply``: what may change while the sidecar runs."""
    return json.dumps(_policy(settings))


def _policy(settings: "Settings") -> dict[str, Any]:
    sampling = settings.sampling
    slower = sampling.slower_than
    return {
        "versions": [
            {"name": name, "upstream": version.upstream} for name, version in settings.versions.items()
        ],
        "routes": [_route(route) for route in settings.routes],
        "values_per_second": settings.monitor.values_per_second,
        "sampling": {
            "share_ppm": sampling.share_ppm,
            "errors": sampling.errors,
            "slower_than_ns": None if slower is None else _nanoseconds(slower),
            "canary": sampling.canary,
        },
    }


def _monitor(monitor: MonitorSettings) -> dict[str, Any]:
    arl_time = monitor.alarm.arl_time
    alarm = monitor.alarm.model_dump(exclude={"arl_time"})
    alarm["arl_ns"] = None if arl_time is None else _nanoseconds(arl_time)
    pane_ns = None if monitor.pane_time is None else _nanoseconds(monitor.pane_time)
    plain = monitor.model_dump(
        exclude={
            "enabled",
            "values_per_second",
            "queue",
            "queue_bytes",
            "alarm",
            "pane_time",
            "volume",
        }
    )
    volume = None if monitor.volume is None else _volume(monitor.volume)
    return plain | {"alarm": alarm, "pane_ns": pane_ns, "volume": volume}


def _volume(volume: VolumeSettings) -> dict[str, Any]:
    return {
        "interval_ns": _nanoseconds(volume.interval),
        "learn_ns": _nanoseconds(volume.learn),
        "period_ns": None if volume.period is None else _nanoseconds(volume.period),
        "arl_ns": _nanoseconds(volume.arl_time),
        "tolerance": volume.tolerance,
    }


def _route(route: Route) -> dict[str, Any]:
    return {
        "name": route.name,
        "method": route.match.method,
        "metadata": route.match.metadata,
        "stable": route.stable,
        "candidates": [candidate.model_dump() for candidate in route.candidates],
        "sticky": list(route.sticky),
        "salt": route.salt,
        "shadow": None if route.shadow is None else _shadow(route.shadow),
    }


def _shadow(shadow: Shadow) -> dict[str, Any]:
    return {
        "version": shadow.version,
        "share_ppm": shadow.share_ppm,
        "max_in_flight": shadow.max_in_flight,
        "max_bytes": shadow.max_bytes,
        "timeout_ns": _nanoseconds(shadow.timeout),
        "methods": list(shadow.methods),
        "absolute": shadow.tolerance.absolute,
        "relative": shadow.tolerance.relative,
    }


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000_000)
