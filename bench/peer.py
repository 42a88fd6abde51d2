"""A peer: a proxy that can stand between the load and the origin, how it is started, and its version.

Those configured by file take theirs from ``bench/configurations``: one worker, HTTP/2 without TLS on both
sides, nothing but forwarding, limits out of the way.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATIONS = Path(__file__).resolve().parent / "configurations"
ENVOY = ROOT / ".peers" / "envoy" / "bin" / "envoy"


@dataclass(frozen=True)
class Place:
    """Where a peer runs: ports of the loopback (``admin``: its administration) and a directory of its own."""

    listen: int
    upstream: int
    admin: int
    directory: Path

    def write(self, template: str, addresses: Mapping[str, str] | None = None) -> Path:
        """Fill in a file of ``bench/configurations``, ``addresses`` instead of some, and put it there."""
        content = (CONFIGURATIONS / template).read_text()
        for written, other in (addresses or {}).items():
            content = content.replace(written, other)
        for name in ("listen", "upstream", "admin", "directory"):
            content = content.replace(f"@{name}@", str(getattr(self, name)))
        target = self.directory / template
        target.write_text(content)
        return target


@dataclass(frozen=True)
class Peer:
    """``command`` starts it in the foreground; ``needs`` is a program that must exist, ``remedy`` gets it."""

    name: str
    command: Callable[[Place], list[str]]
    version: Callable[[], str]
    needs: str = sys.executable
    remedy: str = "bench/tools.sh"
    watched: bool = field(default=False)  # it has an admin port that answers GET /api/v1/snapshot

    def missing(self) -> str | None:
        """Why it cannot be measured here, with the remedy, or None."""
        if shutil.which(self.needs):
            return None
        return f"no {Path(self.needs).name} here: run {self.remedy}"


def reported(*command: str) -> Callable[[], str]:
    """The first line a program says about its version."""

    def ask() -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        first = next((line for line in (done.stdout + done.stderr).splitlines() if line.strip()), "?")
        return first.removeprefix(command[0]).strip()

    return ask


def module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def nghttpx(place: Place) -> list[str]:
    ends = [f"--frontend=127.0.0.1,{place.listen};no-tls", f"--backend=127.0.0.1,{place.upstream};;proto=h2"]
    windows = ["--frontend-http2-window-size=16777215", "--backend-http2-window-size=16777215"]
    return ["nghttpx", "--conf=/dev/null", "--workers=1", "--accesslog-file=/dev/null", *ends, *windows]


def grpcio(name: str) -> Callable[[Place], list[str]]:
    return lambda place: module(f"bench.proxies.{name}", str(place.listen), str(place.upstream))


def sidecar(name: str, template: str) -> Peer:
    return Peer(
        name,
        lambda place: module("bench.proxies.weighed", "run", "--config", str(place.write(template))),
        lambda: f"pilotfish {version('pilotfish')}",
        watched=True,
    )


HAPROXY = reported("haproxy", "-v")
PEERS = (
    Peer(
        "relay (HAProxy tcp)",
        lambda place: ["haproxy", "-f", str(place.write("relay.cfg"))],
        HAPROXY,
        "haproxy",
    ),
    Peer("HAProxy", lambda place: ["haproxy", "-f", str(place.write("haproxy.cfg"))], HAPROXY, "haproxy"),
    Peer("nghttpx", nghttpx, reported("nghttpx", "--version"), "nghttpx"),
    Peer(
        "nginx",
        lambda place: ["nginx", "-c", str(place.write("nginx.conf"))],
        reported("nginx", "-v"),
        "nginx",
    ),
    Peer(
        "Envoy",
        lambda place: [
            str(ENVOY),
            "-c",
            str(place.write("envoy.yaml")),
            "--concurrency",
            "1",
            "-l",
            "error",
            "--disable-hot-restart",
        ],
        reported(str(ENVOY), "--version"),
        str(ENVOY),
    ),
    Peer("grpcio sync", grpcio("grpcio_sync"), lambda: f"grpcio {version('grpcio')}"),
    Peer("grpcio aio", grpcio("grpcio_aio"), lambda: f"grpcio {version('grpcio')}"),
    Peer("grpcio aio, unary only", grpcio("grpcio_aio_unary"), lambda: f"grpcio {version('grpcio')}"),
    sidecar("pilotfish grpcio, monitor off", "unwatched.yaml"),
    sidecar("pilotfish grpcio, monitor on", "watched.yaml"),
    sidecar("pilotfish native, monitor off", "native_unwatched.yaml"),
    sidecar("pilotfish native, monitor on", "native_watched.yaml"),
    sidecar("pilotfish native, monitor on, journal", "native_journal.yaml"),
    sidecar("pilotfish native, monitor on, every value", "native_unbounded.yaml"),
)
