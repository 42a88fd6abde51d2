"""Writes ``compat.json``: distances of counts as evidently, nannyml and frouros gave them.

Needs the environments of ``tests/e2e/peers.sh``: ``python tests/data/compat.py``.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
DISTANCES = {
    "evidently": ("psi", "kullback_leibler", "jensen_shannon", "hellinger", "total_variation"),
    "nannyml": ("jensen_shannon", "hellinger", "l_infinity", "chi_square"),
    "frouros": ("psi", "kullback_leibler_reverse", "jensen_shannon", "hellinger", "total_variation"),
}


def cases(library: str, seed: int, count: int) -> list[dict[str, Any]]:
    """Counts of 2 to 40 bins, some of them empty, on both sides, but not the first and the last."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        bins = int(random.integers(2, 41))
        shares = random.dirichlet(np.full(bins, 0.7)), random.dirichlet(np.full(bins, 0.7))
        sizes = random.integers(20, 20_000, 2)
        reference, current = (random.multinomial(*one) for one in zip(sizes, shares, strict=True))
        reference[[0, -1]] += 1
        current[[0, -1]] += 1
        pair = {"reference": reference.tolist(), "current": current.tolist()}
        of_library = DISTANCES[library]
        found.append({"distance": of_library[number % len(of_library)], **pair})
    return found


def asked(library: str, wanted: list[dict[str, Any]]) -> list[float]:
    """What the library makes of them."""
    program = [str(ROOT / f".peers/{library}/bin/python"), str(ROOT / "tests/e2e/compat_distances.py")]
    request = json.dumps({"library": library, "cases": wanted})
    done = subprocess.run(program, input=request, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    told = [
        {"library": library, **case, "value": value}
        for library in DISTANCES
        for case, value in zip(cases(library, 1, 20), asked(library, cases(library, 1, 20)), strict=True)
    ]
    lines = ",\n".join(json.dumps(one) for one in told)
    Path(__file__).with_suffix(".json").write_text(f"[\n{lines}\n]\n")
