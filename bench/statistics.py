"""What a feature value costs: pilotfish's statistics against those one would otherwise use, in one run.

Every subject is a program of its own, in its own environment and pinned to one core, that reads 128 float32
features and prints nanoseconds per value. They take turns, round after round; the table shows medians and the
spread. A round takes about a minute, most of it pilotfish learning 8,192 features and whylogs; a first run
builds pilotfish as it is released before that, which may take minutes. Standard error tells what is done.
"""

import argparse
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine, table

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "target" / "release" / "examples" / "ns_per_value"
BUILD = ("cargo", "build", "--release", "--quiet", "--package", "pilotfish-core", "--example", "ns_per_value")
REFERENCE = "numpy.histogram, 32 equal bins"


@dataclass(frozen=True)
class Subject:
    """A program that prints nanoseconds per value, and how to read what it prints."""

    name: str
    command: tuple[str, ...]
    remedy: str
    read: Callable[[str], dict[str, float]]

    def missing(self) -> str | None:
        """Why it cannot be measured here, or None."""
        return None if Path(self.command[0]).exists() else f"no {self.command[0]}: {self.remedy}"


def inside(environment: str, module: str) -> tuple[str, ...]:
    return (str(ROOT / environment / "bin" / "python"), "-m", f"bench.subjects.{module}")


def labelled(output: str) -> dict[str, float]:
    """Lines of ``label<TAB>nanoseconds``, as the programs in ``bench/subjects`` print them."""
    return {label: float(spent) for label, _, spent in (line.partition("\t") for line in output.splitlines())}


def tabled(output: str) -> dict[str, float]:
    """The example's table: features, rows in a batch, nanoseconds."""
    cells = [line.split() for line in output.splitlines()[1:]]
    return {f"pilotfish, {width} features, batches of {rows}": float(spent) for width, rows, spent in cells}


SUBJECTS = (
    Subject("pilotfish", (str(EXAMPLE),), f"run {' '.join(BUILD)}", tabled),
    Subject("numpy", (sys.executable, "-m", "bench.subjects.histogram"), "pip install numpy", labelled),
    Subject("DataSketches", inside(".peers/sketches", "sketches"), "run bench/tools.sh", labelled),
    Subject("whylogs", inside(".peers/whylogs", "whylogs"), "run bench/tools.sh", labelled),
)


@dataclass
class Results:
    """Nanoseconds per value by label, one from each round, and why subjects are missing."""

    taken: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    skipped: dict[str, str] = field(default_factory=dict)


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 when pilotfish itself could not be measured."""
    options = parsed(arguments)
    print("\n".join(machine.described(options.core)), flush=True)
    results = measured(options, built())
    print(f"\nNanoseconds per float32 value, 128 features where not said; {options.rounds} rounds.\n")
    print(drawn(results, options.markdown))
    for name, reason in results.skipped.items():
        print(f"{name}: skipped: {reason}")
    return 1 if SUBJECTS[0].name in results.skipped else 0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.statistics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3, help="default %(default)s")
    parser.add_argument(
        "--core", type=int, default=0, help="the one that everything runs on (default %(default)s)"
    )
    parser.add_argument("--markdown", action="store_true", help="a table for a README")
    return parser.parse_args(arguments)


def built() -> dict[str, str]:
    """Build the example; empty, or why pilotfish is skipped: a stale program is not measured."""
    told("building pilotfish")
    try:
        done = subprocess.run(BUILD, cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return {SUBJECTS[0].name: "no cargo here: install the Rust toolchain (https://rustup.rs)"}
    return {SUBJECTS[0].name: f"not built: {done.stderr.strip()[-300:]}"} if done.returncode else {}


def measured(options: argparse.Namespace, skipped: dict[str, str]) -> Results:
    results = Results(skipped=skipped)
    for number in range(options.rounds):
        for subject in SUBJECTS:
            if subject.name not in results.skipped:
                told(f"round {number + 1} of {options.rounds}: {subject.name}")
                take(results, subject, options.core)
    return results


def told(doing: str) -> None:
    print(f"{doing} ...", file=sys.stderr, flush=True)


def take(results: Results, subject: Subject, core: int) -> None:
    if reason := subject.missing():
        results.skipped[subject.name] = reason
        return
    pinned = ["taskset", "-c", str(core), *subject.command]
    done = subprocess.run(pinned, cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.returncode or not done.stdout:
        results.skipped[subject.name] = f"failed: {(done.stderr or done.stdout).strip()[-300:]}"
        return
    for label, spent in subject.read(done.stdout).items():
        results.taken[label].append(spent)


def drawn(results: Results, markdown: bool) -> str:
    reference = results.taken.get(REFERENCE)
    compared = statistics.median(reference) if reference else None
    rows = []
    for label, spent in results.taken.items():
        middle = statistics.median(spent)
        spread = f"{table.number(min(spent))}-{table.number(max(spent))}"
        rows.append([label, table.number(middle), spread, table.ratio(middle, compared)])
    return table.drawn(["statistics", "ns/value", "min-max", "/ numpy.histogram"], rows, markdown)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
