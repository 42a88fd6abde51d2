"""What a proxy costs: h2load -> peer -> nghttpd, everything on one core, the peers interleaved in one run.

Each round measures every peer once; the tables show medians over the rounds. Absolute times change with the
machine: compare within one table only. Three traps, and what is done about them: a wake-up on another virtual
core costs some 50 µs and makes all proxies look alike, so everything runs on one core; batching hides cost,
so one call at a time (c1m1) is measured beside several (c4m8); a proxy that works on after the last reply is
waited for. Each measurement follows as many calls that are not measured: what is spent per second, such as
the monitor's budget of values, is then as under steady load, if these take a second or two (``--calls
100000`` with 4KiB).
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import load, machine, origin
from bench.payload import PAYLOADS, framed
from bench.peer import PEERS, Peer, reported
from bench.results import DIRECT, Cell, Results
from bench.stand import Stand, end, free_port, standing

NEEDED = {"h2load": "nghttp2-client", "nghttpd": "nghttp2-server", "taskset": "util-linux"}
WARM_UP = 500  # calls before the first measurement of a payload; lets a monitor learn its reference
LARGE_VALUES = 4096  # in a request, from which on fewer calls are made
QUICK = {"payloads": ["row", "4KiB"], "calls": 2000, "rounds": 3}


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 when nothing could be measured."""
    options = parsed(arguments)
    if missing := [
        f"{program} (Debian: {package})" for program, package in NEEDED.items() if not shutil.which(program)
    ]:
        print(f"bench: no {', '.join(missing)}: run bench/tools.sh", file=sys.stderr)
        return 1
    peers = [peer for peer in PEERS if not options.peers or any(word in peer.name for word in options.peers)]
    print("\n".join(machine.described(options.core)), flush=True)
    results = measured(options, peers)
    print_report(results, options, peers)
    return 0 if any(peer.name not in results.skipped for peer in peers) else 1


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="two payloads, three rounds: some three minutes; other options still win",
    )
    parser.add_argument(
        "--shapes",
        nargs="+",
        type=load.Shape.parse,
        default=[load.Shape(1, 1), load.Shape(4, 8), load.Shape(32, 8)],
        metavar="cNmM",
    )
    parser.add_argument(
        "--payloads", nargs="+", choices=PAYLOADS, default=["100B", "row", "4KiB", "64KiB", "1MiB"]
    )
    parser.add_argument("--calls", type=int, default=3000, help="in one measurement (default %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=3, help="measurements of each peer (default %(default)s)"
    )
    parser.add_argument(
        "--peers", nargs="+", metavar="WORD", help="only peers with one of these words in their name"
    )
    parser.add_argument(
        "--core", type=int, default=0, help="the one that everything runs on (default %(default)s)"
    )
    parser.add_argument("--markdown", action="store_true", help="tables for a README")
    if "--quick" in arguments:
        parser.set_defaults(**QUICK)
    return parser.parse_args(arguments)


def measured(options: argparse.Namespace, peers: Sequence[Peer]) -> Results:
    """All rounds. A peer that cannot be started or fails a call is skipped from then on, with its reason."""
    results = Results()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        upstream = free_port()
        stack.callback(end, origin.start(upstream, directory, options.core))
        stands = [Stand(DIRECT, upstream), *started(stack, results, peers, upstream, options.core)]
        for payload in options.payloads:
            body = directory / payload
            body.write_bytes(framed(PAYLOADS[payload].message()))
            for round_number in range(-1, options.rounds):
                for stand in rotated(stands, round_number):
                    take(results, stand, payload, body, options, warming=round_number < 0)
        for stand in stands[1:]:
            finish(results, stand)
    return results


def started(
    stack: ExitStack, results: Results, peers: Sequence[Peer], upstream: int, core: int
) -> list[Stand]:
    stands = []
    for peer in peers:
        if reason := peer.missing():
            results.skipped[peer.name] = reason
            continue
        try:
            stands.append(stack.enter_context(standing(peer, upstream, core)))
        except RuntimeError as error:
            results.skipped[peer.name] = f"did not start: {' '.join(str(error).split())}"
    return stands


def rotated(stands: Sequence[Stand], by: int) -> list[Stand]:
    """Another order in each round, so that nobody always comes after the same neighbour."""
    start = by % len(stands)
    return [*stands[start:], *stands[:start]]


def take(
    results: Results, stand: Stand, payload: str, body: Path, options: argparse.Namespace, warming: bool
) -> None:
    if stand.name in results.skipped:
        return
    try:
        if warming:
            stand.measure(body, calls_with(payload, WARM_UP), load.Shape(4, 8), options.core)
            return
        for shape in options.shapes:
            calls = calls_with(payload, options.calls)
            stand.measure(body, calls, shape, options.core)
            sample = stand.measure(body, calls, shape, options.core)
            results.samples[Cell(payload, shape), stand.name].append(sample)
    except (load.LoadError, ProcessLookupError) as error:
        results.skipped[stand.name] = f"failed with {payload}: {' '.join(str(error).split())}"


def calls_with(payload: str, calls: int) -> int:
    """Fewer calls with a large payload: what is measured then is bytes."""
    return max(256, calls // max(1, PAYLOADS[payload].values // LARGE_VALUES))


def finish(results: Results, stand: Stand) -> None:
    """What a sidecar says it has seen: a monitor that drops the messages is cheap for nothing."""
    if stand.name in results.skipped:
        return
    if plain := stand.plain():
        results.plain[stand.name] = plain
    if counted := stand.statistics():
        dropped, offered = sum(counted["dropped"].values()), counted["offered"]
        results.observed[stand.name] = (
            f"{counted['decoded']} of {offered} messages decoded, {counted['thinned']} left out for the "
            f"budget (counted: {1 - counted['thinned'] / max(1, offered):.1%}), {dropped} dropped"
        )


def print_report(results: Results, options: argparse.Namespace, peers: Sequence[Peer]) -> None:
    for name in options.payloads:
        print(f"\n{caption(name, options)}\n")
        print(results.drawn(name, options.shapes, [peer.name for peer in peers], options.markdown))
    print(f"\nversions:\n  origin and load: {reported('nghttpd', '--version')()}")
    for peer in peers:
        print(f"  {peer.name}: {peer.version() if peer.name not in results.skipped else 'skipped'}")
    for line in results.watching(options.payloads, options.shapes):
        print(line)
    for peer, counted in results.observed.items():
        print(f"{peer}: {counted}")
    for peer, reason in results.skipped.items():
        print(f"{peer}: skipped: {reason}")


def caption(name: str, options: argparse.Namespace) -> str:
    payload = PAYLOADS[name]
    size = len(framed(payload.message()))
    request = (
        f"{name}: ModelInfer with raw FP32 [{payload.rows}, {payload.columns}], {size} bytes on the wire"
    )
    taken = f"median of {options.rounds} rounds of {calls_with(name, options.calls)} calls"
    meaning = "CPU is of the proxy alone; latencies of the first row as they are, below as added to it."
    memory = "Memory is the most that was resident at the end of a run; beside it, without plain Python's."
    return f"{request}; {taken}.\n{meaning} {memory}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
