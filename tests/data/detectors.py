"""Writes detectors.json: where river's detectors raise alarms, for tests that hold ours to them.

Run with river 0.23.0 and no other version:  python tests/data/detectors.py > tests/data/detectors.json
The streams are made of integers and of sums in a fixed order, so that any language makes the same ones.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from river import __version__, drift

MASK = 2**64 - 1

# Rows, then the level and the spread of each segment; the spread is 0 for bits, whose level is a probability.
BITS = [(100_000, 0.2, 0), (100_000, 0.3, 0), (100_000, 0.1, 0), (200_000, 0.5, 0), (1_500, 0.9, 0),
        (198_500, 0.02, 0), (300_000, 0.25, 0)]  # fmt: skip
NUMBERS = [(100_000, 0.0, 1.0), (100_000, 0.5, 1.0), (100_000, 0.0, 1.2), (100_000, -2.0, 0.5),
           (1_000, 50.0, 10.0), (99_000, 0.0, 1.0), (500_000, 0.1, 1.0)]  # fmt: skip
SECONDS = [(400_000, 1_767_225_600.0, 86_400.0), (600_000, 1_767_312_000.0, 86_400.0)]
SHORT = [(10_000, 0.0, 1.0), (10_000, 1.0, 1.0), (10_000, 1.0, 3.0)]

STREAMS = {"bits": (1, BITS), "numbers": (2, NUMBERS), "seconds": (3, SECONDS), "short": (4, SHORT)}

HASTY = {"delta": 0.05, "clock": 1, "max_buckets": 3, "min_window_length": 2, "grace_period": 50}
DOWN = {"min_instances": 100, "delta": 0.2, "threshold": 30.0, "alpha": 1.0, "mode": "down"}

CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("adwin", "bits", {}),
    ("adwin", "numbers", {}),
    ("adwin", "seconds", {}),
    ("adwin", "numbers", HASTY),
    ("page_hinkley", "bits", {}),
    ("page_hinkley", "numbers", {}),
    ("page_hinkley", "numbers", DOWN),
    ("page_hinkley", "seconds", {"threshold": 5e6, "delta": 100.0}),
    ("ddm", "bits", {}),
    ("ddm", "bits", {"warm_start": 100, "warning_threshold": 1.5, "drift_threshold": 4.0}),
    ("eddm", "bits", {}),
    ("eddm", "bits", {"warm_start": 100, "alpha": 0.9, "beta": 0.8}),
    ("hddm_a", "bits", {}),
    ("hddm_a", "bits", {"drift_confidence": 1e-6, "warning_confidence": 1e-4, "two_sided_test": True}),
    ("hddm_w", "bits", {}),
    ("hddm_w", "bits", {"drift_confidence": 1e-5, "lambda_val": 0.01, "two_sided_test": True}),
    ("kswin", "short", {"seed": 0}),
    ("kswin", "short", {"seed": 20_260_101, "alpha": 0.0001, "window_size": 200, "stat_size": 50}),
]  # fmt: skip

CLASSES = {
    "adwin": drift.ADWIN,
    "page_hinkley": drift.PageHinkley,
    "kswin": drift.KSWIN,
    "ddm": drift.binary.DDM,
    "eddm": drift.binary.EDDM,
    "hddm_a": drift.binary.HDDM_A,
    "hddm_w": drift.binary.HDDM_W,
}


def uniforms(seed: int) -> Iterator[float]:
    """SplitMix64, as numbers from 0 to 1."""
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        word = state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
        yield ((word ^ (word >> 31)) >> 11) / 2**53


def stream(seed: int, segments: list[tuple[int, float, float]]) -> Iterator[float]:
    uniform = uniforms(seed)
    for rows, level, spread in segments:
        for _ in range(rows):
            if spread == 0:
                yield float(next(uniform) < level)
            else:
                total = next(uniform)
                for _ in range(3):
                    total += next(uniform)
                yield level + spread * (total - 2.0)


def case(name: str, stream_name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    detector = CLASSES[name](**parameters)
    alarms, warnings = [], 0
    for row, value in enumerate(stream(*STREAMS[stream_name])):
        detector.update(int(value) if stream_name == "bits" else value)
        if detector.drift_detected:
            alarms.append(row)
        elif getattr(detector, "warning_detected", False):
            warnings += 1
    return {
        "detector": name,
        "stream": stream_name,
        "settings": parameters,
        "warnings": warnings,
        "alarms": alarms,
    }


def main() -> None:
    assert __version__ == "0.23.0", __version__
    streams = {name: {"seed": seed, "segments": segments} for name, (seed, segments) in STREAMS.items()}
    cases = []
    for arguments in CASES:
        cases.append(case(*arguments))
    lines = ",\n".join(json.dumps(one) for one in cases)
    head = f'"river": "{__version__}",\n"streams": {json.dumps(streams)},\n"cases": '
    sys.stdout.write(f"{{{head}[\n{lines}\n]}}\n")


if __name__ == "__main__":
    main()
