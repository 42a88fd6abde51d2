"""What the native plane's calls notice of Python: a thread that spins, a snapshot that is exported.

The same sidecar three times, watching 1,000 features: left alone, with a Python thread computing on another
core all the time, and with all numbers exported ten times a second. The rounds are interleaved; ratios are
against the one that is left alone, in the same round.
"""

import argparse
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import load, machine, origin, table
from bench.payload import Payload, framed
from bench.peer import Peer, Place, module
from bench.stand import Sample, Stand, end, free_port, standing

PAYLOAD = Payload("row", 1, 1000)
SHAPE = load.Shape(4, 8)
KINDS = ("still", "spin", "export")
WARM_UP = 3000  # calls in which the reference is learned and a pane is closed


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.disturbance", description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000, help="in one measurement (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="default %(default)s")
    parser.add_argument("--core", type=int, default=0, help="of the plane (default %(default)s)")
    options = parser.parse_args(arguments)
    print("\n".join(machine.described(options.core)), flush=True)
    samples = measured(options)
    print(
        f"\n{PAYLOAD.columns} features, {SHAPE}, median of {options.rounds} rounds of {options.calls} calls\n"
    )
    print(drawn(samples))
    return 0


def sidecar(kind: str) -> Peer:
    def command(place: Place) -> list[str]:
        return module(
            "bench.proxies.disturbed", kind, "run", "--config", str(place.write("native_watched.yaml"))
        )

    return Peer(kind, command, str, watched=True)


def measured(options: argparse.Namespace) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = defaultdict(list)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        upstream = free_port()
        stack.callback(end, origin.start(upstream, directory, options.core))
        body = directory / PAYLOAD.name
        body.write_bytes(framed(PAYLOAD.message()))
        stands: list[Stand] = [
            stack.enter_context(standing(sidecar(kind), upstream, options.core)) for kind in KINDS
        ]
        for stand in stands:
            stand.measure(body, WARM_UP, SHAPE, options.core)
        for turn in range(options.rounds):
            for stand in (*stands[turn % len(stands) :], *stands[: turn % len(stands)]):
                samples[stand.name].append(stand.measure(body, options.calls, SHAPE, options.core))
    return samples


def drawn(samples: dict[str, list[Sample]]) -> str:
    rows = []
    for kind in KINDS:
        middle = [
            statistics.median(getattr(sample, name) for sample in samples[kind])
            for name in ("rate", "p50", "p99", "p999")
        ]
        compared = [
            statistics.median(
                getattr(sample, name) / getattr(alone, name)
                for sample, alone in zip(samples[kind], samples["still"], strict=True)
            )
            for name in ("rate", "p99", "p999")
        ]
        rows.append([kind, *map(table.number, middle), *(f"{ratio:.2f}x" for ratio in compared)])
    head = [
        "beside",
        "calls/s",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "rate / still",
        "p99 / still",
        "p99.9 / still",
    ]
    return table.drawn(head, rows, markdown=False)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
