"""One running sidecar: builds everything in reading order, stops everything in reverse.

    engine -> state -> certificates -> telemetry -> journal -> alarms -> reloader -> admin -> plane

The plane comes last, so that the first call finds everything in place, and goes first, so that the last call
is still counted, journaled and exported. Starting may fail, and then says why; stopping does not: a part that
cannot be stopped must not keep the others from writing out what they hold.
"""

import asyncio
import concurrent.futures
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import structlog

from pilotfish import __version__, _core, alarms, certificates, log, port, profile
from pilotfish.admin import Admin, Health
from pilotfish.alarms import AlarmWatch
from pilotfish.call import Keep, KeptCall
from pilotfish.certificates import CertificateWatch
from pilotfish.errors import ConfigurationError, PilotfishError, ProfileError
from pilotfish.journal import Journal
from pilotfish.limits import LimitWatch
from pilotfish.plane import Plane
from pilotfish.reload import Attempt, Reloader
from pilotfish.settings import Beginning, Settings, Source
from pilotfish.state import Keeper
from pilotfish.telemetry import Telemetry
from pilotfish.upstreams import UpstreamWatch

OBSERVE_SECONDS = 1.0
"""How long the statistics may take, at the end, to work off what is queued for them."""
EXPORT_SECONDS = 3.0
"""How long the last export may take; a receiver that is gone costs this much and no more."""
JOURNAL_SECONDS = 2.0
"""How long the journal may take to write what is queued."""

Goal: TypeAlias = Callable[["Sidecar"], Awaitable[None]]
"""Something to wait for while the sidecar runs; when it returns, the sidecar stops."""

_Stop: TypeAlias = Callable[[], Awaitable[object]]

_log = structlog.get_logger("pilotfish")


def run(source: Source, goal: Goal | None = None) -> int:
    """Run a sidecar until SIGTERM, SIGINT or the goal; the exit code: 0 when it stopped as asked.

    SIGHUP reads the source again. A second SIGTERM ends the process at once, with exit code 1. Raises
    PilotfishError when it cannot start.
    """
    early: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _: early.append(number))  # else it would end the process
    beginning = source.begin()
    log.configure(beginning.settings.log.level, beginning.settings.log.format)
    return asyncio.run(_run(beginning, source, goal, early))


