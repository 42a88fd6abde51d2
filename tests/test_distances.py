"""Distances against scipy, and their brackets against the distances of the values themselves."""

import math
import warnings

import numpy as np
import pytest
from bench import brackets
from scipy import stats
from scipy.spatial import distance as spatial

from pilotfish import _core

CASES = 2_000
"""Of each distance; ``make quality`` takes 100,000."""


@pytest.mark.parametrize("name", brackets.EXACT)
def test_brackets_contain_scipys_value(name: str) -> None:
    seen, missed = brackets.outside(name, brackets.cases(1, CASES))
    assert seen > 0.5 * CASES
    assert missed == 0


@pytest.mark.parametrize(("bins", "width"), [(64, 0.016), (256, 0.004)])
def test_a_shift_is_bracketed_to_a_thousandth_and_ks_to_a_bin(bins: int, width: float) -> None:
    found = brackets.closeness(bins)
    assert found.ks_width <= width
    assert found.wasserstein_error <= 1e-3


def test_edges_that_make_no_bins_are_refused() -> None:
    one = np.array([1.0])
    for edges in (np.arange(258.0), np.array([1.0]), np.array([2.0, 1.0])):
        with pytest.raises(ValueError, match="edges: write 2 to 65"):
            _core.bracket("ks", edges, one, one)


def counts(seed: int) -> tuple[list[int], list[int]]:
    generator = np.random.default_rng(seed)
    cells = int(generator.integers(2, 40))
    shares = generator.dirichlet(np.ones(cells))
    reference, current = generator.multinomial(5_000, shares), generator.multinomial(700, shares[::-1])
    return reference.tolist(), current.tolist()


@pytest.mark.parametrize("seed", range(50))
def test_distances_of_counts_are_those_of_scipy(seed: int) -> None:
    reference, current = counts(seed)
    kept = [i for i, pair in enumerate(zip(reference, current, strict=True)) if sum(pair)]
    p, q = (np.array(side, dtype=float)[kept] for side in (reference, current))
    smooth_p, smooth_q = ((side + 0.5) / (side.sum() + 0.5 * len(kept)) for side in (p, q))
    f, g = p / p.sum(), q / q.sum()
    positions = np.arange(len(p))
    values = [np.repeat(positions, side.astype(int)).astype(float) for side in (p, q)]
    gap = np.cumsum(f) - np.cumsum(g)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of p-values, and of names that later versions will have
        darling = stats.anderson_ksamp(values, midrank=True) if len(kept) > 1 else None
    n, m = q.sum(), p.sum()
    expected = {
        "psi": stats.entropy(smooth_p, smooth_q) + stats.entropy(smooth_q, smooth_p),
        "kullback_leibler": stats.entropy(smooth_p, smooth_q),
        "kullback_leibler_reverse": stats.entropy(smooth_q, smooth_p),
        "jensen_shannon": spatial.jensenshannon(smooth_p, smooth_q, base=2),
        "hellinger": np.sqrt(((np.sqrt(smooth_p) - np.sqrt(smooth_q)) ** 2).sum() / 2),
        "total_variation": np.abs(f - g).sum() / 2,
        "l_infinity": np.abs(f - g).max(),
        "chi_square": stats.chi2_contingency(np.array([p, q]), correction=False).statistic,
        "ks": stats.ks_2samp(*values, method="asymp").statistic,
        "cramer_von_mises": n * m / (n + m) ** 2 * ((p + q) * gap**2).sum(),
    }
    for name, value in expected.items():
        assert _core.distance(name, reference, current) == pytest.approx(value, rel=1e-11, abs=1e-12), name
    if darling is not None:
        found = _core.distance("anderson_darling", reference, current)
        assert (found - 1.0) / _anderson_deviation(int(n), int(m)) == pytest.approx(
            darling.statistic, rel=1e-9
        )


