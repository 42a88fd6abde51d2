"""What a feature value costs: pilotfish's statistics against those one would otherwise use, in one run.

Every subject is a program of its own, in its own environment and pinned to one core, that reads 128 float32
features and prints nanoseconds per value. They take turns, round after round; the table shows medians and the
spread.
"""

import argparse
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine, table

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "target" / "release" / "examples" / "ns_per_value"
BUILD = ("cargo", "build", "--release", "--quiet", "--package", "pilotfish-core", "--example", "ns_per_value")
REFERENCE = "numpy.histogram, 32 equal bins"


@dataclass(frozen=True)
class Subject:
    """A program that prints lines of ``label<TAB>nanoseconds per value``."""

    name: str
    command: tuple[str, ...]
    remedy: str

    def missing(self) -> str | None:
        """Why it cannot be measured here, or None."""
        return None if Path(self.command[0]).exists() else f"no {self.command[0]}: {self.remedy}"


def inside(environment: str, module: str) -> tuple[str, ...]:
    return (str(ROOT / environment / "bin" / "python"), "-m", f"bench.subjects.{module}")


SUBJECTS = (
    Subject("pilotfish", (str(EXAMPLE),), f"run {' '.join(BUILD)}"),
    Subject("numpy", (sys.executable, "-m", "bench.subjects.histogram"), "pip install numpy"),
    Subject("DataSketches", inside(".peers/sketches", "sketches"), "run bench/tools.sh"),
    Subject("whylogs", inside(".peers/whylogs", "whylogs"), "run bench/tools.sh"),
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
    subprocess.run(BUILD, cwd=ROOT, check=False)
    results = measured(options)
    print(f"\nNanoseconds per value of 128 float32 features; {options.rounds} rounds.\n")
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


def measured(options: argparse.Namespace) -> Results:
    results = Results()
    for _ in range(options.rounds):
        for subject in SUBJECTS:
            if subject.name not in results.skipped:
                take(results, subject, options.core)
    return results


def take(results: Results, subject: Subject, core: int) -> None:
    if reason := subject.missing():
        results.skipped[subject.name] = reason
        return
    pinned = ["taskset", "-c", str(core), *subject.command]
    done = subprocess.run(pinned, cwd=ROOT, capture_output=True, text=True, timeout=300)
    lines = [line.rpartition("\t") for line in done.stdout.splitlines() if "\t" in line]
    if done.returncode or not lines:
        results.skipped[subject.name] = f"failed: {(done.stderr or done.stdout).strip()[-300:]}"
        return
    for label, _, spent in lines:
        results.taken[label].append(float(spent))


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
