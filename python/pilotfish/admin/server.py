"""The admin server: uvicorn in a thread and an event loop of its own, with limits on everything.

Never the event loop of the calls: a scrape of thousands of series takes milliseconds.
"""

import asyncio
import threading
from socket import socket

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pilotfish.admin.doorkeeper import Doorkeeper
from pilotfish.admin.listener import forget, listen
from pilotfish.admin.pages import Engine, Metrics, Pages, Sidecar
from pilotfish.errors import PilotfishError
from pilotfish.settings.address import is_loopback, split

_START_SECONDS = 10.0
_STOP_SECONDS = 3.0
_SILENCE_SECONDS = 5.0
_CONNECTIONS = 64
_HEADER_BYTES = 16 * 1024

_log = structlog.get_logger("pilotfish.admin")


class Admin:
    """The admin address of one sidecar, which is asked from the admin thread.

    Without ``metrics`` there is no page of them.
    """

    def __init__(self, address: str, engine: Engine, metrics: Metrics | None, sidecar: Sidecar) -> None:
        self._address = address
        pages = Pages(engine, metrics, sidecar)
        self._application = Doorkeeper(pages.application(), _guarded_host(address))
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._bound = ""

    def start(self) -> str:
        """Listen, and return the bound address. Raises AddressInUse or ConfigurationError."""
        bound, self._bound = listen(self._address)
        self._server = _Server(_configuration(self._application))
        self._thread = threading.Thread(
            target=self._server.run, args=([bound],), name="pilotfish-admin", daemon=True
        )
        self._thread.start()
        if not self._server.running.wait(_START_SECONDS):
            bound.close()
            raise PilotfishError(
                f"admin: {self._bound} did not start within {_START_SECONDS:g} s; see the log"
            )
        if not is_loopback(self._bound):
            _log.warning(
                "admin.reachable_from_network",
                address=self._bound,
                remedy="it asks nobody for a password; keep it on 127.0.0.1 or behind a network policy",
            )
        return self._bound

    def stop(self) -> None:
        """Stop listening, let requests under way end. Idempotent."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._server = self._thread = None
        server.should_exit = True
        thread.join(_STOP_SECONDS)
        server.force_exit = True
        forget(self._bound)


class _Server(uvicorn.Server):
    """Says when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.running = threading.Event()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self.running.set()


class _Impatient(H11Protocol):
    """Closes a connection that has not sent a whole request head for some seconds.

    uvicorn itself waits for ever for a first request: as many silent connections as it allows at all would
    keep the probes out, and the container would be restarted.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(_SILENCE_SECONDS, self._expire)

    def _expire(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        if not answering and not self.transport.is_closing():
            self.transport.close()


def _configuration(application: Doorkeeper) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=_Impatient,
        ws="none",
        lifespan="off",
        loop="asyncio",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        backlog=_CONNECTIONS,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        timeout_keep_alive=int(_SILENCE_SECONDS),
        timeout_graceful_shutdown=1,
    )


def _guarded_host(address: str) -> str | None:
    """Host whose visitors are checked by name: only one that browsers on this machine alone can reach."""
    if address.startswith("unix:") or not is_loopback(address):
        return None
    return split(address)[0].strip("[]")
