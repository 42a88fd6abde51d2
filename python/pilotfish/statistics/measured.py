"""How far two samples lie apart, how far chance alone would carry them, and how certain that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from pilotfish import _core
from pilotfish.errors import UsageError
from pilotfish.statistics import features as made
from pilotfish.statistics.data import Data, opened
from pilotfish.statistics.histogram import Histogram
from pilotfish.statistics.profile import Profile

Library: TypeAlias = Literal["evidently", "nannyml", "frouros"]
Counts: TypeAlias = Sequence[int] | npt.NDArray[np.integer]

NAMES = (
    "psi",
    "jensen_shannon",
    "ks",
    "kullback_leibler",
    "kullback_leibler_reverse",
    "hellinger",
    "total_variation",
    "l_infinity",
    "chi_square",
    "cramer_von_mises",
    "anderson_darling",
    "wasserstein",
    "wasserstein_normalized",
    "energy",
)
"""Of the distances; ``docs/python-statistics.md`` has their definitions."""


_OF_VALUES = frozenset({"wasserstein", "wasserstein_normalized", "energy"})


@dataclass(frozen=True)
class Measured:
    """A distance. ``float()`` of it is its value."""

    value: float
    expected: float | None
    """What samples of these sizes score on average when nothing has changed; None where no law is known."""
    noise: float | None
    """What they exceed with the probability ``chance`` (one in a thousand) when nothing has changed."""
    low: float | None = None
    """Between ``low`` and ``high`` the distance of the values themselves lies for certain; None where the
    value is that of the bins and nothing else."""
    high: float | None = None
    """Infinite where values far outside the bins leave it open."""

    @property
    def beyond_noise(self) -> bool:
        """Whether chance is an unlikely explanation. False where the noise is not known."""
        return self.noise is not None and self.value > self.noise

    def __float__(self) -> float:
        return self.value


@overload
def distance(name: str, p: Histogram, q: Histogram, *, chance: float = ...) -> Measured: ...
@overload
def distance(
    name: str, p: Counts, q: Counts, *, chance: float = ..., compat: Library | None = ...
) -> Measured: ...
def distance(
    name: str,
    p: Histogram | Counts,
    q: Histogram | Counts,
    *,
    chance: float = 0.001,
    compat: Library | None = None,
) -> Measured:
    """The distance of ``q`` (now) from ``p`` (the reference).

    >>> distance("psi", [500, 300, 200], [40, 32, 28]).beyond_noise
    False
    >>> round(float(distance("jensen_shannon", [5, 0], [0, 5], compat="nannyml")), 6)
    1.0

    Args:
        name: One of :data:`NAMES`.
        p: Counts of the reference: a histogram, or whole numbers of shape ``[bins]``.
        q: Counts now, on the same bins. ``ks``, ``cramer_von_mises`` and ``anderson_darling`` take the bins
            to be in ascending order; ``wasserstein``, ``wasserstein_normalized`` and ``energy`` need
            histograms.
        chance: Probability of exceeding ``noise`` when nothing has changed.
        compat: Compute it as that library does: ``evidently`` 0.7, ``nannyml`` 0.13 or ``frouros`` 0.9, whose
            numbers it reproduces on shared bins. Without noise: those definitions have no law.

    Raises:
        UsageError: A name that does not exist, counts that do not match, or a distance they do not have.
    """
    _check_chance(chance)
    if isinstance(p, Histogram) and isinstance(q, Histogram):
        if compat is not None:
            return distance(name, p.counts, q.counts, compat=compat)
        found = _measured(p, q, chance)
        if name not in found:
            raise UsageError(_absent(name, p.kind))
        return found[name]
    if isinstance(p, Histogram) or isinstance(q, Histogram):
        raise UsageError("a histogram and counts: give two histograms, or counts of both")
    if name in _OF_VALUES:
        raise UsageError(f"distance {name!r} needs to know where values are: give two histograms, not counts")
    counts = _counts(p), _counts(q)
    try:
        value = _core.distance(name, *counts, compat=compat)
        expected, noise = (None, None) if compat is not None else _core.noise(name, *counts, chance)
    except ValueError as exc:
        raise UsageError(str(exc)) from exc
    return Measured(value, expected, noise)


def distances(
    profile: Profile, data: Data | Profile, *, chance: float = 0.001
) -> dict[str, dict[str, Measured]]:
    """All distances of some data from a profile, by feature and name of the distance.

    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> profile = Profile.build({"age": random.normal(40, 10, 20_000)})
    >>> found = distances(profile, {"age": random.normal(43, 10, 1_000)})["age"]
    >>> found["psi"].beyond_noise, found["ks"].low <= found["ks"].value <= found["ks"].high
    (True, True)

    Args:
        profile: The reference.
        data: As for :meth:`Profile.build`, with columns called like the features; or another profile on the
            same edges. Columns that the profile does not know, and features without a column, are left out.
        chance: Probability of exceeding ``noise`` when nothing has changed, for each distance by itself.

    Raises:
        TableError: Data that is not columns of numbers and texts.
        UsageError: Columns of another kind than in the profile, or no column that it knows.
    """
    _check_chance(chance)
    if isinstance(data, Profile):
        compared = {name: (profile.histogram(name), data.histogram(name)) for name in _shared(profile, data)}
    else:
        compared = {
            name: (profile.histogram(name), counted) for name, counted in _counted(profile, data).items()
        }
    return {name: _measured(reference, now, chance) for name, (reference, now) in compared.items()}


def _counted(profile: Profile, data: Data) -> dict[str, Histogram]:
    """The data on the bins of the profile."""
    empty = {feature.name: profile.histogram(feature.name).empty() for feature in profile.features}
    texts = frozenset(name for name, histogram in empty.items() if histogram.kind == "category")
    table = opened(data, None, texts)
    plan = made.Plan("", 2, "input")
    seen: dict[str, Histogram] = {}
    for chunk in table.chunks():
        for name, _, values in made.features(chunk, plan):
            if name in empty:
                seen.setdefault(name, empty[name]).add(values)
    if table.kinds and not seen and set(table.kinds) & set(empty):
        raise UsageError("the data have no rows; give some to compare")
    if not seen:
        known, given = ", ".join(list(empty)[:12]), ", ".join(list(table.kinds)[:12])
        raise UsageError(f"no column is a feature of the profile: it has {known}, the data {given}")
    return seen


def _shared(profile: Profile, other: Profile) -> list[str]:
    known = {feature.name for feature in other.features}
    return [feature.name for feature in profile.features if feature.name in known]


def _measured(p: Histogram, q: Histogram, chance: float) -> dict[str, Measured]:
    try:
        found: dict[str, Any] = p._inner.distances(q._inner, chance)
    except ValueError as exc:
        raise UsageError(str(exc)) from exc
    return {name: Measured(**one) for name, one in found.items()}


def _counts(counts: Counts) -> list[int]:
    array = np.asarray(counts)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu") or (array < 0).any():
        raise UsageError("counts are whole numbers from 0, of shape [bins]; use a Histogram to count values")
    return [int(count) for count in array]


def _check_chance(chance: float) -> None:
    if not 0.0 < chance <= 0.5:
        raise UsageError(f"chance is {chance}; use a probability above 0 and up to 0.5, such as 0.001")


def _absent(name: str, kind: str) -> str:
    if name not in NAMES:
        return f"distance {name!r}: write one of {', '.join(NAMES)}"
    return f"distance {name!r} is not known for these {kind} bins: it needs an order, or a spread above zero"
