"""The statistics of pilotfish on numpy arrays: the same code that watches live calls.

One module per question; ``docs/python-statistics.md`` shows how they are used, ``docs/statistics.md`` has the
mathematics.

>>> import numpy as np
>>> from pilotfish.statistics import EDetector, Profile, distances
>>> random = np.random.default_rng(0)
>>> profile = Profile.build({"age": random.normal(40, 10, 20_000)}, model="churn")
>>> distances(profile, {"age": random.normal(40, 10, 1_000)})["age"]["psi"].beyond_noise
False
"""

from pilotfish.statistics.edetector import Alarm, EDetector, Evidence
from pilotfish.statistics.histogram import Histogram
from pilotfish.statistics.measured import NAMES, Measured, distance, distances
from pilotfish.statistics.profile import Feature, Profile

__all__ = [
    "NAMES",
    "Alarm",
    "EDetector",
    "Evidence",
    "Feature",
    "Histogram",
    "Measured",
    "Profile",
    "distance",
    "distances",
]
