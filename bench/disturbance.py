"""What the native plane's calls notice of Python: a thread that spins, a snapshot that is exported.

One sidecar that watches 1,000 features, measured again and again: left alone; left alone once more, which is
how far two equal measurements lie apart; while a Python thread of its own computes on another core; while all
its numbers are fetched ten times a second, from another core. And the same calls without a sidecar, alone and
while a process computes on the other core: what the machine itself does to calls is not the sidecar's.
Everything is interleaved; ratios are against the one that is left alone, in the same round.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from bench import load, machine, origin, processor, table
from bench.payload import Payload, framed, reply
from bench.peer import Peer, Place, module
from bench.stand import Stand, end, free_port, standing

PAYLOAD = Payload("row", 1, 1000)
SHAPE = load.Shape(4, 8)
WARM_UP = 3000  # calls in which the reference is learned and a pane is closed
EXPORTS_SECONDS = 0.1
SPINNING = "while True: pass"


@dataclass(frozen=True)
class Case:
    """A measurement: calls to a stand while something goes on, compared with the case ``alone``."""

    name: str
    alone: str
    stand: Stand
    beside: Callable[[], AbstractContextManager[None]] = nullcontext


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.disturbance", description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000, help="in one measurement (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="default %(default)s")
    parser.add_argument("--core", type=int, default=0, help="of the plane (default %(default)s)")
    options = parser.parse_args(arguments)
    print("\n".join(machine.described(options.core)), flush=True)
    with ExitStack() as stack:
        cases, body = prepared(stack, options.core)
        runs = measured(cases, body, options)
    print(
        f"\n{PAYLOAD.columns} features, {SHAPE}, median of {options.rounds} rounds of {options.calls} calls\n"
    )
    print(drawn(cases, runs))
    return 0


def prepared(stack: ExitStack, core: int) -> tuple[list[Case], Path]:
    """The cases, their stands running, and the request's body."""
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
    upstream = free_port()
    stack.callback(end, origin.start(upstream, directory, core))
    body = directory / PAYLOAD.name
    body.write_bytes(framed(PAYLOAD.message()))
    places: list[Place] = []

    def command(place: Place) -> list[str]:
        places.append(place)
        configuration = place.write("native_watched.yaml")
        return module("bench.proxies.disturbed", "run", "--config", str(configuration))

    sidecar = stack.enter_context(standing(Peer("sidecar", command, str, watched=True), upstream, core))
    sidecar.measure(body, WARM_UP, SHAPE, core)
    direct = Stand("direct", upstream)
    flag = places[0].directory / "spin"
    return [
        Case("direct", "direct", direct),
        Case("direct, a process spins", "direct", direct, lambda: spinning(core)),
        Case("sidecar", "sidecar", sidecar),
        Case("sidecar, again", "sidecar", sidecar),
        Case("sidecar, its Python spins", "sidecar", sidecar, lambda: flagged(flag)),
        Case("sidecar, exports", "sidecar", sidecar, lambda: exporting(sidecar, core)),
    ], body


def measured(cases: Sequence[Case], body: Path, options: argparse.Namespace) -> dict[str, list[load.Run]]:
    runs: dict[str, list[load.Run]] = defaultdict(list)
    answer = len(framed(reply()))
    for turn in range(options.rounds):
        start = turn % len(cases)
        for case in (*cases[start:], *cases[:start]):
            with case.beside():
                run = load.run(case.stand.port, body, options.calls, SHAPE, options.core, answer)
            runs[case.name].append(run)
            if case.stand.pid:
                processor.settled_ns(case.stand.pid)
    return runs


# === what goes on beside ===


@contextmanager
def spinning(core: int) -> Iterator[None]:
    """A process that computes, away from the core where the calls are."""
    pinned = ["taskset", "-c", ",".join(map(str, elsewhere(core)))]
    process = subprocess.Popen([*pinned, sys.executable, "-c", SPINNING])
    try:
        yield
    finally:
        end(process)


@contextmanager
def flagged(flag: Path) -> Iterator[None]:
    flag.touch()
    try:
        yield
    finally:
        flag.unlink()


@contextmanager
def exporting(stand: Stand, core: int) -> Iterator[None]:
    """Fetch the detailed snapshot over and over, as a collector on another core would."""
    over = threading.Event()

    def fetch() -> None:
        os.sched_setaffinity(threading.get_native_id(), elsewhere(core))
        while not over.wait(EXPORTS_SECONDS):
            url = f"http://127.0.0.1:{stand.admin}/api/v1/snapshot?detail=1"
            with urllib.request.urlopen(url, timeout=10) as answer:
                answer.read()

    collector = threading.Thread(target=fetch)
    collector.start()
    try:
        yield
    finally:
        over.set()
        collector.join()


def elsewhere(core: int) -> set[int]:
    """The other cores, where there are any."""
    return set(range(os.cpu_count() or 1)) - {core} or {core}


def drawn(cases: Sequence[Case], runs: dict[str, list[load.Run]]) -> str:
    names = ("rate", "p50", "p99", "p999")
    rows = []
    for case in cases:
        middle = [statistics.median(getattr(run, name) for run in runs[case.name]) for name in names]
        pairs = list(zip(runs[case.name], runs[case.alone], strict=True))
        compared = [
            statistics.median(getattr(run, name) / getattr(alone, name) for run, alone in pairs)
            for name in ("rate", "p99", "p999")
        ]
        rows.append([case.name, *map(table.number, middle), *(f"{ratio:.2f}x" for ratio in compared)])
    ratios = [f"{what} / alone" for what in ("rate", "p99", "p99.9")]
    head = ["calls", "per second", "p50 µs", "p99 µs", "p99.9 µs", *ratios]
    return table.drawn(head, rows, markdown=False)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
