"""What a proxy adds where client, proxy and model server share a machine: by TCP, and by Unix sockets.

h2load -> proxy -> nginx, which listens on both kinds and answers every call with a file; everything on one
core, 4 KiB requests, the peers interleaved in one run. The tables show medians over the rounds, latencies as
added to those of direct calls by TCP.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import load, machine, processor, table
from bench.payload import METHOD, PAYLOADS, framed, reply
from bench.peer import CONFIGURATIONS, ROOT, Place, module
from bench.stand import Sample, answers, end, free_port

KINDS = {
    "TCP on both sides": (False, False),
    "the model at a Unix socket": (False, True),
    "Unix sockets on both sides": (True, True),
}
SHAPES = (load.Shape(1, 1), load.Shape(4, 8))


@dataclass(frozen=True)
class Proxy:
    """``prefix``: how its configuration writes a Unix socket."""

    template: str
    prefix: str
    command: Callable[[Path], list[str]]


@dataclass(frozen=True)
class Target:
    """Where calls are sent: a port, or a socket instead of it."""

    port: int
    socket: Path | None = None
    pid: int | None = None


PROXIES = {
    "relay (HAProxy tcp)": Proxy("relay.cfg", "unix@", lambda path: ["haproxy", "-f", str(path)]),
    "HAProxy": Proxy("haproxy.cfg", "unix@", lambda path: ["haproxy", "-f", str(path)]),
    "pilotfish native, monitor off": Proxy(
        "native_unwatched.yaml",
        "unix:",
        lambda path: module("bench.proxies.weighed", "run", "--config", str(path)),
    ),
    "pilotfish native, monitor on": Proxy(
        "native_watched.yaml",
        "unix:",
        lambda path: module("bench.proxies.weighed", "run", "--config", str(path)),
    ),
}


def main(arguments: Sequence[str]) -> int:
    """Exit code 0; whatever fails is raised."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.sockets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--calls", type=int, default=10_000, help="in one measurement (default %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="measurements of each peer (default %(default)s)"
    )
    parser.add_argument(
        "--core", type=int, default=0, help="the one that everything runs on (default %(default)s)"
    )
    parser.add_argument("--markdown", action="store_true", help="tables for a README")
    options = parser.parse_args(arguments)
    print("\n".join(machine.described(options.core)), flush=True)
    samples = measured(options)
    for shape in SHAPES:
        print(f"\n{shape}: p50 and p99 added, µs; processor time of the proxy, µs per call\n")
        print(table.drawn(("proxy", *KINDS), list(rows(samples, shape)), options.markdown))
    return 0


Samples = dict[tuple[load.Shape, str, str], list[Sample]]
DIRECT = "direct"


def measured(options: argparse.Namespace) -> Samples:
    """Samples by shape, peer and kind of sockets."""
    samples: Samples = defaultdict(list)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        origin = stack.enter_context(started_origin(directory, options.core))
        body = directory / "request"
        body.write_bytes(framed(PAYLOADS["4KiB"].message()))
        targets = {(DIRECT, next(iter(KINDS))): origin}
        for name, proxy in PROXIES.items():
            for kind, unix in KINDS.items():
                standing = started(proxy, unix, origin, options.core)
                targets[name, kind] = stack.enter_context(standing)
        order = list(targets.items())
        for round_number in range(options.rounds):
            for (name, kind), target in order[round_number:] + order[:round_number]:
                for shape in SHAPES:
                    take(target, body, options.calls // 2, shape, options.core)
                    sample = take(target, body, options.calls, shape, options.core)
                    samples[shape, name, kind].append(sample)
    return samples


@contextmanager
def started_origin(directory: Path, core: int) -> Iterator[Target]:
    """The model server's stand-in, with the reply in its directory."""
    answer = directory / METHOD.lstrip("/")
    answer.parent.mkdir(parents=True, exist_ok=True)
    answer.write_bytes(framed(reply()))
    place = Place(free_port(), 0, 0, directory)
    command = ["nginx", "-c", str(place.write("origin.conf"))]
    with running(command, core, place.listen, directory):
        yield Target(place.listen, directory / "origin.sock")


@contextmanager
def started(proxy: Proxy, unix: tuple[bool, bool], origin: Target, core: int) -> Iterator[Target]:
    """A proxy that listens, and calls the origin, by TCP or at a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        port, admin, socket = free_port(), free_port(), directory / "proxy.sock"
        listen = f"{proxy.prefix}{socket}" if unix[0] else f"127.0.0.1:{port}"
        upstream = f"{proxy.prefix}{origin.socket}" if unix[1] else f"127.0.0.1:{origin.port}"
        content = (CONFIGURATIONS / proxy.template).read_text()
        content = content.replace("127.0.0.1:@listen@", listen).replace("127.0.0.1:@upstream@", upstream)
        path = directory / proxy.template
        path.write_text(content.replace("@admin@", str(admin)).replace("@directory@", name))
        with running(proxy.command(path), core, socket if unix[0] else port, directory) as pid:
            yield Target(port, socket if unix[0] else None, pid)


@contextmanager
def running(command: list[str], core: int, address: int | Path, directory: Path) -> Iterator[int]:
    """A process that answers calls at a port or a socket. Raises RuntimeError with its last words."""
    with (directory / "said").open("w+b") as said:
        process = subprocess.Popen(["taskset", "-c", str(core), *command], cwd=ROOT, stdout=said, stderr=said)
        try:
            answers(process, address, directory / "said")
            yield process.pid
        finally:
            end(process)


def take(target: Target, body: Path, calls: int, shape: load.Shape, core: int) -> Sample:
    before = processor.settled_ns(target.pid) if target.pid else 0
    run = load.run(
        target.port,
        body,
        calls,
        shape,
        core,
        len(framed(reply())),
        socket=target.socket if target.pid else None,
    )
    spent = processor.settled_ns(target.pid) - before if target.pid else 0
    return Sample(spent / calls / 1000, run.p50, run.p99, run.p999, run.rate, 0)


def rows(samples: Samples, shape: load.Shape) -> Iterator[list[str]]:
    def middle(name: str, kind: str, what: Callable[[Sample], float]) -> float:
        return median(what(sample) for sample in samples[shape, name, kind])

    first = next(iter(KINDS))
    p50 = middle(DIRECT, first, lambda sample: sample.p50)
    p99 = middle(DIRECT, first, lambda sample: sample.p99)
    yield [f"{DIRECT} ({p50:.0f}, {p99:.0f} µs)", *("" for _ in KINDS)]
    for name in PROXIES:
        cells = []
        for kind in KINDS:
            added = middle(name, kind, lambda sample: sample.p50) - p50
            late = middle(name, kind, lambda sample: sample.p99) - p99
            cpu = middle(name, kind, lambda sample: sample.cpu)
            cells.append(f"{added:+.0f}, {late:+.0f}; {cpu:.1f}")
        yield [name, *cells]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
