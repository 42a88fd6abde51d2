"""Distances of counts as evidently, nannyml or frouros compute them, in an environment of its own.

Reads ``{"library": ..., "cases": [{"distance", "reference": [counts], "current": [counts]}, ...]}`` as JSON
from standard input; writes their distances as a list. Every count becomes rows of a category, or of a whole
number in a bin of its own, and the library's own code is run on those rows.
"""

import json
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias
from unittest import mock

import numpy as np

Rows: TypeAlias = Any
Distance: TypeAlias = Callable[[Rows, Rows, int], float]


def main() -> None:
    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    known = {"evidently": evidently, "nannyml": nannyml, "frouros": frouros}[asked["library"]]()
    found = [
        known[case["distance"]](rows(case["reference"]), rows(case["current"]), len(case["reference"]))
        for case in asked["cases"]
    ]
    json.dump([float(distance) for distance in found], sys.stdout)


def rows(counts: list[int]) -> Rows:
    return np.repeat(np.arange(len(counts)), counts)


def evidently() -> dict[str, Distance]:
    import pandas as pd
    from evidently.legacy.calculations.stattests import hellinger_distance, jensenshannon, kl_div, psi
    from evidently.legacy.calculations.stattests.tvd_stattest import _total_variation_distance
    from evidently.legacy.core import ColumnType

    def categories(values: Rows) -> Any:
        return pd.Series([f"c{value}" for value in values])

    def of(function: Callable[..., tuple[float, bool]]) -> Distance:
        return lambda p, q, _: function(categories(p), categories(q), ColumnType.Categorical, 0.1)[0]

    return {
        "psi": of(psi._psi),
        "kullback_leibler": of(kl_div._kl_div),
        "jensen_shannon": of(jensenshannon._jensenshannon),
        "hellinger": of(hellinger_distance._hellinger_distance),
        "total_variation": lambda p, q, _: _total_variation_distance(categories(p), categories(q)),
    }


def nannyml() -> dict[str, Distance]:
    import pandas as pd
    from nannyml.drift.univariate import methods

    def of(method: Any) -> Distance:
        def distance(p: Rows, q: Rows, _: int) -> float:
            calculator = object.__new__(method)  # thresholds and chunks do not matter
            calculator._fit(pd.Series([f"c{value:03}" for value in p]))
            return float(calculator._calculate(pd.Series([f"c{value:03}" for value in q])))

        return distance

    return {
        "jensen_shannon": of(methods.CategoricalJensenShannonDistance),
        "hellinger": of(methods.CategoricalHellingerDistance),
        "l_infinity": of(methods.LInfinityDistance),
        "chi_square": of(methods.Chi2Statistic),
    }


def frouros() -> dict[str, Distance]:
    from frouros.detectors.data_drift import JS, KL, PSI, HellingerDistance, HINormalizedComplement
    from frouros.detectors.data_drift.batch.distance_based.base import BaseDistanceBasedProbability

    def shared(function: Callable[..., float]) -> Distance:
        """It smooths the bins of each side for itself: give it those that both share."""

        def distance(p: Rows, q: Rows, bins: int) -> float:
            shares = [np.bincount(side, minlength=bins) / len(side) for side in (p, q)]
            with mock.patch.object(
                BaseDistanceBasedProbability, "_calculate_probabilities", return_value=shares
            ):
                return float(function(X=p, Y=q, num_bins=bins))

        return distance

    return {
        "psi": lambda p, q, bins: PSI._psi(X=p, Y=q, num_bins=bins),
        "kullback_leibler_reverse": shared(KL._kl),
        "jensen_shannon": shared(JS._js),
        "hellinger": lambda p, q, bins: HellingerDistance._hellinger(
            X=p, Y=q, num_bins=bins, sqrt_div=float(np.sqrt(2))
        ),
        "total_variation": lambda p, q, bins: HINormalizedComplement._hi_normalized_complement(
            X=p, Y=q, num_bins=bins
        ),
    }


if __name__ == "__main__":
    main()
