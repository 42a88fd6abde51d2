"""One running sidecar: builds everything in reading order, stops everything in reverse.

    engine -> state -> certificates -> telemetry -> journal -> alarms -> admin -> plane

The plane comes last, so that the first call finds everything in place, and goes first, so that the last call
is still counted, journaled and exported. Starting may fail, and then says why; stopping does not: a part that
cannot be stopped must not keep the others from writing out what they hold.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog

from pilotfish import __version__, _core, alarms, certificates, log, port, profile
from pilotfish.admin import Admin, Health
from pilotfish.alarms import AlarmWatch
from pilotfish.call import Keep, KeptCall
from pilotfish.certificates import CertificateWatch
from pilotfish.errors import ConfigurationError, ProfileError
from pilotfish.journal import Journal
from pilotfish.plane import Plane
from pilotfish.settings import Settings
from pilotfish.state import Keeper
from pilotfish.telemetry import Telemetry

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


def run(settings: Settings, goal: Goal | None = None) -> int:
    """Run a sidecar until SIGTERM, SIGINT or the goal; the exit code: 0 when it stopped as asked.

    A second signal ends the process at once, with exit code 1. Raises PilotfishError when it cannot start.
    """
    log.configure(settings.log.level, settings.log.format)
    return asyncio.run(_run(settings, goal))


class Sidecar:
    """Everything that runs for one configuration."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = _engine(settings)
        self.listen = ""
        """Bound address of the data plane, once started."""
        self.admin = ""
        """Bound address of the admin server, once started."""
        self._plane: Plane | None = None
        self._draining = False
        self._stops: list[tuple[str, _Stop]] = []

    async def start(self) -> None:
        """Start every part. Raises PilotfishError, and then nothing is left running."""
        try:
            await self._start()
        except BaseException:
            await self.stop(0.0)
            raise

    async def stop(self, drain: float) -> None:
        """Take no new calls, let those under way end within ``drain`` seconds, write out. Never raises."""
        self._draining = True
        plane = self._plane
        if plane is not None:
            await self._stopped("plane", lambda: plane.drain(drain))
            await self._stopped("observer", lambda: asyncio.to_thread(self.engine.flush, OBSERVE_SECONDS))
        while self._stops:
            await self._stopped(*self._stops.pop())

    def health(self) -> Health:
        """How the data path stands, for the probes."""
        plane = self._plane
        if plane is None:
            return Health(listening=False, draining=self._draining, upstreams={})
        return Health(listening=plane.ready, draining=self._draining, upstreams=plane.upstreams())

    async def _start(self) -> None:
        settings, engine = self.settings, self.engine
        self._later("engine", engine.close)
        port.check_free(settings.listen)
        keeper = None if settings.state is None else Keeper(settings.state, engine)
        if keeper is not None:
            keeper.restore()

        shown = certificates.read(settings)
        renewal = CertificateWatch(shown, period=settings.certificate_interval)
        renewal.start()
        self._later("certificates", renewal.stop)

        upstreams = {name: version.upstream for name, version in settings.versions.items()}
        telemetry = Telemetry(
            settings.telemetry,
            engine,
            upstreams=upstreams,
            methods=settings.unary_methods,
            certificates=shown,
        )
        telemetry.start()
        self._later("telemetry", lambda: telemetry.shutdown(EXPORT_SECONDS))

        if settings.journal is None:
            keep = _settling(telemetry.keep, engine)
        else:
            journal = Journal(settings.journal, engine)
            journal.start()
            self._later("journal", lambda: journal.close(JOURNAL_SECONDS))
            keep = _both(telemetry.keep, journal.keep)

        known = 0 if keeper is None else _alarms_so_far(engine)
        watch = AlarmWatch(engine, [alarms.log, telemetry.alarm], after=known)
        watch.start()
        self._later("alarms", watch.stop)
        if keeper is not None:
            keeper.before = watch.poll  # an alarm that the file calls raised has been announced
            keeper.start()
            self._later("state", keeper.stop)

        admin = Admin(settings.admin, engine, telemetry, settings, self.health)
        self.admin = admin.start()
        self._later("admin", admin.stop)

        plane = _plane(settings, engine, keep, shown)
        self.listen = await plane.start()
        self._plane = plane

    def _later(self, part: str, stop: Callable[[], object]) -> None:
        self._stops.append((part, lambda: asyncio.to_thread(stop)))

    async def _stopped(self, part: str, stop: _Stop) -> None:
        try:
            await stop()
        except Exception as exc:  # noqa: BLE001 - the other parts still have something to write out
            _log.error("stop_failed", part=part, error=repr(exc))


def _engine(settings: Settings) -> _core.Engine:
    profiles = {
        name: profile.read(version.profile)
        for name, version in settings.versions.items()
        if version.profile is not None
    }
    try:
        return _core.Engine(settings.engine_configuration(), profiles, time.monotonic_ns())
    except _core.ConfigurationError as exc:
        raise ConfigurationError(str(exc)) from exc
    except _core.ProfileError as exc:
        raise ProfileError(str(exc)) from exc


def _alarms_so_far(engine: _core.Engine) -> int:
    """Alarms that were announced before a restart."""
    counts = json.loads(engine.snapshot(time.monotonic_ns()))["alarms"]
    return int(counts["raised"] + counts["cleared"])


def _plane(settings: Settings, engine: _core.Engine, keep: Keep, certificates: _core.Certificates) -> Plane:
    if settings.plane == "native":  # imported here, so that only the plane in use is loaded
        from pilotfish.plane.native import NativePlane

        return NativePlane(settings, engine, keep, certificates)
    from pilotfish.plane.grpcio import GrpcioPlane

    return GrpcioPlane(settings, engine, keep, certificates)


def _both(first: Keep, second: Keep) -> Keep:
    def keep(call: KeptCall) -> None:
        first(call)
        second(call)

    return keep


def _settling(first: Keep, engine: _core.Engine) -> Keep:
    """Without a journal a kept call is done once the traces have it."""

    def keep(call: KeptCall) -> None:
        first(call)
        engine.settle(None)

    return keep


# === the process ===


async def _run(settings: Settings, goal: Goal | None) -> int:
    asked = _signals()
    sidecar = Sidecar(settings)
    await sidecar.start()
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
        await sidecar.stop(settings.drain)
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
