"""The pages of the admin address. Every error is JSON with a message.

GET ``/healthz`` ``/readyz`` ``/metrics`` ``/api/v1/snapshot`` ``/api/v1/config`` ``/api/v1/alarms``
``/api/v1/profile/{version}`` ``/api/v1/plane`` only read; POST ``/api/v1/config/reload`` and ``/drain`` do
what a signal does as well.
"""

import asyncio
import concurrent.futures
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pilotfish import __version__
from pilotfish.admin.health import Health, Verdict, alive, ready
from pilotfish.reload import Attempt

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Engine(Protocol):
    """What the pages read of the engine."""

    def snapshot(self, now_ns: int, detail: bool = False) -> bytes: ...  # noqa: D102
    def alarms(self, after: int) -> bytes: ...  # noqa: D102
    def learned_profile(self, version: str) -> bytes | None: ...  # noqa: D102


class Metrics(Protocol):
    """What the pages read of the telemetry."""

    def prometheus(self) -> bytes: ...  # noqa: D102


class Sidecar(Protocol):
    """What the pages ask of the sidecar."""

    def health(self) -> Health: ...  # noqa: D102
    def configuration(self) -> Mapping[str, Any]:
        """``settings`` in force with secrets masked, ``generation``, ``reloads`` and ``last_reload``."""

    def counters(self) -> Mapping[str, int]: ...  # noqa: D102
    def request_reload(self) -> "concurrent.futures.Future[Attempt] | None": ...  # noqa: D102
    def request_drain(self) -> "concurrent.futures.Future[None]": ...  # noqa: D102


@dataclass(frozen=True)
class Pages:
    """The answers, given what they are read from."""

    engine: Engine
    metrics: Metrics | None
    """None when /metrics is switched off."""
    sidecar: Sidecar
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Of the pages that take long: one is made at a time."""

    def application(self) -> Starlette:
        """The ASGI application."""
        pages = {
            "/": self._index,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            "/api/v1/snapshot": self._snapshot,
            "/api/v1/config": self._config,
            "/api/v1/plane": self._plane,
            "/api/v1/alarms": self._alarms,
            "/api/v1/profile/{version}": self._profile,
        }
        actions = {"/api/v1/config/reload": self._reload, "/drain": self._drain}
        routes = [Route(path, page, methods=["GET", "HEAD"]) for path, page in pages.items()]
        routes += [Route(path, action, methods=["POST"]) for path, action in actions.items()]
        application = Starlette(
            routes=routes,
            exception_handlers={HTTPException: _refused, Exception: _failed},
        )
        application.router.redirect_slashes = False
        return application

    async def _index(self, request: Request) -> Response:
        paths = [route.path for route in request.app.routes]
        return _json({"pilotfish": __version__, "paths": paths})

    async def _healthz(self, request: Request) -> Response:  # noqa: ARG002 - the shape of a page
        return _probe(alive(self.sidecar.health()))

    async def _readyz(self, request: Request) -> Response:  # noqa: ARG002
        return _probe(ready(self.sidecar.health()))

    async def _metrics(self, request: Request) -> Response:  # noqa: ARG002
        if self.metrics is None:
            raise HTTPException(404, "metrics are switched off; set telemetry.prometheus: true")
        body = await self._aside(self.metrics.prometheus)
        return Response(body, media_type=_PROMETHEUS, headers=_HEADERS)

    async def _snapshot(self, request: Request) -> Response:
        detail = _flag(request, "detail")
        return _json_bytes(await self._aside(lambda: self.engine.snapshot(time.monotonic_ns(), detail)))

    async def _config(self, request: Request) -> Response:  # noqa: ARG002
        return _json(dict(self.sidecar.configuration()))

    async def _plane(self, request: Request) -> Response:  # noqa: ARG002
        health, counters = self.sidecar.health(), dict(self.sidecar.counters())
        return _json({"upstreams": dict(health.upstreams), "counters": counters})

    async def _alarms(self, request: Request) -> Response:
        return _json_bytes(self.engine.alarms(_sequence(request, "after")))

    async def _profile(self, request: Request) -> Response:
        version = request.path_params["version"]
        profile = self.engine.learned_profile(version)
        if profile is None:
            raise HTTPException(404, self._no_profile(version))
        name = f'attachment; filename="{version}.profile"'
        headers = {**_HEADERS, "content-disposition": name}
        return Response(profile, media_type="application/octet-stream", headers=headers)

    async def _reload(self, request: Request) -> Response:  # noqa: ARG002
        asked = self.sidecar.request_reload()
        if asked is None:
            raise HTTPException(409, "reloading is switched off; set reload: signal, or restart")
        attempt = await asyncio.wrap_future(asked)
        report = dict(self.sidecar.configuration())
        del report["settings"]
        return _json(report, 200 if attempt.error is None else 422)

    async def _drain(self, request: Request) -> Response:  # noqa: ARG002
        await asyncio.wrap_future(self.sidecar.request_drain())
        return _json({"drained": True})

    async def _aside(self, make: Callable[[], bytes]) -> bytes:
        """Make a page in a thread: thousands of series take half a second, and probes must not wait."""
        async with self.turn:
            return await asyncio.to_thread(make)

    def _no_profile(self, version: str) -> str:
        versions = self.sidecar.configuration()["settings"]["versions"]
        if version not in versions:
            return f"no version {version!r}; the configuration has {', '.join(sorted(versions)) or 'none'}"
        return (
            f"version {version!r} has learned no profile yet: a version without a configured profile learns "
            "one from its first monitor.learn_rows live rows"
        )


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "0")
    if text not in ("0", "1", "true", "false"):
        raise HTTPException(400, f"{name}={text!r} is neither on nor off; write {name}=1 or {name}=0")
    return text in ("1", "true")


def _sequence(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise HTTPException(400, f"{name}={text!r} is not a sequence number; write {name}=0 for all")
    return int(text)


def _probe(verdict: Verdict) -> Response:
    return _json(dict(verdict), 503 if verdict["reasons"] else 200)


def _json(value: object, status: int = 200) -> Response:
    return _json_bytes(json.dumps(value).encode(), status)


def _json_bytes(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json", headers=_HEADERS)


def error(status: int, message: str) -> Response:
    """An error as JSON."""
    return _json({"error": {"status": status, "message": message}}, status)


async def _refused(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    if exc.status_code == 404 and exc.detail == "Not Found":
        return error(404, f"no page {request.url.path!r}; / lists them")
    if exc.status_code == 405:
        allowed = ", ".join(sorted(str((exc.headers or {}).get("Allow", "GET")).split(", ")))
        answer = error(405, f"{request.method} is not answered here; only {allowed} is")
        answer.headers["allow"] = allowed
        return answer
    return error(exc.status_code, exc.detail)


async def _failed(request: Request, exc: Exception) -> Response:
    return error(500, f"{request.url.path}: {type(exc).__name__}; the log has the details")
