"""What a proxy adds where client, proxy and model server share a machine: by TCP, and by Unix sockets.

h2load -> proxy -> nginx, which listens on both kinds and answers every call with a file; everything on one
core, 4 KiB requests, the peers interleaved in one run. The tables show medians over the rounds, latencies as
added to those of direct calls by TCP.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import load, machine, table
from bench.payload import METHOD, PAYLOADS, framed, reply
from bench.peer import Place, module
from bench.stand import Sample, Stand, free_port, running

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
    command: Sequence[str]


HAPROXY = ("unix@", ["haproxy", "-f"])
SIDECAR = ("unix:", module("bench.proxies.weighed", "run", "--config"))
PROXIES = {
    "relay (HAProxy tcp)": Proxy("relay.cfg", *HAPROXY),
    "HAProxy": Proxy("haproxy.cfg", *HAPROXY),
    "pilotfish native, monitor off": Proxy("native_unwatched.yaml", *SIDECAR),
    "pilotfish native, monitor on": Proxy("native_watched.yaml", *SIDECAR),
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
    """Samples by shape, proxy and kind of sockets."""
    samples: Samples = defaultdict(list)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        origin = stack.enter_context(started_origin(directory, options.core))
        body = directory / "request"
        body.write_bytes(framed(PAYLOADS["4KiB"].message()))
        stands = {(DIRECT, next(iter(KINDS))): origin}
        for name, proxy in PROXIES.items():
            for kind, unix in KINDS.items():
                stands[name, kind] = stack.enter_context(started(name, proxy, unix, origin, options.core))
        order = list(stands.items())
        for round_number in range(options.rounds):
            for (name, kind), stand in order[round_number:] + order[:round_number]:
                for shape in SHAPES:
                    stand.measure(body, options.calls // 2, shape, options.core)
                    sample = stand.measure(body, options.calls, shape, options.core)
                    samples[shape, name, kind].append(sample)
    return samples


@contextmanager
def started_origin(directory: Path, core: int) -> Iterator[Stand]:
    """The model server's stand-in, with the reply in its directory, and a socket beside it."""
    answer = directory / METHOD.lstrip("/")
    answer.parent.mkdir(parents=True, exist_ok=True)
    answer.write_bytes(framed(reply()))
    place = Place(free_port(), 0, 0, directory)
    with running(["nginx", "-c", str(place.write("origin.conf"))], core, place.listen, directory):
        yield Stand(DIRECT, place.listen, directory=directory)


@contextmanager
def started(name: str, proxy: Proxy, unix: tuple[bool, bool], origin: Stand, core: int) -> Iterator[Stand]:
    """A proxy that listens, and calls the origin, by TCP or at a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        place = Place(free_port(), origin.port, free_port(), Path(temporary))
        socket = place.directory / "proxy.sock" if unix[0] else None
        addresses = {"127.0.0.1:@listen@": f"{proxy.prefix}{socket}"} if socket else {}
        if unix[1]:
            addresses["127.0.0.1:@upstream@"] = f"{proxy.prefix}{origin.directory}/origin.sock"
        command = [*proxy.command, str(place.write(proxy.template, addresses))]
        with running(command, core, socket or place.listen, place.directory) as pid:
            yield Stand(name, place.listen, pid, socket=socket)


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
