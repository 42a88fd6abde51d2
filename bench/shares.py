"""Whose instructions a call is made of: the native plane alone, under callgrind, by library.

Instructions of the plane's process outside the kernel, per call in the steady state; unlike times they are
the same on a busy machine. ``--watch`` adds the observer and the statistics, ``--budget`` a bound on them.
Needs valgrind, and the plane without Python:
``cargo build --release -p pilotfish-proxy --example forward``.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import load, machine, origin, processor, table
from bench.payload import PAYLOADS, framed, reply
from bench.peer import ROOT
from bench.stand import end, free_port, probe

FORWARD = ROOT / "target" / "release" / "examples" / "forward"
WARM_UP = 4000  # calls; a monitor learns its reference from them
STARTUP_LIMIT = 30.0
SETTLING_LIMIT = 30.0  # seconds in which the observer, slow as it is here, has caught up
LINE = re.compile(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+(\S+?):")
OWNERS = (
    ("HTTP/2 library (h2, http, bytes, slab)", ("/h2-", "/http-", "/bytes-", "/slab-", "/tokio-util-")),
    ("runtime (tokio, mio)", ("/tokio-", "/mio-")),
    ("reading messages and the observer", ("rust/wire/", "rust/observe/")),
    ("routing, accounts, statistics (core)", ("rust/core/", "/fearless_simd-")),
    ("the plane", ("rust/proxy/",)),
    ("memory allocator", ("/malloc/",)),
    ("copying and comparing bytes", ("/string/", "/multiarch/")),
    ("Rust's own library, inlined into all of them", ("/rustc/", "library/")),
)
OTHER = "other"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.shares",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--shape", type=load.Shape.parse, default=load.Shape(4, 8), metavar="cNmM")
    parser.add_argument("--payload", choices=PAYLOADS, default="4KiB")
    parser.add_argument("--calls", type=int, default=3000, help="default %(default)s")
    parser.add_argument("--watch", action="store_true", help="with statistics")
    parser.add_argument(
        "--budget", type=int, metavar="N", help="with statistics of so many values per second at most"
    )
    options = parser.parse_args(arguments)
    if not shutil.which("valgrind") or not FORWARD.exists():
        print("bench: valgrind and the plane are needed: see --help", file=sys.stderr)
        return 1
    print("\n".join(machine.described()), flush=True)
    counted = shares(options)
    whole = counted.total()
    rows = [
        [owner, table.number(count / options.calls), f"{count / whole:.0%}"]
        for owner, count in counted.most_common()
    ]
    rows.append(["all", table.number(whole / options.calls), "100%"])
    print(f"\n{options.payload}, {options.shape}, {options.calls} calls\n")
    print(table.drawn(["instructions of", "per call", "share"], rows, markdown=False))
    return 0


def shares(options: argparse.Namespace) -> Counter[str]:
    """Instructions by owner."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        upstream, port = free_port(), free_port()
        stack.callback(end, origin.start(upstream, directory, 0))
        body = directory / "body"
        body.write_bytes(framed(PAYLOADS[options.payload].message()))
        profile = directory / "profile"
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={profile}"]
        ends = [f"127.0.0.1:{port}", f"127.0.0.1:{upstream}", *watching(options)]
        said = stack.enter_context((directory / "said").open("w"))
        plane = subprocess.Popen(
            [*tool, str(FORWARD), *ends], stdin=subprocess.PIPE, stdout=said, stderr=said
        )
        stack.callback(end, plane)
        answering(port)
        calls(port, body, WARM_UP, options.shape)
        processor.settled_ns(plane.pid, limit=SETTLING_LIMIT)
        instrument(plane.pid, "on")
        calls(port, body, options.calls, options.shape)
        processor.settled_ns(plane.pid, limit=SETTLING_LIMIT)
        instrument(plane.pid, "off")
        plane.communicate(timeout=60)
        return owned(profile)


def watching(options: argparse.Namespace) -> list[str]:
    if options.budget:
        return ["watch", str(options.budget)]
    return ["watch"] if options.watch else []


def answering(port: int) -> None:
    deadline = time.monotonic() + STARTUP_LIMIT
    while problem := probe(f"127.0.0.1:{port}"):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the plane does not answer: {problem}")
        time.sleep(0.1)


def calls(port: int, body: Path, number: int, shape: load.Shape) -> None:
    load.run(port, body, number, shape, 0, len(framed(reply())))


def instrument(pid: int, state: str) -> None:
    subprocess.run(["callgrind_control", "-i", state, str(pid)], check=True, stdout=subprocess.DEVNULL)


def owned(profile: Path) -> Counter[str]:
    command = ["callgrind_annotate", "--auto=no", "--threshold=100", str(profile)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    counted: Counter[str] = Counter()
    for line in told.splitlines():
        if found := LINE.match(line):
            counted[owner_of(found[2])] += int(found[1].replace(",", ""))
    return counted


def owner_of(file: str) -> str:
    return next((owner for owner, marks in OWNERS if any(mark in file for mark in marks)), OTHER)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