def _anderson_deviation(n: int, m: int) -> float:
    """Standard deviation of the statistic of two samples (Scholz and Stephens, 1987, equation 4)."""
    total, samples = n + m, 2
    big_h = 1.0 / n + 1.0 / m
    harmonic = 1.0 / np.arange(total - 1, 1, -1)
    cumulative = harmonic.cumsum()
    h = cumulative[-1] + 1
    g = (cumulative / np.arange(2, total)).sum()
    a = (4 * g - 6) * (samples - 1) + (10 - 6 * g) * big_h
    b = (2 * g - 4) * samples**2 + 8 * h * samples + (2 * g - 14 * h - 4) * big_h - 8 * h + 4 * g - 6
    c = (6 * h + 2 * g - 2) * samples**2 + (4 * h - 4 * g + 6) * samples + (2 * h - 6) * big_h + 4 * h
    d = (2 * h + 6) * samples**2 - 4 * h * samples
    variance = (a * total**3 + b * total**2 + c * total + d) / ((total - 1.0) * (total - 2.0) * (total - 3.0))
    return math.sqrt(variance)


def counted(bins: _core.Histogram, values: np.ndarray) -> _core.Histogram:
    held = bins.empty()
    held.add_numbers(values)
    return held


def test_undrifted_samples_score_as_expected_and_rarely_above_the_noise() -> None:
    generator = np.random.default_rng(5)
    reference = generator.normal(size=4_000)
    edges = np.quantile(reference, np.linspace(0, 1, 33))
    rounds, above, total = 1_500, dict[str, int](), dict[str, list[float]]()
    for _ in range(rounds):
        # A new reference each time: its own error is part of the noise.
        fresh, current = generator.normal(size=4_000), generator.normal(size=500)
        empty = _core.Histogram.of_edges(edges.tolist())
        found = counted(empty, fresh).distances(counted(empty, current), chance=0.01)
        for name, measured in found.items():
            value, noise, expected = measured["value"], measured["noise"], measured["expected"]
            assert value is not None
            assert noise is not None or name == "chi_square"  # rare values leave it without a law
            above[name] = above.get(name, 0) + (noise is not None and value > noise)
            if expected:
                total.setdefault(name, []).append(value / expected)
    assert len(above) == 14
    # 15 are expected; 27 or more have a chance of one in three hundred, for each of fourteen.
    assert max(above.values()) <= 30, above
    ratios = {name: float(np.mean(values)) for name, values in total.items()}
    assert set(ratios) == set(above) - {"l_infinity"}
    for ratio in ratios.values():
        assert 0.75 < ratio < 1.06, ratios


def test_what_cannot_be_measured_is_said() -> None:
    numbers, edges = np.ones(3), np.array([0.0, 1.0])
    with pytest.raises(ValueError, match="write one of psi"):
        _core.distance("euclid", [1], [1])
    with pytest.raises(ValueError, match=r"use bracket\(\) or Histogram.distances\(\)"):
        _core.distance("energy", [1], [1])
    with pytest.raises(ValueError, match="exact on bins"):
        _core.bracket("psi", edges, numbers, numbers)
    with pytest.raises(ValueError, match="ascending"):
        _core.Histogram.of_edges([1.0, 0.0])
    with pytest.raises(ValueError, match="at least one number"):
        _core.bracket("ks", edges, numbers, np.array([]))
    empty = _core.Histogram.of_edges(edges.tolist())
    with pytest.raises(ValueError, match="is empty: add values to both"):
        counted(empty, numbers).distances(empty)
    infinite = counted(empty, numbers).distances(counted(empty, np.array([np.inf, np.nan])))
    assert infinite["ks"]["value"] == 1.0
    assert "wasserstein" not in infinite
    assert infinite["psi"]["value"] is not None


def test_a_constant_has_no_normalized_distance() -> None:
    empty = _core.Histogram.of_values([7.0])
    found = counted(empty, np.full(20, 7.0)).distances(counted(empty, np.array([7.0, 8.0])))
    assert found["wasserstein"]["value"] == pytest.approx(0.5, rel=1e-9)
    assert "wasserstein_normalized" not in found
