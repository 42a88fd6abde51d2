"""How the data path stands, and what the probes make of it.

Two questions, kept apart: is the sidecar alive (``/healthz``: restart me if not), and may it be sent calls
(``/readyz``). Neither depends on the model: it starts after a native sidecar, so waiting for it would be a
deadlock, and its health is its own to report. Its state is shown, for people.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict


@dataclass(frozen=True)
class Health:
    """The data path at one moment. That there is one at all says that a valid configuration is in force."""

    listening: bool
    draining: bool
    upstreams: Mapping[str, str]
    """State of the connection to each version: ``ready``, ``connecting``, ``unreachable``."""
    refused: tuple[str, ...] = ()
    """What is wrong with the configuration that was given, while the last good one is in force instead."""


class Verdict(TypedDict):
    """Body of a probe."""

    status: str
    """``ok`` or ``unavailable``."""
    reasons: list[str]
    """Why it is unavailable; empty otherwise."""
    listening: bool
    draining: bool
    upstreams: dict[str, str]
    configuration: str
    """``as given``, or ``last good`` with what is wrong with the given one."""


def alive(health: Health) -> Verdict:
    """Whether the sidecar itself works. Draining is life."""
    return _verdict(health, [] if health.listening or health.draining else ["not listening yet"])


def ready(health: Health) -> Verdict:
    """Whether new calls are welcome."""
    if health.draining:
        return _verdict(health, ["draining: calls under way end, new ones are refused"])
    return _verdict(health, [] if health.listening else ["not listening yet"])


def _verdict(health: Health, reasons: list[str]) -> Verdict:
    return {
        "status": "unavailable" if reasons else "ok",
        "reasons": reasons,
        "listening": health.listening,
        "draining": health.draining,
        "upstreams": dict(health.upstreams),
        "configuration": "; ".join(("last good", *health.refused)) if health.refused else "as given",
    }
