"""Learning a profile from live calls: a sidecar that stops when it has seen enough.

For people who have no file of training data: the first calls of a model that is known to be well become the
reference that later ones are compared with.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import structlog

from pilotfish import app, profile
from pilotfish.errors import ProfileError, UsageError
from pilotfish.settings import Source

_POLL_SECONDS = 0.2

_log = structlog.get_logger("pilotfish.learn")


class Learning:
    """Waits until ``calls`` calls have passed and as many rows are learned, then writes the profile."""

    def __init__(self, calls: int, out: Path) -> None:
        self._calls = calls
        self._out = out
        self.rows = 0
        """Rows that went into the profile."""
        self._warned = False

    async def __call__(self, sidecar: app.Sidecar) -> None:
        """The goal of :func:`pilotfish.app.run`. Raises ProfileError."""
        (version,) = sidecar.settings.versions
        learned = await self._learned(sidecar, version)
        while learned is None:  # the core never calls back, so it is asked
            await asyncio.sleep(_POLL_SECONDS)
            learned = await self._learned(sidecar, version)
        profile.write(self._out, learned)
        self.rows = int(profile.check(learned)["rows"])

    async def _learned(self, sidecar: app.Sidecar, version: str) -> bytes | None:
        snapshot = await asyncio.to_thread(_snapshot, sidecar)
        if snapshot["calls"]["total"] < self._calls:
            return None
        learned = sidecar.engine.learned_profile(version)
        if learned is None:
            self._explain(await asyncio.to_thread(_snapshot, sidecar))
        return learned

    def _explain(self, snapshot: dict[str, Any]) -> None:
        rows = max((model["rows"] for model in snapshot["models"]), default=0)
        unreadable = snapshot["statistics"]["unreadable"]
        reasons = ", ".join(f"{why} {count}" for why, count in unreadable.items() if count)
        if snapshot["statistics"]["queued"] and not reasons:
            return  # the messages are still to be read
        if not rows:
            raise ProfileError(
                f"{self._calls} calls passed, none with a readable message ({reasons or 'no message'}); "
                "send inference calls, such as inference.GRPCInferenceService/ModelInfer"
            )
        if not self._warned:
            self._warned = True
            _log.warning("waiting_for_rows", calls=snapshot["calls"]["total"], rows=rows, needed=self._calls)


def learn(source: Source, calls: int, out: Path) -> int:
    """Run a sidecar until it has learned; rows learned, or 0 when a signal stopped it before.

    The settings must have one version and ``monitor.learn_rows == calls``. Raises PilotfishError.
    """
    settings = source.load()
    if any(version.profile is not None for version in settings.versions.values()):
        raise UsageError("a profile is configured already (PILOTFISH_PROFILE); unset it to learn a new one")
    if not out.parent.is_dir():
        raise UsageError(f"--out: got {str(out)!r}: no such folder {out.parent}; make it first")
    goal = Learning(calls, out)
    return goal.rows if app.run(source, goal) == 0 else 0


def _snapshot(sidecar: app.Sidecar) -> dict[str, Any]:
    snapshot: dict[str, Any] = json.loads(sidecar.engine.snapshot(time.monotonic_ns()))
    return snapshot
