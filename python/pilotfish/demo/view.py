"""One look at the running demo: what is shown, taken from the sidecar's snapshot and the client's report.

A plain value between those who measure and those who draw. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pilotfish.demo.lens import PIXELS
from pilotfish.demo.story import WATCHED, Alarm, Change

ALWAYS_SHOWN = ("image.brightness", "image.contrast")


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds of a call, as the client sees it."""

    p50: float
    p99: float

    def added_to(self, direct: "Latency") -> "Latency":
        """What this way takes longer than the direct one."""
        return Latency(self.p50 - direct.p50, self.p99 - direct.p99)


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the traffic a version gets."""

    version: str
    role: str
    planned: float
    reached: float
    calls: int


@dataclass(frozen=True, slots=True)
class Shadow:
    """How the shadow's answers compare with those that were given."""

    version: str
    compared: int
    differing: int
    failed: int
    dropped: int

    @property
    def disagreement(self) -> float | None:
        """Share of the compared answers that differ."""
        return self.differing / self.compared if self.compared else None


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a feature of the watched version is from its profile."""

    feature: str
    score: float
    alarmed: bool


@dataclass(frozen=True, slots=True)
class View:
    """Everything that is shown at one moment."""

    calls: int
    calls_per_second: float
    errors: int
    rows: Mapping[str, int]
    accuracy: float | None
    through: Latency | None
    direct: Latency | None
    users: int
    moved: int
    shares: tuple[Share, ...]
    shadow: Shadow | None
    drifts: tuple[Drift, ...]
    """Of the watched version, farthest first."""
    active_alarms: int
    changes: tuple[Change, ...] = ()
    alarms: tuple[Alarm, ...] = ()

    @property
    def added(self) -> Latency | None:
        """What the way through the sidecar adds to the time of a call."""
        return self.through.added_to(self.direct) if self.through and self.direct else None

    def drift(self, feature: str) -> Drift | None:
        """The drift of one feature, if it has been compared yet."""
        return next((drift for drift in self.drifts if drift.feature == feature), None)

    def worst(self, count: int) -> list[Drift]:
        """The drifts worth showing: brightness and contrast always, then the farthest."""
        found = [self.drift(name) for name in ALWAYS_SHOWN]
        first = [drift for drift in found if drift is not None]
        others = [drift for drift in self.drifts if drift not in first]
        return first + others[: count - len(first)]

    def pixel_scores(self) -> list[float | None]:
        """The drift of each pixel, row by row."""
        scores = {drift.feature: drift.score for drift in self.drifts}
        return [scores.get(f"image[{pixel}]") for pixel in range(PIXELS)]

    def within(self, changes: Sequence[Change], alarms: Sequence[Alarm]) -> "View":
        """The same numbers at their place in the story."""
        return replace(self, changes=tuple(changes), alarms=tuple(alarms))


def milliseconds(seconds: float) -> str:
    """``1.50 ms``. A difference of two quantiles may come out below zero: then it is lost in their noise."""
    return f"{seconds * 1e3:.2f} ms" if seconds >= 0 else "in noise"


def look(snapshot: Mapping[str, Any], report: Mapping[str, Any], calls_per_second: float) -> View:
    """The view of a snapshot of the sidecar and a report of the client."""
    return View(
        calls=report["calls"],
        calls_per_second=calls_per_second,
        errors=sum(report["errors"].values()),
        rows=report["rows"],
        accuracy=report["accuracy"],
        through=_latency(report["through"]),
        direct=_latency(report["direct"]),
        users=report["users"],
        moved=report["moved"],
        shares=_shares(snapshot),
        shadow=_shadow(snapshot),
        drifts=_drifts(snapshot),
        active_alarms=snapshot["alarms"]["active"],
    )


def _latency(quantiles: Mapping[str, float] | None) -> Latency | None:
    return Latency(quantiles["p50"], quantiles["p99"]) if quantiles else None


def _shares(snapshot: Mapping[str, Any]) -> tuple[Share, ...]:
    return tuple(
        Share(
            version=version["version"],
            role=version["role"],
            planned=version["weight_ppm"] / 1e6,
            reached=version["share"] or 0.0,
            calls=version["calls"],
        )
        for route in snapshot["routes"]
        for version in route["versions"]
    )


def _shadow(snapshot: Mapping[str, Any]) -> Shadow | None:
    for shadow in snapshot["shadows"]:
        return Shadow(
            version=shadow["version"],
            compared=shadow["match"] + shadow["mismatch"],
            differing=shadow["mismatch"],
            failed=shadow["error"] + shadow["timeout"],
            dropped=shadow["dropped"],
        )
    return None


def _drifts(snapshot: Mapping[str, Any]) -> tuple[Drift, ...]:
    found = [
        Drift(feature["name"], feature["drift"]["psi"], feature["alarm"] is not None)
        for model in snapshot["models"]
        if model["version"] == WATCHED
        for feature in model["features"]
        if feature["drift"] is not None and feature["drift"]["psi"] is not None
    ]
    return tuple(sorted(found, key=lambda drift: drift.score, reverse=True))
