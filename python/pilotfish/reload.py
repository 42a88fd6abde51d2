"""Reloading: another configuration in force, for the calls that arrive from now on.

Read, checked as a whole and made ready beside the one in force; then exchanged at once. Whatever is wrong
with it is counted, logged and shown, and the one in force stays. Calls under way end under the one they began
with.
"""

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import structlog

from pilotfish.errors import ConfigurationError, ProfileError, RestartNeeded
from pilotfish.settings import Settings, Source

WATCH_SECONDS = 1.0
"""Time between two looks at the file."""

Event: TypeAlias = Callable[[str, Mapping[str, Any], str], None]
"""Publishes an event: its name, attributes and body."""

ERRORS = ("invalid", "restart_needed", "profile", "internal")
"""Why a configuration was not put in force, as ``error.type``."""

Trigger: TypeAlias = Literal["start", "watch", "signal", "request"]

_log = structlog.get_logger("pilotfish.reload")


class Engine(Protocol):
    """What says which configuration is in force."""

    @property
    def generation(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Attempt:
    """How one reload went."""

    trigger: Trigger
    at: float
    """Unix time."""
    error: str | None = None
    """One of :data:`ERRORS`; None when it took effect."""
    problems: tuple[str, ...] = ()
    """Why, one line each."""


class Reloader:
    """Reads the ``source`` anew when asked. Make it in the event loop of the sidecar.

    ``apply`` puts checked settings in force, or raises PilotfishError; ``in_force`` says which are.
    """

    def __init__(
        self,
        source: Source,
        in_force: Callable[[], Settings],
        engine: Engine,
        apply: Callable[[Settings], Awaitable[None]],
        event: Event,
    ) -> None:
        self._source = source
        self._in_force = in_force
        self._engine = engine
        self._apply = apply
        self._event = event
        self._turn = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._counting = threading.Lock()
        self._counts: dict[str | None, int] = dict.fromkeys((None, *ERRORS), 0)
        self._last: Attempt | None = None

    async def reload(self, trigger: Trigger) -> Attempt:
        """Read the configuration and put it in force, one reload after the other. Never raises."""
        async with self._turn:
            attempt = await self._attempt(trigger)
        self._ended(attempt)
        return attempt

    def refused_at_start(self, problems: Sequence[str]) -> None:
        """The last good configuration is in force, since the given one has these problems."""
        file, remedy = str(self._source.last_good), "correct the given one; it is read again when it changes"
        _log.error("started_from_last_good", file=file, remedy=remedy)
        self._ended(Attempt("start", time.time(), "invalid", tuple(problems)))

    def request(self) -> "concurrent.futures.Future[Attempt]":
        """Reload, for whoever asks from another thread."""
        return asyncio.run_coroutine_threadsafe(self._requested(), self._loop)

    def counts(self) -> dict[str | None, int]:
        """Reloads by error; None stands for those that took effect."""
        with self._counting:
            return dict(self._counts)

    def report(self) -> dict[str, Any]:
        """What is in force, and how the last reload went, as plain data with secrets masked."""
        counts, last = self.counts(), self._last
        return {
            "generation": self._engine.generation,
            "reloads": {"applied": counts.pop(None), "rejected": counts},
            "last_reload": None
            if last is None
            else {
                "trigger": last.trigger,
                "at": last.at,
                "applied": last.error is None,
                "error": last.error,
                "problems": list(last.problems),
            },
            "settings": self._in_force().effective(),
        }

    async def watch(
        self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep, period: float = WATCH_SECONDS
    ) -> None:
        """Reload when the file has changed, until cancelled.

        What is being written is not read: a change counts once two looks in a row have seen the same.
        """
        seen = settled = self._source.first
        while True:
            await sleep(period)
            now = await asyncio.to_thread(self._source.fingerprint)
            if now == seen and now != settled:
                settled = now
                await self.reload("watch")
            seen = now

    async def _requested(self) -> Attempt:
        # Whoever asked may go away: a reload is never left half done.
        return await asyncio.shield(asyncio.ensure_future(self.reload("request")))

    async def _attempt(self, trigger: Trigger) -> Attempt:
        now = time.time()
        try:
            wanted = await asyncio.to_thread(self._source.load, self._in_force())
            await self._apply(wanted)
        except ConfigurationError as exc:
            error = "restart_needed" if isinstance(exc, RestartNeeded) else "invalid"
            return Attempt(trigger, now, error, tuple(exc.problems))
        except ProfileError as exc:
            return Attempt(trigger, now, "profile", (str(exc),))
        except Exception as exc:  # noqa: BLE001 - a mistake of ours must not take the configuration in force with it
            return Attempt(trigger, now, "internal", (repr(exc),))
        return Attempt(trigger, now)

    def _ended(self, attempt: Attempt) -> None:
        with self._counting:
            self._counts[attempt.error] += 1
            self._last = attempt
        self._announce(attempt)

    def _announce(self, attempt: Attempt) -> None:
        generation, trigger = self._engine.generation, attempt.trigger
        attributes: dict[str, Any] = {
            "pilotfish.config.trigger": trigger,
            "pilotfish.config.generation": generation,
        }
        if attempt.error is None:
            name, body = "pilotfish.config.reloaded", f"generation {generation} is in force"
            _log.info("reloaded", event_name=name, trigger=trigger, generation=generation)
        else:
            name, body = "pilotfish.config.rejected", "\n".join(attempt.problems)
            attributes["error.type"] = attempt.error
            _log.error(
                "reload_rejected",
                event_name=name,
                trigger=trigger,
                error_type=attempt.error,
                problems=list(attempt.problems),
                in_force=generation,
            )
        self._event(name, attributes, body)
