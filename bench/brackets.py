"""Certified brackets against scipy: how often its value lies inside, and how close they are.

``python -m bench.brackets [CASES]``: samples of eight shapes, shifted or not, on 2 to 256 bins at quantiles
of the reference. Ends with 1 when a single value lies outside.
"""

import itertools
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from pilotfish import _core

Values = npt.NDArray[np.float64]
CASES = 100_000


@dataclass(frozen=True)
class Case:
    """A reference and a sample of now, on bins."""

    edges: Values
    reference: Values
    current: Values

    def has_ties(self) -> bool:
        """Whether scipy's Cramér-von Mises statistic is another one, because it gives ties middle ranks."""
        pooled = np.concatenate([self.reference, self.current])
        return len(np.unique(pooled)) < len(pooled)


def cases(seed: int, count: int) -> Iterator[Case]:
    """Of many shapes, origins and units; those that have no two different edges are left out."""
    random = np.random.default_rng(seed)
    shapes: itertools.cycle[Callable[[int], Values]] = itertools.cycle((
        lambda n: random.normal(size=n),
        lambda n: random.lognormal(0.0, 1.5, size=n),
        lambda n: random.uniform(size=n),
        lambda n: random.standard_cauchy(size=n),
        lambda n: random.integers(0, 40, size=n).astype(np.float64),
        lambda n: np.where(random.random(n) < 0.3, 0.0, random.exponential(size=n)),
        lambda n: 1.7e9 + 86_400.0 * random.normal(size=n),
        lambda n: np.float64(np.float32(random.normal(size=n))) * 1e-12,
    ))  # fmt: skip
    for shape in itertools.islice(shapes, count):
        reference, current = shape(int(random.integers(5, 300))), shape(int(random.integers(5, 300)))
        width = max(float(np.ptp(reference)), 1e-15)
        current = current + width * float(random.choice([0.0, 0.0, 0.01, 0.2, 3.0])) * float(random.normal())
        bins = int(random.integers(2, 66) if random.random() < 0.7 else random.integers(66, 258))
        edges = np.unique(np.quantile(reference, np.linspace(0.0, 1.0, bins)))
        if len(edges) > 1:
            yield Case(edges, reference, current)


EXACT: dict[str, Callable[[Values, Values], float]] = {
    "ks": lambda p, q: float(stats.ks_2samp(p, q, method="asymp").statistic),
    "wasserstein": stats.wasserstein_distance,
    "energy": stats.energy_distance,
    "cramer_von_mises": lambda p, q: float(stats.cramervonmises_2samp(p, q, method="asymptotic").statistic),
}


def slack(name: str, value: float, edges: Values) -> float:
    """What scipy's own rounding takes: it adds up in another order, also values near 1.7e9."""
    if name == "ks":
        return 1e-14
    if name == "cramer_von_mises":
        return 1e-9 * (1 + value)
    rounding = 1e-11 * max(value, 1e-300) + 1e-15 * float(np.abs(edges).max())
    return max(rounding, math.sqrt(rounding) * 1e-3) if name == "energy" else rounding


def outside(name: str, found: Iterator[Case]) -> tuple[int, int]:
    """Cases looked at, and those whose exact value is not in the bracket."""
    seen = missed = 0
    for case in found:
        if name == "cramer_von_mises" and case.has_ties():
            continue
        low, high = _core.bracket(name, case.edges, case.reference, case.current)
        value = EXACT[name](case.reference, case.current)
        room = slack(name, value, case.edges)
        seen += 1
        missed += not low - room <= value <= high + room
    return seen, missed


@dataclass(frozen=True)
class Closeness:
    """Of a mean moved by a quarter of a standard deviation, 100,000 rows against 20,000."""

    bins: int
    ks_width: float
    wasserstein_error: float
    """Of the low end, relative."""


def closeness(bins: int, seed: int = 3) -> Closeness:
    """How close the brackets are on so many bins of equal shares."""
    random = np.random.default_rng(seed)
    reference, current = random.normal(size=100_000), random.normal(0.25, 1.0, size=20_000)
    edges = np.quantile(reference, np.linspace(0, 1, bins + 1))
    low, high = _core.bracket("ks", edges, reference, current)
    wasserstein, _ = _core.bracket("wasserstein", edges, reference, current)
    exact = stats.wasserstein_distance(reference, current)
    return Closeness(bins, high - low, abs(float(wasserstein / exact) - 1.0))


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CASES
    print("| distance | cases | outside the bracket |\n|---|---|---|")
    missed = 0
    for name in EXACT:
        seen, of_name = outside(name, cases(1, count))
        missed += of_name
        print(f"| {name} | {seen:,} | {of_name} |", flush=True)
    print("\n| bins | KS: width of the bracket | W1: error of the low end |\n|---|---|---|")
    for bins in (64, 256):
        found = closeness(bins)
        print(f"| {bins} | {found.ks_width:.4f} | {found.wasserstein_error:.1e} |")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
