"""What the bins hold that a direction names: ``bin 5 down`` says little without the category in it."""

import re
from collections.abc import Mapping
from typing import Any

from pilotfish import table

_BINS = re.compile(r"bins? (\d+)(?:-(\d+))? ")


def held(direction: str, feature: Mapping[str, Any]) -> str | None:
    """The range, value or categories of the bins in ``direction``; ``feature`` is described in detail.

    >>> held("bins 1-2 up", {"edges": [0.0, 1.0, 2.5, 4.0]})
    '1 to 4'
    >>> held("bin 2 down", {"edges": [0.0, 1.0, 4.0, 4.0]})
    '4'
    >>> held("location up", {"edges": [0.0, 1.0]})
    """
    found = _BINS.match(direction)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2] or found[1])
    edges = feature.get("edges") or ()
    if last + 1 < len(edges):
        low, high = f"{edges[first]:g}", f"{edges[last + 1]:g}"
        return low if low == high else f"{low} to {high}"
    names = feature.get("labels") or [f"{value:g}" for value in feature.get("values") or ()]
    return table.listed(names[first : last + 1]) or None