class Sidecar:
    """Everything that runs for one configuration, and for those that follow it. Make it in the event loop."""

    def __init__(self, beginning: Beginning, source: Source) -> None:
        self.settings = beginning.settings
        """In force."""
        self.engine = _engine(self.settings)
        self.listen = ""
        """Bound address of the data plane, once started."""
        self.admin = ""
        """Bound address of the admin server, once started."""
        self._source = source
        self._refused = beginning.problems
        self._reloader: Reloader | None = None
        self._watching: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._certificates: _core.Certificates | None = None
        self._plane: Plane | None = None
        self._drained: asyncio.Future[None] | None = None
        self._stops: list[tuple[str, _Stop]] = []

    async def start(self) -> None:
        """Start every part. Raises PilotfishError, and then nothing is left running."""
        try:
            await self._start()
        except BaseException:
            await self.stop(0.0)
            raise

    async def drain(self, seconds: float) -> None:
        """Take no new calls, let those under way end within ``seconds``. Drains once. Never raises."""
        if self._drained is None:
            self._drained = asyncio.ensure_future(self._drain(seconds))
        await asyncio.shield(self._drained)

    async def stop(self, seconds: float) -> None:
        """Drain, then write out what is held and end. Never raises."""
        if self._watching is not None:
            self._watching.cancel()
        await self.drain(seconds)
        while self._stops:
            await self._stopped(*self._stops.pop())

    async def reload(self) -> None:
        """Read the configuration again. Never raises: what cannot be used is logged and counted."""
        if self._reloader is not None:
            await self._reloader.reload("signal")

    # === for the admin address, from its own thread ===

    def health(self) -> Health:
        """How the data path stands, for the probes."""
        plane, draining = self._plane, self._drained is not None
        listening, upstreams = (False, {}) if plane is None else (plane.ready, plane.upstreams())
        return Health(
            listening=listening, draining=draining, upstreams=upstreams, refused=tuple(self._refused)
        )

    def configuration(self) -> Mapping[str, Any]:
        """What is in force, as plain data with secrets masked, and how the last reload went."""
        assert self._reloader is not None, "the admin address starts after it"
        return self._reloader.report()

    def counters(self) -> Mapping[str, int]:
        """What the plane counts for itself."""
        return {} if self._plane is None else self._plane.counters()

    def request_reload(self) -> "concurrent.futures.Future[Attempt] | None":
        """Read the configuration again; None when that is switched off."""
        if self._reloader is None or self.settings.reload == "off":
            return None
        return self._reloader.request()

    def request_drain(self) -> "concurrent.futures.Future[None]":
        """Drain within the configured time."""
        return asyncio.run_coroutine_threadsafe(self.drain(self.settings.drain), self._loop)

    # === starting and stopping ===

    async def _start(self) -> None:
        settings, engine = self.settings, self.engine
        self._later("engine", engine.close)
        port.check_free(settings.listen)
        keeper = None if settings.state is None else Keeper(settings.state, engine)
        if keeper is not None:
            keeper.restore()

        shown = certificates.read(settings)
        self._certificates = shown
        renewal = CertificateWatch(shown, period=settings.certificate_interval)
        renewal.start()
        self._later("certificates", renewal.stop)

        telemetry = Telemetry(
            settings.telemetry,
            engine,
            methods=settings.unary_methods,
            certificates=shown,
            reloads=self._reloads,
            counters=self.counters,
        )
        telemetry.start()
        self._later("telemetry", lambda: telemetry.shutdown(EXPORT_SECONDS))

        keep: Keep | None = telemetry.keep if telemetry.tracing else None
        if settings.journal is not None:
            journal = Journal(settings.journal, engine)
            journal.start()
            self._later("journal", lambda: journal.close(JOURNAL_SECONDS))
            keep = journal.keep if keep is None else _both(keep, journal.keep)
        elif keep is not None:
            keep = _both(keep, _settling(engine))

        known = 0 if keeper is None else _alarms_so_far(engine)
        watch = AlarmWatch(engine, [alarms.log, telemetry.alarm], after=known)
        watch.start()
        self._later("alarms", watch.stop)
        if keeper is not None:
            keeper.before = watch.poll  # an alarm that the file calls raised has been announced
            keeper.start()
            self._later("state", keeper.stop)

        self._reloader = Reloader(self._source, lambda: self.settings, engine, self._apply, telemetry.event)
        if self._refused:
            self._reloader.refused_at_start(self._refused)

        admin = Admin(settings.admin, engine, telemetry if settings.telemetry.prometheus else None, self)
        self.admin = admin.start()
        self._later("admin", admin.stop)

        plane = _plane(settings, engine, keep, shown)
        self.listen = await plane.start()
        self._plane = plane
        upstreams = UpstreamWatch(plane.upstreams)
        upstreams.start()
        self._later("upstreams", upstreams.stop)
        limits = LimitWatch(self.counters)
        limits.start()
        self._later("limits", limits.stop)
        if not self._refused:
            await asyncio.to_thread(self._source.remember)
        if settings.reload == "watch" and self._source.path is not None:
            self._watching = asyncio.ensure_future(self._reloader.watch())

    async def _apply(self, wanted: Settings) -> None:
        """Put settings in force for the calls to come. Raises PilotfishError; then nothing has changed."""
        plane, shown = self._plane, self._certificates
        if plane is None or shown is None:
            raise PilotfishError("the sidecar has not started yet; try again")
        profiles = await asyncio.to_thread(_profiles, wanted)
        await asyncio.to_thread(certificates.apply, shown, wanted)
        plane.connect(wanted)
        try:
            with _translated():
                await asyncio.to_thread(self.engine.apply, wanted.policy_configuration(), profiles)
        except BaseException:
            with suppress(ConfigurationError):  # whatever has become of the files, connections keep theirs
                certificates.apply(shown, self.settings)
            raise
        else:
            self.settings = wanted
            self._refused = ()
            await asyncio.to_thread(self._source.remember)
        finally:
            plane.release(self.settings)

    async def _drain(self, seconds: float) -> None:
        plane = self._plane
        if plane is not None:
            await self._stopped("plane", lambda: plane.drain(seconds))
            await self._stopped("observer", lambda: asyncio.to_thread(self.engine.flush, OBSERVE_SECONDS))

    def _reloads(self) -> Mapping[str | None, int]:
        return {} if self._reloader is None else self._reloader.counts()

    def _later(self, part: str, stop: Callable[[], object]) -> None:
        self._stops.append((part, lambda: asyncio.to_thread(stop)))

    async def _stopped(self, part: str, stop: _Stop) -> None:
        try:
            await stop()
        except Exception as exc:  # noqa: BLE001 - the other parts still have something to write out
            _log.error("stop_failed", part=part, error=repr(exc))


