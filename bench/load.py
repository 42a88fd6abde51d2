"""One load run with h2load: so many calls, over so many connections and streams, and what each call took.

h2load counts HTTP statuses only: a proxy that answers every call with an error in the trailers looks fast and
healthy to it. So the bytes of the replies are counted too; one byte too few or too many fails the run.
"""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.payload import METHOD

SHAPE = re.compile(r"c([1-9]\d*)m([1-9]\d*)")
HEADERS = ("content-type: application/grpc", "te: trailers")
WINDOW_BITS = "24"


@dataclass(frozen=True)
class Shape:
    """Concurrency: ``connections`` times ``streams`` calls at once. Written ``c4m8``."""

    connections: int
    streams: int

    @classmethod
    def parse(cls, text: str) -> "Shape":
        """Read ``c4m8``. Raises ValueError."""
        if not (found := SHAPE.fullmatch(text)):
            raise ValueError(f"shape {text!r}: write connections and streams like c4m8")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"c{self.connections}m{self.streams}"


@dataclass(frozen=True)
class Run:
    """What h2load saw: latencies in microseconds, rate in calls per second."""

    p50: float
    p99: float
    p999: float
    rate: float


class LoadError(RuntimeError):
    """A run in which a call failed or a reply was not the expected one."""


def run(
    port: int,
    body: Path,
    calls: int,
    shape: Shape,
    core: int,
    reply_bytes: int,
    scheme: str = "http",
    socket: Path | None = None,
) -> Run:
    """Send ``calls`` calls to a port of the loopback, or a Unix socket instead, and wait for all the replies.

    ``reply_bytes`` is the size of one reply, frame included. Raises LoadError.
    """
    with tempfile.NamedTemporaryFile(prefix="h2load-") as log:
        done = subprocess.run(
            [
                *command(port, body, calls, shape, core, log.name, scheme),
                *([f"--base-uri=unix:{socket}"] if socket else []),
            ],
            capture_output=True,
            text=True,
            timeout=300,
        )
        check(done, calls, reply_bytes)
        times = sorted(int(line.split("\t")[2]) for line in Path(log.name).read_text().splitlines())
    p50, p99, p999 = (quantile(times, share) for share in (0.50, 0.99, 0.999))
    return Run(p50=p50, p99=p99, p999=p999, rate=rate(done.stdout))


def command(port: int, body: Path, calls: int, shape: Shape, core: int, log: str, scheme: str) -> list[str]:
    pinned = [
        "taskset",
        "-c",
        str(core),
        "h2load",
        "-t1",
        f"-n{calls}",
        f"-c{shape.connections}",
        f"-m{shape.streams}",
    ]
    windows = [f"-w{WINDOW_BITS}", f"-W{WINDOW_BITS}"]
    headers = [part for header in HEADERS for part in ("-H", header)]
    return [
        *pinned,
        *windows,
        *headers,
        "-d",
        str(body),
        f"--log-file={log}",
        f"{scheme}://127.0.0.1:{port}{METHOD}",
    ]


def check(done: "subprocess.CompletedProcess[str]", calls: int, reply_bytes: int) -> None:
    succeeded = re.search(r"(\d+) succeeded, (\d+) failed", done.stdout)
    if done.returncode or not succeeded or int(succeeded[1]) != calls:
        raise LoadError(f"not every call was answered: {(done.stdout + done.stderr).strip()[-600:]}")
    received = re.search(r"\((\d+)\) data$", done.stdout, re.MULTILINE)
    if not received or int(received[1]) != calls * reply_bytes:
        found = received[1] if received else "no"
        raise LoadError(
            f"replies hold {found} bytes, not {calls * reply_bytes}: {done.stdout.strip()[-600:]}"
        )


def rate(report: str) -> float:
    found = re.search(r"finished in [^,]+, ([\d.]+) req/s", report)
    return float(found[1]) if found else 0.0


def quantile(ascending: list[int], share: float) -> float:
    return float(ascending[min(len(ascending) - 1, int(share * len(ascending)))])
