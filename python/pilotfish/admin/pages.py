"""The pages of the admin address. All of them only read, and every error is JSON with a message.

``/healthz`` ``/readyz`` ``/metrics`` ``/api/v1/snapshot`` ``/api/v1/config`` ``/api/v1/alarms``
``/api/v1/profile/{version}``
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pilotfish import __version__
from pilotfish.admin.health import Health, Verdict, alive, ready

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


class Configuration(Protocol):
    """What the pages read of the settings."""

    def effective(self) -> dict[str, Any]:
        """Plain data in force, with secrets masked."""


@dataclass(frozen=True)
class Pages:
    """The answers, given what they are read from."""

    engine: Engine
    metrics: Metrics | None
    """None when /metrics is switched off."""
    configuration: Configuration
    health: Callable[[], Health]

    def application(self) -> Starlette:
        """The ASGI application."""
        pages = {
            "/": self._index,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            "/api/v1/snapshot": self._snapshot,
            "/api/v1/config": self._config,
            "/api/v1/alarms": self._alarms,
            "/api/v1/profile/{version}": self._profile,
        }
        application = Starlette(
            routes=[Route(path, page, methods=["GET", "HEAD"]) for path, page in pages.items()],
            exception_handlers={HTTPException: _refused, Exception: _failed},
        )
        application.router.redirect_slashes = False
        return application

    async def _index(self, request: Request) -> Response:
        paths = [route.path for route in request.app.routes]
        return _json({"pilotfish": __version__, "paths": paths})

    async def _healthz(self, request: Request) -> Response:  # noqa: ARG002 - the shape of a page
        return _probe(alive(self.health()))

    async def _readyz(self, request: Request) -> Response:  # noqa: ARG002
        return _probe(ready(self.health()))

    async def _metrics(self, request: Request) -> Response:  # noqa: ARG002
        if self.metrics is None:
            raise HTTPException(404, "metrics are switched off; set telemetry.prometheus: true")
        return Response(self.metrics.prometheus(), media_type=_PROMETHEUS, headers=_HEADERS)

    async def _snapshot(self, request: Request) -> Response:
        return _json_bytes(self.engine.snapshot(time.monotonic_ns(), _flag(request, "detail")))

    async def _config(self, request: Request) -> Response:  # noqa: ARG002
        return _json(self.configuration.effective())

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

    def _no_profile(self, version: str) -> str:
        versions = self.configuration.effective().get("versions", {})
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
        answer = error(405, f"{request.method} changes nothing here; only GET and HEAD are answered")
        answer.headers["allow"] = "GET, HEAD"
        return answer
    return error(exc.status_code, exc.detail)


async def _failed(request: Request, exc: Exception) -> Response:
    return error(500, f"{request.url.path}: {type(exc).__name__}; the log has the details")