def _engine(settings: Settings) -> _core.Engine:
    with _translated():
        return _core.Engine(settings.engine_configuration(), _profiles(settings), time.monotonic_ns())


def _profiles(settings: Settings) -> dict[str, bytes]:
    return {
        name: profile.read(version.profile)
        for name, version in settings.versions.items()
        if version.profile is not None
    }


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _core.ConfigurationError as exc:
        raise ConfigurationError(str(exc)) from exc
    except _core.ProfileError as exc:
        raise ProfileError(str(exc)) from exc


def _alarms_so_far(engine: _core.Engine) -> int:
    """Alarms that were announced before a restart."""
    counts = json.loads(engine.snapshot(time.monotonic_ns()))["alarms"]
    return int(counts["raised"] + counts["cleared"])


def _plane(
    settings: Settings, engine: _core.Engine, keep: Keep | None, certificates: _core.Certificates
) -> Plane:
    if settings.plane == "native":  # imported here, so that only the plane in use is loaded
        from pilotfish.plane.native import NativePlane

        return NativePlane(settings, engine, keep, certificates)
    from pilotfish.plane.grpcio import GrpcioPlane

    return GrpcioPlane(settings, engine, keep or _settling(engine), certificates)


def _both(first: Keep, second: Keep) -> Keep:
    def keep(call: KeptCall) -> None:
        first(call)
        second(call)

    return keep


def _settling(engine: _core.Engine) -> Keep:
    """Without a journal there is nothing to wait for."""

    def keep(_: KeptCall) -> None:
        engine.settle(None)

    return keep


# === the process ===


async def _run(beginning: Beginning, source: Source, goal: Goal | None, early: Sequence[int]) -> int:
    asked = _signals()
    settings = beginning.settings
    sidecar = Sidecar(beginning, source)
    await sidecar.start()
    # What is there now stays until the end: a full collection that went through it would stop every thread
    # of the interpreter, and a reload with them, for tens of milliseconds.
    gc.collect()
    gc.freeze()
    _obey_hangups(sidecar, early)
    try:
        _log.info(
            "running",
            listen=sidecar.listen,
            admin=sidecar.admin,
            plane=settings.plane,
            versions={name: version.upstream for name, version in settings.versions.items()},
            pilotfish=__version__,
        )
        return await _until(asked, goal, sidecar)
    finally:
        begun = time.monotonic()
        await sidecar.stop(sidecar.settings.drain)
        _log.info("stopped", seconds=round(time.monotonic() - begun, 3))


def _signals() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; the second ends the process."""
    asked = asyncio.Event()

    def take(name: str) -> None:
        if asked.is_set():
            _log.warning("stopping_at_once", signal=name)
            sys.stderr.flush()
            os._exit(1)
        _log.info("stopping", signal=name, hint="a second signal stops at once")
        asked.set()

    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, take, wanted.name)
    return asked


def _obey_hangups(sidecar: Sidecar, early: Sequence[int]) -> None:
    """Reload on SIGHUP from now on, and for those that came ``early``, while the sidecar started."""
    under_way: set[asyncio.Task[None]] = set()

    def take() -> None:
        if sidecar.settings.reload == "off":
            _log.warning("reload_is_off", signal="SIGHUP", remedy="set reload: signal, or restart")
            return
        task = asyncio.ensure_future(sidecar.reload())
        under_way.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(under_way.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, take)
    if early:
        take()


async def _until(asked: asyncio.Event, goal: Goal | None, sidecar: Sidecar) -> int:
    """Wait for a signal or the goal; 0, but 1 when a signal came before the goal was reached."""
    if goal is None:
        await asked.wait()
        return 0
    signalled = asyncio.ensure_future(asked.wait())
    reached = asyncio.ensure_future(goal(sidecar))
    try:
        await asyncio.wait({signalled, reached}, return_when=asyncio.FIRST_COMPLETED)
        if not reached.done():
            return 1
        reached.result()
        return 0
    finally:
        signalled.cancel()
        reached.cancel()
