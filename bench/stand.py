"""A peer that stands: its process, pinned and ready, and one measurement of it.

Ready means that a real gRPC client got the origin's reply through it, byte for byte, with status OK.
"""

import json
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from bench import load, processor
from bench.payload import METHOD, framed, reply
from bench.peer import ROOT, Peer, Place

STARTUP_LIMIT = 30.0  # seconds; Python peers import for a second or two when the machine is busy


@dataclass(frozen=True)
class Sample:
    """One measurement: processor time per call and latencies in microseconds, calls per second.

    ``memory``: resident bytes when the last reply had come.
    """

    cpu: float
    p50: float
    p99: float
    p999: float
    rate: float
    memory: int


@dataclass(frozen=True)
class Stand:
    """A running peer, or the origin itself (``pid`` None): nothing stands between.

    Calls are sent to ``socket``, where there is one, instead of the port.
    """

    name: str
    port: int
    pid: int | None = None
    admin: int | None = None
    directory: Path | None = None
    socket: Path | None = None

    def measure(self, body: Path, calls: int, shape: load.Shape, core: int) -> Sample:
        """Send the load through. Raises load.LoadError."""
        before = processor.settled_ns(self.pid) if self.pid else 0
        expected = len(framed(reply()))
        run = load.run(self.port, body, calls, shape, core, expected, socket=self.socket)
        memory = processor.memory_bytes(self.pid) if self.pid else 0
        spent = processor.settled_ns(self.pid) - before if self.pid else 0
        cpu = spent / calls / 1000
        return Sample(cpu=cpu, p50=run.p50, p99=run.p99, p999=run.p999, rate=run.rate, memory=memory)

    def plain(self) -> int | None:
        """Resident bytes before the plane started; None for peers that note nothing of the kind."""
        note = self.directory / "resident" if self.directory else None
        return int(note.read_text()) if note and note.exists() else None

    def statistics(self) -> dict[str, Any] | None:
        """How many messages the sidecar was offered, decoded, dropped; None for peers that count nothing."""
        if self.admin is None:
            return None
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/api/v1/snapshot", timeout=10) as answer:
            counted: dict[str, Any] = json.load(answer)["statistics"]
        return counted


@contextmanager
def standing(peer: Peer, upstream: int, core: int) -> Iterator[Stand]:
    """Start a peer before the origin; end it at exit. Raises RuntimeError with its last words if it fails."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        place = Place(free_port(), upstream, free_port(), Path(directory))
        with running(peer.command(place), core, place.listen, place.directory) as pid:
            yield Stand(peer.name, place.listen, pid, place.admin if peer.watched else None, place.directory)


@contextmanager
def running(command: Sequence[str], core: int, address: int | Path, directory: Path) -> Iterator[int]:
    """A process, pinned, once it answers at a port or a socket. Raises RuntimeError with its last words."""
    with (directory / "said").open("w+b") as said:
        process = subprocess.Popen(["taskset", "-c", str(core), *command], cwd=ROOT, stdout=said, stderr=said)
        try:
            answers(process, address, directory / "said")
            yield process.pid
        finally:
            end(process)


def answers(process: "subprocess.Popen[bytes]", address: int | Path, said: Path) -> None:
    """Wait for the origin's reply through a port, or a Unix socket. Raises RuntimeError."""
    deadline = time.monotonic() + STARTUP_LIMIT
    problem = "no answer"
    while time.monotonic() < deadline and process.poll() is None:
        problem = probe(f"127.0.0.1:{address}" if isinstance(address, int) else f"unix:{address}")
        if not problem:
            return
        time.sleep(0.1)
    ended = f"exit code {process.returncode}" if process.poll() is not None else problem
    raise RuntimeError(f"{ended}: {said.read_text(errors='replace').strip()[-400:]}")


def probe(target: str) -> str:
    """Why a call to the target does not bring the origin's reply, or nothing."""
    with grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            answer = channel.unary_unary(METHOD)(b"", timeout=2)
        except grpc.RpcError as error:
            return f"{error.code().name} {error.details()}"
    return "" if answer == reply() else f"another reply than the origin's: {answer!r}"


def end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port of the loopback that was free just now."""
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        port: int = probe_socket.getsockname()[1]
    return port
