"""Distances beside the libraries whose definitions are reproduced, in the same run: equal to 1e-12."""

import math

import pytest
from tests.data.compat import DISTANCES, asked, cases

from pilotfish.statistics import distance

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("library", DISTANCES)
def test_compatible_distances_are_those_of_the_library(library: str) -> None:
    wanted = cases(library, 2, 300)
    infinite = 0
    for case, expected in zip(wanted, asked(library, wanted), strict=True):
        found = float(distance(case["distance"], case["reference"], case["current"], compat=library))  # type: ignore[arg-type]
        infinite += math.isinf(expected)
        assert found == expected or abs(found - expected) <= 1e-12 * max(1.0, abs(expected)), case
    assert infinite < 0.2 * len(wanted)
