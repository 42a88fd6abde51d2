"""The native data plane, seen from Python: start, look, drain.

Its threads forward calls without ever taking the GIL. What comes out of it are kept calls: a thread here
fetches them in batches and hands them on. The same thread sees to the memory that is not in use.
"""

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from typing import Final

import structlog

from pilotfish import _core
from pilotfish.call import Keep, KeptCall
from pilotfish.errors import AddressInUse, ConfigurationError
from pilotfish.methods import known_unary
from pilotfish.plane import UpstreamState
from pilotfish.plane.slack import Slack
from pilotfish.settings import Settings

_BATCH: Final = 256
_WAIT_SECONDS: Final = 0.2
"""How long the fetching thread waits at a time; so long it takes to notice that it shall end."""

_TRACE_STATE: Final = "tracestate"

_log = structlog.get_logger("pilotfish.plane")


class NativePlane:
    """The native data plane. Without ``keep`` nobody wants kept calls: they are counted, and never made."""

    def __init__(
        self,
        settings: Settings,
        engine: _core.Engine,
        keep: Keep | None,
        certificates: _core.Certificates | None = None,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._keep = keep
        self._certificates = certificates
        self._plane: _core.NativePlane | None = None
        self._ending = threading.Event()
        self._fetching: threading.Thread | None = None

    async def start(self) -> str:
        """Listen and return the bound address. Raises AddressInUse, ConfigurationError."""
        configuration = self._configuration()
        try:
            self._plane = await asyncio.to_thread(
                _core.NativePlane, self._engine, configuration, self._certificates
            )
        except _core.ConfigurationError as exc:
            raise ConfigurationError(str(exc)) from exc
        except OSError as exc:
            remedy = "stop what listens there, or choose another address with --listen"
            raise AddressInUse(f"{exc}; {remedy}") from exc
        self._fetching = threading.Thread(target=self._fetch, name="pilotfish-kept", daemon=True)
        self._fetching.start()
        return self._plane.address

    def connect(self, settings: Settings) -> None:
        """Nothing yet: the threads connect to what the engine has in force."""

    def release(self, settings: Settings) -> None:  # noqa: ARG002 - see above
        """Connect to the model servers in force, let go of all others."""
        if self._plane is not None:
            self._plane.refresh()

    async def drain(self, seconds: float) -> None:
        """Take no new calls, let those under way end within ``seconds``, break off the rest."""
        plane = self._plane
        if plane is None:
            return
        await asyncio.to_thread(plane.drain, seconds)
        self._ending.set()
        if self._fetching is not None:
            await asyncio.to_thread(self._fetching.join)

    async def flush(self, seconds: float) -> bool:
        """Wait until every message forwarded so far is in the statistics; False when it took longer."""
        return self._plane is None or await asyncio.to_thread(self._plane.flush, seconds)

    @property
    def ready(self) -> bool:
        """Whether calls are accepted."""
        return self._plane is not None and self._plane.serving

    def upstreams(self) -> Mapping[str, UpstreamState]:
        """State of the connection to each version."""
        return {} if self._plane is None else self._plane.upstreams()

    def counters(self) -> Mapping[str, int]:
        """Connections, refusals and the ends that are nobody's answer, since the start."""
        counters: Mapping[str, int] = {} if self._plane is None else json.loads(self._plane.counters())
        return counters

    def _configuration(self) -> str:
        settings = self._settings
        journal = settings.journal
        return json.dumps(
            {
                "listen": settings.listen,
                "threads": settings.threads,
                "now_ns": time.monotonic_ns(),
                "unary_methods": sorted(known_unary(settings.unary_methods)),
                "metadata": sorted({_TRACE_STATE, *(journal.metadata if journal else ())}),
                "forward_client_address": settings.forward_client_address,
                "payloads": journal is not None and journal.payloads,
                "kept": 0 if self._keep is None else journal.queue if journal else 1024,
                "queue": {"messages": settings.monitor.queue, "bytes": settings.monitor.queue_bytes},
                "limits": settings.limits.native_configuration(),
            }
        )

    def _fetch(self) -> None:
        plane = self._plane
        assert plane is not None
        slack = Slack(lambda: self.counters()["calls_open"])
        while True:
            slack.look()
            ending = self._ending.is_set()
            calls = plane.kept(_BATCH, _WAIT_SECONDS if not ending else 0.0)
            for call in calls:
                self._hand_on(call)
            if ending and not calls:
                return

    def _hand_on(self, call: "_core.NativeCall") -> None:
        assert self._keep is not None, "without it none are kept"
        try:
            self._keep(KeptCall(**call))
        except Exception:  # noqa: BLE001 - whoever takes kept calls must not end the fetching
            _log.exception("keep.failed", call_id=call["call_id"])
            self._engine.settle("failed")
