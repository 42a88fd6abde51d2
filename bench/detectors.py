"""What a value costs in the familiar detectors: ours with one crossing per array, beside river's, in one run.

river runs in an environment of its own, which `make test-peers` makes. The alarms of both are compared too.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine, table
from pilotfish.detectors import Detector

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".peers/river/bin/python"
PROGRAM = ROOT / "tests/e2e/river_alarms.py"
RIVER = {
    "adwin": ("ADWIN", 100_000),
    "page_hinkley": ("PageHinkley", 100_000),
    "kswin": ("KSWIN", 3_000),
    "ddm": ("DDM", 100_000),
    "eddm": ("EDDM", 100_000),
    "hddm_a": ("HDDM_A", 100_000),
    "hddm_w": ("HDDM_W", 100_000),
}
"""Name, and values: fewer of a detector that takes half a millisecond for each."""


def main() -> int:
    """Exit code 1 when river could not be run."""
    print("\n".join(machine.described(0)), flush=True)
    if not PYTHON.exists():
        print(f"river: skipped: no {PYTHON}: run make test-peers")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        measured = [row(name, Path(folder)) for name in RIVER]
    print("\nNanoseconds per value of one stream; both on one core.\n")
    print(table.drawn(["detector", "pilotfish", "river 0.23", "ratio", "same alarms"], measured, False))
    return 0


def row(name: str, folder: Path) -> list[str]:
    theirs, count = RIVER[name]
    random = np.random.default_rng(1)
    binary = name not in {"adwin", "page_hinkley", "kswin"}
    values = (random.random(count) < 0.2).astype(float) if binary else random.normal(0, 1, count)
    np.save(folder / "values.npy", values)
    settings = {"seed": 1} if name == "kswin" else {}
    river = peer({"detector": theirs, "settings": settings, "stream": str(folder / "values.npy")})
    spent, alarms = ours(name, settings, values)
    same = "yes" if alarms == river["alarms"] else "NO"
    cost = river["ns_per_value"]
    return [name, table.number(spent), table.number(cost), f"{cost / spent:.0f}", same]


def ours(name: str, settings: dict[str, Any], values: Any) -> tuple[float, list[int]]:
    spent = []
    alarms: list[int] = []
    for _ in range(5):
        detector = Detector(name, **settings)
        began = time.perf_counter_ns()
        alarms = detector.update_many(values).tolist()
        spent.append((time.perf_counter_ns() - began) / len(values))
    return min(spent), alarms


def peer(case: dict[str, Any]) -> dict[str, Any]:
    command = [str(PYTHON), str(PROGRAM)]
    done = subprocess.run(command, input=json.dumps([case]), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


if __name__ == "__main__":
    sys.exit(main())
