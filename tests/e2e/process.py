"""Processes of the end-to-end tests: started, waited for, stopped, and their last words when they fail."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = ROOT / ".peers"


class NotReadyError(AssertionError):
    """A process that ended or did not become ready; the message holds the end of its output."""


@contextmanager
def running(
    command: Sequence[str],
    directory: Path,
    ready: Callable[[], bool],
    limit: float = 60.0,
    environment: Mapping[str, str] | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command until the block ends; enter the block when ``ready`` says so.

    Output goes to ``directory``/output. Raises NotReadyError after ``limit`` seconds.
    """
    directory.mkdir(parents=True, exist_ok=True)
    output = directory / "output"
    with output.open("wb") as sink:
        process = subprocess.Popen(command, cwd=directory, stdout=sink, stderr=sink, env=environment)
    try:
        await_ready(process, ready, limit, output)
        yield process
    finally:
        stop(process)


def await_ready(
    process: "subprocess.Popen[bytes]", ready: Callable[[], bool], limit: float, output: Path
) -> None:
    deadline = time.monotonic() + limit
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            said = output.read_text(errors="replace").strip()[-2000:]
            raise NotReadyError(f"{process.args!r} is not ready (exit code {process.poll()}):\n{said}")
        time.sleep(0.05)


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port of the loopback that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def peer(path: str) -> str:
    """A program below .peers. Raises FileNotFoundError with the remedy."""
    program = PEERS / path
    if not program.exists():
        raise FileNotFoundError(f"no {program}: run tests/e2e/peers.sh, or make test-peers, which does")
    return str(program)
